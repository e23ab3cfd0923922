"""A request to Azure Resource Manager, its answer, and the table of paths that are answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from emulator.azure.errors import AzureError, method_not_allowed
from emulator.azure.names import GROUP
from emulator.azure.service import Azure, Conditions
from emulator.azure.shapes import resource_type
from emulator.azure.store import Body

RESOURCES_VERSIONS = tuple(sorted(resource_type(GROUP).api_versions))
"""The API versions of Microsoft.Resources: of groups, and of what has no type here."""

PAGE = 50
"""Items on one page of a list."""


@dataclass(frozen=True)
class Call:
    """A request by a client that has signed in.

    Attributes:
        method: GET, HEAD, PUT, PATCH, POST or DELETE.
        path: as the client wrote it; ARM ignores its case.
        query: the parameters, with their names in lower case.
        headers: with their names in lower case.
        body: what was sent, {} if nothing was.
        azure: the emulated Azure.
        url: of the server.
        words: the variable parts of the path.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    azure: Azure
    url: str
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        """The version that the client wants. Raises MissingApiVersionParameter."""
        version = self.query.get("api-version")
        if not version:
            raise AzureError(
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        return version

    @property
    def conditions(self) -> Conditions:
        return Conditions(self.headers.get("if-match"), self.headers.get("if-none-match"))

    def require_version(self, *known: str) -> None:
        """Check the version of something without a resource type. Raises AzureError."""
        if self.api_version not in known:
            raise AzureError(
                "InvalidApiVersionParameter",
                f"The api-version '{self.api_version}' is invalid. The supported versions are"
                f" '{','.join(known)}'.",
            )


@dataclass(frozen=True)
class Answer:
    """A response; a body of None is an empty one."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Answer]


def page(call: Call, items: list[Any]) -> Answer:
    """One page of a list, with the link to the next one."""
    start = _number(call, "$skiptoken", 0)
    length = min(_number(call, "$top", PAGE), PAGE)
    answer: Body = {"value": items[start : start + length]}
    following = start + length
    if following < len(items) and "$top" not in call.query:
        query = {**call.query, "$skiptoken": str(following)}
        answer["nextLink"] = f"{call.url}{call.path}?{urlencode(query)}"
    return Answer(200, answer)


def _number(call: Call, name: str, default: int) -> int:
    given = call.query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", given):
        raise AzureError(
            "InvalidQueryParameter", f"The value '{given}' of {name} is invalid.", target=name
        )
    return int(given)


_EQUALS = re.compile(r"\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*", re.IGNORECASE)


def read_filter(call: Call, known: tuple[str, ...]) -> dict[str, str]:
    """The properties that $filter compares, with their values; only `a eq 'b' and …` is known.

    Raises InvalidFilterInQueryString.
    """
    wanted = {}
    text = call.query.get("$filter", "")
    for term in re.split(r"\s+and\s+", text, flags=re.IGNORECASE) if text.strip() else []:
        match = _EQUALS.fullmatch(term)
        name = match and next((each for each in known if each.lower() == match[1].lower()), None)
        if not match or not name:
            raise AzureError(
                "InvalidFilterInQueryString",
                f"Invalid $filter '{text}' specified in the query string. Known here:"
                f" {', '.join(known)}, each compared with eq.",
                target="$filter",
            )
        wanted[name] = match[2].replace("''", "'")
    return wanted


class Routes:
    """Paths in ARM's notation, `/subscriptions/{subscription}`, with a handler for each method.

    `{name*}` matches any number of segments. The first path that matches is taken.
    """

    def __init__(self) -> None:
        self._table: list[tuple[re.Pattern[str], dict[str, Handler]]] = []

    def add(self, template: str, **methods: Handler) -> None:
        """Answer a path; the methods are named in lower case."""
        parts = re.split(r"\{(\w+)(\*?)\}", template)
        pattern = re.escape(parts[0])
        for name, star, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            pattern += f"(?P<{name}>{'.+' if star else '[^/]+'}){re.escape(text)}"
        table = {method.upper(): handler for method, handler in methods.items()}
        self._table.append((re.compile(pattern, re.IGNORECASE), table))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler of a request, and the variable parts of its path. Raises AzureError."""
        for pattern, methods in self._table:
            if match := pattern.fullmatch(path):
                if method in methods:
                    return methods[method], match.groupdict()
                raise method_not_allowed(method)
        raise no_such_path()


def no_such_path() -> AzureError:
    """The refusal of a path that nothing answers."""
    return AzureError(
        "NotFound", "No HTTP resource was found that matches the request URI.", status=404
    )

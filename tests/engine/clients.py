"""docs/reference/emulator-clients.md: which client proves which operation of the emulated Azure.

A test of a client calls `check` with the requests that the client sent, so the page cannot name
what no client does. `write` changes the page instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from emulator.azure.shapes import resource_types
from emulator.instance import PROJECT

PAGE = PROJECT / "docs/reference/emulator-clients.md"
PLUGIN, CLI = "our plugin", "Azure CLI"
_FIRST = "| type |"
_SPELLING = {type_.lower(): type_ for type_ in (each.name for each in resource_types().values())}
# In the order of the page; everything else is an action, a POST.
_ORDER = ("PUT", "PATCH", "GET", "HEAD", "list", "DELETE")

_NOTHING = "\N{EN DASH}"

Operations = set[tuple[str, str]]
"""Pairs of a type and what is done: a method of HTTP, `list`, or the name of an action."""


def operations_of(requests: Iterable[tuple[str, str]]) -> Operations:
    """What the requests do, each a method and a path of Azure Resource Manager."""
    found = {_operation_of(method, path.partition("?")[0]) for method, path in requests}
    return {each for each in found if each is not None}


def read_log(text: str) -> Iterator[tuple[str, str]]:
    """The requests in a server's log that got what they asked for, each a method and a path."""
    for method, path in re.findall(r"^([A-Z]+) (\S+) HTTP/\S+ 2\d\d$", text, re.MULTILINE):
        if re.match(r"/(subscriptions|providers|tenants)\b", path):
            yield method, unquote(path)


def _operation_of(method: str, path: str) -> tuple[str, str] | None:
    """The type and the operation; None for the answers that clients poll."""
    if re.search(r"/operation(s|results)/[^/]+$", path, re.IGNORECASE):
        return None
    namespace, *words = path.rpartition("/providers/")[2].split("/")
    if "/providers/" not in path or words in ([], ["register"]):
        # Subscriptions, groups, what is in a group, and the providers themselves.
        namespace, words = "Microsoft.Resources", path.strip("/").split("/")
        words = words[-3 if method == "POST" else len(words) % 2 - 2 :]
    *kinds, last = words[::2]
    if len(words) % 2 == 0:
        return _spelled(namespace, *kinds, last), method
    if method == "POST" or last == "instanceView":
        return _spelled(namespace, *kinds), last
    return _spelled(namespace, *kinds, last), "list"


def _spelled(*words: str) -> str:
    type_ = "/".join(words)
    return _SPELLING.get(type_.lower(), type_)


def check(client: str, proven: Operations) -> None:
    """Check that the page has these operations for a client, and no others."""
    noted = read().get(client, set())
    lines = [f"missing: {' '.join(each)}" for each in sorted(proven - noted)]
    lines += [f"no longer done: {' '.join(each)}" for each in sorted(noted - proven)]
    assert not lines, f"{PAGE.name}, column '{client}':\n" + "\n".join(lines)


def read() -> dict[str, Operations]:
    """The operations of each client on the page."""
    lines = _table(PAGE.read_text()).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    clients: dict[str, Operations] = {name: set() for name in rows[0][1:]}
    for type_, *cells in rows[2:]:
        for client, cell in zip(clients, cells, strict=True):
            clients[client] |= {
                (type_.strip("`"), each) for each in cell.split() if each != _NOTHING
            }
    return clients


def write(client: str, proven: Operations) -> None:
    """Give a client these operations on the page."""
    clients = {**read(), client: proven}
    types = sorted({type_ for each in clients.values() for type_, _ in each})
    table = [
        f"{_FIRST} {' | '.join(clients)} |",
        "|---" * (len(clients) + 1) + "|",
        *(f"| `{type_}` | {' | '.join(_cells(type_, clients.values()))} |" for type_ in types),
    ]
    text = PAGE.read_text()
    PAGE.write_text(text.replace(_table(text), "\n".join(table) + "\n"))


def _table(text: str) -> str:
    found = re.search(rf"^{re.escape(_FIRST)}.*\n(\|.*\n)*", text, re.MULTILINE)
    assert found, f"{PAGE} has no table"
    return found[0]


def _cells(type_: str, clients: Iterable[Operations]) -> list[str]:
    def rank(operation: str) -> tuple[int, str]:
        known = operation in _ORDER
        return (_ORDER.index(operation) if known else len(_ORDER), operation)

    found = [sorted((what for of, what in each if of == type_), key=rank) for each in clients]
    return [" ".join(each) or _NOTHING for each in found]

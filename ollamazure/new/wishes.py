"""What a team wants, and the problems of wishes that cannot be met."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from ollamazure import catalog
from ollamazure.settings import schema
from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import (
    Problem,
    Violation,
    did_you_mean,
    hint,
    refusal,
    shown,
    violations_of,
)
from ollamazure.settings.types import Client, Location, Whole, opens_to_everyone

# Without another wish, this share of the people waits for an answer at the same time.
SHARE_AT_ONCE = 0.1


class WishError(Exception):
    """Wishes that are missing or impossible. The message has all problems; nothing is written."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        items = "\n".join(f"{number}. {problem}" for number, problem in enumerate(problems, 1))
        super().__init__(f"{count}; nothing has been written.\n{items}")


def _language(value: str) -> str:
    """The code of a language, from a code, a locale such as fr-CA, or a name."""
    text = value.strip().lower()
    codes = {
        name.lower(): code for code, names in catalog.languages().items() for name in (code, *names)
    }
    found = codes.get(text) or codes.get(text.replace("_", "-").partition("-")[0])
    if found:
        return found
    near = did_you_mean(text, codes)
    right = catalog.languages()[codes[near]][0] if near else None
    raise refusal(
        f"ollamazure/catalog/languages.yaml has no such language{hint(right)}", instead=right
    )


def _choice(words: Mapping[str, Any]) -> BeforeValidator:
    """A validator of words that stand for values, in any case."""

    def check(value: Any) -> Any:
        known = words.get(str(value).strip().lower(), value)
        if known not in words.values():
            raise refusal("it is not one of the choices")
        return known

    return BeforeValidator(check)


def _closed_to_most(value: str) -> str:
    if opens_to_everyone(value):
        raise refusal("it opens SSH to the whole internet")
    return value


def _without_repetition(codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(codes))


YES, NO = {"yes": True, "y": True, "true": True}, {"no": False, "n": False, "false": False}
WITH_GPU = {"yes": "yes", "y": "yes", "no": "no", "n": "no", "either": "either", "e": "either"}
Language = Annotated[str, AfterValidator(_language)]


class Wishes(Section):
    """What the chat is for. The descriptions are the questions on a terminal."""

    people: Annotated[Whole, Field(ge=1, le=5000)] = setting(
        description="How many people will use the chat",
        allowed="1 to 5000",
        example="20",
    )
    at_once: Annotated[Whole, Field(ge=1, le=5000)] | None = setting(
        None,
        description="How many of them wait for an answer at the same time",
        allowed="1 to the number of people",
        example="2",
    )
    languages: Annotated[
        tuple[Language, ...], Field(min_length=1), AfterValidator(_without_repetition)
    ] = setting(
        ("en",),
        description="Which languages they write, with commas between",
        allowed="names or codes of ollamazure/catalog/languages.yaml",
        example="French",
    )
    documents: Annotated[bool, _choice(YES | NO)] = setting(
        False,
        description="Do they ask about documents that they upload (yes or no)",
        allowed="yes or no",
        example="yes",
    )
    location: Location = setting(
        "francecentral",
        description="Azure region",
        allowed="a region of Azure's public cloud",
        example="francecentral",
    )
    budget: Annotated[Whole, Field(ge=1, le=1_000_000)] = setting(
        description="What a month may cost, in US dollars",
        allowed="a whole number of US dollars, 1 or more",
        example="300",
    )
    gpu: Annotated[Literal["yes", "no", "either"], _choice(WITH_GPU)] = setting(
        "either",
        description="With a GPU (yes, no or either)",
        allowed="yes, no or either",
        example="either",
    )
    ssh_client: Annotated[Client, AfterValidator(_closed_to_most)] | None = setting(
        None,
        description="Public IPv4 address that you deploy from, which SSH is opened to (may stay "
        "empty)",
        allowed="an IPv4 address or a range",
        example="203.0.113.7",
    )

    @property
    def people_at_once(self) -> int:
        """How many people wait for an answer at the same time."""
        return self.at_once or default_at_once(self.people)


OPTIONS: Mapping[str, str] = {
    "people": "--people",
    "atOnce": "--at-once",
    "languages": "--language",
    "documents": "--documents",
    "location": "--location",
    "budget": "--budget",
    "gpu": "--gpu",
    "sshClient": "--ssh-client",
}
"""The option of bin/ollamazure for each wish."""


def default_at_once(people: int) -> int:
    """How many of the people wait for an answer at once, unless the wishes say more."""
    return math.ceil(people * SHARE_AT_ONCE)


def read(raw: Mapping[str, Any]) -> Wishes:
    """The wishes, from texts by key.

    Raises:
        WishError: naming all problems.
    """
    problems = problems_of(raw)
    if problems:
        raise WishError(problems)
    return Wishes.model_validate(raw)


def problems_of(raw: Mapping[str, Any], *, complete: bool = True) -> list[Problem]:
    """What is wrong with wishes, each by itself and together.

    Args:
        raw: texts by key.
        complete: whether a wish without a default that is missing is a problem.
    """
    try:
        Wishes.model_validate(raw)
    except ValidationError as error:
        found = [each for each in violations_of(error) if complete or each.given is not None]
    else:
        found = []
    invalid = {each.path[0] for each in found}
    return [*map(_problem, found), *_more_at_once_than_people(raw, invalid)]


def from_text(key: str, text: str) -> Any:
    """The raw wish that a typed text is: languages have commas between them."""
    if key != "languages":
        return text.strip()
    return [part for part in text.split(",") if part.strip()]


def _more_at_once_than_people(raw: Mapping[str, Any], invalid: set[Any]) -> Iterator[Problem]:
    if {"people", "atOnce"} & invalid or not {"people", "atOnce"} <= raw.keys():
        return
    people, at_once = int(raw["people"]), int(raw["atOnce"])
    if at_once > people:
        yield Problem(
            "--at-once",
            f"= {shown(raw['atOnce'], False)} is not allowed: there are {people} people.",
            f"1 to {people}",
            f"--at-once {default_at_once(people)}",
        )


def _problem(found: Violation) -> Problem:
    key = str(found.path[0])
    field = schema.field_at(found.path, Wishes)
    reason = found.reason
    if found.given is None:
        what = "is not set."
    elif reason is None:
        what = f"= {shown(found.given, False)} is not allowed."
    else:
        end = "" if reason.endswith("?") else "."
        what = f"= {shown(found.given, False)} is not allowed: {reason}{end}"
    example = found.instead or schema.as_text(schema.example_of(field))
    return Problem(
        OPTIONS[key], what, schema.allowed(field), f"{OPTIONS[key]} {shlex.quote(example)}"
    )

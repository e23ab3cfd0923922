"""The declared users of a chat: listed, invited, given another password. The machine knows them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.handover import check_place, hand_over
from ollamazure.operate.invitation import ChatAddress, Invited, write_invitation
from ollamazure.operate.pulumi import OperateError, read_outputs
from ollamazure.operate.question import is_agreed
from ollamazure.preview.text import mask_control_characters


class PeopleAction(StrEnum):
    """What `ollamazure people` does."""

    LIST = "list"
    INVITE = "invite"
    RESET = "reset"
    EXPORT = "export"
    ERASE = "erase"


PROGRAM = "sudo /usr/local/lib/ollamazure/webui-cli people"
NEEDED = ("url", "certificateMode", "initialPasswords")
HEADINGS = ("e-mail", "state", "last active (UTC)", "second factor", "message", "groups")
SECOND_FACTORS = {"none": "no", "set up": "yes", "reset": "being reset"}
NO_PEOPLE = (
    "The settings declare no users, so only the administrator can sign in: "
    "docs/how-to/users-and-groups.md."
)


@dataclass(frozen=True)
class Person:
    """A declared user, as the machine knows the account.

    Attributes:
        email: which identifies the account.
        name: as the settings have it.
        state: active, suspended or missing.
        groups: the names of all groups that the account is in.
        last_active: when the account was last used; None if never. Open WebUI records no sign-ins.
        second_factor: a key of SECOND_FACTORS.
        has_initial_password: whether the password is the given one; False if none was given.
        message: when a message with the present password was made; None if none was.
    """

    email: str
    name: str
    state: str
    groups: Sequence[str]
    last_active: datetime | None
    second_factor: str
    has_initial_password: bool
    message: datetime | None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Person:
        """The person whom the program on the machine describes."""
        times = {name: _time(facts[name]) for name in ("last_active", "message")}
        return cls(**{**facts, **times})

    @property
    def refusal(self) -> str | None:
        """Why no message with the initial password would help; None if it would."""
        if self.state != "active":
            return f"the account is {self.state}"
        if not self.has_initial_password:
            return (
                "the account has another password than the initial one; `people reset` gives it a "
                "new one"
            )
        return None

    @property
    def doubt(self) -> str | None:
        """Why a message may not be needed; None if it is."""
        if self.message:
            return f"a message was made on {self.message:%Y-%m-%d}"
        if self.last_active:
            return f"the account was last used on {self.last_active:%Y-%m-%d}"
        return None


def print_people(stack: str, pulumi: str) -> int:
    """Print the declared users, one in a line; no secret is read or sent."""
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    people = query_people(machine, {})
    print(mask_control_characters("\n".join(_table(people))) if people else NO_PEOPLE)
    return 0


def invite(
    stack: str, pulumi: str, emails: Sequence[str], folder: Path | None, *, again: bool
) -> int:
    """Hand over the messages for these people; returns 1 if there is none for one of them.

    Args:
        stack: its name.
        pulumi: the command that has it.
        emails: of the people; none for all who need a message.
        folder: for one file for each person. None: the terminal.
        again: whether to make another message without a question.

    Raises:
        OperateError: the machine cannot be queried, or the messages have no place.
    """
    outputs = read_outputs(stack, pulumi, *NEEDED)
    machine = MachineConnection.from_outputs(outputs)
    passwords: Mapping[str, str] = outputs["initialPasswords"]
    wanted = list(emails) or list(passwords)
    _require_declared(wanted, passwords, stack)
    given = {email: passwords[email] for email in wanted}
    people = find_people(machine, given)
    chosen, left_out = choose(people, everyone=not emails, again=again)
    for person, reason in left_out:
        print(f"no message for {person.email}: {reason}.", file=sys.stderr)
    if left_out and emails:
        return 1
    if not chosen:
        print("No one needs a message.", file=sys.stderr)
        return 0
    check_place(folder, [person.email for person in chosen])
    address = ChatAddress.from_outputs(outputs)
    messages = {
        person.email: write_invitation(
            address, Invited(person.name, person.email, passwords[person.email])
        )
        for person in chosen
    }
    # Before they are handed over, so that no message is made twice without a question.
    asyncio.run(machine.query(f"{PROGRAM} messages", json.dumps(list(messages))))
    hand_over(messages, folder)
    return 0


def reset(stack: str, pulumi: str, email: str, folder: Path | None, *, yes: bool) -> int:
    """Give a person another password, end the sessions, and hand over the message with it.

    Args:
        stack: its name.
        pulumi: the command that has it.
        email: of the person.
        folder: for a file with the message. None: the terminal.
        yes: whether to go on without a question.

    Returns:
        1 if the operator declines.

    Raises:
        OperateError: the machine cannot be queried or refuses, or the message has no place.
    """
    outputs = read_outputs(stack, pulumi, *NEEDED)
    machine = MachineConnection.from_outputs(outputs)
    _require_declared([email], outputs["initialPasswords"], stack)
    [person] = find_people(machine, {email: ""})
    if person.state != "active":
        raise OperateError(f"the account of {email} is {person.state}. Nothing has been changed.")
    check_place(folder, [email])
    question = f"Give {email} another password, and end all sessions of the account?"
    if not yes and not is_agreed(question):
        return 1
    password = asyncio.run(machine.query(f"{PROGRAM} reset", json.dumps(email)))
    message = write_invitation(
        ChatAddress.from_outputs(outputs), Invited(person.name, email, password), reset=True
    )
    hand_over({email: message}, folder)
    return 0


def query_people(machine: MachineConnection, passwords: Mapping[str, str]) -> list[Person]:
    """The declared users; `passwords` are those that the machine compares with the present ones."""
    facts = asyncio.run(machine.query(PROGRAM, json.dumps(passwords)))
    return [Person.from_facts(one) for one in facts]


def find_people(machine: MachineConnection, passwords: Mapping[str, str]) -> list[Person]:
    """Those whose e-mails `passwords` has; raises OperateError if the machine does not know one."""
    people = [person for person in query_people(machine, passwords) if person.email in passwords]
    if unknown := {*passwords} - {person.email for person in people}:
        raise OperateError(
            f"the machine does not know {', '.join(sorted(unknown))} yet: run `pulumi up`."
        )
    return people


def choose(
    people: Sequence[Person], *, everyone: bool, again: bool
) -> tuple[list[Person], list[tuple[Person, str]]]:
    """The people for whom a message is made, and the others, each with the reason.

    Args:
        people: who were named, or all.
        everyone: whether all are meant: then those who may need none are left out.
        again: whether those get one, too.

    Raises:
        OperateError: someone was named who may need none, and there is no terminal to ask at.
    """
    left_out = [(person, person.refusal) for person in people if person.refusal]
    if not again:
        doubtful = [(person, person.doubt) for person in people if person.doubt]
        if everyone or left_out or not _wants_again(doubtful):
            left_out += [each for each in doubtful if not each[0].refusal]
    without = {person.email for person, _ in left_out}
    return [person for person in people if person.email not in without], left_out


def _wants_again(doubtful: Sequence[tuple[Person, str]]) -> bool:
    """Whether the operator wants messages that may not be needed."""
    reasons = "; ".join(f"{person.email}: {reason}" for person, reason in doubtful)
    if reasons and not sys.stdin.isatty():
        raise OperateError(f"{reasons}. Add --again to make another message.")
    return not reasons or is_agreed(f"{reasons}. Make another message?")


def _require_declared(emails: Iterable[str], declared: Iterable[str], stack: str) -> None:
    if unknown := [email for email in emails if email not in {*declared}]:
        raise OperateError(
            f"{', '.join(unknown)}: not declared in `users` when {stack} was last deployed. "
            "docs/how-to/users-and-groups.md explains how to add someone; then run `pulumi up`."
        )


def _table(people: Iterable[Person]) -> Iterator[str]:
    rows = [HEADINGS, *map(_row, people)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(person: Person) -> tuple[str, ...]:
    return (
        person.email,
        person.state,
        f"{person.last_active:%Y-%m-%d %H:%M}" if person.last_active else "never",
        SECOND_FACTORS[person.second_factor],
        f"{person.message:%Y-%m-%d}" if person.message else "none",
        ", ".join(person.groups),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

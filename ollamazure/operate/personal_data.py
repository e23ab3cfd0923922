"""What one person has in the chat: handed over as one archive, or deleted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.handover import check_place, create_file
from ollamazure.operate.people import PROGRAM
from ollamazure.operate.pulumi import OperateError, read_outputs
from ollamazure.preview.text import mask_control_characters

# Open WebUI's tables in words. Others are named as they are.
WORDS = {
    "api_key": "API keys",
    "channel_member": "memberships in channels",
    "chat_file": "links from chats to files",
    "chat_message": "questions and answers",
    "feedback": "ratings of answers",
    "file": "uploaded files",
    "function": "functions",
    "group_member": "memberships in groups",
    "knowledge": "knowledge bases",
    "memory": "memories",
    "message": "messages in channels",
    "message_reaction": "reactions to messages",
    "model": "presets",
    "oauth_session": "sessions of the sign-in provider",
    "shared_chat": "shared links",
}
STAYS = (
    "the audit log, for as many days as auditLogDays states",
    "Nginx's log of requests with their addresses, until the system's log is full",
    "the data from before the last upgrade or restore, if the machine keeps some",
    "what other people wrote or copied, such as their copy of a shared chat",
)


def export(stack: str, pulumi: str, email: str, folder: Path) -> int:
    """Write EMAIL.zip with all that the account has to the folder; only its owner can read it.

    Args:
        stack: its name.
        pulumi: the command that has it.
        email: of the account, which need not be declared.
        folder: it is created if it is missing.

    Raises:
        OperateError: the machine cannot be queried, it has no such account, or the file exists.
    """
    _check_email(email)
    outputs = read_outputs(stack, pulumi, "url")
    machine = MachineConnection.from_outputs(outputs)
    host = urlsplit(str(outputs["url"])).hostname
    check_place(folder, [email], "zip")
    with create_file(folder / f"{email}.zip") as file:
        asyncio.run(_download(machine, f"{PROGRAM} export {host}", email, file))
    print(folder / f"{email}.zip")
    return 0


def erase(stack: str, pulumi: str, email: str, *, yes: bool) -> int:
    """Delete the account with all that only its owner uses, after a question.

    Args:
        stack: its name.
        pulumi: the command that has it.
        email: of the account.
        yes: whether to go on without a question.

    Returns:
        1 if the operator declines.

    Raises:
        OperateError: the machine cannot be queried, or the account has to stay.
    """
    _check_email(email)
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    found = asyncio.run(machine.query(f"{PROGRAM} summary", json.dumps(email)))
    if found["refusal"]:
        raise OperateError(f"{found['refusal']} Nothing has been deleted.")
    print(mask_control_characters("\n".join(_summary(found))))
    if not yes:
        if not sys.stdin.isatty():
            raise OperateError("add --yes to delete it without a question.")
        if input(f"Type the e-mail again to delete the account of {email}: ").strip() != email:
            print("That is another e-mail. Nothing has been deleted.")
            return 1
    asyncio.run(machine.query(f"{PROGRAM} erase", json.dumps(email)))
    print(f"The account of {email} is deleted.")
    return 0


async def _download(machine: MachineConnection, command: str, email: str, file: IO[bytes]) -> None:
    async for part in machine.stream(command, json.dumps(email)):
        file.write(part)


def _check_email(email: str) -> None:
    """It becomes the name of a file; raises OperateError."""
    if "@" not in email or not email.isprintable() or os.sep in email or email.startswith("."):
        raise OperateError(f"{mask_control_characters(email)} is no e-mail.")


def _summary(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"Account: {found['name']} <{found['email']}>, {found['role']}"
    yield "Deleted:"
    for table, number in found["deleted"].items():
        yield f"  {number} {_words(table)}"
    yield "  the account itself, with its password and second factor"
    if found["kept"]:
        yield "Kept, because others may use it; it belongs to the first administrator then:"
        for table, number in found["kept"].items():
            yield f"  {number} {_words(table)}"
    yield "Not deleted by this command:"
    for line in (*_backups(found["backups"]), *STAYS):
        yield f"  {line}"


def _words(table: str) -> str:
    return WORDS.get(table, table.replace("_", " ") + "s")


def _backups(keep: Mapping[str, Any] | None) -> Iterator[str]:
    """Until when backups that exist have the data."""
    if keep is None:
        return
    spans = ((keep["monthly"], "month"), (keep["weekly"], "week"), (keep["daily"], "day"))
    number, unit = next((number, unit) for number, unit in spans if number)
    plural = "" if number == 1 else "s"
    undeleted = ", and Azure for 30 days more" if keep["in_azure"] else ""
    yield f"backups, which keep it for {number} {unit}{plural}{undeleted}"
    yield "what a restore of such a backup brings back: then run this command again"

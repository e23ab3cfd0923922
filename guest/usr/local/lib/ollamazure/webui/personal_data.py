"""What one person has in this chat: counted, handed over, deleted; and chats that are too old."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import audit_log
from durable import write

from webui import initial_passwords
from webui.accounts import delete_account
from webui.admin import declared_admin
from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.errors import WebuiError
from webui.initial_passwords import read_messages, recorded_hashes
from webui.items import Item, declared_files
from webui.service import find_volume
from webui.uploads import delete_upload

BACKUP = Path("/etc/ollamazure/backup.json")
DAY = 24 * 3600
INDEX = """What the chat {host} has of {name} <{email}>

Made on {date:%Y-%m-%d %H:%M} UTC by the operator of the chat, with `ollamazure people export`.

account.json      the account: name, e-mail, profile and personal settings
chats/            each chat as a text, by the day of its last change
files/            the files that the person uploaded
audit-log.txt     when the account signed in or changed something, and from which address
data/             all of it as Open WebUI stores it: a file for each kind, with a number of entries

{tables}

Not in here: passwords, keys and tokens, which are marked as secret; the numbers by which files and
memories are found, which are computed from them; and backups.
"""


def summarize(email: str) -> Item:
    """What the account with this e-mail has, and why it cannot be erased; raises WebuiError."""
    found = query({"do": "summary", "email": email})
    if found is None:
        raise WebuiError(f"no account has the e-mail {email}.")
    return {**found, "refusal": refusal(found), "backups": backups()}


def refusal(account: Item) -> str | None:
    """Why an account cannot be erased; None if it can."""
    email = account["email"].lower()
    if email == declared_admin():
        return (
            f"{email} is the administrator of the settings. Declare another one first:"
            " docs/how-to/read-the-password.md."
        )
    if not account["other_admins"]:
        return f"without {email}, the chat has no administrator."
    if account["is_first"]:
        return (
            f"{email} is the first account, which Open WebUI never deletes. Give it another name"
            " and e-mail in the chat's admin panel, and delete its chats."
        )
    declared = [json.loads(path.read_text()) for path in declared_files("user")]
    if any(user["email"].lower() == email and user["state"] != "deleted" for user in declared):
        return (
            f"the settings declare {email}, so the next `pulumi up` would create the account again."
            " Remove the entry from `users` and run `pulumi up` first."
        )
    return None


def backups() -> Item | None:
    """For how long backups are kept: {"daily": …, "weekly": …, "monthly": …}; None without any."""
    if not BACKUP.exists():
        return None
    settings = json.loads(BACKUP.read_text())
    return {**settings["keep"], "in_azure": settings["repository"].startswith("rclone:")}


def export(email: str, host: str, stream: IO[bytes]) -> None:
    """Writes a ZIP archive with everything that the account has to `stream`."""
    found = query({"do": "export", "email": email})
    if found is None:
        raise WebuiError(f"no account has the e-mail {email}.")
    [user] = found.pop("user")
    tables = "\n".join(f"data/{table}.json  {len(rows)}" for table, rows in found.items())
    now = datetime.now(UTC)
    index = INDEX.format(host=host, name=user["name"], email=user["email"], date=now, tables=tables)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        archive.writestr("README.txt", index)
        archive.writestr("account.json", in_json(user))
        for table, rows in found.items():
            archive.writestr(f"data/{table}.json", in_json(rows))
        for chat in found.get("chat", ()):
            archive.writestr(name_of_chat(chat), text_of_chat(chat))
        archive.writestr("audit-log.txt", "".join(audit_lines(user)))
        add_uploads(archive, found.get("file", ()))


def add_uploads(archive: zipfile.ZipFile, files: Any) -> None:
    volume = find_volume()
    for file in files:
        # As Open WebUI itself: only the name in its path counts.
        path = volume and file["path"] and volume / "uploads" / Path(file["path"]).name
        if path and path.is_file():
            archive.write(path, f"files/{file['id'][:8]} {plain(str(file['filename']))}")


def name_of_chat(chat: Item) -> str:
    day = datetime.fromtimestamp(chat["updated_at"] or 0, UTC)
    return f"chats/{day:%Y-%m-%d} {plain(str(chat['title']))} {chat['id'][:8]}.txt"


def text_of_chat(chat: Item) -> str:
    """The questions and answers of a chat, in the order of their times."""
    try:
        messages = chat["chat"]["history"]["messages"].values()
        parts = [f"{chat['title']}\n"]
        for message in sorted(messages, key=lambda message: message["timestamp"]):
            who = message["model"] if message["role"] == "assistant" else message["role"]
            moment = datetime.fromtimestamp(message["timestamp"], UTC)
            content = message["content"]
            text = content if isinstance(content, str) else in_json(content)
            parts.append(f"--- {who}, {moment:%Y-%m-%d %H:%M} UTC\n{text}\n")
        return "\n".join(parts)
    # Users can import chats, and store in their own what they like.
    except (AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError):
        return in_json(chat)


def audit_lines(user: Item) -> Iterator[str]:
    for entry in sorted(audit_log.entries(0), key=lambda entry: entry["timestamp"]):
        who = entry["user"] or {}
        if user["id"] == who.get("id") or user["email"] == who.get("email"):
            yield audit_log.line_of(entry) + "\n"


def erase(webui: WebuiSession, email: str) -> None:
    """Deletes the account with everything that only its owner uses.

    The account goes last, so that this can run again if it was cut off.
    """
    found = summarize(email)
    if found["refusal"]:
        raise WebuiError(found["refusal"])
    delete_account(webui, found["id"])
    for path, known in (
        (initial_passwords.MESSAGES, read_messages()),
        (initial_passwords.RECORD, recorded_hashes()),
    ):
        if known.pop(email, None):
            write(path, json.dumps(known))
    say(f"{email} and what the account had are deleted.")


def expire(webui: WebuiSession, days: int) -> None:
    """Deletes chats that have not changed for so many days, and files that nothing uses since."""
    done = query({"do": "expire", "before": int(time.time()) - days * DAY})
    for file in done["files"]:
        delete_upload(webui, file)
    say(f"{done['chats']} chats and {len(done['files'])} files of more than {days} days deleted.")


def query(wanted: Item) -> Any:
    return json.loads(run_in_container("personal_data", json.dumps(wanted)))


def in_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def plain(name: str) -> str:
    """A text as a part of a file's name on any system."""
    return re.sub(r"[^\w .()-]+", "_", name)[:80].strip(" .") or "untitled"

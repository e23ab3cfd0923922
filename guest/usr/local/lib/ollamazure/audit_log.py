#!/usr/bin/env python3
"""Prints the audit log of Open WebUI: who requested what, from which address.

    audit_log.py SINCE    a moment as `journalctl --since` takes it

Open WebUI writes a file a day and compresses the former ones. They are on the data disk, like the
chats, and contain no text of users.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path("/srv/data/containers/volumes/open-webui/_data/audit")


def main(since: str) -> int:
    start = seconds(since)
    if start is None:
        print(f"{since!r} is no moment, such as -2d or today.", file=sys.stderr)
        return 1
    for text in sorted(entries(start), key=lambda entry: entry["timestamp"]):
        print(line_of(text))
    return 0


def seconds(moment: str) -> float | None:
    """The moment in seconds since 1970; None if systemd does not understand it."""
    done = subprocess.run(
        ["systemd-analyze", "timestamp", "--", moment], capture_output=True, text=True, check=False
    )
    found = re.search(r"@([0-9.]+)", done.stdout)
    return float(found[1]) if found and done.returncode == 0 else None


def entries(start: float) -> Iterator[dict[str, Any]]:
    """The entries from this moment on."""
    for file in FOLDER.glob("audit*"):
        if file.stat().st_mtime < start:
            continue
        for text in lines(file):
            entry = json.loads(text)
            if entry["timestamp"] >= start:
                yield entry


def lines(file: Path) -> Iterator[str]:
    """The complete lines of a file; Open WebUI may be writing the last one."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
    else:
        content = file.read_bytes()
    yield from content[: content.rfind(b"\n") + 1].decode(errors="replace").splitlines()


def line_of(entry: dict[str, Any]) -> str:
    """One line for people."""
    moment = datetime.fromtimestamp(entry["timestamp"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    user = entry["user"] or {}
    who = user.get("email") or user.get("id") or "-"
    event = (entry["extra"] or {}).get("event", "")
    path = re.sub(r"^https?://[^/]*", "", entry["request_uri"]).partition("?")[0]
    return " ".join([moment, who, entry["source_ip"] or "-", entry["verb"], path, event]).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

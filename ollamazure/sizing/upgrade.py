"""What an upgrade of Open WebUI does to the chat, and whether it can be made, at preview."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ollamazure.settings.problems import Violation, command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.memory import GIB

VERSION = "webuiVersion"
DATA = "webuiData"
# Says that the data of a version were put back, which the outputs do not show until `pulumi up`.
RESTORED = "OLLAMAZURE_RESTORED"

# The machine's rule: `SPARE` in guest/usr/local/lib/ollamazure/webui/upgrade.py.
SPARE_GIB = 0.5
# Without a measurement: the slowest data disk reads and writes 25 MB/s each, most reach 100.
COPIED_GIB_IN_MINUTE = 2.0
CHANGED_GIB_IN_MINUTE = 0.5
RESTART_MINUTES = 1.0
# A filesystem is a little smaller than its disk.
OVERHEAD = 1.05


def upgrade_warning(former: Mapping[str, Any], settings: Settings, stack: str) -> str | None:
    """What an upgrade copies, how long the chat is away, and how to come back; None without one."""
    old, new = str(former.get(VERSION, "")), settings.webui_version_with_digest
    if not old or old == new:
        return None
    return (
        f"Open WebUI is upgraded from {_named(old, new)}. The chat goes on during the download. "
        f"{_work(former.get(DATA))} If the new version does not start, does not list the models or "
        "does not answer a question, the former version and its data come back by themselves. To "
        f"go back later: `bin/ollamazure undo-upgrade --stack {stack}`, which loses all chats "
        "since the upgrade."
    )


def refused_upgrade(
    former: Mapping[str, Any], settings: Settings, stack: str
) -> Iterator[Violation]:
    """A version that cannot read the data, or whose copy of them does not fit on the data disk."""
    old, new = str(former.get(VERSION, "")), settings.webui_version_with_digest
    if not old or old == new:
        return
    if _numbers(new) < _numbers(old):
        if os.environ.get(RESTORED) != settings.webui_release:
            yield _downgrade(_tag(old), settings, stack)
    elif data := former.get(DATA):
        free = data["freeBytes"] / GIB + _growth(data, settings)
        need = _gib(data, "copiedBytes") + _gib(data, "databaseBytes") + SPARE_GIB
        if need > free:
            yield _too_large(need, free, settings)


def _downgrade(old: str, settings: Settings, stack: str) -> Violation:
    reason = f"{old} is deployed, and an earlier version cannot read its database"
    fix = (
        f"{command((VERSION,), old)}\n"
        f"To go back to the data before the last upgrade, which loses all chats since then:\n"
        f"bin/ollamazure undo-upgrade --stack {stack}"
    )
    return Violation((VERSION,), settings.webui_version, reason, fix=fix)


def _too_large(need: float, free: float, settings: Settings) -> Violation:
    reason = (
        f"the upgrade copies the data first, which needs {need:.1f} GiB on the data disk, and "
        f"{free:.1f} GiB were free after the last pulumi up"
    )
    larger = settings.data_disk_gib + math.ceil(need - free)
    fix = (
        "enlarge the adopted data disk"
        if settings.data_disk_id
        else command(("dataDiskGiB",), str(larger))
    )
    return Violation((VERSION,), settings.webui_version, reason, fix=fix)


def _growth(data: Mapping[str, Any], settings: Settings) -> float:
    """GiB by which the same `pulumi up` enlarges the data disk."""
    if settings.data_disk_id:
        return 0
    return max(0, settings.data_disk_gib - OVERHEAD * _gib(data, "totalBytes"))


def _work(data: Mapping[str, Any] | None) -> str:
    """What happens while the chat is away, and for how long."""
    if not data:
        return "Then its data are copied, and the chat is away for minutes, more if they are many."
    copied, database = _gib(data, "copiedBytes"), _gib(data, "databaseBytes")
    minutes = math.ceil(
        RESTART_MINUTES + copied / COPIED_GIB_IN_MINUTE + database / CHANGED_GIB_IN_MINUTE
    )
    return (
        f"Then the chat is away for about {minutes} minutes: {copied:.1f} GiB of data are copied "
        f"({_gib(data, 'linkedBytes'):.1f} GiB of uploaded files need no copy), and "
        f"the new version changes the database of {database:.1f} GiB. These are the sizes after "
        "the last `pulumi up`; the machine checks the present ones before it copies."
    )


def _named(old: str, new: str) -> str:
    """Both versions; with the digests if only these differ."""
    if _tag(old) == _tag(new):
        return f"{old} to {new}"
    return f"{_tag(old)} to {_tag(new)}"


def _gib(data: Mapping[str, Any], key: str) -> float:
    return float(data[key]) / GIB


def _tag(version: str) -> str:
    return version.partition("@")[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", _tag(version))))

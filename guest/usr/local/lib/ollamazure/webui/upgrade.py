"""Upgrades of Open WebUI that come back by themselves. The states of an upgrade:

    no journal   nothing is under way; `copy/` may hold the data before the last upgrade
    copying      the data are being copied; Open WebUI is stopped     back: remove the copy
    upgrading    the copy is complete; the new version may have run   back: clear, then `returning`
    returning    the copy is being moved to its place                 back: move the rest

The journal has the state. It is on the data disk, and is written after everything before it is on
the disk too, so that a power cut at any moment leaves one of these states. `recover` goes back from
each: at boot, before Open WebUI starts, and at the next `pulumi up`. Audit log and cache stay where
they are, in both directions. See decision 55.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chat_answers import ENOUGH, QUESTION, read_stream
from drift import declared_image
from durable import write
from model import answer_within

from webui.client import WebuiSession
from webui.copying import (
    STAYS,
    copy_entry,
    freed_by_removing,
    remove,
    size_of_database,
    sizes_of,
)
from webui.errors import WebuiError
from webui.progress import progress
from webui.readiness import is_ready, journal_since, wait_until_ready
from webui.service import (
    UNIT,
    close_chat,
    find_volume,
    open_chat,
    run,
    say,
    show_status,
    stop,
    succeeds,
)

DATA = Path("/srv/data/open-webui")
FOLDER = DATA / "upgrade"
JOURNAL = FOLDER / "journal.json"
COPY = FOLDER / "copy"
# In the copy: what it is of, once the upgrade has succeeded.
DESCRIPTION = COPY / "upgrade.json"
LOG = FOLDER / "failed.log"
# The image that the data belong to. On the data disk, because a new machine may adopt that.
IMAGE = DATA / "image"
QUADLET = Path("/etc/containers/systemd/open-webui.container")
# What the former version ran with, in addition to its data.
FILES = (
    DATA / "secrets.env",
    QUADLET,
    Path("/etc/ollamazure/open-webui/sitecustomize.py"),
    Path("/etc/ollamazure/sign-in.env"),
    # Of lib.sh: what the unit was started with, and the last image that was ready.
    Path("/var/lib/ollamazure/open-webui.service.started-with"),
    Path("/var/lib/ollamazure/open-webui.image"),
)
LOCK = Path("/run/ollamazure/webui-upgrade.lock")

# Room for logs, the container and whatever else is written meanwhile.
SPARE = 512 * 2**20

# Ollama or Nginx may restart in the same `pulumi up`.
ANSWERS_WITHIN = 180  # seconds
# Lines that can have text of users: values in a statement of SQL, and variables below a traceback.
PRIVATE = re.compile(r"\[parameters:|\[SQL:|[│└]")


def begin(image: str) -> None:
    """Stops Open WebUI and copies its data if they belong to another image than `image`.

    Raises:
        WebuiError: the image is older than the data, or the copy does not fit. Nothing changed.
    """
    former, volume = former_image(), find_volume()
    if former == image or volume is None or not (volume / "webui.db").exists():
        return
    refuse_downgrade(former, image)
    refuse_without_space(volume)
    models = listed_models()
    close_chat("Open WebUI is being upgraded: its data are being copied.")
    stop()
    journal = {"from": former, "to": image, "begun": int(time.time()), "models": models}
    try:
        write_journal(journal, "copying")
        start = time.monotonic()
        remove(COPY)
        size = sizes_of(volume)[0]
        with progress("Copying the data", size, lambda: sizes_of(COPY / "data")[0], say):
            copy(volume)
        write_journal(journal, "upgrading")
    except (OSError, sqlite3.Error) as problem:
        raise put_back(f"its data cannot be copied: {problem}") from problem
    say(f"The data of {tag_of(former)} are copied, in {time.monotonic() - start:.0f} s.")


def finish() -> None:
    """Ends an upgrade when the new version is ready, lists the models, and one of them answers.

    Raises:
        WebuiError: it does not do so, and the former version is back.
    """
    journal = read_journal()
    if journal is None:
        return
    try:
        wait_until_ready()
        show_status("Open WebUI is upgraded; a model is being asked.")
        check_chat(journal["models"])
    except WebuiError as problem:
        raise put_back(str(problem)) from problem
    write(IMAGE, f"{journal['to']}\n")
    os.sync()
    JOURNAL.rename(DESCRIPTION)
    os.sync()  # before a user writes what the way back would lose
    open_chat()
    say(f"{tag_of(journal['to'])} works. The data before the upgrade are kept until the next one.")


def put_back_if_begun(reason: str) -> None:
    """Goes back if an upgrade is under way, and raises WebuiError that says how it ended."""
    if JOURNAL.exists():
        raise put_back(reason)
    open_chat()


def put_back(reason: str) -> WebuiError:
    """Goes back from an upgrade that failed; returns an error that says how it ended."""
    journal = json.loads(JOURNAL.read_text())
    former, new = tag_of(journal["from"]), tag_of(journal["to"])
    recover()
    keep_log(journal, reason)
    try:
        start_former()
    except WebuiError as problem:
        return WebuiError(
            f"{new} does not work: {reason} The data of {former} are back, but it does not start:"
            f" {problem}"
        )
    return WebuiError(
        f"{new} does not work: {reason} {former} is back, with all data from before the upgrade,"
        f" and users can chat. The log of the upgrade is {LOG} on the machine."
    )


def recover() -> bool:
    """Goes back from whatever state an upgrade was cut off in; returns whether there was one."""
    with lock():
        journal = read_journal()
        if journal is None:
            return False
        phase, former = journal["phase"], journal["from"]
        say(f"Going back to the data of {tag_of(former)} (the upgrade was {phase}).")
        stop()
        if phase == "upgrading":
            clear(needed_volume())
            write_journal(journal, "returning")  # even on a full disk: space is free now
            phase = "returning"
        if phase == "returning":
            bring_back(needed_volume())
        write(IMAGE, f"{former}\n")
        remove(COPY)
        os.sync()
        JOURNAL.unlink()
        run(["systemctl", "daemon-reload"])  # Podman's generator reads the former container
        return True


def recover_and_start() -> None:
    """The same for an upgrade that was killed while the machine went on: users can chat again."""
    if recover():
        succeeds(["systemctl", "start", UNIT])
    open_chat()


def start_former() -> None:
    """Starts what `recover` put back, and lets users in when it is ready."""
    show_status("The former version of Open WebUI is starting.")
    if not QUADLET.exists():  # a new machine that adopted the disk
        raise WebuiError("this machine has not run it.")
    run(["systemctl", "restart", UNIT])
    wait_until_ready()
    open_chat()


def undo() -> str:
    """Goes back to the data before the last upgrade; returns the image that they belong to.

    Raises:
        WebuiError: there are none, or the former version does not start.
    """
    recover()
    if not DESCRIPTION.exists():
        raise WebuiError("this machine keeps no data from before an upgrade.")
    description: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    image = str(description["from"])
    if not succeeds(["podman", "image", "exists", image]):
        say(f"Pulling {image}.")
        run(["podman", "pull", "--quiet", "--retry", "5", image])
    close_chat(f"Open WebUI goes back to {tag_of(image)}.")
    stop()
    write_journal(description, "upgrading")
    recover()
    start_former()
    return image


def sizes() -> dict[str, int]:
    """Bytes: what an upgrade copies, what it links, the database, and the data disk."""
    volume = find_volume()
    copied, linked = sizes_of(volume) if volume else (0, 0)
    disk = shutil.disk_usage(DATA.parent)
    return {
        "copiedBytes": copied,
        "linkedBytes": linked,
        "databaseBytes": size_of_database(volume) if volume else 0,
        "freeBytes": disk.free,
        "totalBytes": disk.total,
    }


def refuse_downgrade(former: str, image: str) -> None:
    old, new = version_of(former), version_of(image)
    if old and new and new < old:
        raise WebuiError(
            f"{tag_of(image)} cannot read the data of {tag_of(former)}, which is newer. The chat"
            " goes on with that. docs/how-to/upgrade.md shows how to go back."
        )


def refuse_without_space(volume: Path) -> None:
    copied, _ = sizes_of(volume)
    need = copied + size_of_database(volume) + SPARE
    # The former copy is removed first.
    free = shutil.disk_usage(DATA.parent).free + freed_by_removing(COPY)
    if need > free:
        raise WebuiError(
            f"the upgrade needs {gib(need)} GiB on the data disk, for a copy of the data and for"
            f" changes of the database, and {gib(free)} GiB are free. Nothing has been changed."
            " Enlarge the disk: ollamazure:dataDiskGiB."
        )


def copy(volume: Path) -> None:
    data = COPY / "data"
    data.mkdir(parents=True, mode=0o700)
    for entry in sorted(volume.iterdir()):
        if entry.name not in STAYS:
            copy_entry(entry, data / entry.name, uploads=entry.name == "uploads")
    for file in filter(Path.exists, FILES):
        target = COPY / "files" / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_entry(file, target)


def clear(volume: Path) -> None:
    """Removes what the new version left."""
    for entry in volume.iterdir():
        if entry.name not in STAYS:
            remove(entry)


def bring_back(volume: Path) -> None:
    """Moves the copy to its place; what was moved before a power cut is no longer in it.

    Moved and not copied: this needs no space, even on a disk that the new version has filled.
    """
    data, files = COPY / "data", COPY / "files"
    for entry in sorted(data.iterdir()) if data.exists() else ():
        entry.rename(volume / entry.name)
    for file in FILES:
        kept = files / file.relative_to("/")
        if kept.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_name(f"{file.name}.new")
            shutil.copy2(kept, new)  # on another disk
            new.replace(file)


def check_chat(models: list[str]) -> None:
    """Waits until all `models`, those of the former version, are listed and one answers.

    Raises:
        WebuiError: it does not happen in time; the last reason.
    """
    begun = time.monotonic()
    while True:
        try:
            ask_one(models)
        except WebuiError:
            if time.monotonic() - begun > ANSWERS_WITHIN:
                raise
        else:
            return
        time.sleep(2)


def ask_one(models: list[str]) -> None:
    """Raises WebuiError if a model is not listed, or the one that new chats start with fails."""
    webui = WebuiSession()
    with webui.unexpected_shape_as_error():
        listed = {str(model["id"]) for model in webui.get("/api/models")["data"]}
    if missing := {*models} - listed:
        raise WebuiError(f"it does not list {', '.join(sorted(missing))}.")
    if not models:
        say("The former version listed no models, so none is asked.")
        return
    model = next((name for name in models if name == default_model()), models[0])
    start = time.monotonic()
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "temperature": 0,
        "max_tokens": ENOUGH,
    }
    within = answer_within(model)  # it is loaded first
    answer = webui.call("POST", "/api/chat/completions", body, answer_within=within)
    text, problem = read_stream(str(answer).encode().splitlines())
    if problem or not text:
        raise WebuiError(f"{model} does not answer: {problem or 'an empty answer.'}")
    say(f"{model} answers after {time.monotonic() - start:.1f} s.")


def listed_models() -> list[str]:
    """What the former version lists; nothing if it does not answer."""
    if not is_ready():
        return []
    try:
        return [str(model["id"]) for model in WebuiSession().get("/api/models")["data"]]
    except (WebuiError, KeyError, TypeError):
        return []


def default_model() -> str:
    """The model that new chats start with, which answers: an embedding model would not."""
    try:
        declared = json.loads(Path("/etc/ollamazure/open-webui.json").read_text())
        return str(declared["config"]["ui.default_models"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def keep_log(journal: dict[str, Any], reason: str) -> None:
    """What was logged since the upgrade began, without lines that may have text of users."""
    text = journal_since(journal["begun"])
    lines = [line[:300] for line in text.splitlines() if not PRIVATE.search(line)]
    head = f"{journal['from']} -> {journal['to']}: {reason}"
    with contextlib.suppress(OSError):  # such as a full disk, which clearing frees
        write(LOG, "\n".join([head, *lines[-5000:], ""]))
    for line in lines[-20:]:
        say(f"  {line}")


def former_image() -> str:
    """The image that the data belong to; empty if it is not known."""
    if IMAGE.exists():
        return IMAGE.read_text().strip()
    return declared_image(QUADLET)


def tag_of(image: str) -> str:
    """Its version, for people."""
    return image.partition("@")[0].rpartition(":")[2] or "an unknown version"


def version_of(image: str) -> tuple[int, ...]:
    """Its version as numbers; none if the tag is no version."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", tag_of(image))
    return tuple(map(int, found.groups())) if found else ()


def needed_volume() -> Path:
    volume = find_volume()
    if volume is None:
        raise WebuiError("its volume does not exist, so its data cannot be put back.")
    return volume


def read_journal() -> dict[str, Any] | None:
    if not JOURNAL.exists():
        return None
    journal: dict[str, Any] = json.loads(JOURNAL.read_text())
    return journal


def write_journal(journal: dict[str, Any], phase: str) -> None:
    """Writes the phase, after everything before it is on the disk."""
    os.sync()
    write(JOURNAL, json.dumps({**journal, "phase": phase}))


def gib(size: int) -> str:
    return f"{size / 2**30:.1f}"


@contextmanager
def lock() -> Iterator[None]:
    """Lets one process at a time go back: at boot, `pulumi up` may do it too."""
    LOCK.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

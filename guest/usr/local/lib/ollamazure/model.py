#!/usr/bin/python3
"""Pulls a model into the Ollama of this machine, or removes it.

    model.py pull NAME RECORD [ADDRESS]    from Ollama's registry, or from a mirror, http(s)://HOST:PORT
    model.py check-chat NAME               fails if the model answers no questions
    model.py silent [NAME…]                prints each model that does not answer, of all that were
                                           pulled here or of these
    model.py load                          asks the model that new chats start with, after a boot
    model.py remove NAME

A pull and a removal can be run again at any moment: a pull resumes where the last one stopped, and
nothing happens if the model exists (or is missing) already. Only a pull that fills the disk leaves
nothing behind: the chats need the space, and nothing would run later if the model then left the
settings. The file RECORD has the digest of the model that was pulled. If another model has the name
now, it is replaced. If a power cut ended a pull, the next one first deletes the files that are
damaged: Ollama trusts each file that exists.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from durable import sync_disk, write

# In a cluster, one of the replicas.
OLLAMA = (os.environ.get("OLLAMAZURE_OLLAMA", "127.0.0.1"), 11434)
INSTALLED = Path("/etc/ollamazure/installed")
MODELS = Path("/srv/data/ollama/models")
# A file for each pull that has not ended, with the id of the boot that it began in.
PULLING = Path("/srv/data/pulling/models")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
COMPLETE = re.compile(r"sha256-[0-9a-f]{64}")
NO_SPACE, MISMATCH = "no space left", "digest mismatch"
# Ollama itself retries after a broken connection; these are for a registry that is down longer.
ATTEMPTS = 5
PAUSE = 10  # seconds
PROGRESS_EVERY = 10  # seconds
# Ollama itself waits for a registry without end, and requests a part of a layer again after 30 s.
MANIFEST_WITHIN = 60  # seconds
STALLED = 300  # seconds
# For the model that new chats start with.
SETTINGS = Path("/etc/ollamazure/open-webui.json")
PRESETS = Path("/etc/ollamazure/declared/preset")
UP_WITHIN = 60  # seconds
# For one short answer: to read the model from the disk, which takes longest on the sizes with the
# slowest disk (ollamazure/catalog/vm_sizes.yaml), and to compute the answer on a slow processor.
DISK_SPEED = 10e6  # bytes a second
COMPUTE_WITHIN = 300  # seconds


class OllamaError(Exception):
    """An error from Ollama, with its HTTP status (0: in the middle of a pull)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["pull", name, record, *mirror]:
                pull(name, Path(record), mirror[0] if mirror else None)
            case ["check-chat", name]:
                check_chat(name)
            case ["silent", *names]:
                print_silent(names or declared())
            case ["load"]:
                load()
            case ["remove", name]:
                remove(name)
            case _:
                say(__doc__ or "")
                return 2
    except OllamaError as error:
        say(f"Ollama: {error}")
        return 1
    return 0


def pull(name: str, record: Path, mirror: str | None) -> None:
    discard_damaged()
    present = digest(name)
    if present is None:
        fetch(name, mirror)
    elif present != read_record(record).get("digest", present):
        say(f"{name} is not the model that was pulled here; pulling it again.")
        fetch(name, mirror)
    write(record, json.dumps({"name": name, "digest": digest(name)}))
    say(f"{name} is pulled.")


def fetch(name: str, mirror: str | None) -> None:
    scheme, _, host = (mirror or "").partition("://")
    source = f"{host}/{library_path(name)}" if host else name
    pulling = PULLING / name.replace("/", "_")
    write(pulling, BOOT_ID.read_text())
    for attempt in range(1, ATTEMPTS + 1):
        try:
            download(source, insecure=scheme == "http")
            break
        except OllamaError as error:
            if attempt == ATTEMPTS or not can_retry(error):
                raise OllamaError(f"{name} cannot be pulled from {source}: {error}") from error
            say(f"{name}: {error}; trying again in {PAUSE} s ({attempt} of {ATTEMPTS}).")
            time.sleep(PAUSE)
    if source != name:
        call("/api/copy", {"source": source, "destination": name})
        call("/api/delete", {"model": source}, method="DELETE")
    if digest(name) is None:
        raise OllamaError(f"{name} was pulled, but Ollama does not list it.")
    sync_disk(MODELS.parent)
    pulling.unlink()


def check_chat(name: str) -> None:
    """Compares the model with Ollama's own answer about it, which lists what it can do."""
    [model] = answers("/api/show", {"model": name})
    can = model.get("capabilities") or ["completion"]
    if "completion" not in can:
        raise OllamaError(
            f"{name} answers no questions, it only has: {', '.join(can)}. If it is for the search "
            f"in documents, run: pulumi config set --path 'ollamazure:modelKinds[\"{name}\"]' "
            "embedding. Otherwise remove it from `models`."
        )


def declared() -> list[str]:
    """The models that commands have pulled, from their records."""
    return [read_record(path)["name"] for path in sorted(INSTALLED.glob("model-*/model"))]


def print_silent(names: list[str]) -> None:
    """Asks each model something short; the reason of one that does not answer is in the log."""
    for name in names:
        start = time.monotonic()
        try:
            ask(name)
        except OllamaError as error:
            say(f"{name} does not answer: {error}")
            print(name, flush=True)
        else:
            say(f"{name} answers after {time.monotonic() - start:.1f} s.")


def ask(name: str) -> None:
    """Raises OllamaError if the model does not load or gives no answer in time."""
    within = answer_within(name)
    [shown] = answers("/api/show", {"model": name})
    if "completion" in (shown.get("capabilities") or ["completion"]):
        body = {"prompt": "Hello", "stream": False, "options": {"num_predict": 8}}
        [answer] = answers("/api/generate", {"model": name, **body}, within=lambda: within)
        answered = answer.get("eval_count")
    else:
        [answer] = answers("/api/embed", {"model": name, "input": "Hello"}, within=lambda: within)
        answered = answer.get("embeddings")
    if not answered:
        raise OllamaError(f"an empty answer: {answer.get('error', 'no error is reported')}.")


def answer_within(name: str) -> float:
    """Seconds that are enough to load the model and to compute a short answer."""
    file = 0
    with suppress(OllamaError):  # which the question itself reports
        file = size(name)
    return COMPUTE_WITHIN + file / DISK_SPEED


def load() -> None:
    """Has Ollama read the model of new chats, so that the first question does not wait for that.

    No failure: the first question tries it again, and its user sees the reason.
    """
    name = model_of_new_chats()
    try:
        if name and is_listed_within(UP_WITHIN, name):
            print_silent([name])
    except OllamaError as error:
        say(f"Ollama: {error}")


def model_of_new_chats() -> str | None:
    """The model that new chats start with, also if they do with a preset; None before it is set."""
    if not SETTINGS.exists():
        return None
    name = str(json.loads(SETTINGS.read_text())["config"]["ui.default_models"])
    presets = [json.loads(path.read_text()) for path in PRESETS.glob("*.json")]
    return next((str(each["base_model"]) for each in presets if each["id"] == name), name)


def is_listed_within(seconds: float, name: str) -> bool:
    """Whether Ollama has the model. Raises OllamaError if it does not start in so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            return listed(name) is not None
        except OllamaError:
            if time.monotonic() > end:
                raise
        time.sleep(1)


def remove(name: str) -> None:
    if digest(name):
        call("/api/delete", {"model": name}, method="DELETE")
    say(f"{name} is removed.")


def digest(name: str) -> str | None:
    """The digest of the model with this name, or None; the case of the name does not matter."""
    model = listed(name)
    return str(model["digest"]) if model else None


def size(name: str) -> int:
    """The bytes of its files; 0 if Ollama does not list it."""
    return int((listed(name) or {}).get("size", 0))


def listed(name: str) -> dict[str, Any] | None:
    [answer] = answers("/api/tags", None, "GET")
    for model in answer["models"]:
        if model["name"].lower() == name.lower():
            found: dict[str, Any] = model
            return found
    return None


def read_record(record: Path) -> dict[str, str]:
    """The record of the last pull; empty before the first one."""
    return json.loads(record.read_text()) if record.exists() else {}


def library_path(name: str) -> str:
    """The model's path in a registry: names without an owner are in Ollama's own library."""
    return name if "/" in name else f"library/{name}"


def can_retry(error: OllamaError) -> bool:
    """Whether a retry can help: not without the model, with a full disk or a wrong certificate."""
    text = str(error)
    return not any(reason in text for reason in ("file does not exist", NO_SPACE, "x509: "))


def download(source: str, *, insecure: bool) -> None:
    """Pull `source`; `insecure` makes Ollama use plain HTTP (its server/images.go)."""
    printed, last, done, moved = 0.0, "", 0, time.monotonic()
    state: dict[str, Any] = {}
    has_manifest = False
    # After the manifest Ollama may be silent for long: it verifies a large layer.
    events = answers(
        "/api/pull",
        {"model": source, "insecure": insecure},
        within=lambda: None if has_manifest else MANIFEST_WITHIN,
    )
    with closing(events):  # this ends the pull
        for event in events:
            if "error" in event:
                raise OllamaError(after_error(str(event["error"])))
            has_manifest = has_manifest or "digest" in event
            if event != state:
                moved, state = time.monotonic(), event
            elif time.monotonic() - moved >= STALLED:
                raise OllamaError(f"nothing has arrived for {STALLED} s")
            line = progress(event)
            is_due = time.monotonic() - printed >= PROGRESS_EVERY or not event.get("total")
            if line != last and is_due:
                say(f"{source}: {line}{speed(event, done, printed)}")
                printed, last, done = time.monotonic(), line, event.get("completed", 0)


def after_error(reason: str) -> str:
    """The reason why a pull failed, after removing what the next one must not find."""
    if MISMATCH in reason:
        discard_wrong()
    if NO_SPACE in reason:
        discard_unfinished()
        reason += "; what was downloaded is removed. ollamazure:dataDiskGiB enlarges the data disk"
    return reason


def discard_unfinished(older_than: float = 0) -> None:
    """Delete the files that no model uses, complete or not, as Ollama does when it starts.

    Only those that have not changed for `older_than` seconds.

    A pull that fails at once has reported none of its layers, so their names are not known here. A
    pull that runs at the same time, on the same full disk, downloads again.
    """
    for file in unused_files():
        with suppress(FileNotFoundError):  # a download that ends now renames it
            if time.time() - file.stat().st_mtime >= older_than:
                file.unlink()


def discard_wrong() -> None:
    """Delete the complete layers of unfinished pulls that are not what their name states.

    Ollama deletes only the first one that it finds, and the next pull does not verify the others.
    """
    for file in unused_files():
        with suppress(FileNotFoundError):
            if is_damaged(file):
                file.unlink()


def unused_files() -> Iterator[Path]:
    """The files that no model uses, complete or not."""
    manifests = [path.read_text() for path in MODELS.glob("manifests/**/*") if path.is_file()]
    for file in MODELS.glob("blobs/sha256-*"):
        digest = file.name.partition("-partial")[0].replace("-", ":")
        if not any(digest in manifest for manifest in manifests):
            yield file


def discard_damaged() -> None:
    """Delete what a restart of the machine damaged of a pull: Ollama does not look at it again.

    A blob can have its name and its size without its content, and a manifest or the progress of a
    download can be empty.
    """
    PULLING.mkdir(mode=0o700, parents=True, exist_ok=True)
    with PULLING.with_name("models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a pull of another model may begin at the same time
        boot = BOOT_ID.read_text()
        cut_off = [path for path in PULLING.iterdir() if path.read_text() != boot]
        if not cut_off:
            return
        say("The machine restarted during a pull; checking what was downloaded.")
        since = min(path.stat().st_mtime for path in cut_off)
        with rights_of_ollama():
            damaged = [path for path in MODELS.glob("blobs/*") if is_damaged(path, since)]
            for path in [*damaged, *damaged_manifests({path.name for path in damaged})]:
                say(f"{path.name} is damaged, and removed.")
                path.unlink()
            discard_unfinished()
        sync_disk(PULLING)
        for path in cut_off:
            path.unlink()


@contextmanager
def rights_of_ollama() -> Iterator[None]:
    """Root follows no link to files that Ollama's user may not change."""
    before = os.geteuid()
    os.seteuid(MODELS.parent.stat().st_uid)
    try:
        yield
    finally:
        os.seteuid(before)


def is_damaged(blob: Path, since: float = 0) -> bool:
    """Whether a complete blob that changed after this time has another content than its name."""
    if not COMPLETE.fullmatch(blob.name) or blob.stat().st_mtime < since:
        return False
    with blob.open("rb") as file:
        return f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()}" != blob.name


def damaged_manifests(blobs: set[str]) -> Iterator[Path]:
    """The manifests that are no JSON, or that name one of these blobs."""
    for path in MODELS.glob("manifests/**/*"):
        if path.is_file():
            try:
                manifest = json.loads(path.read_text())
                parts = [manifest["config"], *manifest["layers"]]
                if not blobs & {part["digest"].replace(":", "-") for part in parts}:
                    continue
            except (ValueError, LookupError, TypeError):
                pass
            yield path


def progress(event: dict[str, Any]) -> str:
    status, total, completed = event.get("status", ""), event.get("total"), event.get("completed")
    if not total:
        return str(status)
    done = completed or 0
    return f"{status}: {done / 1e6:.0f} of {total / 1e6:.0f} MB ({100 * done // total} %)"


def speed(event: dict[str, Any], former: int, since: float) -> str:
    """The speed since the line before, when `former` bytes of the same layer had arrived."""
    arrived, seconds = event.get("completed", 0) - former, time.monotonic() - since
    return f", {arrived / 1e6 / seconds:.1f} MB/s" if since and arrived > 0 else ""


def call(path: str, body: dict[str, Any], method: str = "POST") -> None:
    for _ in answers(path, body, method):
        pass


def answers(
    path: str,
    body: dict[str, Any] | None,
    method: str = "POST",
    within: Callable[[], float | None] = lambda: None,
) -> Generator[dict[str, Any]]:
    """Each line of JSON in Ollama's answer, as it arrives: the next one `within` seconds."""
    connection = http.client.HTTPConnection(*OLLAMA, timeout=within())
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        channel = connection.sock
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise OllamaError(message_of(answer.read().decode(errors="replace")), answer.status)
        for line in answer:
            if line.strip():
                yield json.loads(line)
                channel.settimeout(within())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise OllamaError(f"no answer ({error!r}); see `journalctl --unit ollama`.") from error
    finally:
        connection.close()


def message_of(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

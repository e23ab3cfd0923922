"""Makes missing artifacts: copied from official sources or built here, two at a time."""

from __future__ import annotations

import fcntl
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import httpx

from emulator.artifacts.artifact import Artifact, Lane
from emulator.artifacts.work import BuildError, OfficialUnavailableError, Work
from emulator.instance import cache_folder

_PROBE_SECONDS = 4.0
_REPORT_SECONDS = 15.0
_UNREACHABLE = "the official source cannot be reached; building it here"


class Progress:
    """Prints lines on progress: the time so far, the artifact, and what is being done."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def say(self, name: str, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        with self._lock:
            print(f"[{minutes:2}:{seconds:02}] {name}: {text}", file=self._out, flush=True)


@dataclass
class Builds:
    """One run over some artifacts; `running` holds those that are being made."""

    progress: Progress = field(default_factory=Progress)
    running: dict[str, Work] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    reachable: frozenset[str] = frozenset()

    def make(self, artifacts: Sequence[Artifact]) -> None:
        """Make every artifact that is not finished, in one lane for each kind of work.

        Raises:
            BuildError: some could not be made; the others are finished.
        """
        missing = [artifact for artifact in artifacts if not artifact.finished]
        if not missing:
            return
        _require_space(missing)
        names = ", ".join(artifact.name for artifact in missing)
        self.progress.say("artifacts", f"making {names} (once; kept in {cache_folder()})")
        self.reachable = find_reachable({artifact.place for artifact in missing if artifact.place})
        # Daemons: when this thread is interrupted, the process ends at once, and with it the lanes
        # and their commands (see Work.run). The next run continues from what they left.
        lanes = [
            threading.Thread(target=self._lane, args=(kind, missing), daemon=True)
            for kind in ("processor", "network")
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            while lane.is_alive():
                lane.join(_REPORT_SECONDS)
                self._report()
        self._raise_failures()

    def _lane(self, kind: Lane, artifacts: Sequence[Artifact]) -> None:
        for artifact in artifacts:
            if artifact.lane == kind:
                try:
                    self._one(artifact)
                except Exception as error:
                    self.progress.say(artifact.name, "failed")
                    self.failures[artifact.name] = error

    def _raise_failures(self) -> None:
        for error in self.failures.values():
            if not isinstance(error, (BuildError, OSError)):
                raise error
        if self.failures:
            texts = [f"{name}: {error}" for name, error in self.failures.items()]
            raise BuildError("\n\n".join(texts))

    def _one(self, artifact: Artifact) -> None:
        folder = cache_folder() / "build" / artifact.stamp.name
        with _lock_for(folder):
            if artifact.finished:  # by another run, while this one waited
                return
            start = time.monotonic()
            work = Work(folder, lambda text: self.progress.say(artifact.name, text))
            self.running[artifact.name] = work
            try:
                source = self._obtain(artifact, work)
            finally:
                del self.running[artifact.name]
            artifact.stamp.parent.mkdir(parents=True, exist_ok=True)
            artifact.stamp.write_text(f"{source}\n")
            shutil.rmtree(folder, ignore_errors=True)
            self.progress.say(artifact.name, f"ready ({source}, {time.monotonic() - start:.0f} s)")

    def _obtain(self, artifact: Artifact, work: Work) -> str:
        """Make the artifact; returns where it came from."""
        if artifact.copy_official and artifact.place in self.reachable:
            try:
                artifact.copy_official(work, artifact.place)
            except OfficialUnavailableError as error:
                work.say(f"the official source broke off ({error}); building it here")
            else:
                return f"from {artifact.place}"
        elif artifact.copy_official:
            work.say(_UNREACHABLE)
        artifact.build(work)
        return "built here"

    def _report(self) -> None:
        for name, work in list(self.running.items()):
            if line := work.last_line():
                self.progress.say(name, f"… {line[:100]}")


def find_reachable(places: set[str]) -> frozenset[str]:
    """The URLs that answer within a few seconds; all are tried at the same time."""
    if not places:
        return frozenset()

    def answers(place: str) -> bool:
        try:
            response = httpx.head(place, timeout=_PROBE_SECONDS, follow_redirects=True)
        except httpx.HTTPError:
            return False
        # A registry may answer "not found" or require a sign-in. A blocking proxy answers 403.
        return response.status_code < 500 and response.status_code != httpx.codes.FORBIDDEN

    with ThreadPoolExecutor(len(places)) as pool:
        return frozenset(
            place for place, yes in zip(places, pool.map(answers, places), strict=True) if yes
        )


def _require_space(missing: Sequence[Artifact]) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sum(artifact.gib for artifact in missing)
    free = shutil.disk_usage(folder).free / 2**30
    if free < wanted:
        raise BuildError(
            f"{folder} has {free:.1f} GiB free; making {len(missing)} artifacts needs up to "
            f"{wanted} GiB. Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
        )


@contextmanager
def _lock_for(folder: Path) -> Iterator[None]:
    """Hold an artifact's lock. The kernel releases it when the process ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

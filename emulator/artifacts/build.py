"""Make what is missing: official places first, else built here; two at a time, with progress."""

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

from emulator.artifacts.artifact import Artifact
from emulator.artifacts.work import BuildError, OfficialUnavailableError, Work
from emulator.instance import cache_folder

_PROBE_SECONDS = 4.0
_REPORT_SECONDS = 15.0
_UNREACHABLE = "the official source cannot be reached; building it here"


class Progress:
    """Lines on a terminal or in a log: how long so far, which artifact, what it is doing."""

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
    """One run over some artifacts; `running` is what is being made at this moment."""

    progress: Progress = field(default_factory=Progress)
    running: dict[str, Work] = field(default_factory=dict)
    reachable: frozenset[str] = frozenset()

    def make(self, artifacts: Sequence[Artifact]) -> None:
        """Make every artifact that is not finished.

        Raises:
            BuildError: some could not be made; the others are finished all the same.
        """
        missing = [artifact for artifact in artifacts if not artifact.finished]
        if not missing:
            return
        _need_space(missing)
        names = ", ".join(artifact.name for artifact in missing)
        self.progress.say("artifacts", f"making {names} (once; kept in {cache_folder()})")
        self.reachable = reachable({artifact.place for artifact in missing if artifact.place})
        lanes = [[a for a in missing if a.lane == lane] for lane in ("processor", "network")]
        done = threading.Event()
        reporter = threading.Thread(target=self._report, args=(done,), daemon=True)
        reporter.start()
        try:
            with ThreadPoolExecutor(len(lanes)) as pool:
                futures = [pool.submit(self._lane, lane) for lane in lanes]
                try:
                    failures = [error for future in futures for error in future.result()]
                except BaseException:
                    for work in list(self.running.values()):
                        work.stop()
                    raise
        finally:
            done.set()
        if failures:
            raise BuildError("\n\n".join(failures))

    def _lane(self, artifacts: Sequence[Artifact]) -> list[str]:
        failures = []
        for artifact in artifacts:
            try:
                self._one(artifact)
            except (BuildError, OSError) as error:
                self.progress.say(artifact.name, "failed")
                failures.append(f"{artifact.name}: {error}")
        return failures

    def _one(self, artifact: Artifact) -> None:
        folder = cache_folder() / "build" / artifact.stamp.name
        with _locked(folder):
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
        if artifact.official and artifact.place in self.reachable:
            try:
                artifact.official(work, artifact.place)
            except OfficialUnavailableError as error:
                work.say(f"the official source broke off ({error}); building it here")
            else:
                return f"from {artifact.place}"
        elif artifact.official:
            work.say(_UNREACHABLE)
        artifact.build(work)
        return "built here"

    def _report(self, done: threading.Event) -> None:
        while not done.wait(_REPORT_SECONDS):
            for name, work in list(self.running.items()):
                if line := work.last_line():
                    self.progress.say(name, f"… {line[:100]}")


def reachable(places: set[str]) -> frozenset[str]:
    """Which of these URLs answer within a few seconds; all are asked at once."""
    if not places:
        return frozenset()

    def answers(place: str) -> bool:
        try:
            response = httpx.head(place, timeout=_PROBE_SECONDS, follow_redirects=True)
        except httpx.HTTPError:
            return False
        # A registry's root may be "not found" or want a sign-in; a gateway in the way says 403.
        return response.status_code < 500 and response.status_code != httpx.codes.FORBIDDEN

    with ThreadPoolExecutor(len(places)) as pool:
        return frozenset(
            place for place, yes in zip(places, pool.map(answers, places), strict=True) if yes
        )


def _need_space(missing: Sequence[Artifact]) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sum(artifact.gib for artifact in missing)
    free = shutil.disk_usage(folder).free / 2**30
    if free < wanted:
        raise BuildError(
            f"{folder} has {free:.1f} GiB free; making {len(missing)} artifacts takes up to "
            f"{wanted} GiB. Free some space, or set XDG_CACHE_HOME to a folder on a larger disk."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One builder at a time for each artifact; the lock goes when its holder does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

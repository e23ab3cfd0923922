"""Making one artifact: its folder, its log, its commands and downloads."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

CONNECT_SECONDS = 5.0
_TIMEOUT = httpx.Timeout(60, connect=CONNECT_SECONDS)


class BuildError(Exception):
    """An artifact could not be made. The message says what failed, where, and what to do."""


class OfficialUnavailableError(Exception):
    """The official source did not answer or broke off; the artifact is built instead."""


class Work:
    """The folder in which an artifact is made. It stays until then, so that a build can resume.

    `say` shows one line to the user. Commands run at low priority and write into `log`.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "log"
        self.say = say

    def run(
        self,
        what: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Run one command to its end.

        Raises:
            BuildError: it could not be started or failed; its last lines are in the message.
        """
        self.say(what)
        with self.log.open("ab") as log:
            log.write(f"# {what}\n".encode())
            log.flush()
            code = subprocess.run(
                [*_guard(), "nice", *command],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd or self.folder,
            ).returncode
        if code != 0:
            raise BuildError(
                f"{what}: `{command[0]}` ended with {code}. Its last lines:\n"
                f"{self._tail(12)}\nAll of it is in {self.log}. Run the same command again; "
                "finished parts are kept."
            )

    def last_line(self) -> str:
        """The last line that the running command printed: how far it is."""
        return self._tail(1).strip() if self.log.exists() else ""

    def _tail(self, count: int) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 16_000))
            lines = log.read().decode(errors="replace").replace("\r", "\n").rstrip().split("\n")
        return "\n".join(lines[-count:])


def _guard() -> list[str]:
    """The start of a command line for a command that never outlives this process.

    The kernel kills it when the thread that started it is gone, for whatever reason. As root it has
    its own process and mount namespaces, so that its children and mounts disappear with it.
    """
    ended_with_us = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() != 0:
        return ended_with_us
    return [*ended_with_us, "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]


def unpack(work: Work, archive: Path) -> Path:
    """Unpack a tar file into an empty folder; returns the folder."""
    target = work.folder / "unpacked"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    work.run(
        f"unpacking {archive.name}",
        ["tar", "--extract", "--no-same-owner", "--file", archive, "--directory", target],
    )
    return target


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    url: str,
    target: Path,
    say: Callable[[str], None],
    *,
    digest: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Download `url` to `target`, continuing where an earlier attempt broke off.

    `digest` is the SHA-256 in hexadecimal that the file must have.

    Raises:
        OfficialUnavailableError: the server does not answer, or the connection broke.
        BuildError: the file is complete and not the expected one.
    """
    if not target.exists():
        part = target.with_name(target.name + ".part")
        try:
            _fetch(url, part, say, headers or {})
        except httpx.HTTPError as error:
            raise OfficialUnavailableError(f"{url}: {error or type(error).__name__}") from error
        if digest and (found := sha256(part)) != digest:
            part.unlink()
            raise BuildError(
                f"{url} has the SHA-256 {found}, not {digest} as published; it was deleted. "
                "Try again; if this repeats, do not use that source."
            )
        part.rename(target)
    return target


def _fetch(url: str, part: Path, say: Callable[[str], None], headers: Mapping[str, str]) -> None:
    have = part.stat().st_size if part.exists() else 0
    wanted = {**headers, **({"Range": f"bytes={have}-"} if have else {})}
    with httpx.stream(
        "GET", url, headers=wanted, follow_redirects=True, timeout=_TIMEOUT
    ) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file is complete
        response.raise_for_status()
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        shown = -1
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                have += len(chunk)
                if total and (tenth := have * 10 // total) != shown:
                    shown = tenth
                    name = url.rsplit("/", 1)[-1][:30]
                    say(f"downloading {name}: {have >> 20} of {total >> 20} MiB")

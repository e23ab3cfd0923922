"""Downloads resume, and a file without its digest is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from emulator.artifacts.work import BuildError, OfficialUnavailableError, Work, download, unpack
from tests.unit.emulator.artifacts.loopback import Server, serving

pytestmark = pytest.mark.unit
CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_download_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with serving(Server(files={"/file": CONTENT}, cut=300_000)) as server:
        with pytest.raises(OfficialUnavailableError, match="/file"):
            download(f"{server.url}/file", target, print, digest=DIGEST)
        assert not target.exists()
        kept = (tmp_path / "file.part").stat().st_size
        assert kept == 300_000
        download(f"{server.url}/file", target, print, digest=DIGEST)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1] == ("/file", f"bytes={kept}-")


def test_a_download_that_was_whole_already_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    with serving(Server(files={"/file": CONTENT})) as server:
        download(f"{server.url}/file", tmp_path / "file", print, digest=DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_thrown_away(tmp_path: Path) -> None:
    with (
        serving(Server(files={"/file": CONTENT})) as server,
        pytest.raises(BuildError, match=f"has the SHA-256 {DIGEST}, not {'0' * 64}"),
    ):
        download(f"{server.url}/file", tmp_path / "file", print, digest="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_download_shows_its_progress(tmp_path: Path) -> None:
    shown: list[str] = []
    with serving(Server(files={"/file": bytes(5 << 20)})) as server:
        download(f"{server.url}/file", tmp_path / "file", shown.append)
    assert shown[-1] == "downloading file: 5 of 5 MiB"


def test_a_command_that_does_not_exist_is_an_error_with_its_name(tmp_path: Path) -> None:
    work = Work(tmp_path / "work", print)
    with pytest.raises(BuildError, match="no-such-program"):
        work.run("trying", ["no-such-program"])


def test_what_is_no_archive_is_an_error_that_shows_why(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("<html>")
    with pytest.raises(BuildError, match="unpacking archive"):
        unpack(Work(tmp_path / "work", print), tmp_path / "archive")

"""Data of Open WebUI as it leaves them, on a folder that stands for the machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from webui import client, service, upgrade

OLD, NEW = "ghcr.io/open-webui/open-webui:v0.11.4", "ghcr.io/open-webui/open-webui:v0.12.4"
UPLOAD = "uploads/0a1b2c3d-0000-4000-8000-00000000000a_report.pdf"
ANSWER = 'data: {"choices": [{"delta": {"content": "Paris"}}]}\n\ndata: [DONE]\n\n'
PROGRAMS = {
    "podman": """case "$1 $2" in
"volume inspect") echo ROOT/volume ;;
"inspect "*) echo 127.0.0.1 ;;
"exec "*) echo token ;;
esac""",
    # The unit as `systemctl show` prints it is in the file `unit`.
    "systemctl": """echo "$*" >>ROOT/systemctl
case "$*" in
"show --property=ActiveState --value "*) sed -n s/ActiveState=//p ROOT/unit ;;
show*) cat ROOT/unit ;;
stop*) echo ActiveState=inactive >ROOT/unit ;;
restart*|start*) echo ActiveState=active >ROOT/unit ;;
esac""",
    "journalctl": "cat ROOT/journal",
}


class Machine:
    """A folder with the data of a version, and programs that know what Open WebUI does.

    Attributes:
        volume: Open WebUI's.
        broken: images whose Open WebUI answers no question.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.volume = root, root / "volume"
        self.broken: set[str] = set()
        for folder in ("bin", "run"):
            (root / folder).mkdir()
        for name, text in PROGRAMS.items():
            program = root / "bin" / name
            program.write_text(f"#!/bin/sh\n{text.replace('ROOT', str(root))}\n")
            program.chmod(0o755)
        (root / "unit").write_text("ActiveState=active\nNRestarts=0\nCPUUsageNSec=0\n")
        (root / "journal").write_text("Running upgrade 1 -> 2, Add everything\n")
        self._write_files()
        self._write_data()

    def _write_files(self) -> None:
        for file in upgrade.FILES:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{file.name} of {OLD}\n")
            file.chmod(0o600)
        self.use(OLD)

    def use(self, image: str) -> None:
        """What start-open-webui does before it restarts the unit."""
        upgrade.QUADLET.write_text(f"Image={image}\n")

    def _write_data(self) -> None:
        for name, text in {
            UPLOAD: "a report",
            "uploads/model.gguf": "of an administrator, who may write it again",
            "vector_db/8f7d/data_level0.bin": "an index",
            "cache/audio/speech/1.mp3": "can be made again",
            "audit/audit.log": "one line\n",
            "old_config.json": "{}",
        }.items():
            file = self.volume / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (self.volume / "uploads").chmod(0o750)
        (self.volume / UPLOAD).chmod(0o640)
        write_unclean_database(self.volume / "webui.db")
        write_unclean_database(self.volume / "vector_db/chroma.sqlite3")

    def run_new_version(self) -> None:
        """What a version may do to the data: change, remove and add; also the log that stays."""
        self.use(NEW)
        with closing(sqlite3.connect(self.volume / "webui.db")) as database:
            database.execute("alter table chat add column half text")
            database.execute("delete from chat")
            database.commit()
        (self.volume / UPLOAD).unlink()
        (self.volume / "uploads/model.gguf").write_text("another")
        (self.volume / "vector_db/8f7d/data_level0.bin").write_text("another index")
        (self.volume / "new.json").touch()
        with (self.volume / "audit/audit.log").open("a") as log:
            log.write("another line\n")

    def chats(self) -> list[str]:
        with closing(sqlite3.connect(self.volume / "webui.db")) as database:
            return [text for (text,) in database.execute("select text from chat")]

    def state(self) -> dict[str, Any]:
        """All that comes back: content and mode by path."""
        files = {str(file): content_of(file) for file in upgrade.FILES}
        for path in sorted(self.volume.rglob("*")):
            name = path.relative_to(self.volume)
            if name.parts[0] not in ("audit", "cache") and not name.name.endswith(("-wal", "-shm")):
                files[str(name)] = (content_of(path), path.stat().st_mode)
        return files


def write_unclean_database(path: Path) -> None:
    """A database whose last chat is only in the WAL file, as after a power cut."""
    work = path.with_name("work")
    work.mkdir()
    with closing(sqlite3.connect(work / path.name)) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma wal_autocheckpoint = 0")
        database.execute("create table chat (text)")
        for text in ("first", "last"):
            database.execute("insert into chat values (?)", [text])
            database.commit()
        for file in work.iterdir():
            shutil.copy(file, path.parent)
    shutil.rmtree(work)
    assert path.with_name(f"{path.name}-wal").stat().st_size


def content_of(path: Path) -> Any:
    if not path.is_file():
        return path.exists()
    if path.read_bytes().startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as database:
            return list(database.iterdump())
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    """The machine with an Open WebUI that answers while its unit is active."""

    def below(path: Path) -> Path:
        return tmp_path / path.relative_to("/")

    for module in (upgrade, service, client):
        for name, value in vars(module).copy().items():
            if isinstance(value, Path) and not value.is_relative_to(tmp_path):
                monkeypatch.setattr(module, name, below(value))
    monkeypatch.setattr(upgrade, "FILES", tuple(map(below, upgrade.FILES)))
    for name in ("close_chat", "open_chat", "show_status"):
        assert getattr(upgrade, name) is getattr(service, name)  # so they have these paths
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    # A process that is killed loses nothing that it has written.
    monkeypatch.setattr("os.sync", lambda: None)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(upgrade, "ANSWERS_WITHIN", 0)
    monkeypatch.setattr(client, "AGAIN_PAUSE", 0)
    found = Machine(tmp_path)

    class OpenWebui(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "ActiveState=active" not in (tmp_path / "unit").read_text():
                return self.close()
            models = b'{"data": [{"id": "small:1b"}]}'
            return self.answer(models if self.path == "/api/models" else b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            broken = any(image in upgrade.QUADLET.read_text() for image in found.broken)
            error = b'data: {"error": {"detail": "no such model"}}\n\n'
            self.answer(error if broken else ANSWER.encode())

        def close(self) -> None:
            self.close_connection = True

        def answer(self, content: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), OpenWebui) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(client, "PORT", http.server_port)
        yield found
        http.shutdown()

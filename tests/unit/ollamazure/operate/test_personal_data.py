"""`bin/ollamazure people export` and `erase`: what is asked, sent and written. With a machine:
tests/e2e/test_people_accounts.py."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.operate import people, personal_data
from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError
from tests.unit.emulator.offline.test_ssh import CLIENT_KEY, HOST, HOST_KEY, Server
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS

ALICE = "alice@example.com"
ARCHIVE = b"PK\x03\x04 \xff\x00 the archive"
SUMMARY: dict[str, Any] = {
    "id": "1",
    "email": ALICE,
    "name": "Alice\x1b[2J",
    "role": "user",
    "deleted": {"chat": 12, "memory": 1, "unheard_of": 2},
    "kept": {"knowledge": 1},
    "refusal": None,
    "backups": {"daily": 7, "weekly": 5, "monthly": 12, "in_azure": True},
}


class Machine:
    """Answers as the program on the machine, and keeps what it was sent."""

    def __init__(self) -> None:
        self.summary = dict(SUMMARY)
        self.sent: list[tuple[str, Any]] = []
        self.breaks = False

    async def query(self, command: str, stdin: str = "") -> Any:
        [*_, word] = command.split()
        self.sent.append((word, json.loads(stdin)))
        return self.summary if word == "summary" else None

    async def stream(self, command: str, stdin: str) -> AsyncIterator[bytes]:
        self.sent.append((command.removeprefix(people.PROGRAM).strip(), json.loads(stdin)))
        yield ARCHIVE[:5]
        if self.breaks:
            raise OperateError("a program on the machine failed")
        yield ARCHIVE[5:]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(MachineConnection, "query", machine.query)
    monkeypatch.setattr(MachineConnection, "stream", machine.stream)
    outputs = {**OUTPUTS, "url": "https://chat.example.com"}
    monkeypatch.setattr(personal_data, "read_outputs", lambda *_: outputs)
    return machine


def test_the_archive_is_for_its_owner_alone(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    assert personal_data.export("dev", "pulumi", ALICE, folder) == 0
    file = folder / f"{ALICE}.zip"
    assert file.read_bytes() == ARCHIVE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert machine.sent == [("export chat.example.com", ALICE)]
    assert capsys.readouterr().out == f"{file}\n"


def test_no_archive_is_overwritten_or_half(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / f"{ALICE}.zip"
    file.write_text("kept")
    with pytest.raises(OperateError, match="these files exist"):
        personal_data.export("dev", "pulumi", ALICE, tmp_path)
    assert file.read_text() == "kept" and not machine.sent
    file.unlink()
    machine.breaks = True
    with pytest.raises(OperateError, match="failed"):
        personal_data.export("dev", "pulumi", ALICE, tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("email", ["alice", "../a@b", "/a@b", ".@b", "a@b\n", "a\x1b@b"])
def test_what_is_no_email_is_refused(machine: Machine, tmp_path: Path, email: str) -> None:
    with pytest.raises(OperateError, match="is no e-mail"):
        personal_data.export("dev", "pulumi", email, tmp_path)
    with pytest.raises(OperateError, match="is no e-mail"):
        personal_data.erase("dev", "pulumi", email, yes=True)
    assert not machine.sent


def test_before_an_account_is_deleted_everything_is_shown(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert personal_data.erase("dev", "pulumi", ALICE, yes=True) == 0
    assert machine.sent == [("summary", ALICE), ("erase", ALICE)]
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    for line in (
        "  12 chats",
        "  1 memories",
        "  2 unheard ofs",
        "  1 knowledge bases",
        "  backups, which keep it for 12 months, and Azure for 30 days more",
        "  the audit log, for as many days as auditLogDays states",
    ):
        assert line in printed.splitlines()


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"daily": 1, "weekly": 0, "monthly": 0}, "for 1 day"),
        ({"daily": 7, "weekly": 5, "monthly": 0}, "for 5 weeks"),
    ],
)
def test_how_long_backups_keep_it(
    machine: Machine, capsys: pytest.CaptureFixture[str], keep: dict[str, int], words: str
) -> None:
    machine.summary["backups"] = {**keep, "in_azure": False}
    personal_data.erase("dev", "pulumi", ALICE, yes=True)
    assert f"  backups, which keep it {words}\n" in capsys.readouterr().out
    machine.summary["backups"] = None
    personal_data.erase("dev", "pulumi", ALICE, yes=True)
    assert "backup" not in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "code"), [(ALICE, 0), ("y", 1), ("", 1)])
def test_the_email_is_asked_for_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert personal_data.erase("dev", "pulumi", ALICE, yes=False) == code
    assert (("erase", ALICE) in machine.sent) == (code == 0)


def test_without_a_terminal_nothing_is_deleted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(OperateError, match="add --yes"):
        personal_data.erase("dev", "pulumi", ALICE, yes=False)
    machine.summary["refusal"] = "the settings declare it."
    with pytest.raises(OperateError, match=r"the settings declare it\. Nothing has been deleted"):
        personal_data.erase("dev", "pulumi", ALICE, yes=True)
    assert machine.sent == [("summary", ALICE)] * 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["export", ALICE], "export needs a folder"),
        (["export", "--to", "x"], "export takes one"),
        (["erase"], "erase takes one"),
        (["erase", ALICE, "bob@example.com"], "erase takes one"),
    ],
)
def test_wrong_options_are_explained(words: list[str], problem: str) -> None:
    ran = CliRunner().invoke(cli.app, ["people", "--stack", "dev", *words])
    assert ran.exit_code == 2
    assert problem in ran.output


def test_a_stream_over_ssh_is_complete_or_an_error() -> None:
    large = bytes(range(256)) * 2000

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        given = await process.stdin.read()
        process.stdout.write(large + given)
        process.stderr.write(b"the reason\n")
        process.exit(int(given))

    async def received(code: str) -> bytes:
        parts: list[bytes] = []
        server = await asyncssh.create_server(
            Server, HOST, 0, server_host_keys=[HOST_KEY], process_factory=answer, encoding=None
        )
        async with server:
            machine = MachineConnection(
                "it",
                HOST,
                CLIENT_KEY.export_private_key("openssh").decode(),
                HOST_KEY.export_public_key().decode(),
                server.get_port(),
            )
            parts += [part async for part in machine.stream("command", code)]
        return b"".join(parts)

    assert asyncio.run(received("0")) == large + b"0"
    with pytest.raises(OperateError, match=r"failed: the reason\."):
        asyncio.run(received("3"))

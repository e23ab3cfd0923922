"""When the machine restarts for updates. With a real restart: tests/e2e/test_restart_window.py."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import restart

from components import remote_command
from components.machine import RESTART_SERVICE, RESTART_TIMER
from tests.unit.guest.test_files import HIGHEST_EXPOSURE, exposure

RESTARTED = [("stop", "ssh.service"), ("reboot",), ("start", "ssh.service")]
# A line of /proc/net/tcp: local and remote address, and the state.
OPEN = "0: 0109590A:{:04X} 0A09590A:D431 {} 0 0 0"
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class EndedError(Exception):
    """systemd ends the program, because the machine restarts."""


class Machine:
    """A machine whose files are below a folder, and whose clock runs while the program waits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.orders: list[tuple[str, ...]] = []
        self.cleanup = "inactive"
        self.later: dict[float, Path] = {}
        """What ends at a time: a file that is removed."""

    def systemctl(self, *arguments: str) -> None:
        self.orders.append(arguments)

    def sleep(self, seconds: float) -> None:
        if seconds == restart.SHUTDOWN_WITHIN:
            raise EndedError
        self.now += seconds
        for path in [path for at, path in self.later.items() if at <= self.now]:
            path.unlink(missing_ok=True)

    def restarts_within(self, seconds: float) -> bool:
        try:
            restart.restart_within(seconds)
        except EndedError:
            assert self.orders[-3:] == RESTARTED
            return True
        assert ("reboot",) not in self.orders
        return False

    def file(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def answer(self, state: str = restart.ESTABLISHED, port: int = restart.OLLAMA_PORT) -> Path:
        return self.file("proc/net/tcp6", f"head\n{OPEN.format(port, state)}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One that needs a restart, and on which nothing is at work."""
    machine = Machine(tmp_path)
    for name, path in {
        "REBOOT_REQUIRED": "run/reboot-required",
        "PROC": "proc",
        "COMMANDS": "run/ollamazure",
        "BACKUP": "backup/lock",
    }.items():
        monkeypatch.setattr(restart, name, tmp_path / path)
    monkeypatch.setattr(restart, "PACKAGES", (machine.file("dpkg/lock-frontend"),))
    monkeypatch.setattr(restart, "UNITS", [machine.file("units/timer"), machine.file("units/run")])
    monkeypatch.setattr(restart, "systemctl", machine.systemctl)
    monkeypatch.setattr(restart, "output_of", lambda _: machine.cleanup)
    monkeypatch.setattr(time, "sleep", machine.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    machine.file("run/reboot-required")
    machine.file("run/ollamazure/nginx.lock")
    machine.file("backup/lock")
    machine.file("proc/1/cmdline", "/sbin/init")
    machine.file("proc/1/maps", "7f00 r-xp 0 08:01 99 /usr/lib/x86_64-linux-gnu/libc.so.6\n")
    machine.file("proc/7/cmdline", "sshd-session: ollamazure [priv]")
    machine.file("proc/net/tcp", "head\n")
    return machine


def test_a_machine_on_which_nothing_is_at_work_restarts_at_once(machine: Machine) -> None:
    assert machine.restarts_within(3600)
    assert machine.now == 0


def test_without_a_reason_nothing_restarts(machine: Machine) -> None:
    restart.REBOOT_REQUIRED.unlink()
    assert not machine.restarts_within(3600)
    assert machine.orders == []
    assert not restart.REBOOT_REQUIRED.exists()


def test_a_replaced_library_is_a_reason_that_status_shows(machine: Machine) -> None:
    restart.REBOOT_REQUIRED.unlink()
    library = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3 (deleted)"
    machine.file("proc/8/maps", f"7f00 r-xp 0 08:01 99 {library}\n")
    assert machine.restarts_within(3600)
    assert restart.REBOOT_REQUIRED.exists()


def test_a_deleted_file_that_is_no_library_is_none(machine: Machine) -> None:
    restart.REBOOT_REQUIRED.unlink()
    machine.file("proc/8/maps", "7f00 rw-s 0 00:01 99 /dev/shm/cache.so (deleted)\n")
    assert not machine.restarts_within(3600)
    assert machine.orders == []


@pytest.fixture(params=["a command", "a backup", "packages", "SSH", "a terminal", "the cleanup"])
def at_work(request: pytest.FixtureRequest, machine: Machine) -> Iterator[str]:
    """What a restart would cut; yields how the program names it."""
    match request.param:
        case "SSH":
            machine.file("proc/9/cmdline", "sshd-session: ollamazure@notty")
            yield "is connected by SSH"
        case "a terminal":
            machine.file("proc/9/cmdline", "sshd-session: ollamazure@pts/0")
            yield "is connected by SSH"
        case "the cleanup":
            machine.cleanup = "activating"
            yield "the nightly cleanup is at work"
        case "packages":
            command = [sys.executable, "-c", HOLD, str(restart.PACKAGES[0])]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as apt:
                assert apt.stdout
                assert apt.stdout.readline() == "held\n"
                yield "updates are being installed"
        case name:
            command_lock = machine.root / "run/ollamazure/nginx.lock"
            path = command_lock if name == "a command" else restart.BACKUP
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield "nginx is at work" if name == "a command" else "a backup is at work"


def test_what_a_restart_would_cut_prevents_it_to_the_end_of_the_window(
    machine: Machine, at_work: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not machine.restarts_within(35)
    assert machine.orders == []
    assert machine.now == 35
    first, last = capsys.readouterr().err.splitlines()
    assert at_work in first, "once, not at each try"
    assert last == "The window is over; the next one tries again."


def test_it_restarts_when_the_command_has_ended(machine: Machine) -> None:
    machine.later[30] = machine.file("proc/9/cmdline", "sshd-session: ollamazure@notty")
    assert machine.restarts_within(3600)
    assert machine.now == 30


def test_it_waits_for_an_answer(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.later[50] = machine.answer()
    assert machine.restarts_within(3600)
    assert machine.now == 50
    assert "a model is answering" in capsys.readouterr().err


def test_it_does_not_wait_for_an_answer_beyond_the_window(machine: Machine) -> None:
    machine.answer()
    assert machine.restarts_within(60)
    assert machine.now == 60


@pytest.mark.parametrize("connection", [{"state": "06"}, {"port": 22}])
def test_other_connections_are_no_answers(machine: Machine, connection: dict[str, str]) -> None:
    machine.answer(**connection)  # type: ignore[arg-type]
    assert machine.restarts_within(3600)
    assert machine.now == 0


def test_what_begins_while_ssh_is_stopped_still_prevents_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def systemctl(*arguments: str) -> None:
        machine.systemctl(*arguments)
        if arguments == ("stop", "ssh.service"):
            machine.file("proc/9/cmdline", "sshd-session: ollamazure@notty")

    monkeypatch.setattr(restart, "systemctl", systemctl)
    assert not machine.restarts_within(0)
    assert machine.orders == [("stop", "ssh.service"), ("start", "ssh.service")]


def test_a_restart_that_fails_leaves_ssh_running(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def systemctl(*arguments: str) -> None:
        machine.systemctl(*arguments)
        if arguments == ("reboot",):
            raise subprocess.CalledProcessError(1, "systemctl")

    monkeypatch.setattr(restart, "systemctl", systemctl)
    with pytest.raises(subprocess.CalledProcessError):
        assert machine.restarts_within(3600)


def test_on_follows_another_time(machine: Machine) -> None:
    assert restart.main(["on"]) == 0
    assert machine.orders == [("enable", "--quiet", restart.TIMER), ("restart", restart.TIMER)]


def test_off_leaves_nothing_and_may_run_again(machine: Machine) -> None:
    for _ in range(2):
        assert restart.main(["off"]) == 0
    disable = ("disable", "--quiet", "--now", restart.TIMER)
    assert machine.orders == [disable, ("daemon-reload",), ("daemon-reload",)]
    assert not any(unit.exists() for unit in restart.UNITS)


def test_units(tmp_path: Path) -> None:
    timer, service = tmp_path / Path(RESTART_TIMER).name, tmp_path / Path(RESTART_SERVICE).name
    timer.write_text(remote_command.render_file(RESTART_TIMER, days=["Mon", "Sun"], time="04:00"))
    text = remote_command.render_file(RESTART_SERVICE, seconds=7200)
    service.write_text(text.replace("/usr/local/lib/ollamazure/restart.py", "/bin/true"))

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", timer, service],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposure(service) <= HIGHEST_EXPOSURE
    assert "\nOnCalendar=Mon,Sun *-*-* 04:00:00 UTC\n" in timer.read_text()
    assert "/restart.py run 7200\n" in text

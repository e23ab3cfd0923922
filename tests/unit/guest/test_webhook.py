"""Reports to a webhook: a real server with TLS, and a machine whose findings the test chooses."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import webhook
from findings import MachineFinding

from ollamazure.settings.working_hours import SHORTEST
from tests.unit.guest.test_chat_answers import Server, certificate, server

__all__ = ["certificate", "server"]  # fixtures
NGINX = MachineFinding("service.nginx", "Nginx is stopped.", "Start it.")
FULL = MachineFinding("disk.data", "The data disk is nearly full.", "Enlarge it.")
TOKEN = "a-token-that-no-one-may-see"
PATH = f"/hooks/{TOKEN}"
STARTED = 1_800_000_000.0


class Machine:
    """A machine with the webhook `server`, at a time that each run advances by five minutes."""

    def __init__(self, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.now, self.booted = server, STARTED, STARTED - 24 * 3600
        self.states = (folder / "disk/state.json", folder / "memory/state.json")
        self.settings, self.address = folder / "webhook.json", folder / "address"
        monkeypatch.setattr(webhook, "STATES", self.states)
        monkeypatch.setattr(webhook, "SETTINGS", self.settings)
        monkeypatch.setattr(webhook, "ADDRESS", self.address)
        monkeypatch.setattr("time.time", lambda: self.now)
        server.answers[PATH] = (200, "ok")
        self.use("json")

    def use(self, form: str, path: str = PATH) -> None:
        settings = {"format": form, "stack": "dev", "url": "https://chat.example"}
        self.settings.write_text(json.dumps(settings))
        self.address.write_text(f"https://127.0.0.1:{self.server.port}{path}\n")

    def run(self, *findings: MachineFinding, times: int = 1) -> list[Any]:
        """What the webhook gets in these runs."""
        before = len(self.server.seen)
        for _ in range(times):
            self.now += 300
            webhook.report(lambda settings: (list(findings), self.booted))
        return [body for _, body, _ in self.server.seen[before:]]


@pytest.fixture
def machine(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    authority = tmp_path / "authority.pem"
    authority.write_text(server.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    machine = Machine(tmp_path, server, monkeypatch)
    machine.run()  # the first report, that reports arrive from now on
    yield machine


def ids(message: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    return [each["id"] for each in message["problems"]], [each["id"] for each in message["over"]]


def test_a_new_webhook_gets_one_message_at_once(machine: Machine) -> None:
    [(path, message, _)] = machine.server.seen
    assert path == PATH
    assert message["title"] == (
        "The chat dev reports to this address from now on: https://chat.example"
    )
    assert machine.run(times=5) == []


def test_each_change_is_reported_once(machine: Machine) -> None:
    assert machine.run(NGINX) == [], "it may be over at once"
    [bad] = machine.run(NGINX)
    assert bad == {
        "stack": "dev",
        "url": "https://chat.example",
        "time": "2027-01-15T08:15:00Z",
        "title": "The chat dev needs attention: https://chat.example",
        "problems": [
            {
                "id": "service.nginx",
                "problem": "Nginx is stopped.",
                "fix": "Start it.",
                "since": "2027-01-15T08:10:00Z",
            }
        ],
        "over": [],
    }
    assert machine.run(NGINX, times=20) == []
    assert machine.run() == []
    [good] = machine.run()
    assert good["title"] == "The chat dev is well again: https://chat.example"
    assert good["over"] == [
        {
            "id": "service.nginx",
            "problem": "Nginx is stopped.",
            "since": "2027-01-15T08:10:00Z",
            "until": "2027-01-15T10:00:00Z",
        }
    ]
    assert machine.run(times=5) == []
    assert [ids(each) for each in machine.run(NGINX, times=2)] == [(["service.nginx"], [])]


def test_what_comes_and_goes_is_not_repeated(machine: Machine) -> None:
    for _ in range(5):
        assert machine.run(NGINX) == []
        assert machine.run() == []
    assert len(machine.run(NGINX, times=2)) == 1
    for _ in range(5):
        assert machine.run() == []
        assert machine.run(NGINX) == []


def test_what_becomes_severe_is_reported_again_once(machine: Machine) -> None:
    worse = MachineFinding("disk.data", "The data disk is full.", "Enlarge it.", severe=True)
    assert len(machine.run(FULL, times=3)) == 1
    [message] = machine.run(worse, times=3)
    assert message["problems"][0]["problem"] == "The data disk is full."
    assert machine.run(FULL, worse) == [] == machine.run(FULL) == machine.run(worse)


def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.01,)).start()
        answer = webhook.post(f"http://127.0.0.1:{listener.server_port}/hook", {})
        listener.shutdown()
    assert (answer, seen) == ("it answers with the HTTP status 302", ["/hook"])


@pytest.mark.parametrize("status", [404, 429, 500])
def test_what_the_webhook_does_not_accept_is_not_lost(
    machine: Machine, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.server.answers[PATH] = (status, "no")
    assert len(machine.run(NGINX, times=4)) == 3, "each run tries again"
    reported = webhook.status()
    assert reported is not None
    assert reported["failing"] == STARTED + 3 * 300
    assert reported["reason"] == f"it answers with the HTTP status {status}"
    machine.server.answers[PATH] = (202, "")
    [message] = machine.run(NGINX, FULL)
    assert ids(message) == (["service.nginx"], [])
    assert [ids(each) for each in machine.run(NGINX, FULL)] == [(["disk.data"], [])]
    assert (webhook.status() or {})["reason"] == ""
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err


def test_what_was_over_before_the_webhook_came_back_is_reported_with_its_times(
    machine: Machine,
) -> None:
    machine.server.answers[PATH] = (500, "")
    machine.run(NGINX, times=3)
    machine.run(times=3)
    machine.server.answers[PATH] = (200, "")
    [message] = machine.run()
    assert ids(message) == ([], ["service.nginx"])
    assert message["over"][0]["since"] < message["over"][0]["until"]
    assert machine.run(times=3) == []


def test_another_webhook_learns_what_is_bad_now(machine: Machine) -> None:
    machine.run(NGINX, times=2)
    machine.server.answers["/other"] = (200, "")
    machine.use("json", "/other")
    assert [ids(each) for each in machine.run(NGINX, times=3)] == [(["service.nginx"], [])]


def test_a_full_disk_repeats_nothing(machine: Machine) -> None:
    """The state is then in memory, until the disk can be written again."""
    disk, memory = machine.states
    machine.run(FULL)
    text = disk.read_text()
    disk.unlink()
    disk.mkdir()  # no file can replace it
    memory.parent.mkdir()
    memory.write_text(text)
    assert len(machine.run(FULL, times=5)) == 1
    disk.rmdir()
    assert machine.run(FULL, times=3) == []
    assert not memory.exists()
    assert disk.stat().st_mode & 0o777 == 0o600


def test_a_machine_that_was_off_makes_its_backup_first(machine: Machine) -> None:
    late = MachineFinding("backupAge", "The last backup is of Friday.", "Make one.")
    machine.booted = machine.now
    assert machine.run(late, times=20) == []
    assert len(machine.run(late, times=20)) == 1
    machine.booted = machine.now
    assert machine.run(late, times=5) == [], "a restart makes it neither over nor new"


def test_that_no_report_arrives_is_not_reported(machine: Machine) -> None:
    assert machine.run(MachineFinding("webhook", "No report arrives."), times=5) == []


def test_a_damaged_state_is_a_new_start(machine: Machine) -> None:
    machine.states[0].write_text('{"known": [1]}')
    [message] = machine.run(NGINX)
    assert ids(message) == ([], [])
    assert len(machine.run(NGINX)) == 1


def test_a_message_has_a_limit(machine: Machine) -> None:
    many = [MachineFinding(f"unit.{n}", f"The systemd unit {n} has failed.") for n in range(50)]
    counts = [len(each["problems"]) for each in machine.run(*many, times=6)]
    assert counts == [20, 20, 10]


def test_slack_and_mattermost_get_a_text(machine: Machine) -> None:
    machine.use("text")
    [message] = machine.run(NGINX, times=2)[1:]
    assert message == {
        "text": "The chat dev needs attention: https://chat.example\n"
        "- Nginx is stopped. Since 2027-01-15 08:10 UTC. Start it."
    }


def test_a_workflow_of_teams_gets_an_adaptive_card(machine: Machine) -> None:
    machine.use("teams")
    machine.run(NGINX, times=3)
    [message] = machine.run(times=2)
    assert message["type"] == "message"
    [attachment] = message["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert [block["text"] for block in attachment["content"]["body"]] == [
        "The chat dev is well again: https://chat.example",
        "Over since 2027-01-15 08:25 UTC: Nginx is stopped. It began at 2027-01-15 08:10 UTC.",
    ]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://no-such-host.invalid/", "its host has no address"),
        ("https://127.0.0.1:1/", "it cannot be reached (Connection refused)"),
        ("https://localhost:{port}/", "its certificate is not accepted, or it does not speak TLS"),
    ],
)
def test_the_reason_names_no_address(machine: Machine, address: str, reason: str) -> None:
    assert webhook.post(address.format(port=machine.server.port), {}) == reason


def test_removing_the_webhook_forgets_its_address(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: calls.append(command))
    assert webhook.main(["off"]) == 0
    assert webhook.status() is None
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if TOKEN in path.read_text()]
    assert calls == [["systemctl", "disable", "--quiet", "--now", "ollamazure-webhook.timer"]]


def test_what_stays_late_is_reported_within_the_shortest_working_hours() -> None:
    assert SHORTEST.total_seconds() > webhook.LATE_WITHIN + 2 * 5 * 60

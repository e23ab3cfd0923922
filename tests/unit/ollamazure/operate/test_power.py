"""`bin/ollamazure start` and `stop`: what they print, ask and wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ollamazure.azure.az import AzError
from ollamazure.operate import power
from ollamazure.operate.pulumi import OperateError
from tests.unit.ollamazure.operate.test_schedule import CHAT, HOURS


class Machine:
    """A machine that is changed at once, or that Azure refuses to change."""

    def __init__(self) -> None:
        self.now, self.done, self.refusal = "deallocated", list[str](), ""

    def state(self) -> str:
        return self.now

    def change(self, action: str, report: Callable[[str], None], _: object) -> None:
        if self.refusal:
            raise AzError(self.refusal)
        report(f"  {self.now}, 0 s")
        self.done.append(action)
        self.now = {"start": "running", "deallocate": "deallocated"}[action]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(power, "machine_of", lambda *_: found)
    monkeypatch.setattr(power, "read_outputs", lambda *_: CHAT)
    monkeypatch.setattr(power, "check_url", lambda *_: None)
    return found


def call(command: Callable[..., int], *, yes: bool = True) -> int:
    return command("dev", "pulumi", yes=yes, sleep=lambda _: None)


def test_start_waits_until_the_chat_answers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[str | None] = ["does not answer: refused", "answers with the HTTP status 502"]
    monkeypatch.setattr(power, "check_url", lambda *_: answers.pop(0) if answers else None)
    assert call(power.start) == 0
    assert machine.done == ["start"]
    printed = capsys.readouterr().out
    assert printed.startswith("The machine of dev starts, and Azure bills it until it is stopped.")
    assert "  The chat does not answer: refused, 0 s\n" in printed
    assert printed.endswith("The chat answers: https://192.0.2.1\n")


def test_a_chat_that_does_not_answer_is_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "check_url", lambda *_: "does not answer: refused")
    with pytest.raises(OperateError, match=r"does not answer after 10 minutes.*ollamazure status"):
        call(power.start)
    assert machine.now == "running"


def test_both_are_safe_to_run_again(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.now = "running"
    assert call(power.start, yes=False) == 0
    machine.now = "deallocated"
    assert call(power.stop, yes=False) == 0
    assert machine.done == []
    printed = capsys.readouterr().out
    assert "The machine already runs." in printed
    assert "The machine is already stopped, and Azure bills none." in printed


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_stop_says_what_it_does_and_what_goes_on_costing(
    machine: Machine, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.now = state  # a machine that was only shut down is billed
    assert call(power.stop) == 0
    assert machine.done == ["deallocate"]
    printed = capsys.readouterr().out
    assert "until it starts again (bin/ollamazure start --stack dev)" in printed
    assert "goes on billing disks and addresses" in printed


def test_with_working_hours_both_say_what_the_schedule_does(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs: dict[str, Any] = {**CHAT, "workingHours": HOURS}
    monkeypatch.setattr(power, "read_outputs", lambda *_: outputs)
    assert call(power.start) == call(power.stop) == 0
    printed = capsys.readouterr().out
    assert "Azure bills it until the schedule stops it at 19:00" in printed
    assert "at 07:00 (Europe/Paris). Chats" in printed


def test_nothing_happens_without_a_confirmation(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert call(power.start, yes=False) == 1
    machine.now = "running"
    assert call(power.stop, yes=False) == 1
    assert machine.done == []


def test_what_azure_refuses_is_reported(machine: Machine) -> None:
    machine.refusal = "AllocationFailed"
    with pytest.raises(AzError, match="AllocationFailed"):
        call(power.start)

"""Starting and stopping a stack's machine by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ollamazure.operate.pulumi import OperateError, read_outputs
from ollamazure.operate.question import is_agreed
from ollamazure.operate.schedule import hours_of, machine_of, next_start
from ollamazure.operate.status import check_url

CHAT_SECONDS = 600  # for services and models; a machine with a GPU needs some minutes
POLL_SECONDS = 5


def start(
    stack: str, pulumi: str, *, yes: bool, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Start the machine, and wait until the chat answers; returns 1 if the user declines.

    Raises:
        AzError: Azure refuses it or fails at it.
        OperateError: the stack's outputs cannot be read, or the chat does not answer.
    """
    outputs = read_outputs(stack, pulumi, "url", "certificateTrust")
    machine = machine_of(stack, pulumi)
    if machine.state() == "running":
        print("The machine already runs.")
    else:
        hours = hours_of(outputs)
        until = f"until the schedule stops it at {hours.end}" if hours else "until it is stopped"
        print(
            f"The machine of {stack} starts, and Azure bills it {until}. The chat answers some"
            " minutes later."
        )
        if not yes and not is_agreed():
            return 1
        machine.change("start", _report, sleep)
        print("The machine runs.")
    _wait_for_chat(stack, outputs["url"], lambda: _problem(outputs), sleep)
    return 0


def stop(stack: str, pulumi: str, *, yes: bool, sleep: Callable[[float], None] = time.sleep) -> int:
    """Stop the machine, so that Azure bills none; returns 1 if the user declines.

    Raises:
        AzError: Azure refuses it or fails at it.
        OperateError: the stack's outputs cannot be read.
    """
    outputs = read_outputs(stack, pulumi)
    machine = machine_of(stack, pulumi)
    if machine.state() == "deallocated":
        print("The machine is already stopped, and Azure bills none.")
        return 0
    again = next_start(outputs, datetime.now(UTC))
    print(
        f"The machine of {stack} stops: answers break off, and no user reaches the chat until it"
        f" starts {again or f'again (bin/ollamazure start --stack {stack})'}. Chats, files and"
        " models are kept. Azure bills no machine, and goes on billing disks and addresses."
    )
    if not yes and not is_agreed():
        return 1
    machine.change("deallocate", _report, sleep)
    print("The machine is stopped.")
    return 0


def _problem(outputs: Mapping[str, Any]) -> str | None:
    return check_url(
        outputs["url"], outputs["certificateTrust"], outputs.get("certificateFingerprint")
    )


def _wait_for_chat(
    stack: str, url: str, problem: Callable[[], str | None], sleep: Callable[[float], None]
) -> None:
    for waited in range(0, CHAT_SECONDS, POLL_SECONDS):
        found = problem()
        if found is None:
            print(f"The chat answers: {url}")
            return
        if waited % 30 == 0:
            _report(f"  The chat {found}, {waited} s")
        sleep(POLL_SECONDS)
    raise OperateError(
        f"the machine runs, and the chat does not answer after {CHAT_SECONDS // 60} minutes."
        f" `bin/ollamazure status --stack {stack}` shows why."
    )


def _report(line: str) -> None:
    print(line, flush=True)

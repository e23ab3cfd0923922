"""Whether a stack's machine runs, and starting and stopping it: `az vm` does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ollamazure.azure.az import AzError, AzureCli, run_az
from ollamazure.azure.stack_file import StackFile
from ollamazure.names import VM, group_names
from ollamazure.settings.problems import NAMESPACE

POLL_SECONDS = 5
PROGRESS_SECONDS = 15
LIMIT_SECONDS = 1200  # Azure needs one to three minutes
STATES = {"start": "running", "deallocate": "deallocated"}


@dataclass(frozen=True)
class StackMachine:
    """The machine of a stack.

    Attributes:
        az: the Azure CLI, for its subscription.
        group: its resource group.
    """

    az: AzureCli
    group: str

    @classmethod
    def of(cls, stack: str, folder: Path, program: str = "az") -> StackMachine:
        """The machine of a stack whose file is in `folder`; raises AzError.

        Args:
            stack: its name.
            folder: where its file is.
            program: the Azure CLI, or one that answers like it.
        """
        try:
            subscription = StackFile.read(stack, folder).subscription_arguments()
        except FileNotFoundError as error:
            raise AzError(f"{error.filename} does not exist") from error
        account = run_az("account", "show", *subscription, program=program)
        return cls(AzureCli(account["id"], program), group_names(NAMESPACE, stack).chat)

    def state(self) -> str:
        """running, starting, stopping, stopped, deallocating or deallocated; raises AzError."""
        return self._look()[0]

    def change(
        self,
        action: Literal["start", "deallocate"],
        report: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start or deallocate it, and wait until that is done.

        Args:
            action: what to do.
            report: takes a line of progress.
            sleep: waits for so many seconds.

        Raises:
            AzError: Azure refuses it, fails at it, or does not end it within 20 minutes.
        """
        self.az.run("vm", action, *self._named, "--no-wait")
        waited = 0
        while True:
            state, failure = self._look()
            if state == STATES[action]:
                return
            if failure or waited >= LIMIT_SECONDS:
                end = failure or f"it is still {state} after {waited // 60} minutes"
                raise AzError(f"`az vm {action}` has not ended well: {end}")
            if waited % PROGRESS_SECONDS == 0:
                report(f"  {state}, {waited} s")
            sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    @property
    def _named(self) -> tuple[str, ...]:
        return ("--resource-group", self.group, "--name", VM)

    def _look(self) -> tuple[str, str | None]:
        """The machine's state, and why its last operation failed, if it did."""
        shown = self.az.run("vm", "get-instance-view", *self._named)
        statuses: list[dict[str, Any]] = shown["instanceView"]["statuses"]
        state, failure = "unknown", None
        for status in statuses:
            kind, _, code = status["code"].partition("/")
            if kind == "PowerState":
                state = code
            elif kind == "ProvisioningState" and code.startswith("failed"):
                failure = status.get("message") or status["code"]
        return state, failure

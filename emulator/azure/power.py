"""Whether a machine runs, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable

from emulator.azure.store import Body

RUNNING, STOPPED, DEALLOCATED = "running", "stopped", "deallocated"

ACTIONS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "start": (RUNNING, lambda state: True),
    "restart": (RUNNING, lambda state: state == RUNNING),
    "poweroff": (STOPPED, lambda state: state != DEALLOCATED),
    "deallocate": (DEALLOCATED, lambda state: True),
}
"""What can be done to a machine: the state it is in afterwards, and in which states it may be."""


def power_state(machine: Body) -> str:
    """running, stopped or deallocated."""
    code: str = machine["properties"]["instanceView"]["statuses"][0]["code"]
    return code.partition("/")[2]


def set_power_state(machine: Body, state: str) -> None:
    """Note what the machine does, as ARM's instance view says it."""
    machine["properties"]["instanceView"] = {
        "statuses": [{"code": f"PowerState/{state}", "displayStatus": f"VM {state}"}]
    }

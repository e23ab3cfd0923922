"""Whether a machine runs, and what can be done about it."""

from __future__ import annotations

from emulator.azure.store import Body

RUNNING, STOPPED, DEALLOCATED = "running", "stopped", "deallocated"

_ANY = frozenset({RUNNING, STOPPED, DEALLOCATED})

ACTIONS: dict[str, tuple[str, frozenset[str]]] = {
    "start": (RUNNING, _ANY),
    "restart": (RUNNING, frozenset({RUNNING})),
    "poweroff": (STOPPED, frozenset({RUNNING, STOPPED})),
    "deallocate": (DEALLOCATED, _ANY),
}
"""What can be done to a machine: the state it is in afterwards, and in which it may be before."""


def power_state(machine: Body) -> str:
    """running, stopped or deallocated."""
    code: str = machine["properties"]["instanceView"]["statuses"][0]["code"]
    return code.partition("/")[2]


def set_power_state(machine: Body, state: str) -> None:
    """Note what the machine does, as ARM's instance view says it."""
    machine["properties"]["instanceView"] = {
        "statuses": [{"code": f"PowerState/{state}", "displayStatus": f"VM {state}"}]
    }

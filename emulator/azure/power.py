"""Whether a machine runs, and the actions that change this."""

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
"""The actions on a machine: the state afterwards, and the states in which it is allowed."""


def power_state(machine: Body) -> str:
    """The machine's state: running, stopped or deallocated."""
    code: str = machine["properties"]["instanceView"]["statuses"][0]["code"]
    return code.partition("/")[2]


def instance_view(machine: Body) -> Body:
    """How Azure shows the machine's state to a GET that asks for it."""
    provisioning: str = machine["properties"]["provisioningState"]
    status = {
        "code": f"ProvisioningState/{provisioning.lower()}",
        "level": "Info",
        "displayStatus": f"Provisioning {provisioning.lower()}",
    }
    return {"statuses": [status, *machine["properties"]["instanceView"]["statuses"]]}


def set_power_state(machine: Body, state: str) -> None:
    """Set the machine's state in the form of ARM's instance view."""
    status = {"code": f"PowerState/{state}", "level": "Info", "displayStatus": f"VM {state}"}
    machine["properties"]["instanceView"] = {"statuses": [status]}

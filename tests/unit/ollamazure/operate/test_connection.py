"""The connection that a stack's outputs describe. A real one: tests/e2e."""

from __future__ import annotations

from ollamazure.operate.connection import MachineConnection
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS


def test_the_outputs_lead_to_the_machine_and_its_key_is_not_shown() -> None:
    machine = MachineConnection.from_outputs(OUTPUTS)
    assert (machine.user, machine.address) == ("a", "192.0.2.1")
    assert machine.private_key not in repr(machine)

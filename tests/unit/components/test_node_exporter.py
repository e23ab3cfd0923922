"""Metrics: the node exporter comes with the setting, and goes with it."""

from __future__ import annotations

from tests.unit.components.test_cloud import whole_program


def test_metrics_come_and_go_with_their_clients() -> None:
    recorder = whole_program("dev", metricsClients=["10.0.0.5"])
    command = recorder.named("node-exporter")
    assert "/usr/local/lib/ollamazure/node-exporter start" in command.inputs["stdin"]
    assert "/usr/local/lib/ollamazure/node-exporter stop" in command.inputs["delete"]
    admits = "add element inet ollamazure metrics_clients { 10.0.0.5/32 }"
    assert admits in recorder.named("machine-ready").inputs["stdin"]


def test_without_the_setting_nothing_of_it_is_there() -> None:
    recorder = whole_program("dev")
    assert "node-exporter" not in {resource.name for resource in recorder.resources}
    assert (
        "add element inet ollamazure metrics" not in recorder.named("machine-ready").inputs["stdin"]
    )
    ports = [rule["destinationPortRange"] for rule in recorder.named("nsg").inputs["securityRules"]]
    assert "9100" not in ports

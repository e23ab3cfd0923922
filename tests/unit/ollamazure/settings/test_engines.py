"""Settings of another engine are refused, and so is a cluster that is described in part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollamazure.settings import engines
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError

pytestmark = pytest.mark.unit

SUBNET = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
    "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat"
)
OWN = {
    "kubeconfig": "secrets/kubeconfig",
    "oidcIssuer": "https://oidc.example.com/cluster",
    "endpointSubnetId": SUBNET,
    "databaseSubnetId": SUBNET,
}


def problems(engine: str = "kubernetes", **given: Any) -> list[str]:
    """The settings with a problem, each with what is wrong."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()
    }
    try:
        parse({"sshClients": "203.0.113.7", "engine": engine, **texts}, frozenset({"webhook"}))
    except SettingsError as error:
        return [f"{each.where} {each.what}" for each in error.problems]
    return []


@pytest.fixture
def deployable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CAN_DEPLOY", ("machine", "kubernetes"))


def test_this_version_deploys_machines_only() -> None:
    [problem] = problems()
    assert problem == (
        'ollamazure:engine = "kubernetes" is not allowed: this version cannot deploy a cluster yet.'
    )


@pytest.mark.usefixtures("deployable")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"scale": "large", "cluster": {"version": "1.35", "gpuNodes": 3, "gpuSpot": "true"}},
        {"cluster": OWN},
        {"publicAddress": "false"},
    ],
    ids=str,
)
def test_a_cluster_is_described_completely(given: dict[str, Any]) -> None:
    assert problems(**given) == []


@pytest.mark.usefixtures("deployable")
@pytest.mark.parametrize(
    ("given", "where", "reason"),
    [
        ({"vmSize": "Standard_B4ms"}, "vmSize", "a cluster has nodes"),
        ({"network": {"subnetId": SUBNET}}, "network", "a network of its own"),
        ({"webhook": "https://hooks.example.com/x"}, "webhook", "it is a machine that posts"),
        ({"rotation": {"sshKey": "2027"}}, "rotation.sshKey", "a cluster has no SSH key"),
        ({"cluster": {"context": "team"}}, "cluster.context", "kubeconfig is not set"),
        ({"cluster": {**OWN, "systemNodes": 3}}, "cluster.systemNodes", "kubeconfig is set"),
        ({"cluster": {"kubeconfig": "x"}}, "cluster.oidcIssuer", "of your own needs it"),
        (
            {"cluster": {"webuiReplicas": 3, "mostWebuiReplicas": 2}},
            "cluster.mostWebuiReplicas",
            "it is less than cluster.webuiReplicas, 3",
        ),
        (
            {"cluster": {"databaseSize": "Standard_B2s", "databaseStandby": "true"}},
            "cluster.databaseStandby",
            "Standard_B2s is burstable",
        ),
        ({"cluster": {"version": "1.34.2"}}, "cluster.version", "not a minor version"),
    ],
    ids=str,
)
def test_what_does_not_apply_is_refused(given: dict[str, Any], where: str, reason: str) -> None:
    first, *_ = problems(**given)
    assert first.startswith(f"ollamazure:{where} ")
    assert reason in first


@pytest.mark.parametrize("given", [{"scale": "medium"}, {"cluster": {"systemNodes": 3}}], ids=str)
def test_a_machine_has_no_settings_of_a_cluster(given: dict[str, Any]) -> None:
    [problem] = problems("machine", **given)
    assert problem.endswith("is not allowed: engine is machine.")

"""Nodes, replicas and services of a cluster, and what is refused before anything is paid for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.settings import engines
from ollamazure.settings.load import parse
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import (
    cluster_cost,
    fits_on_node,
    machine_instead,
    make_cluster_plan,
    ollama_memory_mib,
)
from ollamazure.sizing.memory import usable
from ollamazure.sizing.plan import SizingError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def deployable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CAN_DEPLOY", ("machine", "kubernetes"))


def settings(models: str = "llama3.2:3b", **given: Any) -> Settings:
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()
    }
    return parse(
        {"sshClients": "203.0.113.7", "engine": "kubernetes", "models": f'["{models}"]', **texts}
    )


@pytest.mark.parametrize("scale", catalog.scales())
def test_each_scale_is_a_cluster(scale: str) -> None:
    declared = settings(scale=scale)
    plan = make_cluster_plan(declared)
    least, most = plan.webui_replicas
    assert least <= most
    assert all(pool.load and fits_on_node(pool.size, declared, pool.load) for pool in plan.models)
    assert plan.background_generation == any(pool.size.gpu for pool in plan.models)
    assert cluster_cost(plan, declared).amount > 0


def test_a_larger_scale_costs_more() -> None:
    costs = [
        cluster_cost(make_cluster_plan(declared), declared).amount
        for declared in (settings(scale=name) for name in catalog.scales())
    ]
    assert costs == sorted(costs)


def test_each_value_can_be_set() -> None:
    given = {
        "systemNodes": 5, "modelSize": "Standard_E8as_v5", "modelNodes": 3, "webuiReplicas": 4,
        "mostWebuiReplicas": 8, "databaseSize": "Standard_D4ds_v5", "databaseGiB": 64,
        "databaseStandby": "true", "cacheSize": "Balanced_B3", "modelDiskGiB": 128,
    }  # fmt: skip
    plan = make_cluster_plan(settings(cluster=given))
    assert plan.system.nodes == 5
    assert (plan.models[0].size.name, plan.models[0].nodes) == ("Standard_E8as_v5", 3)
    assert plan.webui_replicas == (4, 8)
    assert (plan.database_size, plan.database_gib) == ("Standard_D4ds_v5", 64)
    assert plan.database_standby
    assert (plan.cache_size, plan.model_disk_gib) == ("Balanced_B3", 128)


def test_a_node_keeps_memory_for_itself() -> None:
    """With 30 pods AKS reserves 0.65 GB and 100 MiB, and a quarter of a node with its 250."""
    size = catalog.vm_sizes()["Standard_D8as_v5"]
    kept = usable(size) - ollama_memory_mib(size) / 1024
    assert 1.2 < kept < size.memory_gib / 8


def test_a_model_that_does_not_fit_on_a_node_is_refused_with_sizes_that_fit() -> None:
    with pytest.raises(SizingError) as refused:
        make_cluster_plan(settings("llama3.3:70b"))
    message = str(refused.value)
    assert "llama3.3:70b do not fit on a node of Standard_D8as_v5" in message
    assert "pulumi config set --path ollamazure:cluster.modelSize Standard_E8as_v5" in message


def test_more_replicas_than_the_database_has_connections_are_refused() -> None:
    few = {"databaseSize": "Standard_B1ms", "webuiReplicas": 2, "mostWebuiReplicas": 30}
    with pytest.raises(SizingError, match="Standard_B1ms accepts too few connections for 30"):
        make_cluster_plan(settings(cluster=few))


def test_all_replicas_together_stay_below_the_limit_of_the_database() -> None:
    plan = make_cluster_plan(settings(cluster={"databaseSize": "Standard_B1ms"}))
    assert (plan.webui_replicas[1] + 1) * 2 * plan.database_pool_size <= 35


def test_a_note_for_a_small_team_names_the_cheaper_machine() -> None:
    small, medium = settings(), settings(scale="medium")
    note = machine_instead(make_cluster_plan(small), small)
    assert note is not None
    assert "engine machine with Standard_D8as_v5" in note
    assert machine_instead(make_cluster_plan(medium), medium) is None


def test_a_cluster_of_ones_own_is_not_paid_for() -> None:
    subnet = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
        "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat"
    )
    own = {
        "kubeconfig": "x",
        "oidcIssuer": "https://oidc.example.com",
        "endpointSubnetId": subnet,
        "databaseSubnetId": subnet,
    }
    there, new = settings(cluster=own), settings()
    assert (
        cluster_cost(make_cluster_plan(there), there).amount
        < cluster_cost(make_cluster_plan(new), new).amount / 2
    )

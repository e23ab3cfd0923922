"""A cluster and the services beside it, as GETs and list actions show them."""

from __future__ import annotations

import base64
import json

import pytest

from emulator.azure.errors import AzureError
from tests.unit.emulator.azure import clusters
from tests.unit.emulator.azure.cloud import GROUP, INTERFACES, Cloud


@pytest.fixture
def cluster(cloud: Cloud) -> Cloud:
    return clusters.add_cluster(cloud)


def test_a_cluster_shows_its_pools_and_where_it_is(cluster: Cloud) -> None:
    shown = cluster.azure.get(clusters.CLUSTER)["properties"]
    assert [pool["name"] for pool in shown["agentPoolProfiles"]] == ["system", "models"]
    assert shown["currentKubernetesVersion"].startswith("1.35.")
    assert shown["oidcIssuerProfile"]["issuerURL"].startswith("https://francecentral.oic.prod-aks.")
    secrets = cluster.azure.read_secrets(clusters.CLUSTER, "listClusterUserCredential")
    kubeconfig = json.loads(base64.b64decode(secrets["kubeconfigs"][0]["value"]))
    assert kubeconfig["clusters"][0]["cluster"]["server"] == f"https://{shown['fqdn']}:443"


def test_an_update_of_the_cluster_keeps_the_other_pools(cluster: Cloud) -> None:
    issuer = cluster.azure.get(clusters.CLUSTER)["properties"]["oidcIssuerProfile"]
    cluster.put(clusters.CLUSTER, {**clusters.BODIES[clusters.CLUSTER], "tags": {"team": "chat"}})
    shown = cluster.azure.get(clusters.CLUSTER)["properties"]
    assert len(shown["agentPoolProfiles"]) == 2
    assert shown["oidcIssuerProfile"] == issuer


def test_secrets_are_only_in_list_actions(cluster: Cloud) -> None:
    keys = cluster.azure.read_secrets(clusters.CACHE_DATABASE, "listKeys")
    again = cluster.azure.read_secrets(clusters.CACHE_DATABASE.upper(), "LISTKEYS")
    assert keys == again and len(set(keys.values())) == 2
    shown = json.dumps([cluster.azure.get(each) for each in clusters.BODIES])
    assert clusters.PASSWORD not in shown
    assert not any(key in shown for key in keys.values())
    with pytest.raises(AzureError, match="InvalidResourceType"):
        cluster.azure.read_secrets(clusters.CACHE, "listKeys")


def test_a_private_endpoint_has_an_address_and_a_name(cluster: Cloud) -> None:
    (configuration,) = cluster.azure.get(clusters.ENDPOINT_ZONES)["properties"][
        "privateDnsZoneConfigs"
    ]
    (record,) = configuration["properties"]["recordSets"]
    assert record["fqdn"] == "chat.privatelink.redis.azure.net"
    assert record["ipAddresses"] == ["10.1.4.36"]
    clusters.add_endpoint_of_files(cluster)
    with pytest.raises(AzureError, match="NicInUse"):
        cluster.delete(f"{INTERFACES}/cache.nic")
    cluster.delete(clusters.ENDPOINT)
    assert not cluster.exists(f"{INTERFACES}/cache.nic")
    assert not cluster.exists(clusters.ENDPOINT_ZONES)


def test_deleting_the_group_leaves_nothing(cluster: Cloud) -> None:
    cluster.delete(GROUP)
    assert not cluster.azure.store.read().resources

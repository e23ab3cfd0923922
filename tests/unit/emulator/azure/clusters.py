"""What a chat on a cluster creates in Azure, and the rules of these types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.unit.emulator.azure.cloud import (
    ACCOUNT,
    GROUP,
    IDENTITIES,
    NETWORKS,
    STORAGE_ACCOUNT,
    Body,
    Cloud,
    changed,
)

NODES, FOR_DATABASE, ENDPOINTS = (
    f"{NETWORKS}/vnet/subnets/{name}" for name in ("nodes", "database", "endpoints")
)
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/chat"
POOL = f"{CLUSTER}/agentPools/models"
SYSTEM_POOL = f"{CLUSTER}/agentPools/system"
SERVERS = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers"
SERVER = f"{SERVERS}/chat-0123456789ab"
EXTENSIONS, DATABASE = f"{SERVER}/configurations/azure.extensions", f"{SERVER}/databases/openwebui"
CACHES = f"{GROUP}/providers/Microsoft.Cache/redisEnterprise"
CACHE, CACHE_DATABASE = f"{CACHES}/chat", f"{CACHES}/chat/databases/default"
ZONES = f"{GROUP}/providers/Microsoft.Network/privateDnsZones"
ZONE, CACHE_ZONE = (
    f"{ZONES}/chat.private.postgres.database.azure.com",
    f"{ZONES}/privatelink.redis.azure.net",
)
LINK = f"{ZONE}/virtualNetworkLinks/cluster"
ENDPOINT = f"{GROUP}/providers/Microsoft.Network/privateEndpoints/cache"
ENDPOINT_ZONES = f"{ENDPOINT}/privateDnsZoneGroups/default"
IDENTITY = f"{IDENTITIES}/cluster"
PASSWORD = "Correct-Horse-Battery-5"
REGION = {"location": "francecentral"}

_NETWORK: Body = {
    **REGION,
    "properties": {
        "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
        "subnets": [
            {"name": "nodes", "properties": {"addressPrefix": "10.1.0.0/22"}},
            {
                "name": "database",
                "properties": {
                    "addressPrefix": "10.1.4.0/27",
                    "delegations": [
                        {
                            "name": "postgresql",
                            "properties": {
                                "serviceName": "Microsoft.DBforPostgreSQL/flexibleServers"
                            },
                        }
                    ],
                },
            },
            {"name": "endpoints", "properties": {"addressPrefix": "10.1.4.32/27"}},
        ],
    },
}
_NODES: Body = {"vmSize": "Standard_D4as_v5", "vnetSubnetID": NODES, "count": 2}
BODIES: dict[str, Body] = {
    f"{NETWORKS}/vnet": _NETWORK,
    IDENTITY: REGION,
    CLUSTER: {
        **REGION,
        "sku": {"name": "Base", "tier": "Free"},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "dnsPrefix": "chat",
            "kubernetesVersion": "1.35",
            "oidcIssuerProfile": {"enabled": True},
            "securityProfile": {"workloadIdentity": {"enabled": True}},
            "networkProfile": {"networkPlugin": "azure", "networkPluginMode": "overlay"},
            "agentPoolProfiles": [{"name": "system", "mode": "System", **_NODES}],
        },
    },
    POOL: {"properties": {**_NODES, "count": 1}},
    ZONE: {"location": "global"},
    LINK: {"location": "global", "properties": {"virtualNetwork": {"id": f"{NETWORKS}/vnet"}}},
    SERVER: {
        **REGION,
        "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
        "properties": {
            "version": "17",
            "administratorLogin": "chat",
            "administratorLoginPassword": PASSWORD,
            "storage": {"storageSizeGB": 32},
            "backup": {"backupRetentionDays": 35},
            "network": {
                "delegatedSubnetResourceId": FOR_DATABASE,
                "privateDnsZoneArmResourceId": ZONE,
            },
        },
    },
    EXTENSIONS: {"properties": {"value": "VECTOR,PGCRYPTO", "source": "user-override"}},
    DATABASE: {"properties": {"charset": "UTF8", "collation": "en_US.utf8"}},
    CACHE: {
        **REGION,
        "sku": {"name": "Balanced_B0"},
        "properties": {"publicNetworkAccess": "Disabled"},
    },
    CACHE_DATABASE: {
        "properties": {
            "accessKeysAuthentication": "Enabled",
            "clusteringPolicy": "EnterpriseCluster",
        }
    },
    CACHE_ZONE: {"location": "global"},
    ENDPOINT: {
        **REGION,
        "properties": {
            "subnet": {"id": ENDPOINTS},
            "privateLinkServiceConnections": [
                {
                    "name": "cache",
                    "properties": {"privateLinkServiceId": CACHE, "groupIds": ["redisEnterprise"]},
                }
            ],
        },
    },
    ENDPOINT_ZONES: {
        "properties": {
            "privateDnsZoneConfigs": [
                {"name": "cache", "properties": {"privateDnsZoneId": CACHE_ZONE}}
            ]
        }
    },
}
"""Everything, in an order that it can be created in."""


def add_cluster(cloud: Cloud) -> Cloud:
    """Create everything."""
    for resource_id, body in BODIES.items():
        cloud.put(resource_id, body)
    return cloud


def _change(
    resource_id: str, path: str, value: Any, *, exists: bool = True
) -> Callable[[Cloud], object]:
    """PUT one of the resources with one change, when all exist or when what it needs does."""

    def attempt(cloud: Cloud) -> None:
        for each, body in BODIES.items():
            if not exists and each == resource_id:
                break
            cloud.put(each, body)
        cloud.put(resource_id, changed(BODIES[resource_id], path, value))

    return attempt


def _new(resource_id: str, path: str, value: Any) -> Callable[[Cloud], object]:
    return _change(resource_id, path, value, exists=False)


def _named(name: str, like: str) -> Callable[[Cloud], object]:
    """PUT a resource under another name."""

    def attempt(cloud: Cloud) -> None:
        add_cluster(cloud).put(f"{like.rpartition('/')[0]}/{name}", BODIES[like])

    return attempt


def _without(resource_id: str) -> Callable[[Cloud], object]:
    return lambda cloud: add_cluster(cloud).delete(resource_id)


def _without_the_link(cloud: Cloud) -> None:
    """Create the server again when its network does not ask its zone."""
    add_cluster(cloud)
    cloud.delete(SERVER)
    cloud.delete(LINK)
    cloud.put(SERVER, BODIES[SERVER])


_PASSWORD = "properties.administratorLoginPassword"
_CONNECTION = "properties.privateLinkServiceConnections.0.properties"
RULES: list[tuple[str, Callable[[Cloud], object], str, str]] = [
    (
        "cluster-name",
        _named("chat-", CLUSTER),
        "InvalidParameter",
        "The value of parameter resourceName is invalid: 'chat-'.",
    ),
    (
        "cluster-dns-prefix",
        _new(CLUSTER, "properties.dnsPrefix", "my_chat"),
        "InvalidDNSPrefix",
        "The dnsPrefix 'my_chat' is not valid.",
    ),
    (
        "cluster-version",
        _new(CLUSTER, "properties.kubernetesVersion", "1.27"),
        "K8sVersionNotSupported",
        "Managed cluster chat is on version 1.27 which is not supported in this region.",
    ),
    (
        "cluster-version-never-goes-down",
        _change(CLUSTER, "properties.kubernetesVersion", "1.34"),
        "OperationNotAllowed",
        "Upgrading Kubernetes version from 1.35 to 1.34 is not allowed",
    ),
    (
        "cluster-network-fixed",
        _change(CLUSTER, "properties.networkProfile.podCidr", "10.200.0.0/16"),
        "PropertyChangeNotAllowed",
        "Changing property 'networkProfile' is not allowed.",
    ),
    (
        "cluster-needs-a-system-pool",
        _new(CLUSTER, "properties.agentPoolProfiles.0.mode", "User"),
        "BadRequest",
        "There has to be at least one system agent pool.",
    ),
    (
        "cluster-keeps-a-system-pool",
        _without(SYSTEM_POOL),
        "BadRequest",
        "There has to be at least one system agent pool.",
    ),
    (
        "workload-identity-needs-the-issuer",
        _new(CLUSTER, "properties.oidcIssuerProfile", None),
        "BadRequest",
        "Workload identity needs the OIDC issuer.",
    ),
    (
        "cluster-keeps-its-issuer",
        _change(CLUSTER, "properties.oidcIssuerProfile", None),
        "OIDCIssuerFeatureCannotBeDisabled",
        "The OIDC issuer feature cannot be disabled.",
    ),
    (
        "pool-name",
        _named("gpu-pool", POOL),
        "InvalidParameter",
        "The value of parameter agentPoolProfile.name is invalid: 'gpu-pool'.",
    ),
    (
        "pool-size",
        _new(POOL, "properties.vmSize", "Standard_Z9"),
        "BadRequest",
        "The VM size of Standard_Z9 is not allowed in your subscription in location",
    ),
    (
        "pool-size-fixed",
        _change(POOL, "properties.vmSize", "Standard_D8as_v5"),
        "PropertyChangeNotAllowed",
        "Changing property 'vmSize' is not allowed.",
    ),
    (
        "pool-older-than-its-cluster",
        _new(POOL, "properties.orchestratorVersion", "1.36"),
        "NodePoolMcVersionIncompatible",
        "Node pool version 1.36 and control plane version 1.35 are incompatible.",
    ),
    (
        "nodes-in-no-delegated-subnet",
        _new(POOL, "properties.vnetSubnetID", FOR_DATABASE),
        "SubnetIsDelegated",
        "cannot be used as it's a delegated subnet.",
    ),
    (
        "subnet-with-nodes-stays",
        _without(NODES),
        "InUseSubnetCannotBeDeleted",
        "Subnet nodes is in use by",
    ),
    (
        "server-name",
        _named("Chat", SERVER),
        "InvalidServerName",
        "The server name 'Chat' is not valid.",
    ),
    (
        "server-name-in-all-of-azure",
        lambda c: (
            c.put(GROUP.replace("/chat", "/other"), REGION),
            add_cluster(c).put(SERVER.replace("Groups/chat", "Groups/other"), BODIES[SERVER]),
        ),
        "ServerNameAlreadyExists",
        "Specified server name is already used.",
    ),
    (
        "server-login",
        _new(SERVER, "properties.administratorLogin", "azure_superuser"),
        "InvalidParameterValue",
        "Invalid value given for parameter administratorLogin.",
    ),
    (
        "server-password",
        _new(SERVER, _PASSWORD, "onlylowercase"),
        "PasswordTooWeak",
        "Password is too weak.",
    ),
    (
        "server-subnet-is-delegated",
        _new(SERVER, "properties.network.delegatedSubnetResourceId", ENDPOINTS),
        "InvalidParameterValue",
        "is not delegated to Microsoft.DBforPostgreSQL/flexibleServers.",
    ),
    (
        "server-network-fixed",
        _change(SERVER, "properties.network.delegatedSubnetResourceId", ENDPOINTS),
        "ParameterNotUpdatable",
        "The property 'network' of server 'chat-0123456789ab' cannot be changed.",
    ),
    (
        "server-zone-name",
        _new(SERVER, "properties.network.privateDnsZoneArmResourceId", CACHE_ZONE),
        "InvalidResourceReference",
        "referenced by property 'privateDnsZoneArmResourceId' was not found.",
    ),
    (
        "server-zone-is-linked",
        _without_the_link,
        "PrivateDnsZoneNotLinkedToVirtualNetwork",
        "is not linked to the virtual network",
    ),
    (
        "server-tier",
        _new(SERVER, "sku.tier", "GeneralPurpose"),
        "InvalidParameterValue",
        "The size 'Standard_B1ms' is not one of the tier 'GeneralPurpose'.",
    ),
    (
        "no-standby-of-a-burstable-server",
        _new(SERVER, "properties.highAvailability", {"mode": "ZoneRedundant"}),
        "HANotSupportedForBurstable",
        "High availability is not supported for the Burstable tier.",
    ),
    (
        "server-storage-size",
        _new(SERVER, "properties.storage.storageSizeGB", 40),
        "InvalidParameterValue",
        "The storage size 40 is not possible.",
    ),
    (
        "server-retention",
        _new(SERVER, "properties.backup.backupRetentionDays", 36),
        "InvalidParameterValue",
        "Invalid value given for parameter backupRetentionDays: 36.",
    ),
    (
        "server-extension",
        _change(EXTENSIONS, "properties.value", "VECTOR,FOO"),
        "InvalidParameterValue",
        "The value: [FOO] of Server Parameter: [azure.extensions] is invalid.",
    ),
    (
        "server-parameter-stays",
        _without(EXTENSIONS),
        "MethodNotAllowed",
        "A server parameter cannot be deleted.",
    ),
    (
        "database-name",
        _named("open.webui", DATABASE),
        "InvalidDatabaseName",
        "The database name 'open.webui' is not valid.",
    ),
    (
        "database-charset-fixed",
        _change(DATABASE, "properties.charset", "LATIN1"),
        "InvalidParameterValue",
        "The property 'charset' of a database cannot be changed.",
    ),
    (
        "cache-name",
        _named("my--cache", CACHE),
        "InvalidResourceName",
        "The name 'my--cache' is not valid.",
    ),
    (
        "cache-size",
        _new(CACHE, "sku.name", "Enterprise_E5"),
        "InvalidParameter",
        "The SKU 'Enterprise_E5' is not valid.",
    ),
    (
        "cache-database-name",
        _named("other", CACHE_DATABASE),
        "InvalidResourceName",
        "The name of the database is 'default', not 'other'.",
    ),
    (
        "cache-policy-fixed",
        _change(CACHE_DATABASE, "properties.clusteringPolicy", "OSSCluster"),
        "BadRequest",
        "The property 'clusteringPolicy' cannot be changed.",
    ),
    (
        "keys-of-a-cache-without-keys",
        lambda c: (
            _change(CACHE_DATABASE, "properties.accessKeysAuthentication", "Disabled")(c),
            c.azure.read_secrets(CACHE_DATABASE, "listKeys"),
        ),
        "BadRequest",
        "Access keys authentication is disabled for this database.",
    ),
    (
        "zone-name",
        _named("localhost", ZONE),
        "BadRequest",
        "The zone name 'localhost' is not valid.",
    ),
    (
        "zone-with-links-stays",
        _without(ZONE),
        "CannotDeleteResource",
        "Can not delete resource before nested resources are deleted.",
    ),
    (
        "network-linked-once",
        _named("again", LINK),
        "BadRequest",
        "A virtual network cannot be linked to multiple zones with overlapping namespaces.",
    ),
    (
        "endpoint-needs-a-subnet",
        _new(ENDPOINT, "properties.subnet", None),
        "SubnetIsRequired",
        "Subnet reference is required for",
    ),
    (
        "endpoint-has-one-connection",
        _new(ENDPOINT, "properties.privateLinkServiceConnections", []),
        "PrivateEndpointMustHaveExactlyOneConnection",
        "must have exactly one connection to a service.",
    ),
    (
        "endpoint-part",
        _new(ENDPOINT, f"{_CONNECTION}.groupIds", ["blob"]),
        "PrivateEndpointCreationNotAllowedAsSubResourceIsInvalid",
        "It is one of redisEnterprise.",
    ),
    *(
        (f"not-emulated-{what}", attempt, "NotEmulated", "docs/explanation/emulator.md")
        for what, attempt in (
            ("cluster-without-an-identity", _new(CLUSTER, "identity", None)),
            ("server-with-a-public-address", _new(SERVER, "properties.network", None)),
            ("server-parameter", _named("work_mem", EXTENSIONS)),
            (
                "cache-with-a-public-address",
                _new(CACHE, "properties.publicNetworkAccess", "Enabled"),
            ),
            (
                "cache-of-several-servers",
                _new(CACHE_DATABASE, "properties.clusteringPolicy", "OSSCluster"),
            ),
            (
                "endpoint-of-a-machine",
                _new(ENDPOINT, f"{_CONNECTION}.privateLinkServiceId", IDENTITY),
            ),
        )
    ),
]
"""Name, attempt, code, and part of the message."""


def add_endpoint_of_files(cloud: Cloud) -> None:
    """Create a private endpoint of the blobs of a storage account."""
    cloud.put(ACCOUNT, STORAGE_ACCOUNT)
    body = changed(BODIES[ENDPOINT], f"{_CONNECTION}.privateLinkServiceId", ACCOUNT)
    cloud.put(f"{ENDPOINT}2", changed(body, f"{_CONNECTION}.groupIds", ["blob"]))

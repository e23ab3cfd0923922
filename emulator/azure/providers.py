"""All resource types with rules, by their names in Azure's spelling."""

from __future__ import annotations

from collections.abc import Callable

from emulator.azure.addresses import PublicAddress
from emulator.azure.alerts import ActionGroup, AlertProcessingRule, MetricAlert
from emulator.azure.availability import Component, LogWorkspace, WebTest
from emulator.azure.caches import Cache, CacheDatabase, list_keys
from emulator.azure.clusters import AgentPool, ManagedCluster, list_credentials
from emulator.azure.databases import Database, DatabaseServer, ServerConfiguration
from emulator.azure.disks import Disk
from emulator.azure.groups import ResourceGroup
from emulator.azure.identities import FederatedCredential, UserAssignedIdentity
from emulator.azure.interfaces import NetworkInterface
from emulator.azure.kinds import ResourceKind
from emulator.azure.machines import VirtualMachine
from emulator.azure.names import (
    ACTION_GROUP,
    ADDRESS,
    BLOB_SERVICE,
    CACHE,
    CACHE_DATABASE,
    CLUSTER,
    COMPONENT,
    CONTAINER,
    DATABASE,
    DATABASE_SERVER,
    DISK,
    ENDPOINT_ZONES,
    FEDERATED_CREDENTIAL,
    GROUP,
    IDENTITY,
    INTERFACE,
    MACHINE,
    METRIC_ALERT,
    NAT_GATEWAY,
    NETWORK,
    POOL,
    PRIVATE_ENDPOINT,
    PRIVATE_ZONE,
    PROCESSING_RULE,
    ROLE_ASSIGNMENT,
    SECURITY_GROUP,
    SERVER_CONFIGURATION,
    STORAGE_ACCOUNT,
    SUBNET,
    VAULT,
    VAULT_KEY,
    WEB_TEST,
    WORKFLOW,
    WORKSPACE,
    ZONE_LINK,
)
from emulator.azure.nat_gateways import NatGateway
from emulator.azure.networks import Subnet, VirtualNetwork
from emulator.azure.private_links import EndpointZones, PrivateEndpoint, PrivateZone, ZoneLink
from emulator.azure.roles import RoleAssignment
from emulator.azure.security_groups import SecurityGroup
from emulator.azure.storage import BlobService, Container, StorageAccount
from emulator.azure.store import Body
from emulator.azure.vaults import Vault, VaultKey
from emulator.azure.workflows import Workflow

KINDS: dict[str, ResourceKind] = {
    GROUP: ResourceGroup(),
    NETWORK: VirtualNetwork(),
    SUBNET: Subnet(),
    SECURITY_GROUP: SecurityGroup(),
    ADDRESS: PublicAddress(),
    NAT_GATEWAY: NatGateway(),
    INTERFACE: NetworkInterface(),
    DISK: Disk(),
    MACHINE: VirtualMachine(),
    IDENTITY: UserAssignedIdentity(),
    FEDERATED_CREDENTIAL: FederatedCredential(),
    VAULT: Vault(),
    VAULT_KEY: VaultKey(),
    STORAGE_ACCOUNT: StorageAccount(),
    BLOB_SERVICE: BlobService(),
    CONTAINER: Container(),
    CLUSTER: ManagedCluster(),
    POOL: AgentPool(),
    DATABASE_SERVER: DatabaseServer(),
    SERVER_CONFIGURATION: ServerConfiguration(),
    DATABASE: Database(),
    CACHE: Cache(),
    CACHE_DATABASE: CacheDatabase(),
    PRIVATE_ZONE: PrivateZone(),
    ZONE_LINK: ZoneLink(),
    PRIVATE_ENDPOINT: PrivateEndpoint(),
    ENDPOINT_ZONES: EndpointZones(),
    WORKFLOW: Workflow(),
    ROLE_ASSIGNMENT: RoleAssignment(),
    ACTION_GROUP: ActionGroup(),
    METRIC_ALERT: MetricAlert(),
    PROCESSING_RULE: AlertProcessingRule(),
    WORKSPACE: LogWorkspace(),
    COMPONENT: Component(),
    WEB_TEST: WebTest(),
}

SECRETS: dict[tuple[str, str], Callable[[Body], Body]] = {
    (CACHE_DATABASE, "listkeys"): list_keys,
    (CLUSTER, "listclusterusercredential"): list_credentials,
}
"""The actions that show secrets, by type and lower-cased name: what they show of a stored body."""

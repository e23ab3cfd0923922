"""ARM resource ids, and the names Azure allows in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.azure.errors import AzureError

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
"""The one that the program and clients sign in to; the emulated Azure accepts any."""

GROUP = "Microsoft.Resources/resourceGroups"
NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups"
ADDRESS = "Microsoft.Network/publicIPAddresses"
NAT_GATEWAY = "Microsoft.Network/natGateways"
INTERFACE = "Microsoft.Network/networkInterfaces"
DISK = "Microsoft.Compute/disks"
MACHINE = "Microsoft.Compute/virtualMachines"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
FEDERATED_CREDENTIAL = (
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
)
VAULT = "Microsoft.KeyVault/vaults"
VAULT_KEY = "Microsoft.KeyVault/vaults/keys"
STORAGE_ACCOUNT = "Microsoft.Storage/storageAccounts"
BLOB_SERVICE = "Microsoft.Storage/storageAccounts/blobServices"
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"
CLUSTER = "Microsoft.ContainerService/managedClusters"
POOL = "Microsoft.ContainerService/managedClusters/agentPools"
DATABASE_SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"
SERVER_CONFIGURATION = "Microsoft.DBforPostgreSQL/flexibleServers/configurations"
DATABASE = "Microsoft.DBforPostgreSQL/flexibleServers/databases"
CACHE = "Microsoft.Cache/redisEnterprise"
CACHE_DATABASE = "Microsoft.Cache/redisEnterprise/databases"
PRIVATE_ZONE = "Microsoft.Network/privateDnsZones"
ZONE_LINK = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
PRIVATE_ENDPOINT = "Microsoft.Network/privateEndpoints"
ENDPOINT_ZONES = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"
WORKFLOW = "Microsoft.Logic/workflows"
ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
ACTION_GROUP = "Microsoft.Insights/actionGroups"
METRIC_ALERT = "Microsoft.Insights/metricAlerts"
PROCESSING_RULE = "Microsoft.AlertsManagement/actionRules"
WEB_TEST = "Microsoft.Insights/webtests"
COMPONENT = "Microsoft.Insights/components"
WORKSPACE = "Microsoft.OperationalInsights/workspaces"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"(/providers/(?P<namespace>[^/]+)(?P<rest>(/[^/]+/[^/]+)+))?",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"(?P<scope>/.+)/providers/(?P<type>Microsoft\.Authorization/[^/]+)/(?P<name>[^/]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ResourceId:
    """One ARM id. `names` are its own name, after its parents' names if it has parents.

    A resource group is a resource too: type `Microsoft.Resources/resourceGroups`, its own name.
    A resource that extends another one, such as a role assignment, has that one as its `scope`.
    """

    subscription: str
    group: str
    type: str
    names: tuple[str, ...]
    scope: ResourceId | None = None

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Read an ARM id. Raises AzureError LinkedInvalidPropertyId or InvalidSubscriptionId."""
        extension = _EXTENSION.fullmatch(text)
        if extension is not None:
            return cls.parse(extension["scope"]).extension(extension["type"], extension["name"])
        match = _ID.fullmatch(text)
        if match is None:
            raise AzureError(
                "LinkedInvalidPropertyId",
                f"Property id '{text}' is invalid. Expect fully qualified resource Id that start"
                " with '/subscriptions/{subscriptionId}' or"
                " '/providers/{resourceProviderNamespace}/'.",
            )
        subscription, group = match["subscription"], match["group"]
        if not _GUID.fullmatch(subscription):
            raise AzureError(
                "InvalidSubscriptionId",
                f"The provided subscription identifier '{subscription}' is malformed or invalid.",
            )
        if match["namespace"] is None:
            return cls(subscription, group, GROUP, (group,))
        parts = match["rest"].split("/")[1:]
        return cls(
            subscription, group, "/".join([match["namespace"], *parts[0::2]]), tuple(parts[1::2])
        )

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        if self.scope is not None:
            return f"{self.scope}/providers/{self.type}/{self.name}"
        if self.type == GROUP:
            return group
        namespace, *types = self.type.split("/")
        path = "".join(f"/{kind}/{name}" for kind, name in zip(types, self.names, strict=True))
        return f"{group}/providers/{namespace}{path}"

    @property
    def key(self) -> str:
        """The id in lower case: ARM ids that differ only in case are the same."""
        return str(self).lower()

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def parent(self) -> ResourceId:
        """The id of its parent: a subnet's network, a network's group, an extension's scope."""
        if self.scope is not None:
            return self.scope
        if len(self.names) > 1:
            return ResourceId(
                self.subscription, self.group, self.type.rpartition("/")[0], self.names[:-1]
            )
        return ResourceId(self.subscription, self.group, GROUP, (self.group,))

    def child(self, kind: str, name: str) -> ResourceId:
        """The id of its child `kind/name`."""
        return ResourceId(self.subscription, self.group, f"{self.type}/{kind}", (*self.names, name))

    def extension(self, type_: str, name: str) -> ResourceId:
        """The id of a resource that extends it."""
        return ResourceId(self.subscription, self.group, type_, (name,), self)

    def sibling(self, type_: str, name: str) -> ResourceId:
        """The id of a resource of another type in the same resource group."""
        return ResourceId(self.subscription, self.group, type_, (name,))


def check_network_name(name: str, longest: int = 80, shortest: int = 1) -> None:
    """Check a name of a network, group, address, interface or rule. Raises InvalidResourceName."""
    fits = shortest <= len(name) <= longest
    if not fits or not re.fullmatch(r"[A-Za-z0-9]([\w.-]*\w)?", name, re.ASCII):
        raise AzureError(
            "InvalidResourceName",
            f"Resource name {name} is invalid. The name can be up to {longest} characters long."
            " It must begin with a word character, and it must end with a word character or with"
            " '_'. The name may contain word characters or '.', '-', '_'.",
        )


def check_group_name(name: str) -> None:
    """Check a name: 1-90 letters, digits, `_-.()`, no final period. Raises InvalidResourceGroup."""
    if not 1 <= len(name) <= 90 or not re.fullmatch(r"[\w.()-]*[\w()-]", name):
        raise AzureError(
            "InvalidResourceGroup",
            f"The provided resource group name '{name}' has invalid characters or is too long."
            " The name can only be a letter, digit, '-', '.', '(', ')' or '_', up to 90 of them,"
            " and cannot end with a '.'.",
        )


def check_compute_name(name: str, parameter: str, longest: int) -> None:
    """Check a name of a disk (80 characters) or machine (64). Raises InvalidParameter."""
    rule = rf"^[^_\W][\w-._]{{0,{longest - 1}}}(?<![-.])$"
    if len(name) > longest or not re.fullmatch(r"[^_\W]([\w.-]*\w)?", name, re.ASCII):
        raise AzureError(
            "InvalidParameter",
            f"The entity name '{parameter}' is invalid according to its validation rule: {rule}.",
            target=parameter,
        )

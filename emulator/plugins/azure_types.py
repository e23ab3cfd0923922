"""Pulumi's form of ARM bodies: flattened, and with the parts of the id among the inputs.

In ARM a virtual network is `{location, properties: {addressSpace, subnets: [{name, properties:
{…}}]}}` under an id; in Pulumi it is `{resourceGroupName, virtualNetworkName, location,
addressSpace, subnets: [{name, …}]}`. Values here are plain or `UNKNOWN`, never `Secret`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    WEB_TEST,
    WORKFLOW,
    WORKSPACE,
    ZONE_LINK,
    ResourceId,
)
from emulator.azure.shapes import ANY, Misfit, Shape, field_names, misfits, resource_type
from emulator.azure.storage import BLOB_DEFAULTS
from emulator.plugins.values import UNKNOWN, Properties, Unknown

CREATE_BEFORE_DELETE = "__createBeforeDelete"
"""The official provider's mark on inputs whose name it generated."""

_IDS: Shape = ["string"]
"""Ids that are a list in the inputs, and an object in ARM and in the outputs."""

_NEVER_RETURNED = frozenset(
    {"adminPassword", "administratorLoginPassword", "customData", "userData"}
)


@dataclass(frozen=True)
class NativeType:
    """One resource type of pulumi-azure-native 3.29.0.

    `path` are the inputs that form the id, the resource's own name last; a part of it that starts
    with / is always that word, and an extension's path starts with its scope. `replaces` are the
    other inputs that replace the resource; `maintained` is the property that stays as it is when an
    update does not mention it; `outputs` are what Azure adds to the inputs. `renamed` are
    properties that have another name in ARM, at whatever depth, by that name; a name of ARM in
    capitals only starts with a small letter here. `initial` is the body that Azure gives
    a resource that always exists: creating changes it, and deleting puts it back. `nested` is
    whether `properties` stay an object of their own.
    """

    token: str
    arm: str
    path: tuple[str, ...]
    outputs: tuple[str, ...]
    replaces: frozenset[str] = frozenset({"location"})
    maintained: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    initial: Properties | None = None
    nested: bool = False

    @property
    def name_input(self) -> str:
        return self.path[-1]

    @property
    def path_names(self) -> tuple[str, ...]:
        """The inputs that form the id."""
        return tuple(name for name in self.path if not name.startswith("/"))

    @property
    def api_version(self) -> str:
        return resource_type(self.arm).api_versions[0]

    @property
    def shape(self) -> dict[str, Shape]:
        """The inputs without the path, flattened."""
        body = resource_type(self.arm).body
        flat: dict[str, Shape] = body if self.nested else flatten_shape(body, self.renamed)
        return flat

    @property
    def function(self) -> str:
        """The token of the function that reads such a resource."""
        module, _, name = self.token.rpartition(":")
        return f"{module}:get{name}"

    def check(self, inputs: Properties) -> list[Misfit]:
        """The places where the inputs do not fit their types."""
        paths: dict[str, Shape] = {f"{name}!": "string" for name in self.path_names}
        marks: dict[str, Shape] = {CREATE_BEFORE_DELETE: "boolean", "azureApiVersion": "string"}
        return list(misfits({**self.shape, **paths, **marks}, _unknown_as_any(inputs)))

    def id(self, inputs: Properties, subscription: str) -> str:
        """The ARM id that the inputs form."""
        first, *names = (each[1:] if each[0] == "/" else inputs[each] for each in self.path)
        if self.path[0] == "scope":
            return str(ResourceId.parse(first).extension(self.arm, names[0]))
        return str(ResourceId(subscription, first, self.arm, tuple(names) or (first,)))

    def path_inputs(self, resource_id: str) -> Properties:
        """The inputs that form this id."""
        id_ = ResourceId.parse(resource_id)
        values = (id_.group,) if self.arm == GROUP else (str(id_.scope or id_.group), *id_.names)
        pairs = zip(self.path, values, strict=True)
        return {name: value for name, value in pairs if not name.startswith("/")}

    def body(self, inputs: Properties) -> Properties:
        """The ARM body of the inputs."""
        if self.nested:
            return self.project(inputs)
        body: Properties = _to_arm(resource_type(self.arm).body, inputs, self.renamed)
        return body

    def outputs_of(self, body: Properties) -> Properties:
        """The outputs of an ARM body."""
        flat: Properties = body if self.nested else _flatten(body, self.renamed)
        return {**flat, "azureApiVersion": self.api_version}

    def preview(self, inputs: Properties) -> Properties:
        """The outputs as far as the inputs determine them; everything else is unknown."""
        return {**_preview(self.shape, inputs), **dict.fromkeys(self.outputs, UNKNOWN)}

    def project(self, outputs: Properties) -> Properties:
        """The part of the outputs that can be inputs."""
        projected: Properties = _project(self.shape, outputs)
        return projected


def _our_name(name: str, renamed: Mapping[str, str]) -> str:
    """The name of ARM's property here; the mark of a required one stays."""
    plain = name.rstrip("!")
    return renamed.get(plain, f"{plain[0].lower()}{plain[1:]}") + name[len(plain) :]


def flatten_shape(shape: Shape, renamed: Mapping[str, str]) -> Shape:
    """A shape in Pulumi's form."""
    if isinstance(shape, list):
        return [flatten_shape(shape[0], renamed)]
    if not isinstance(shape, dict):
        return _IDS if shape == "ids" else shape
    outer = {
        _our_name(name, renamed): flatten_shape(inner, renamed)
        for name, inner in shape.items()
        if name.rstrip("!") != "properties"
    }
    properties = field_names(shape).get("properties")
    return outer if properties is None else {**outer, **flatten_shape(properties, renamed)}


def _flatten(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_flatten(each, renamed) for each in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("properties")
    outer = {
        # The names of tags are the user's.
        _our_name(name, renamed): each if name == "tags" else _flatten(each, renamed)
        for name, each in value.items()
        if name != "properties"
    }
    return {**outer, **_flatten(inner, renamed)} if isinstance(inner, dict) else outer


def _to_arm(shape: Shape, value: Any, renamed: Mapping[str, str]) -> Any:
    if shape == "ids":
        return {id_: {} for id_ in value}
    if isinstance(shape, list):
        return [_to_arm(shape[0], each, renamed) for each in value]
    if not isinstance(shape, dict):
        return value
    body: Properties = {}
    for name, inner in field_names(shape).items():
        if name == "properties":
            properties = _to_arm(inner, value, renamed)
            if properties:
                body["properties"] = properties
        elif value.get(_our_name(name, renamed)) is not None:
            body[name] = _to_arm(inner, value[_our_name(name, renamed)], renamed)
    return body


def _project(shape: Shape, value: Any) -> Any:
    if isinstance(shape, list):
        return [_project(shape[0], each) for each in value]
    if not isinstance(shape, dict):
        return value
    fields = field_names(shape)
    return {
        name: _project(fields[name], list(each) if fields[name] is _IDS else each)
        for name, each in value.items()
        if name in fields
    }


def _preview(shape: Shape, value: Any) -> Any:
    if isinstance(value, Unknown):
        return value
    if shape is _IDS:
        return UNKNOWN
    if isinstance(shape, list):
        return [_preview(shape[0], each) for each in value]
    if not isinstance(shape, dict):
        return value
    return {
        name: UNKNOWN if value.get(name) is None else _preview(inner, value[name])
        for name, inner in field_names(shape).items()
        if name not in _NEVER_RETURNED
    }


def _unknown_as_any(value: Any) -> Any:
    if isinstance(value, Unknown):
        return ANY
    if isinstance(value, dict):
        return {name: _unknown_as_any(each) for name, each in value.items()}
    return [_unknown_as_any(each) for each in value] if isinstance(value, list) else value


_IN_NETWORK = ("id", "name", "type", "etag", "provisioningState", "azureApiVersion")

TYPES: dict[str, NativeType] = {
    each.token: each
    for each in (
        NativeType(
            "azure-native:resources:ResourceGroup",
            GROUP,
            ("resourceGroupName",),
            ("name", "type", "properties", "azureApiVersion"),
            nested=True,
        ),
        NativeType(
            "azure-native:network:VirtualNetwork",
            NETWORK,
            ("resourceGroupName", "virtualNetworkName"),
            (*_IN_NETWORK, "resourceGuid", "privateEndpointVNetPolicies"),
            maintained="subnets",
        ),
        NativeType(
            "azure-native:network:Subnet",
            SUBNET,
            ("resourceGroupName", "virtualNetworkName", "subnetName"),
            (*_IN_NETWORK, "ipConfigurations"),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:network:NetworkSecurityGroup",
            SECURITY_GROUP,
            ("resourceGroupName", "networkSecurityGroupName"),
            (
                *_IN_NETWORK,
                "resourceGuid",
                "defaultSecurityRules",
                "networkInterfaces",
                "subnets",
            ),
            maintained="securityRules",
        ),
        NativeType(
            "azure-native:network:PublicIPAddress",
            ADDRESS,
            ("resourceGroupName", "publicIpAddressName"),
            (*_IN_NETWORK, "resourceGuid", "ipAddress", "ipConfiguration", "ipTags"),
            replaces=frozenset({"location", "publicIPAddressVersion", "sku"}),
        ),
        NativeType(
            "azure-native:network:NatGateway",
            NAT_GATEWAY,
            ("resourceGroupName", "natGatewayName"),
            (*_IN_NETWORK, "resourceGuid", "subnets"),
        ),
        NativeType(
            "azure-native:network:NetworkInterface",
            INTERFACE,
            ("resourceGroupName", "networkInterfaceName"),
            (*_IN_NETWORK, "resourceGuid", "macAddress", "nicType", "primary", "virtualMachine"),
        ),
        NativeType(
            "azure-native:compute:Disk",
            DISK,
            ("resourceGroupName", "diskName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion"),
                *("diskSizeBytes", "diskState", "managedBy", "timeCreated", "uniqueId"),
            ),
        ),
        NativeType(
            "azure-native:compute:VirtualMachine",
            MACHINE,
            ("resourceGroupName", "vmName"),
            ("name", "type", "provisioningState", "azureApiVersion", "timeCreated", "vmId"),
        ),
        NativeType(
            "azure-native:managedidentity:UserAssignedIdentity",
            IDENTITY,
            ("resourceGroupName", "resourceName"),
            ("name", "type", "azureApiVersion", "clientId", "principalId", "tenantId"),
        ),
        NativeType(
            "azure-native:storage:StorageAccount",
            STORAGE_ACCOUNT,
            ("resourceGroupName", "accountName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion", "creationTime"),
                *("primaryEndpoints", "primaryLocation", "statusOfPrimary"),
            ),
            renamed={"supportsHttpsTrafficOnly": "enableHttpsTrafficOnly"},
        ),
        NativeType(
            "azure-native:storage:BlobServiceProperties",
            BLOB_SERVICE,
            ("resourceGroupName", "accountName", "blobServicesName"),
            ("name", "type", "azureApiVersion"),
            replaces=frozenset(),
            initial={"properties": BLOB_DEFAULTS},
        ),
        NativeType(
            "azure-native:storage:BlobContainer",
            CONTAINER,
            ("resourceGroupName", "accountName", "/default", "containerName"),
            (
                *("name", "type", "azureApiVersion"),
                *("lastModifiedTime", "leaseState", "leaseStatus"),
            ),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:managedidentity:FederatedIdentityCredential",
            FEDERATED_CREDENTIAL,
            ("resourceGroupName", "resourceName", "federatedIdentityCredentialResourceName"),
            ("name", "type", "azureApiVersion"),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:containerservice:ManagedCluster",
            CLUSTER,
            ("resourceGroupName", "resourceName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion", "fqdn", "powerState"),
                *("currentKubernetesVersion", "nodeResourceGroup", "resourceUID"),
            ),
        ),
        NativeType(
            "azure-native:containerservice:AgentPool",
            POOL,
            ("resourceGroupName", "resourceName", "agentPoolName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion"),
                *("currentOrchestratorVersion", "powerState"),
            ),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:dbforpostgresql:Server",
            DATABASE_SERVER,
            ("resourceGroupName", "serverName"),
            (
                *("name", "type", "azureApiVersion"),
                *("availabilityZone", "fullyQualifiedDomainName", "state"),
            ),
        ),
        NativeType(
            "azure-native:dbforpostgresql:Configuration",
            SERVER_CONFIGURATION,
            ("resourceGroupName", "serverName", "configurationName"),
            ("name", "type", "azureApiVersion"),
            replaces=frozenset(),
            initial={"properties": {"value": "", "source": "user-override"}},
        ),
        NativeType(
            "azure-native:dbforpostgresql:Database",
            DATABASE,
            ("resourceGroupName", "serverName", "databaseName"),
            ("name", "type", "azureApiVersion"),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:redisenterprise:RedisEnterprise",
            CACHE,
            ("resourceGroupName", "clusterName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion"),
                *("hostName", "redisVersion", "resourceState"),
            ),
        ),
        NativeType(
            "azure-native:redisenterprise:Database",
            CACHE_DATABASE,
            ("resourceGroupName", "clusterName", "databaseName"),
            ("name", "type", "provisioningState", "azureApiVersion", "resourceState"),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:privatedns:PrivateZone",
            PRIVATE_ZONE,
            ("resourceGroupName", "privateZoneName"),
            (
                *("name", "type", "etag", "provisioningState", "azureApiVersion"),
                *("maxNumberOfRecordSets", "maxNumberOfVirtualNetworkLinks"),
                *("maxNumberOfVirtualNetworkLinksWithRegistration", "numberOfRecordSets"),
                "numberOfVirtualNetworkLinks",
            ),
        ),
        NativeType(
            "azure-native:privatedns:VirtualNetworkLink",
            ZONE_LINK,
            ("resourceGroupName", "privateZoneName", "virtualNetworkLinkName"),
            (
                *("name", "type", "etag", "provisioningState", "azureApiVersion"),
                "virtualNetworkLinkState",
            ),
        ),
        NativeType(
            "azure-native:network:PrivateEndpoint",
            PRIVATE_ENDPOINT,
            ("resourceGroupName", "privateEndpointName"),
            (
                *("name", "type", "etag", "provisioningState", "azureApiVersion"),
                *("customDnsConfigs", "manualPrivateLinkServiceConnections", "networkInterfaces"),
            ),
        ),
        NativeType(
            "azure-native:network:PrivateDnsZoneGroup",
            ENDPOINT_ZONES,
            ("resourceGroupName", "privateEndpointName", "privateDnsZoneGroupName"),
            ("name", "etag", "provisioningState", "azureApiVersion"),
            replaces=frozenset(),
        ),
        NativeType(
            "azure-native:logic:Workflow",
            WORKFLOW,
            ("resourceGroupName", "workflowName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion"),
                *("createdTime", "changedTime"),
            ),
        ),
        NativeType(
            "azure-native:authorization:RoleAssignment",
            ROLE_ASSIGNMENT,
            ("scope", "roleAssignmentName"),
            ("name", "type", "azureApiVersion", "createdOn", "updatedOn"),
            # The official provider has this rule since its pull request 1010.
            replaces=frozenset({"principalId"}),
        ),
        NativeType(
            "azure-native:monitor:ActionGroup",
            ACTION_GROUP,
            ("resourceGroupName", "actionGroupName"),
            ("name", "type", "azureApiVersion"),
        ),
        NativeType(
            "azure-native:monitor:MetricAlert",
            METRIC_ALERT,
            ("resourceGroupName", "ruleName"),
            ("name", "type", "azureApiVersion", "isMigrated", "lastUpdatedTime"),
            renamed={"odata.type": "odataType"},
        ),
        NativeType(
            "azure-native:alertsmanagement:AlertProcessingRuleByName",
            PROCESSING_RULE,
            ("resourceGroupName", "alertProcessingRuleName"),
            ("name", "type", "azureApiVersion"),
            nested=True,
        ),
        NativeType(
            "azure-native:operationalinsights:Workspace",
            WORKSPACE,
            ("resourceGroupName", "workspaceName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion", "customerId"),
                *("createdDate", "modifiedDate", "features"),
            ),
        ),
        NativeType(
            "azure-native:applicationinsights:Component",
            COMPONENT,
            ("resourceGroupName", "resourceName"),
            (
                *("name", "type", "provisioningState", "azureApiVersion", "appId", "tenantId"),
                *("applicationId", "connectionString", "creationDate", "instrumentationKey"),
            ),
            renamed={
                "Application_Type": "applicationType",
                "Flow_Type": "flowType",
                "Request_Source": "requestSource",
            },
        ),
        NativeType(
            "azure-native:applicationinsights:WebTest",
            WEB_TEST,
            ("resourceGroupName", "webTestName"),
            ("name", "type", "provisioningState", "azureApiVersion"),
            renamed={"Id": "location", "Kind": "webTestKind", "Name": "webTestName"},
        ),
    )
}
FUNCTIONS: dict[str, NativeType] = {each.function: each for each in TYPES.values()}

LISTS: dict[str, tuple[NativeType, str]] = {
    "azure-native:containerservice:listManagedClusterUserCredentials": (
        TYPES["azure-native:containerservice:ManagedCluster"],
        "listClusterUserCredential",
    ),
    "azure-native:redisenterprise:listDatabaseKeys": (
        TYPES["azure-native:redisenterprise:Database"],
        "listKeys",
    ),
}
"""The functions that show secrets: the type, and the action in ARM."""

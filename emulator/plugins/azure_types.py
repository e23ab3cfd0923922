"""Pulumi's form of ARM bodies: flattened, and with the parts of the id among the inputs.

In ARM a virtual network is `{location, properties: {addressSpace, subnets: [{name, properties:
{…}}]}}` under an id; in Pulumi it is `{resourceGroupName, virtualNetworkName, location,
addressSpace, subnets: [{name, …}]}`. Values here are plain or `UNKNOWN`, never `Secret`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.azure.names import (
    ADDRESS,
    DISK,
    GROUP,
    INTERFACE,
    MACHINE,
    NAT_GATEWAY,
    NETWORK,
    SECURITY_GROUP,
    SUBNET,
    ResourceId,
)
from emulator.azure.shapes import ANY, Misfit, Shape, field_names, misfits, resource_type
from emulator.plugins.values import UNKNOWN, Properties, Unknown

CREATE_BEFORE_DELETE = "__createBeforeDelete"
"""The official provider's mark on inputs whose name it generated."""

_NEVER_RETURNED = frozenset({"adminPassword", "customData", "userData"})


@dataclass(frozen=True)
class NativeType:
    """One resource type of pulumi-azure-native 3.29.0.

    `path` are the inputs that form the id, the resource's own name last; `replaces` are the other
    inputs that replace the resource; `maintained` is the property that stays as it is when an
    update does not mention it; `outputs` are what Azure adds to the inputs.
    """

    token: str
    arm: str
    path: tuple[str, ...]
    outputs: tuple[str, ...]
    replaces: frozenset[str] = frozenset({"location"})
    maintained: str | None = None

    @property
    def name_input(self) -> str:
        return self.path[-1]

    @property
    def api_version(self) -> str:
        return resource_type(self.arm).api_versions[0]

    @property
    def shape(self) -> dict[str, Shape]:
        """The inputs without the path, flattened."""
        flat: dict[str, Shape] = flatten_shape(resource_type(self.arm).body)
        return flat

    @property
    def function(self) -> str:
        """The token of the function that reads such a resource."""
        module, _, name = self.token.rpartition(":")
        return f"{module}:get{name}"

    def check(self, inputs: Properties) -> list[Misfit]:
        """The places where the inputs do not fit their types."""
        paths: dict[str, Shape] = {f"{name}!": "string" for name in self.path}
        marks: dict[str, Shape] = {CREATE_BEFORE_DELETE: "boolean", "azureApiVersion": "string"}
        return list(misfits({**self.shape, **paths, **marks}, _unknown_as_any(inputs)))

    def id(self, inputs: Properties, subscription: str) -> str:
        """The ARM id that the inputs form."""
        group, *names = (inputs[name] for name in self.path)
        return str(ResourceId(subscription, group, self.arm, tuple(names) or (group,)))

    def path_inputs(self, resource_id: str) -> Properties:
        """The inputs that form this id."""
        id_ = ResourceId.parse(resource_id)
        values = (id_.group,) if self.arm == GROUP else (id_.group, *id_.names)
        return dict(zip(self.path, values, strict=True))

    def body(self, inputs: Properties) -> Properties:
        """The ARM body of the inputs."""
        body: Properties = _to_arm(resource_type(self.arm).body, inputs)
        return body

    def outputs_of(self, body: Properties) -> Properties:
        """The outputs of an ARM body."""
        outputs: Properties = body if self.arm == GROUP else _flatten(body)
        return {**outputs, "azureApiVersion": self.api_version}

    def preview(self, inputs: Properties) -> Properties:
        """The outputs as far as the inputs determine them; everything else is unknown."""
        return {**_preview(self.shape, inputs), **dict.fromkeys(self.outputs, UNKNOWN)}

    def project(self, outputs: Properties) -> Properties:
        """The part of the outputs that can be inputs."""
        projected: Properties = _project(self.shape, outputs)
        return projected


def flatten_shape(shape: Shape) -> Shape:
    """A shape in Pulumi's form."""
    if isinstance(shape, list):
        return [flatten_shape(shape[0])]
    if not isinstance(shape, dict):
        return shape
    outer = {
        name: flatten_shape(inner)
        for name, inner in shape.items()
        if name.rstrip("!") != "properties"
    }
    properties = field_names(shape).get("properties")
    return outer if properties is None else {**outer, **flatten_shape(properties)}


def _flatten(value: Any) -> Any:
    if isinstance(value, list):
        return [_flatten(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("properties")
    outer = {name: _flatten(each) for name, each in value.items() if name != "properties"}
    return {**outer, **_flatten(inner)} if isinstance(inner, dict) else outer


def _to_arm(shape: Shape, value: Any) -> Any:
    if isinstance(shape, list):
        return [_to_arm(shape[0], each) for each in value]
    if not isinstance(shape, dict):
        return value
    body: Properties = {}
    for name, inner in field_names(shape).items():
        if name == "properties":
            properties = _to_arm(inner, value)
            if properties:
                body["properties"] = properties
        elif value.get(name) is not None:
            body[name] = _to_arm(inner, value[name])
    return body


def _project(shape: Shape, value: Any) -> Any:
    if isinstance(shape, list):
        return [_project(shape[0], each) for each in value]
    if not isinstance(shape, dict):
        return value
    fields = field_names(shape)
    return {name: _project(fields[name], each) for name, each in value.items() if name in fields}


def _preview(shape: Shape, value: Any) -> Any:
    if isinstance(value, Unknown):
        return value
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
    )
}
FUNCTIONS: dict[str, NativeType] = {each.function: each for each in TYPES.values()}

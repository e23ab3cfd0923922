"""Private DNS zones, and private endpoints: how a network reaches services that Azure operates.

Sources: learn.microsoft.com/azure/dns/private-dns-privatednszone and
learn.microsoft.com/azure/private-link/private-endpoint-overview. The messages are Azure's where a
report of them is named; the others are not verified.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.interfaces import NetworkInterface
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    find,
    forget_below,
    merge_defaults,
    put_beside,
    refer,
    users_of,
)
from emulator.azure.names import (
    CACHE,
    INTERFACE,
    NETWORK,
    PRIVATE_ZONE,
    STORAGE_ACCOUNT,
    SUBNET,
    ZONE_LINK,
    ResourceId,
    check_network_name,
)
from emulator.azure.store import Body, StoredState

PARTS = {STORAGE_ACCOUNT: ("blob",), CACHE: ("redisEnterprise",)}
"""What a private endpoint can lead to: the parts of each type of service."""


class PrivateZone(ResourceKind):
    """A DNS zone that only the networks linked to it ask."""

    def put(self, request: PutRequest) -> None:
        label = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
        if not re.fullmatch(rf"{label}(\.{label}){{1,33}}", request.id.name):
            raise AzureError(
                "BadRequest",
                f"The zone name '{request.id.name}' is not valid. It has 2 to 34 labels, each of up"
                " to 63 letters, digits, '-' and '_'.",
            )
        merge_defaults(
            request.properties,
            {
                "maxNumberOfRecordSets": 25000,
                "maxNumberOfVirtualNetworkLinks": 1000,
                "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
                "numberOfRecordSets": 1,
            },
        )

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        if any(key not in leaving for key in _links_of(state, id_)) or users_of(
            state, id_, leaving
        ):
            # github.com/hashicorp/terraform-provider-azurerm/issues/6731
            raise AzureError(
                "CannotDeleteResource",
                "Can not delete resource before nested resources are deleted.",
                status=409,
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"]["numberOfVirtualNetworkLinks"] = len(_links_of(state, id_))


def _links_of(state: StoredState, zone: ResourceId) -> list[str]:
    return [key for key, _ in state.of_type(ZONE_LINK) if key.startswith(f"{zone.key}/")]


class ZoneLink(ResourceKind):
    """A network that asks a zone."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        network = (request.properties.get("virtualNetwork") or {}).get("id") or ""
        target = find(request.state, network, NETWORK, "virtualNetwork")
        zone = request.id.parent
        for key, other in request.state.of_type(ZONE_LINK):
            linked = ResourceId.parse(other["properties"]["virtualNetwork"]["id"])
            same_name = ResourceId.parse(other["id"]).parent.name.lower() == zone.name.lower()
            if key != request.id.key and linked.key == target.key and same_name:
                # github.com/Azure/azure-cli/issues/19439
                raise AzureError(
                    "BadRequest",
                    "A virtual network cannot be linked to multiple zones with overlapping"
                    f" namespaces. You tried to link virtual network with '{zone.name}' and"
                    f" '{zone.name}' zones.",
                )
        former = (request.old_properties.get("virtualNetwork") or {}).get("id", network)
        if former.lower() != network.lower():
            raise AzureError(
                "BadRequest", "The virtual network of a link cannot be changed.", status=409
            )
        merge_defaults(request.properties, {"registrationEnabled": False})
        request.properties["virtualNetworkLinkState"] = "Completed"


class PrivateEndpoint(ResourceKind):
    """An address of a network that leads to one part of a service."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        subnet = refer(request, request.properties.get("subnet"), SUBNET)
        if subnet is None:
            raise AzureError(
                "SubnetIsRequired",
                f"Subnet reference is required for {request.id}.",
                target="subnet",
            )
        connections = request.properties.get("privateLinkServiceConnections") or []
        if len(connections) != 1:
            raise AzureError(
                "PrivateEndpointMustHaveExactlyOneConnection",
                f"Private endpoint {request.id} must have exactly one connection to a service.",
            )
        _check_connection(request, connections[0])
        self._add_interface(request, subnet)
        request.properties["customDnsConfigs"] = []
        request.properties["manualPrivateLinkServiceConnections"] = []

    def _add_interface(self, request: PutRequest, subnet: Body) -> None:
        """The network interface with its address, which Azure creates in the same group."""
        id_ = request.id.sibling(INTERFACE, f"{request.id.name}.nic")
        ip = {"name": "privateEndpointIpConfig", "properties": {"subnet": {"id": subnet["id"]}}}
        body: Body = {
            "location": request.region,
            "properties": {"ipConfigurations": [ip], "privateEndpoint": {"id": str(request.id)}},
        }
        put_beside(request, NetworkInterface(), id_, body)
        request.properties["networkInterfaces"] = [{"id": str(id_)}]

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)
        for interface in body["properties"]["networkInterfaces"]:
            state.resources.pop(interface["id"].lower(), None)


def _check_connection(request: PutRequest, connection: Body) -> None:
    properties = connection.setdefault("properties", {})
    service = ResourceId.parse(properties.get("privateLinkServiceId") or "")
    parts = PARTS.get(service.type)
    if parts is None:
        raise not_emulated(
            f"A private endpoint of the type {service.type}", "privateLinkServiceConnections"
        )
    find(request.state, str(service), service.type, "privateLinkServiceId")
    groups = properties.get("groupIds") or []
    if len(groups) != 1 or groups[0] not in parts:
        raise AzureError(
            "PrivateEndpointCreationNotAllowedAsSubResourceIsInvalid",
            f"The sub resource {groups} of {service} is not valid. It is one of"
            f" {', '.join(parts)}.",
            target="groupIds",
        )
    connection["id"] = f"{request.id}/privateLinkServiceConnections/{connection['name']}"
    properties["privateLinkServiceConnectionState"] = {
        "status": "Approved",
        "description": "Auto-Approved",
        "actionsRequired": "None",
    }
    properties["provisioningState"] = "Succeeded"


class EndpointZones(ResourceKind):
    """The zones in which Azure keeps the names of a private endpoint."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        configurations = request.properties.get("privateDnsZoneConfigs") or []
        for configuration in configurations:
            properties = configuration.setdefault("properties", {})
            zone = properties.get("privateDnsZoneId") or ""
            find(request.state, zone, PRIVATE_ZONE, "privateDnsZoneId")

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        endpoint = state.resources[id_.parent.key]["properties"]
        for configuration in body["properties"].get("privateDnsZoneConfigs") or []:
            properties = configuration["properties"]
            zone = ResourceId.parse(properties["privateDnsZoneId"]).name
            properties["recordSets"] = list(_records(state, endpoint, zone))


def _records(state: StoredState, endpoint: Body, zone: str) -> list[dict[str, Any]]:
    (connection,) = endpoint["privateLinkServiceConnections"]
    service = ResourceId.parse(connection["properties"]["privateLinkServiceId"])
    addresses = [
        configuration["properties"]["privateIPAddress"]
        for interface in endpoint["networkInterfaces"]
        for configuration in state.resources[interface["id"].lower()]["properties"][
            "ipConfigurations"
        ]
    ]
    return [
        {
            "recordType": "A",
            "recordSetName": service.name,
            "fqdn": f"{service.name}.{zone}",
            "ttl": 10,
            "ipAddresses": addresses,
            "provisioningState": "Succeeded",
        }
    ]

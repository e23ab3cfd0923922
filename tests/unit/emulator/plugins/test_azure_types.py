"""The types agree with the SDK: the same names, the same API versions."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import typing
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pulumi_azure_native
import pytest
from pulumi._types import input_type_types, is_input_type

from emulator.azure.shapes import resource_types
from emulator.plugins.azure_native import VERSION
from emulator.plugins.azure_refresh import refresh_inputs
from emulator.plugins.azure_types import TYPES, flatten_shape
from emulator.plugins.values import UNKNOWN, Secret

pytestmark = pytest.mark.unit

TOKENS = sorted(TYPES)
DISK = TYPES["azure-native:compute:Disk"]
RULES = TYPES["azure-native:network:NetworkSecurityGroup"]
MACHINE = TYPES["azure-native:compute:VirtualMachine"]
PLACE = {"resourceGroupName": "chat", "diskName": "data"}


FILES = {
    "azure-native:resources:ResourceGroup": "resources.resource_group",
    "azure-native:network:VirtualNetwork": "network.virtual_network",
    "azure-native:network:Subnet": "network.subnet",
    "azure-native:network:NetworkSecurityGroup": "network.network_security_group",
    "azure-native:network:PublicIPAddress": "network.public_ip_address",
    "azure-native:network:NatGateway": "network.nat_gateway",
    "azure-native:network:NetworkInterface": "network.network_interface",
    "azure-native:compute:Disk": "compute.disk",
    "azure-native:compute:VirtualMachine": "compute.virtual_machine",
    "azure-native:managedidentity:UserAssignedIdentity": "managedidentity.user_assigned_identity",
    "azure-native:managedidentity:FederatedIdentityCredential": "managedidentity."
    "federated_identity_credential",
    "azure-native:containerservice:ManagedCluster": "containerservice.managed_cluster",
    "azure-native:containerservice:AgentPool": "containerservice.agent_pool",
    "azure-native:dbforpostgresql:Server": "dbforpostgresql.server",
    "azure-native:dbforpostgresql:Configuration": "dbforpostgresql.configuration",
    "azure-native:dbforpostgresql:Database": "dbforpostgresql.database",
    "azure-native:redisenterprise:RedisEnterprise": "redisenterprise.redis_enterprise",
    "azure-native:redisenterprise:Database": "redisenterprise.database",
    "azure-native:privatedns:PrivateZone": "privatedns.private_zone",
    "azure-native:privatedns:VirtualNetworkLink": "privatedns.virtual_network_link",
    "azure-native:network:PrivateEndpoint": "network.private_endpoint",
    "azure-native:network:PrivateDnsZoneGroup": "network.private_dns_zone_group",
    "azure-native:storage:StorageAccount": "storage.storage_account",
    "azure-native:storage:BlobServiceProperties": "storage.blob_service_properties",
    "azure-native:storage:BlobContainer": "storage.blob_container",
    "azure-native:logic:Workflow": "logic.workflow",
    "azure-native:authorization:RoleAssignment": "authorization.role_assignment",
    "azure-native:monitor:ActionGroup": "monitor.action_group",
    "azure-native:monitor:MetricAlert": "monitor.metric_alert",
    "azure-native:alertsmanagement:AlertProcessingRuleByName": "alertsmanagement."
    "alert_processing_rule_by_name",
    "azure-native:operationalinsights:Workspace": "operationalinsights.workspace",
    "azure-native:applicationinsights:Component": "applicationinsights.component",
    "azure-native:applicationinsights:WebTest": "applicationinsights.web_test",
}
"""The module of each type in the SDK."""


def _sdk(token: str, prefix: str = "") -> Any:
    """The SDK's file of a type, or of the function that reads one (`prefix` get_)."""
    package, _, name = FILES[token].partition(".")
    # The SDK loads a package when it is first used, and never rightly when a part of it came first.
    _ = getattr(getattr(pulumi_azure_native, package), token.rpartition(":")[2])
    return importlib.import_module(f"pulumi_azure_native.{package}.{prefix}{name}")


def _class(token: str) -> Any:
    return getattr(_sdk(token), token.rpartition(":")[2])


def _arguments(token: str) -> Any:
    """The class of a type's inputs; "Init" if a nested type has the plain name."""
    module, name = _sdk(token), token.rpartition(":")[2]
    return getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")


def _names(class_: Any) -> dict[str, Any]:
    """The SDK's input names of a class, as they go over the wire, with their types."""
    return dict(input_type_types(class_))


def _nested(type_: Any) -> set[Any]:
    """The input classes inside `Optional[Sequence[Input[…]]]` and the like."""
    if isinstance(type_, type) and is_input_type(type_):
        return {type_}
    return {found for argument in typing.get_args(type_) for found in _nested(argument)}


def _strangers(shape: Any, classes: set[Any], path: str) -> Iterator[str]:
    """Names in a shape that none of the SDK's classes has there."""
    if isinstance(shape, list):
        yield from _strangers(shape[0], classes, path)
    elif isinstance(shape, dict) and classes:
        known: dict[str, set[Any]] = {}
        for name, type_ in itertools.chain.from_iterable(_names(c).items() for c in classes):
            known.setdefault(name, set()).update(_nested(type_))
        for marked, inner in shape.items():
            name = marked.rstrip("!")
            if name not in known:
                yield f"{path}.{name}"
            else:
                yield from _strangers(inner, known[name], f"{path}.{name}")


@pytest.mark.parametrize("token", TOKENS)
def test_inputs_are_the_sdks(token: str) -> None:
    native = TYPES[token]
    class_ = _arguments(token)
    assert set(native.path_names) <= set(_names(class_))
    assert list(_strangers(native.shape, {class_}, native.token)) == []


@pytest.mark.parametrize("token", TOKENS)
def test_outputs_are_the_sdks(token: str) -> None:
    native = TYPES[token]
    getters = inspect.getsource(_class(token))
    known = set(re.findall(r'getter\(name="(\w+)"\)', getters))
    known |= set(re.findall(r"@pulumi\.getter\n    def (\w+)", getters)) | {"id"}
    assert set(native.outputs) <= known


@pytest.mark.parametrize("token", TOKENS)
def test_api_versions_are_the_sdks(token: str) -> None:
    native = TYPES[token]
    source = inspect.getsource(_class(token))
    found = re.search(r"Uses Azure REST API version ([\w-]+)", source)
    assert found is not None
    assert resource_types()[native.arm.lower()].api_versions[0] == found[1]


@pytest.mark.parametrize("token", TOKENS)
def test_functions_are_the_sdks(token: str) -> None:
    native = TYPES[token]
    source = inspect.getsource(_sdk(token, "get_"))
    assert f"'{native.function}'" in source
    assert set(native.path_names) <= set(re.findall(r"__args__\['(\w+)'\]", source))


def test_the_version_is_the_sdks_pin() -> None:
    assert version("pulumi-azure-native") == VERSION


def test_a_body_and_back() -> None:
    inputs = {
        "resourceGroupName": "chat",
        "networkSecurityGroupName": "rules",
        "location": "francecentral",
        "securityRules": [
            {"name": "https", "priority": 100, "access": "Allow", "direction": "Inbound"}
        ],
    }
    body = RULES.body(inputs)
    assert body == {
        "location": "francecentral",
        "properties": {
            "securityRules": [
                {
                    "name": "https",
                    "properties": {"access": "Allow", "priority": 100, "direction": "Inbound"},
                }
            ]
        },
    }
    outputs = RULES.outputs_of(body)
    path = RULES.path_inputs(
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/chat"
        "/providers/Microsoft.Network/networkSecurityGroups/rules"
    )
    assert {**RULES.project(outputs), **path} == inputs


def test_a_preview_knows_the_inputs_and_nothing_else() -> None:
    previewed = MACHINE.preview(
        {
            "osProfile": {"computerName": "chat", "customData": "secret"},
            "hardwareProfile": {"vmSize": UNKNOWN},
        }
    )
    assert previewed["vmId"] is UNKNOWN
    assert previewed["storageProfile"] is UNKNOWN
    assert previewed["hardwareProfile"] == {"vmSize": UNKNOWN}
    assert previewed["osProfile"]["computerName"] == "chat"
    assert previewed["osProfile"]["adminUsername"] is UNKNOWN
    assert "customData" not in previewed["osProfile"]


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({**PLACE, "location": "x", "creationData": {}}, "creationData.createOption"),
        (
            {**PLACE, "location": "x", "creationData": {"createOption": "Copy"}},
            "creationData.createOption",
        ),
        ({"diskName": "x", "location": "x", "creationData": UNKNOWN}, "resourceGroupName"),
        ({**PLACE, "creationData": UNKNOWN, "location": "x", "speed": 1}, "speed"),
        ({**PLACE, "creationData": UNKNOWN, "location": "x", "tags": {"a": 1}}, "tags"),
    ],
)
def test_what_does_not_fit_is_named(inputs: dict[str, Any], path: str) -> None:
    assert [each.path for each in DISK.check(inputs)] == [path]


def test_what_is_unknown_fits() -> None:
    inputs = {**PLACE, "location": UNKNOWN, "creationData": UNKNOWN, "tags": {"a": UNKNOWN}}
    assert DISK.check(inputs) == []


def test_shapes_are_flattened() -> None:
    shape = {
        "name": "string",
        "properties": {"size!": "integer", "parts": [{"properties": {"x": "string"}}]},
    }
    assert flatten_shape(shape, {}) == {
        "name": "string",
        "size!": "integer",
        "parts": [{"x": "string"}],
    }


BEFORE = {
    "location": "francecentral",
    "sku": {"name": "Standard_LRS", "tier": "Standard"},
    "diskSizeGB": 64,
    "networkAccessPolicy": "AllowAll",
    "tags": {"app": "chat"},
    "diskState": "Attached",
}
INPUTS = {**PLACE, "location": "francecentral", "diskSizeGB": 64, "tags": {"app": "chat"}}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"diskState": "Unattached"}, {}, id="only what Azure says"),
        pytest.param({"diskSizeGB": 128}, {"diskSizeGB": 128}, id="an input"),
        pytest.param(
            {"networkAccessPolicy": "DenyAll"},
            {"networkAccessPolicy": "DenyAll"},
            id="a default that is none any more",
        ),
        pytest.param(
            {"tags": {"app": "chat", "owner": "me"}},
            {"tags": {"app": "chat", "owner": "me"}},
            id="something added",
        ),
        pytest.param({"tags": {}}, {"tags": {}}, id="something removed"),
        pytest.param({"tags": None}, {"tags": None}, id="all removed"),
    ],
)
def test_a_refresh_takes_only_what_changed(now: dict[str, Any], expected: dict[str, Any]) -> None:
    after = {name: value for name, value in {**BEFORE, **now}.items() if value is not None}
    wanted = {name: value for name, value in {**INPUTS, **expected}.items() if value is not None}
    assert refresh_inputs(DISK, INPUTS, BEFORE, after) == wanted


def test_a_refresh_keeps_secrets_and_what_is_never_returned() -> None:
    inputs = {"osProfile": {"computerName": "chat", "customData": Secret("key")}}
    outputs = {"osProfile": {"computerName": "chat"}, "tags": {}}
    assert refresh_inputs(MACHINE, inputs, outputs, outputs) == inputs
    secret = {"osProfile": Secret({"computerName": "chat", "customData": "key"})}
    changed = {"osProfile": {"computerName": "other"}, "tags": {}}
    refreshed = refresh_inputs(MACHINE, secret, outputs, changed)
    assert refreshed["osProfile"] == Secret({"computerName": "other", "customData": "key"})


def test_a_refresh_leaves_to_others_what_the_program_does_not_mention() -> None:
    rule = {"name": "ssh", "priority": 100}
    assert refresh_inputs(RULES, {}, {"securityRules": []}, {"securityRules": [rule]}) == {}
    with_rules = refresh_inputs(
        RULES, {"securityRules": []}, {"securityRules": []}, {"securityRules": [rule]}
    )
    assert with_rules == {"securityRules": [rule]}


def test_ids_are_a_list_in_the_inputs_and_an_object_in_arm() -> None:
    identity = {"type": "UserAssigned", "userAssignedIdentities": ["/identity"]}
    body = MACHINE.body({"identity": identity})
    assert body["identity"]["userAssignedIdentities"] == {"/identity": {}}
    outputs = MACHINE.outputs_of({**body, "properties": {}})
    assert outputs["identity"]["userAssignedIdentities"] == {"/identity": {}}
    assert MACHINE.project(outputs)["identity"] == identity
    # The SDK expects an object of an output, and cannot read the list of the inputs.
    assert MACHINE.preview({"identity": identity})["identity"]["userAssignedIdentities"] == UNKNOWN


def test_a_property_with_another_name_in_arm() -> None:
    account = TYPES["azure-native:storage:StorageAccount"]
    body = account.body({"enableHttpsTrafficOnly": True})
    assert body["properties"] == {"supportsHttpsTrafficOnly": True}
    assert account.outputs_of(body)["enableHttpsTrafficOnly"] is True


def test_names_of_arm_in_capitals() -> None:
    web_test = TYPES["azure-native:applicationinsights:WebTest"]
    inputs = {
        "webTestName": "chat",
        "webTestKind": "standard",
        "kind": "standard",
        "location": "francecentral",
        "locations": [{"location": "emea-nl-ams-azr"}],
        "validationRules": {"sSLCheck": True},
        "tags": {"Name": "chat"},
    }
    body = web_test.body(inputs)
    assert body == {
        "location": "francecentral",
        "kind": "standard",
        "tags": {"Name": "chat"},
        "properties": {
            "Name": "chat",
            "Kind": "standard",
            "Locations": [{"Id": "emea-nl-ams-azr"}],
            "ValidationRules": {"SSLCheck": True},
        },
    }
    assert web_test.project(web_test.outputs_of(body)) == inputs
    alert = TYPES["azure-native:monitor:MetricAlert"]
    criteria = {"criteria": {"odataType": "webtest", "failedLocationCount": 3.0}}
    body = alert.body(criteria)
    assert body["properties"]["criteria"] == {"odata.type": "webtest", "failedLocationCount": 3.0}
    assert alert.project(alert.outputs_of(body)) == criteria


def test_ids_with_a_fixed_part_and_of_extensions() -> None:
    container = TYPES["azure-native:storage:BlobContainer"]
    inputs = {"resourceGroupName": "g", "accountName": "a", "containerName": "c"}
    scope = container.id(inputs, "00000000-0000-0000-0000-000000000000")
    assert scope.endswith("/storageAccounts/a/blobServices/default/containers/c")
    assert container.path_inputs(scope) == inputs
    role = TYPES["azure-native:authorization:RoleAssignment"]
    inputs = {"scope": scope, "roleAssignmentName": "r"}
    resource_id = role.id(inputs, "another")
    assert resource_id == f"{scope}/providers/Microsoft.Authorization/roleAssignments/r"
    assert role.path_inputs(resource_id) == inputs

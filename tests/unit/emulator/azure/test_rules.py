"""Every rule, with the code and the message of Azure's refusal.

docs/reference/emulator-rules.md lists them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from emulator.azure.errors import AzureError
from emulator.azure.profiles import FORBIDDEN_ADMINS
from emulator.azure.vaults import deleted_vaults, find_deleted_vault, purge
from tests.unit.emulator.azure import clusters
from tests.unit.emulator.azure.cloud import (
    ACCESS,
    ACCOUNT,
    ACCOUNTS,
    ACTION_GROUP,
    ADDRESSES,
    ALERT,
    ALERTS,
    BLOBS,
    BODIES,
    COMPONENT,
    CONTAINER,
    CONTRIBUTOR,
    CREDENTIALS,
    DATA,
    DISKS,
    GROUP,
    IDENTITIES,
    IDENTITY,
    INTERFACES,
    IP,
    KEY,
    MACHINE,
    MACHINES,
    NAT_GATEWAYS,
    NET,
    NETWORKS,
    NIC,
    NSG,
    PROCESSING_RULE,
    SECURITY_GROUPS,
    STORAGE_ACCOUNT,
    SUBNET,
    SUBNETS,
    UNREACHABLE,
    VAULT,
    VAULTS,
    VM,
    WEB_TEST,
    WORKFLOWS,
    WORKSPACE,
    Cloud,
    assignment,
    changed,
    credential,
    disk,
    interface,
    key,
    rule,
    vault,
    workflow,
)

HARDWARE = "properties.hardwareProfile.vmSize"
PROFILE = "properties.osProfile"
STORAGE = "properties.storageProfile"
PUBLIC_KEY = f"{PROFILE}.linuxConfiguration.ssh.publicKeys.0.keyData"
OTHER_GROUP = GROUP.replace("/chat", "/other")


def _public_key(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return encoded.decode()


def _address(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "location": "francecentral",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    for path, value in changes.items():
        body = changed(body, path.replace("__", "."), value)
    return body


def _network(*prefixes: str, **properties: Any) -> dict[str, Any]:
    return {
        "location": "francecentral",
        "properties": {"addressSpace": {"addressPrefixes": list(prefixes)}, **properties},
    }


def _subnet(prefix: str, **properties: Any) -> dict[str, Any]:
    return {"properties": {"addressPrefix": prefix, **properties}}


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"location": "francecentral", "properties": {"securityRules": list(rules)}}


def _attach(cloud: Cloud, *disks: dict[str, Any]) -> None:
    cloud.change(VM, f"{STORAGE}.dataDisks", list(disks))


def _data_disk(lun: int, name: str = "data", **changes: Any) -> dict[str, Any]:
    return {
        "lun": lun,
        "createOption": "Attach",
        "managedDisk": {"id": f"{DISKS}/{name}"},
        **changes,
    }


def _many_disks(cloud: Cloud) -> None:
    for number in range(5):
        cloud.put(f"{DISKS}/more{number}", disk())
    _attach(cloud, *(_data_disk(number, f"more{number}") for number in range(5)))


def _two_on_one_lun(cloud: Cloud) -> None:
    cloud.put(f"{DISKS}/more", disk())
    _attach(cloud, _data_disk(0), _data_disk(0, "more"))


def _disk_of_another(cloud: Cloud) -> None:
    cloud.machine(f"{STORAGE}.dataDisks", [_data_disk(0)])


def _zonal_disk(cloud: Cloud) -> None:
    cloud.put(f"{DISKS}/zonal", {**disk(), "zones": ["1"]})
    _attach(cloud, _data_disk(0), _data_disk(1, "zonal"))


def _accelerated(cloud: Cloud) -> None:
    cloud.change(NIC, "properties.enableAcceleratedNetworking", True)
    cloud.change(VM, "tags", {"again": "yes"})


def _used_from_outside(cloud: Cloud) -> None:
    cloud.put(OTHER_GROUP, {"location": "francecentral"})
    moved = f"{OTHER_GROUP}/providers/Microsoft.Compute/disks/kept"
    cloud.put(moved, disk())
    _attach(cloud, {**_data_disk(0), "managedDisk": {"id": moved}})
    cloud.delete(OTHER_GROUP)


def _full_subnet(cloud: Cloud) -> None:
    cloud.put(f"{SUBNETS}/small", _subnet("10.0.9.0/29"))
    for number in range(4):
        cloud.put(f"{INTERFACES}/small{number}", interface(subnet={"id": f"{SUBNETS}/small"}))


def _many_addresses(cloud: Cloud) -> None:
    with cloud.azure.store.change() as state:
        address = state.resources[IP.lower()]
        for number in range(250):
            other = changed(address, "properties.ipAddress", f"127.20.200.{number + 4}")
            state.resources[f"{IP.lower()}-{number}"] = changed(
                other, "properties.dnsSettings", None
            )
    cloud.put(f"{ADDRESSES}/new", _address())


DELEGATIONS = [{"name": "web", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}]


def _nat_gateway(address: str) -> dict[str, Any]:
    return {
        "location": "francecentral",
        "sku": {"name": "Standard"},
        "properties": {"publicIpAddresses": [{"id": f"{ADDRESSES}/{address}"}]},
    }


def _with_nat_gateway(cloud: Cloud) -> Cloud:
    cloud.put(f"{ADDRESSES}/gateway-1", _address())
    cloud.put(f"{NAT_GATEWAYS}/gateway-1", _nat_gateway("gateway-1"))
    reference = {"id": f"{NAT_GATEWAYS}/gateway-1"}
    cloud.put(f"{SUBNETS}/out", _subnet("10.0.9.0/24", natGateway=reference))
    return cloud


def _delegated_subnet(cloud: Cloud) -> None:
    cloud.put(f"{SUBNETS}/web", _subnet("10.0.9.0/24", delegations=DELEGATIONS))
    cloud.put(f"{INTERFACES}/new", interface(subnet={"id": f"{SUBNETS}/web"}))


def _other_network(cloud: Cloud) -> str:
    cloud.put(f"{NETWORKS}/other", _network("10.9.0.0/16"))
    subnet = f"{NETWORKS}/other/subnets/default"
    cloud.put(subnet, _subnet("10.9.0.0/24"))
    return subnet


def _to_another_network(cloud: Cloud) -> None:
    cloud.put(NIC, interface(subnet={"id": _other_network(cloud)}))


def _machine_to_another_network(cloud: Cloud) -> None:
    cloud.put(f"{INTERFACES}/other", interface(subnet={"id": _other_network(cloud)}))
    cloud.change(VM, "properties.networkProfile.networkInterfaces", [{"id": f"{INTERFACES}/other"}])


def _subnet_of_another_subscription(cloud: Cloud) -> None:
    elsewhere = GROUP.replace("00000000-0000", "11111111-0000", 1)
    network = f"{elsewhere}/providers/Microsoft.Network/virtualNetworks/net"
    cloud.put(elsewhere, {"location": "francecentral"})
    cloud.put(network, _network("10.9.0.0/16"))
    cloud.put(f"{network}/subnets/default", _subnet("10.9.0.0/24"))
    cloud.put(f"{INTERFACES}/new", interface(subnet={"id": f"{network}/subnets/default"}))


def _account_elsewhere(cloud: Cloud, group: str) -> None:
    cloud.add_backups()
    cloud.put(group, {"location": "francecentral"})
    cloud.put(ACCOUNT.replace(GROUP, group), STORAGE_ACCOUNT)


def _blobs(cloud: Cloud, **properties: Any) -> None:
    cloud.add_backups()
    cloud.put(BLOBS, {"properties": properties})


def _assign(cloud: Cloud, resource_id: str = ACCESS, **properties: Any) -> None:
    cloud.put(resource_id, assignment(cloud.add_backups(), **properties))


def _identity(cloud: Cloud, **identity: Any) -> None:
    cloud.change(VM, "identity", identity)


def _delete_blob_service(cloud: Cloud) -> None:
    cloud.add_backups()
    cloud.delete(BLOBS)


OTHER_ACCESS = ACCESS.replace("/7d1f", "/7d1e")
STRANGER = "11111111-0000-0000-0000-000000000000"


def _os_disk(cloud: Cloud) -> str:
    storage = cloud.azure.get(VM)["properties"]["storageProfile"]
    resource_id: str = storage["osDisk"]["managedDisk"]["id"]
    return resource_id


def _with_password(cloud: Cloud, password: str) -> None:
    profile = {"computerName": "chat", "adminUsername": "ollamazure", "adminPassword": password}
    cloud.machine(PROFILE, profile)


def _size_and_image(cloud: Cloud, size: str, sku: str) -> None:
    body = changed(MACHINE, f"{STORAGE}.imageReference.sku", sku)
    cloud.put(f"{MACHINES}/other", changed(body, HARDWARE, size))


def _restart_deallocated(cloud: Cloud) -> None:
    cloud.azure.wait(cloud.azure.action(VM, "deallocate"))
    cloud.azure.action(VM, "restart")


def _stranger(location: str) -> str:
    return f"The provided location '{location}' is not available for resource type"


def _alert(cloud: Cloud, resource_id: str, path: str, value: Any) -> None:
    """PUT one of the alerts' resources with one change, or another alert on the test."""
    cloud.add_alerts()
    cloud.put(resource_id, changed(ALERTS.get(resource_id, UNREACHABLE), path, value))


def _federate(cloud: Cloud, *environments: str, **properties: Any) -> None:
    """Let GitHub's jobs in these environments sign in as an identity, the last with a change."""
    cloud.put(IDENTITY, {"location": "francecentral"})
    *others, last = environments
    for environment in others:
        cloud.add_credential(environment)
    cloud.add_credential(last, **properties)


def _vault(cloud: Cloud, path: str, value: Any) -> None:
    """PUT a vault again with one change."""
    cloud.add_vault()
    cloud.put(VAULT, changed(vault(), path, value))


def _vault_again(cloud: Cloud, resource_id: str = VAULT, **properties: Any) -> None:
    """Create a vault with the name of a deleted one."""
    cloud.put(OTHER_GROUP, {"location": "francecentral"})
    cloud.add_vault()
    cloud.delete(VAULT)
    cloud.put(resource_id, vault(**properties))


def _delete_key(cloud: Cloud) -> None:
    cloud.add_vault()
    cloud.delete(KEY)


def _purge(cloud: Cloud, **properties: Any) -> None:
    cloud.add_vault(**properties)
    cloud.delete(VAULT)
    with cloud.azure.store.change() as state:
        purge(state, *deleted_vaults(state, "00000000-0000-0000-0000-000000000000"))


Try = Callable[[Cloud], object]

RULES: list[tuple[str, Try, str, str]] = [
    # Identities, storage accounts and roles
    (
        "identity-name",
        lambda c: c.put(f"{IDENTITIES}/my.machine", {"location": "francecentral"}),
        "BadRequest",
        "The resource name 'my.machine' is invalid.",
    ),
    (
        "identity-must-exist",
        lambda c: _identity(c, type="UserAssigned", userAssignedIdentities={IDENTITY: {}}),
        "FailedIdentityOperation",
        f"Resource '{IDENTITY}' was not found.",
    ),
    (
        "identity-type-without-identities",
        lambda c: _identity(c, type="UserAssigned"),
        "MissingUserAssignedIdentities",
        "0 user assigned identities do not fit together",
    ),
    (
        "identities-without-their-type",
        lambda c: _identity(c, type="SystemAssigned", userAssignedIdentities={IDENTITY: {}}),
        "InvalidIdentityTypeForUserAssignedIdentities",
        "1 user assigned identities do not fit together",
    ),
    (
        "account-name",
        lambda c: c.put(f"{ACCOUNTS}/my-backups", STORAGE_ACCOUNT),
        "AccountNameInvalid",
        "my-backups is not a valid storage account name.",
    ),
    (
        "account-name-in-another-group",
        lambda c: _account_elsewhere(c, OTHER_GROUP),
        "StorageAccountInAnotherResourceGroup",
        "is already in another resource group in this subscription.",
    ),
    (
        "account-name-in-all-of-azure",
        lambda c: _account_elsewhere(c, GROUP.replace("00000000-0000", "11111111-0000", 1)),
        "StorageAccountAlreadyTaken",
        "The storage account named backup0123456789abcdef is already taken.",
    ),
    (
        "account-redundancy-fixed",
        lambda c: (
            c.add_backups(),
            c.put(ACCOUNT, changed(STORAGE_ACCOUNT, "sku.name", "Standard_ZRS")),
        ),
        "AccountPropertyCannotBeUpdated",
        "The property 'sku.name' was specified in the input, but it cannot be updated",
    ),
    (
        "blob-service-name",
        lambda c: (c.add_backups(), c.put(BLOBS.replace("/default", "/other"), {})),
        "InvalidResourceName",
        "The name of a blob service is 'default', not 'other'.",
    ),
    (
        "blob-service-stays",
        _delete_blob_service,
        "UnsupportedOperation",
        "cannot be deleted",
    ),
    (
        "retention-without-days",
        lambda c: _blobs(c, deleteRetentionPolicy={"enabled": True}),
        "InvalidValuesForRequestParameters",
        "Values for request parameters are invalid: deleteRetentionPolicy.days.",
    ),
    (
        "retention-too-long",
        lambda c: _blobs(c, containerDeleteRetentionPolicy={"enabled": True, "days": 366}),
        "InvalidValuesForRequestParameters",
        "Values for request parameters are invalid: containerDeleteRetentionPolicy.days.",
    ),
    (
        "container-name",
        lambda c: (c.add_backups(), c.put(CONTAINER.replace("backups", "My--Backups"), {})),
        "InvalidResourceName",
        "The specified resource name contains invalid characters: 'My--Backups'.",
    ),
    (
        "container-public-access",
        lambda c: (
            c.add_backups(),
            c.put(CONTAINER, {"properties": {"publicAccess": "Blob"}}),
        ),
        "PublicAccessNotPermitted",
        "Public access is not permitted on this storage account.",
    ),
    (
        "role-assignment-name",
        lambda c: _assign(c, ACCESS.rpartition("/")[0] + "/machine"),
        "InvalidRoleAssignmentId",
        "The role assignment ID 'machine' is not valid. The role assignment ID must be a GUID.",
    ),
    (
        "role-must-exist",
        lambda c: _assign(c, OTHER_ACCESS, roleDefinitionId=f"{CONTRIBUTOR[:-1]}0"),
        "RoleDefinitionDoesNotExist",
        "'ba92f5b4-2d11-453d-a403-e96b0029c9f0' does not exist.",
    ),
    (
        "role-principal-is-a-guid",
        lambda c: _assign(c, OTHER_ACCESS, principalId="machine"),
        "InvalidPrincipalId",
        "'machine' is not a GUID.",
    ),
    (
        "role-principal-without-its-type",
        lambda c: _assign(c, OTHER_ACCESS, principalType=None),
        "PrincipalNotFound",
        "does not exist in the directory",
    ),
    (
        "role-principal-of-another-type",
        lambda c: _assign(c, OTHER_ACCESS, principalType="User"),
        "UnmatchedPrincipalType",
        "has type 'ServicePrincipal', which is different from specified PrincipalType 'User'.",
    ),
    (
        "role-assignment-fixed",
        lambda c: _assign(c, principalId=STRANGER),
        "RoleAssignmentUpdateNotPermitted",
        "principal ID, and scope are not allowed to be updated.",
    ),
    (
        "role-assignment-twice",
        lambda c: _assign(c, OTHER_ACCESS),
        "RoleAssignmentExists",
        "The role assignment already exists.",
    ),
    (
        "role-scope-must-exist",
        lambda c: c.put(ACCESS, assignment(STRANGER)),
        "ResourceNotFound",
        "blobServices/containers/backup0123456789abcdef/default/backups",
    ),
    (
        "role-condition-version",
        lambda c: _assign(c, OTHER_ACCESS, condition="(true)", conditionVersion="1.0"),
        "BadRequest",
        "The given role assignment condition is invalid.",
    ),
    (
        "role-condition-brackets",
        lambda c: _assign(c, OTHER_ACCESS, condition="(!(ActionMatches{'(a'})"),
        "BadRequest",
        "The given role assignment condition is invalid.",
    ),
    # Sign-ins as an identity
    (
        "credential-name",
        lambda c: _federate(c, "my.environment"),
        "BadRequest",
        "Federated Identity Credential name 'my.environment' is invalid.",
    ),
    (
        "credential-complete",
        lambda c: _federate(c, "dev", subject=""),
        "BadRequest",
        "Federated Identity Credential from HTTP body has empty properties",
    ),
    (
        "credential-audience",
        lambda c: _federate(c, "dev", audiences=["one", "two"]),
        "BadRequest",
        "Federated identity credentials must have exactly one audience.",
    ),
    (
        "credential-twice",
        lambda c: _federate(c, "dev", "again", subject="repo:team/chat:environment:dev"),
        "Conflict",
        "Issuer and subject combination already exists for this Managed Identity.",
    ),
    (
        "credentials-of-one-identity",
        lambda c: _federate(c, *(f"environment-{number}" for number in range(21))),
        "BadRequest",
        "A maximum of 20 federated identity credentials",
    ),
    (
        "credential-needs-its-identity",
        lambda c: c.put(f"{CREDENTIALS}/dev", credential("dev")),
        "ResourceNotFound",
        "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/machine'",
    ),
    # Key vaults
    (
        "vault-name",
        lambda c: c.put(f"{VAULTS}/my--vault", vault()),
        "VaultNameNotValid",
        "The vault name 'my--vault' is invalid.",
    ),
    (
        "vault-name-length",
        lambda c: c.put(f"{VAULTS}/{'v' * 25}", vault()),
        "VaultNameNotValid",
        "must be between 3-24 alphanumeric characters",
    ),
    (
        "vault-name-in-all-of-azure",
        lambda c: (
            c.add_vault(),
            c.put(OTHER_GROUP, {"location": "francecentral"}),
            c.put(VAULT.replace(GROUP, OTHER_GROUP), vault()),
        ),
        "VaultAlreadyExists",
        "The vault name 'ollamazure-0123456789ab' is already in use.",
    ),
    (
        "vault-name-of-a-deleted-one",
        lambda c: _vault_again(c, VAULT.replace(GROUP, OTHER_GROUP)),
        "VaultAlreadyExists",
        "a vault with the same name was recently deleted but not purged",
    ),
    (
        "vault-deleted-before",
        _vault_again,
        "ConflictError",
        "A vault with the same name already exists in deleted state.",
    ),
    (
        "vault-recovered-without-a-deletion",
        lambda c: c.put(VAULT, vault(createMode="recover")),
        "SoftDeletedVaultDoesNotExist",
        "A soft deleted vault with the given name does not exist.",
    ),
    (
        "vault-recovered-in-another-group",
        lambda c: _vault_again(c, VAULT.replace(GROUP, OTHER_GROUP), createMode="recover"),
        "SoftDeletedVaultDoesNotExist",
        "A soft deleted vault with the given name does not exist.",
    ),
    (
        "vault-tenant",
        lambda c: c.put(VAULT, vault(tenantId="11111111-0000-0000-0000-000000000000")),
        "BadRequest",
        "An invalid value was provided for 'tenantId'.",
    ),
    (
        "vault-purge-protection-stays",
        lambda c: _vault(c, "properties.enablePurgeProtection", False),
        "BadRequest",
        'The property "enablePurgeProtection" cannot be set to false.',
    ),
    (
        "vault-soft-delete-stays",
        lambda c: _vault(c, "properties.enableSoftDelete", False),
        "BadRequest",
        'The property "enableSoftDelete" cannot be set to false.',
    ),
    (
        "vault-retention-days",
        lambda c: c.put(VAULT, vault(softDeleteRetentionInDays=91)),
        "BadRequest",
        "It must be between 7 and 90.",
    ),
    (
        "vault-retention-fixed",
        lambda c: _vault(c, "properties.softDeleteRetentionInDays", 7),
        "BadRequest",
        "has been set already and it can't be modified.",
    ),
    (
        "vault-purge-protection",
        _purge,
        "MethodNotAllowed",
        "Operation 'DeletedVaultPurge' is not allowed.",
    ),
    (
        "vault-deleted-must-exist",
        lambda c: find_deleted_vault(c.azure.store.read(), "", "francecentral", "chat"),
        "DeletedVaultNotFound",
        "The specified deleted vault 'chat' does not exist.",
    ),
    (
        "key-name",
        lambda c: (c.add_vault(), c.put(KEY.replace("/state", "/my_key"), key())),
        "BadParameter",
        "The key name 'my_key' is invalid.",
    ),
    (
        "key-size",
        lambda c: (c.add_vault(), c.put(f"{KEY}2", key(keySize=1024))),
        "BadParameter",
        "The key size 1024 is invalid. It is one of 2048, 3072, 4096.",
    ),
    (
        "key-stays",
        _delete_key,
        "MethodNotAllowed",
        "The requested resource does not support http method 'DELETE'.",
    ),
    # Alerts
    (
        "action-group-only-global",
        lambda c: _alert(c, ACTION_GROUP, "location", "francecentral"),
        "LocationNotAvailableForResourceType",
        "List of available regions for the resource type is 'global'.",
    ),
    (
        "action-group-short-name",
        lambda c: _alert(c, ACTION_GROUP, "properties.groupShortName", "chat-alerts-of-us"),
        "GroupShortNameIsTooLong",
        "The action group short name 'chat-alerts-of-us' is too long. Please specify a",
    ),
    (
        "action-group-names-of-receivers",
        lambda c: _alert(c, ACTION_GROUP, "properties.webhookReceivers.0.name", "alice"),
        "BadRequest",
        "Receiver names must be unique within an action group: 'alice'.",
    ),
    (
        "action-group-webhooks",
        lambda c: _alert(
            c,
            ACTION_GROUP,
            "properties.webhookReceivers",
            [{"name": f"{n}", "serviceUri": "https://example.com"} for n in range(11)],
        ),
        "BadRequest",
        "An action group has at most 10 webhookReceivers.",
    ),
    (
        "action-group-sign-in",
        lambda c: _alert(c, ACTION_GROUP, "properties.webhookReceivers.0.useAadAuth", True),
        "InvalidRequestContent",
        "'properties.webhookReceivers[0].useAadAuth' must be false",
    ),
    (
        "action-group-email",
        lambda c: _alert(c, ACTION_GROUP, "properties.emailReceivers.0.emailAddress", "alice"),
        "BadRequest",
        "The email address of the receiver 'alice' is invalid.",
    ),
    (
        "action-group-email-too-long",
        lambda c: _alert(
            c, ACTION_GROUP, "properties.emailReceivers.0.emailAddress", f"{'a' * 60}@example.com"
        ),
        "BadRequest",
        "The email address of the receiver 'alice' is invalid.",
    ),
    (
        "action-group-webhook",
        lambda c: _alert(
            c, ACTION_GROUP, "properties.webhookReceivers.0.serviceUri", "example.com/hook"
        ),
        "BadRequest",
        "The service URI of the receiver 'webhook' is invalid.",
    ),
    (
        "alert-only-global",
        lambda c: _alert(c, ALERT, "location", "francecentral"),
        "LocationNotAvailableForResourceType",
        "List of available regions for the resource type is 'global'.",
    ),
    (
        "alert-severity",
        lambda c: _alert(c, ALERT, "properties.severity", 5),
        "BadRequest",
        "The severity must be between 0 and 4.",
    ),
    (
        "alert-more-often-than-its-window",
        lambda c: _alert(c, ALERT, "properties.evaluationFrequency", "PT15M"),
        "BadRequest",
        "The evaluation frequency 'PT15M' must not be greater than the window size 'PT5M'.",
    ),
    (
        "alert-too-often-for-its-window",
        lambda c: _alert(c, ALERT, "properties.windowSize", "PT6H"),
        "BadRequest",
        "Evaluation frequency must be greater than or equal to five minutes since the",
    ),
    (
        "alert-on-nothing",
        lambda c: _alert(c, ALERT, "properties.scopes", [f"{MACHINES}/none"]),
        "ResourceNotFound",
        "'Microsoft.Compute/virtualMachines/none' under resource group 'chat' was not",
    ),
    (
        "alert-on-another-type",
        lambda c: _alert(c, ALERT, "properties.scopes", [DATA]),
        "BadRequest",
        "Alert scope is invalid.",
    ),
    (
        "alert-without-a-condition",
        lambda c: _alert(c, ALERT, "properties.criteria.allOf", []),
        "BadRequest",
        "The criteria of the alert are invalid.",
    ),
    (
        "alert-namespace",
        lambda c: _alert(
            c, ALERT, "properties.criteria.allOf.0.metricNamespace", "Microsoft.Compute/disks"
        ),
        "BadRequest",
        "Detect invalid value: Microsoft.Compute/disks for query parameter:",
    ),
    (
        "alert-metric",
        lambda c: _alert(c, ALERT, "properties.criteria.allOf.0.metricName", "OS Disk Used Bytes"),
        "BadRequest",
        "Couldn't find a metric named OS Disk Used Bytes.",
    ),
    (
        "alert-action-group",
        lambda c: _alert(c, ALERT, "properties.actions.0.actionGroupId", f"{ACTION_GROUP}2"),
        "BadRequest",
        "alerts2 is invalid or in a different subscription as alert rule.",
    ),
    (
        "processing-rule-only-global",
        lambda c: _alert(c, PROCESSING_RULE, "location", "francecentral"),
        "LocationNotAvailableForResourceType",
        "List of available regions for the resource type is 'global'.",
    ),
    (
        "processing-rule-scope",
        lambda c: _alert(c, PROCESSING_RULE, "properties.scopes", []),
        "BadRequest",
        "The rule needs a scope and an action.",
    ),
    (
        "processing-rule-time-zone",
        lambda c: _alert(c, PROCESSING_RULE, "properties.schedule.timeZone", "Europe/Paris"),
        "BadRequest",
        "The time zone 'Europe/Paris' is invalid.",
    ),
    (
        "processing-rule-time",
        lambda c: _alert(
            c, PROCESSING_RULE, "properties.schedule.recurrences.0.endTime", "24:00:00"
        ),
        "BadRequest",
        "The endTime '24:00:00' of a recurrence is invalid.",
    ),
    (
        "processing-rule-days",
        lambda c: _alert(c, PROCESSING_RULE, "properties.schedule.recurrences.1.daysOfWeek", []),
        "BadRequest",
        "A weekly recurrence needs days.",
    ),
    (
        "workspace-retention",
        lambda c: _alert(c, WORKSPACE, "properties.retentionInDays", 7),
        "BadRequest",
        "The retention must be between 30 and 730 days.",
    ),
    (
        "component-workspace",
        lambda c: _alert(c, COMPONENT, "properties.WorkspaceResourceId", f"{WORKSPACE}2"),
        "BadRequest",
        "/workspaces/availability2' was not found.",
    ),
    (
        "component-without-workspace",
        lambda c: _alert(c, COMPONENT, "properties.WorkspaceResourceId", None),
        "NotEmulated",
        "A component without a workspace of one's own.",
    ),
    (
        "web-test-without-component",
        lambda c: _alert(c, WEB_TEST, "tags", {}),
        "BadRequest",
        "A single 'hidden-link' tag pointing to an existing AI component is required.",
    ),
    (
        "web-test-frequency",
        lambda c: _alert(c, WEB_TEST, "properties.Frequency", 3600),
        "BadRequest",
        "Value cannot be null.",
    ),
    (
        "web-test-places-twice",
        lambda c: _alert(c, WEB_TEST, "properties.Locations.1.Id", "emea-nl-ams-azr"),
        "BadRequest",
        "'properties.Locations' duplicate entries found",
    ),
    (
        "web-test-place",
        lambda c: _alert(c, WEB_TEST, "properties.Locations.1.Id", "francecentral"),
        "BadRequest",
        "'properties.Locations' is invalid: francecentral",
    ),
    (
        "web-test-address",
        lambda c: _alert(c, WEB_TEST, "properties.Request.RequestUrl", "chat.example.com"),
        "BadRequest",
        "'properties.Request.RequestUrl' is invalid",
    ),
    (
        "action-group-name",
        lambda c: c.put(f"{ACTION_GROUP}?", ALERTS[ACTION_GROUP]),
        "InvalidResourceName",
        "The provided resource name 'alerts?' is invalid.",
    ),
    (
        "workspace-name",
        lambda c: c.put(f"{WORKSPACE}-", ALERTS[WORKSPACE]),
        "BadRequest",
        "The workspace name 'availability-' is invalid.",
    ),
    (
        "component-name",
        lambda c: c.put(f"{COMPONENT}.", ALERTS[COMPONENT]),
        "BadRequest",
        "The name 'chat.' is invalid.",
    ),
    (
        "availability-alert-without-component",
        lambda c: _alert(c, f"{ALERT}2", "properties.scopes", [WEB_TEST]),
        "BadRequest",
        "Alert scope is invalid.",
    ),
    (
        "availability-alert-of-another-test",
        lambda c: _alert(c, f"{ALERT}2", "properties.criteria.webTestId", f"{WEB_TEST}2"),
        "BadRequest",
        "Alert scope is invalid.",
    ),
    (
        "availability-alert-without-a-number",
        lambda c: _alert(c, f"{ALERT}2", "properties.criteria.failedLocationCount", None),
        "BadRequest",
        "The failed location count must be at least 1.",
    ),
    # Workflows
    (
        "workflow-time-zone",
        lambda c: c.add_workflow(workflow(timeZone="Europe/Paris")),
        "InvalidWorkflowTriggerRecurrence",
        "The recurrence of trigger 'hours' has an invalid time zone 'Europe/Paris'.",
    ),
    (
        "workflow-start-with-an-offset-beside-its-zone",
        lambda c: c.add_workflow(workflow(startTime="2026-01-01T00:00:00Z")),
        "InvalidWorkflowTriggerRecurrence",
        "has an invalid start time '2026-01-01T00:00:00Z'.",
    ),
    (
        "workflow-start-in-utc-without-z",
        lambda c: c.add_workflow(workflow(timeZone="UTC")),
        "InvalidWorkflowTriggerRecurrence",
        "has an invalid start time '2026-01-01T00:00:00'.",
    ),
    (
        "workflow-days-need-weeks",
        lambda c: c.add_workflow(workflow(frequency="Hour")),
        "InvalidWorkflowTriggerRecurrenceSchedule",
        "The recurrence schedule of trigger 'hours' has an invalid recurrence frequency 'Hour'.",
    ),
    (
        "workflow-day",
        lambda c: c.add_workflow(workflow(schedule={"weekDays": ["Funday"]})),
        "InvalidWorkflowTriggerRecurrenceSchedule",
        "has an invalid value 'Funday' in 'weekDays'.",
    ),
    (
        "workflow-unknown-member",
        lambda c: c.add_workflow(workflow(weekDays=["Monday"])),
        "InvalidTemplate",
        "Could not find member 'weekDays' on object of type 'FlowRecurrence'.",
    ),
    (
        "workflow-schema",
        lambda c: c.add_workflow(changed(workflow(), "properties.definition", {})),
        "InvalidTemplate",
        "The template's '$schema' property is missing or unknown.",
    ),
    (
        "workflow-identity-is-its-own",
        lambda c: c.add_workflow(changed(workflow(), "identity", {"type": "SystemAssigned"})),
        "InvalidWorkflowManagedIdentitySpecified",
        f"The managed identity '{IDENTITY}' of action 'start' is not one of those of workflow",
    ),
    (
        "workflow-identity-must-exist",
        lambda c: c.put(f"{WORKFLOWS}/vm-start", workflow()),
        "FailedIdentityOperation",
        f"Resource '{IDENTITY}' was not found.",
    ),
    # ARM: what every resource has
    (
        "unknown-type",
        lambda c: c.put(f"{GROUP}/providers/Microsoft.Network/loadBalancers/lb", {}),
        "InvalidResourceType",
        "'loadBalancers' could not be found in the namespace 'Microsoft.Network'",
    ),
    (
        "unknown-namespace",
        lambda c: c.put(f"{GROUP}/providers/Microsoft.Web/sites/s", {}),
        "InvalidResourceNamespace",
        "'Microsoft.Web' is invalid",
    ),
    (
        "unknown-api-version",
        lambda c: c.azure.put(VM, MACHINE, "2015-06-15"),
        "NoRegisteredProviderFound",
        "The supported api-versions are '2022-11-01, 2023-03-01, ",
    ),
    (
        "property-of-a-later-api-version",
        lambda c: c.azure.put(
            NET,
            _network("10.0.0.0/16", subnets=[_subnet("10.0.0.0/24", defaultOutboundAccess=True)]),
            "2022-05-01",
        ),
        "InvalidRequestFormat",
        "Could not find member 'defaultOutboundAccess' on an object of API version '2022-05-01'",
    ),
    (
        "malformed-id",
        lambda c: c.put("/resourceGroups/chat", {}),
        "LinkedInvalidPropertyId",
        "Property id '/resourceGroups/chat' is invalid",
    ),
    (
        "malformed-subscription",
        lambda c: c.put("/subscriptions/mine/resourceGroups/chat", {}),
        "InvalidSubscriptionId",
        "'mine' is malformed or invalid",
    ),
    (
        "unknown-property",
        lambda c: c.change(VM, "properties.osProfile.nickname", "x"),
        "InvalidRequestContent",
        "'properties.osProfile.nickname' is unknown",
    ),
    (
        "wrong-type",
        lambda c: c.change(DATA, "properties.diskSizeGB", "64"),
        "InvalidRequestContent",
        "'properties.diskSizeGB' must be an integer",
    ),
    (
        "wrong-choice",
        lambda c: c.change(DATA, "sku.name", "Fast_LRS"),
        "InvalidRequestContent",
        "'sku.name' is 'Fast_LRS' but must be one of Premium_LRS",
    ),
    (
        "missing-location",
        lambda c: c.put(f"{DISKS}/new", changed(disk(), "location", None)),
        "InvalidRequestContent",
        "'location' is required",
    ),
    (
        "unknown-location",
        lambda c: c.put(f"{DISKS}/new", {**disk(), "location": "atlantis"}),
        "LocationNotAvailableForResourceType",
        _stranger("atlantis"),
    ),
    (
        "location-of-resource-fixed",
        lambda c: c.change(DATA, "location", "westeurope"),
        "InvalidResourceLocation",
        "The resource 'data' already exists in location 'francecentral'",
    ),
    (
        "location-of-group-fixed",
        lambda c: c.put(GROUP, {"location": "westeurope"}),
        "InvalidResourceGroupLocation",
        "Invalid resource group location 'westeurope'",
    ),
    (
        "group-must-exist",
        lambda c: c.put(DATA.replace("/chat/", "/nowhere/"), disk()),
        "ResourceGroupNotFound",
        "Resource group 'nowhere' could not be found.",
    ),
    (
        "get-what-is-not-there",
        lambda c: c.azure.get(f"{DISKS}/none"),
        "ResourceNotFound",
        "The Resource 'Microsoft.Compute/disks/none' under resource group 'chat' was not found.",
    ),
    (
        "get-group-not-there",
        lambda c: c.azure.get(OTHER_GROUP),
        "ResourceGroupNotFound",
        "Resource group 'other' could not be found.",
    ),
    (
        "tag-name",
        lambda c: c.change(DATA, "tags", {"a/b": "c"}),
        "InvalidTagNameCharacters",
        "The tag name 'a/b'",
    ),
    (
        "tags-differ-in-case-only",
        lambda c: c.change(DATA, "tags", {"Team": "a", "floor": "3", "team": "b"}),
        "InvalidRequestContent",
        "the tag names 'Team' and 'team' differ only in case",
    ),
    (
        "tag-value-length",
        lambda c: c.change(DATA, "tags", {"a": "b" * 257}),
        "InvalidTagValueLength",
        "'256' characters",
    ),
    (
        "tag-count",
        lambda c: c.change(DATA, "tags", {f"t{number}": "" for number in range(51)}),
        "InvalidTagsCount",
        "'51' on the resource is more than the allowed '50'",
    ),
    # Names
    (
        "group-name",
        lambda c: c.put(f"{GROUP}.", {"location": "francecentral"}),
        "InvalidResourceGroup",
        "'chat.' has invalid characters",
    ),
    (
        "network-name-too-short",
        lambda c: c.put(f"{NETWORKS}/n", _network("10.1.0.0/16")),
        "InvalidResourceName",
        "Resource name n is invalid. The name can be up to 64 characters",
    ),
    (
        "network-resource-name",
        lambda c: c.put(f"{ADDRESSES}/-ip", _address()),
        "InvalidResourceName",
        "Resource name -ip is invalid. The name can be up to 80 characters",
    ),
    (
        "disk-name",
        lambda c: c.put(f"{DISKS}/_disk", disk()),
        "InvalidParameter",
        "The entity name 'diskName' is invalid",
    ),
    (
        "machine-name",
        lambda c: c.machine(name="v" * 65),
        "InvalidParameter",
        "The entity name 'vmName' is invalid",
    ),
    # Virtual networks and subnets
    (
        "prefix-form",
        lambda c: c.put(f"{NETWORKS}/new", _network("10.1.0.0")),
        "InvalidAddressPrefixFormat",
        "It should follow CIDR notation",
    ),
    (
        "prefix-host-bits",
        lambda c: c.put(f"{NETWORKS}/new", _network("10.1.0.1/16")),
        "InvalidCIDRNotation",
        "the address prefix should be 10.1.0.0/16",
    ),
    (
        "address-space-required",
        lambda c: c.put(f"{NETWORKS}/new", _network()),
        "InvalidRequestFormat",
        "must have at least one address prefix",
    ),
    (
        "address-spaces-overlap",
        lambda c: c.put(f"{NETWORKS}/new", _network("10.1.0.0/16", "10.1.2.0/24")),
        "VnetAddressSpacesOverlap",
        "10.1.0.0/16 and 10.1.2.0/24",
    ),
    (
        "subnet-outside-network",
        lambda c: c.put(f"{SUBNETS}/new", _subnet("192.168.0.0/24")),
        "NetcfgInvalidSubnet",
        "Subnet 'new' is not valid in virtual network 'net'.",
    ),
    (
        "subnet-too-small",
        lambda c: c.put(f"{SUBNETS}/new", _subnet("10.0.9.0/30")),
        "NetcfgInvalidSubnet",
        "Subnet 'new' is not valid in virtual network 'net'.",
    ),
    (
        "subnet-without-prefix",
        lambda c: c.put(f"{SUBNETS}/new", {"properties": {}}),
        "NetcfgInvalidSubnet",
        "Subnet 'new' is not valid",
    ),
    (
        "subnets-overlap",
        lambda c: c.put(f"{SUBNETS}/new", _subnet("10.0.0.128/25")),
        "NetcfgSubnetRangesOverlap",
        "overlaps with that of an existing subnet in virtual network 'net'",
    ),
    (
        "subnet-in-no-network",
        lambda c: c.put(f"{NETWORKS}/none/subnets/new", _subnet("10.0.9.0/24")),
        "ResourceNotFound",
        "'Microsoft.Network/virtualNetworks/none' under resource group 'chat' was not found",
    ),
    (
        "subnet-with-unknown-security-group",
        lambda c: c.put(
            f"{SUBNETS}/new",
            _subnet("10.0.9.0/24", networkSecurityGroup={"id": f"{SECURITY_GROUPS}/none"}),
        ),
        "InvalidResourceReference",
        f"Resource {SECURITY_GROUPS}/none referenced by resource {SUBNETS}/new was not found.",
    ),
    (
        "subnet-prefix-in-use",
        lambda c: c.put(SUBNET, _subnet("10.0.7.0/24")),
        "InUsePrefixCannotBeDeleted",
        "IpPrefix 10.0.0.0/24 on Subnet default has active allocations",
    ),
    (
        "address-space-in-use",
        lambda c: c.put(NET, _network("10.9.0.0/16")),
        "NetcfgInvalidSubnet",
        "Subnet 'default' is not valid in virtual network 'net'.",
    ),
    (
        "inline-subnets-same-name",
        lambda c: c.put(
            f"{NETWORKS}/new",
            _network("10.1.0.0/16", subnets=[{"name": "a", **_subnet("10.1.0.0/24")}] * 2),
        ),
        "DuplicateResourceName",
        "two child resources with the same name (a)",
    ),
    (
        "inline-subnet-left-out-while-in-use",
        lambda c: c.put(NET, _network("10.0.0.0/16", subnets=[])),
        "InUseSubnetCannotBeDeleted",
        f"Subnet default is in use by {NIC}/ipConfigurations/main",
    ),
    (
        "subnet-in-use",
        lambda c: c.delete(SUBNET),
        "InUseSubnetCannotBeDeleted",
        f"Subnet default is in use by {NIC}/ipConfigurations/main and cannot be deleted.",
    ),
    (
        "network-in-use",
        lambda c: c.delete(NET),
        "InUseSubnetCannotBeDeleted",
        "Subnet default is in use",
    ),
    (
        "subnet-with-unknown-nat-gateway",
        lambda c: c.put(
            f"{SUBNETS}/new", _subnet("10.0.9.0/24", natGateway={"id": f"{NAT_GATEWAYS}/none"})
        ),
        "InvalidResourceReference",
        f"Resource {NAT_GATEWAYS}/none referenced by resource {SUBNETS}/new was not found.",
    ),
    (
        "subnet-delegations-fixed-while-in-use",
        lambda c: c.put(SUBNET, _subnet("10.0.0.0/24", delegations=DELEGATIONS)),
        "SubnetDelegationsCannotChangeWhenSubnetUsedByResource",
        f"cannot be changed from [] to [Microsoft.Web/serverFarms] because it is being used by the"
        f" resource {NIC}/ipConfigurations/main",
    ),
    # NAT gateways
    (
        "nat-gateway-needs-a-sku",
        lambda c: c.put(f"{NAT_GATEWAYS}/new", {"location": "francecentral"}),
        "InvalidRequestContent",
        "'sku' is required",
    ),
    (
        "nat-gateway-address-in-use",
        lambda c: c.put(f"{NAT_GATEWAYS}/new", _nat_gateway("ip")),
        "PublicIPAddressInUse",
        f"already allocated to resource {NIC}/ipConfigurations/main.",
    ),
    (
        "address-of-a-nat-gateway-in-use",
        lambda c: _with_nat_gateway(c).delete(f"{ADDRESSES}/gateway-1"),
        "PublicIPAddressCannotBeDeleted",
        f"since it is still allocated to resource {NAT_GATEWAYS}/gateway-1.",
    ),
    (
        "nat-gateway-in-use",
        lambda c: _with_nat_gateway(c).delete(f"{NAT_GATEWAYS}/gateway-1"),
        "InUseNatGatewayCannotBeDeleted",
        f"because it is in use by the following resources: {SUBNETS}/out.",
    ),
    # Network security groups
    (
        "rule-priority",
        lambda c: c.put(NSG, _rules(rule("a", 99))),
        "SecurityRuleInvalidPriority",
        "Security rule has invalid Priority. Value provided: 99 Allowed range 100-4096.",
    ),
    (
        "rules-same-priority-and-direction",
        lambda c: c.put(NSG, _rules(rule("a", 100), rule("b", 100))),
        "SecurityRuleConflict",
        "Security rule a conflicts with rule b. Rules cannot have the same Priority and Direction.",
    ),
    (
        "rules-same-name",
        lambda c: c.put(NSG, _rules(rule("a", 100), rule("a", 110))),
        "DuplicateResourceName",
        "two child resources with the same name (a)",
    ),
    (
        "rule-name",
        lambda c: c.put(NSG, _rules(rule("a b", 100))),
        "InvalidResourceName",
        "Resource name a b is invalid.",
    ),
    (
        "rule-port",
        lambda c: c.put(NSG, _rules(rule("a", 100, destinationPortRange="70000"))),
        "SecurityRuleInvalidPortRange",
        "Value provided: 70000. Value should be an integer OR integer range",
    ),
    (
        "rule-port-range-reversed",
        lambda c: c.put(NSG, _rules(rule("a", 100, destinationPortRange="90-80"))),
        "SecurityRuleInvalidPortRange",
        "Value provided: 90-80.",
    ),
    (
        "rule-any-port-in-a-list",
        lambda c: c.put(
            NSG,
            _rules(rule("a", 100, destinationPortRange=None, destinationPortRanges=["*", "80"])),
        ),
        "SecurityRuleParameterContainsInvalidPortRanges",
        "contains invalid port ranges. Invalid port range used: *.",
    ),
    (
        "rule-prefix",
        lambda c: c.put(NSG, _rules(rule("a", 100, sourceAddressPrefix="10.0.0.300"))),
        "SecurityRuleInvalidAddressPrefix",
        "Security rule has invalid Address prefix. Value provided: 10.0.0.300",
    ),
    (
        "rule-service-tag-in-a-list",
        lambda c: c.put(
            NSG,
            _rules(rule("a", 100, sourceAddressPrefix=None, sourceAddressPrefixes=["Internet"])),
        ),
        "SecurityRuleParameterContainsUnsupportedValue",
        "'*' or system tags. Unsupported value used: Internet.",
    ),
    (
        "rule-prefixes-overlap",
        lambda c: c.put(
            NSG,
            _rules(
                rule(
                    "a",
                    100,
                    sourceAddressPrefix=None,
                    sourceAddressPrefixes=["10.0.0.0/16", "192.0.2.7", "10.0.8.27/32"],
                )
            ),
        ),
        "OverlappingSubnetsNotPermittedInSecurityRule",
        "contains overlapping subnets [10.0.0.0/16, 10.0.8.27/32], which is not permitted",
    ),
    (
        "rule-same-prefix-twice",
        lambda c: c.put(
            NSG,
            _rules(
                rule(
                    "a",
                    100,
                    destinationAddressPrefix=None,
                    destinationAddressPrefixes=["192.0.2.7", "192.0.2.7/32"],
                )
            ),
        ),
        "OverlappingSubnetsNotPermittedInSecurityRule",
        "Security rule parameter DestinationAddressPrefix for rule",
    ),
    (
        "rule-side-missing",
        lambda c: c.put(NSG, _rules(rule("a", 100, sourceAddressPrefix=None))),
        "SecurityRuleParameterMissing",
        "exactly one of sourceAddressPrefix and sourceAddressPrefixes",
    ),
    (
        "rule-side-twice",
        lambda c: c.put(NSG, _rules(rule("a", 100, sourceAddressPrefixes=["10.0.0.0/8"]))),
        "SecurityRuleParameterConflict",
        "exactly one of sourceAddressPrefix and sourceAddressPrefixes",
    ),
    (
        "security-group-in-use",
        lambda c: c.delete(NSG),
        "InUseNetworkSecurityGroupCannotBeDeleted",
        f"Network security group {NSG} cannot be deleted because it is in use by the following"
        f" resources: {SUBNET}.",
    ),
    # Public addresses
    (
        "address-basic",
        lambda c: c.put(f"{ADDRESSES}/new", _address(sku=None)),
        "IPv4BasicSkuPublicIpCountLimitReached",
        "Cannot create more than 0 IPv4 Basic SKU public IP addresses",
    ),
    (
        "address-standard-must-be-static",
        lambda c: c.put(
            f"{ADDRESSES}/new", _address(properties__publicIPAllocationMethod="Dynamic")
        ),
        "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
        f"Standard sku publicIp {ADDRESSES}/new must have AllocationMethod set to Static.",
    ),
    (
        "address-sku-fixed",
        lambda c: c.change(IP, "sku.name", "Basic"),
        "PublicIPAddressSkuCannotBeChanged",
        "Sku property is set at creation time and cannot be changed from Standard to Basic",
    ),
    (
        "address-zones-fixed",
        lambda c: c.change(IP, "zones", ["1"]),
        "ResourceAvailabilityZonesCannotBeModified",
        "Zones cannot be added/updated/removed once the resource is created.",
    ),
    (
        "address-zone-unknown",
        lambda c: c.put(f"{ADDRESSES}/new", _address(zones=["4"])),
        "InvalidAvailabilityZone",
        "The supported zones for location 'francecentral' are '1,2,3'",
    ),
    (
        "address-idle-timeout",
        lambda c: c.put(f"{ADDRESSES}/new", _address(properties__idleTimeoutInMinutes=3)),
        "InvalidIdleTimeoutInMinutes",
        "It must be between 4 and 30.",
    ),
    (
        "dns-label",
        lambda c: c.change(IP, "properties.dnsSettings.domainNameLabel", "My-Chat"),
        "InvalidDomainNameLabel",
        "The domain name label My-Chat is invalid. It must conform to the following regular"
        " expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.",
    ),
    (
        "dns-label-in-use",
        lambda c: c.put(
            f"{ADDRESSES}/new", _address(properties__dnsSettings={"domainNameLabel": "my-chat"})
        ),
        "DnsRecordInUse",
        "DNS record my-chat.francecentral.cloudapp.azure.com is already used by another public IP.",
    ),
    (
        "address-in-use",
        lambda c: c.delete(IP),
        "PublicIPAddressCannotBeDeleted",
        f"Public IP address {IP} can not be deleted since it is still allocated to resource"
        f" {NIC}/ipConfigurations/main.",
    ),
    (
        "address-count",
        _many_addresses,
        "PublicIPCountLimitReached",
        "Cannot create more than 250 public IP addresses for this subscription in this region.",
    ),
    # Network interfaces
    (
        "interface-in-a-delegated-subnet",
        _delegated_subnet,
        "ResourceNotPermittedOnDelegatedSubnet",
        f"is not permitted on subnet {SUBNETS}/web, which is delegated to Microsoft.Web/server",
    ),
    (
        "interface-in-another-subscription",
        _subnet_of_another_subscription,
        "InvalidResourceReference",
        f"referenced by resource {INTERFACES}/new was not found.",
    ),
    (
        "interface-leaves-its-network",
        _to_another_network,
        "SubnetsNotInSameVnet",
        "an interface cannot leave its virtual network",
    ),
    (
        "interface-without-configuration",
        lambda c: c.put(f"{INTERFACES}/new", {"location": "francecentral"}),
        "NetworkInterfaceMustHaveIpConfiguration",
        "must have at least one IP configuration",
    ),
    (
        "interface-without-subnet",
        lambda c: c.put(f"{INTERFACES}/new", interface(subnet=None)),
        "SubnetIsRequired",
        "Subnet reference is required for ipConfiguration",
    ),
    (
        "interface-in-unknown-subnet",
        lambda c: c.put(f"{INTERFACES}/new", interface(subnet={"id": f"{SUBNETS}/none"})),
        "InvalidResourceReference",
        f"Resource {SUBNETS}/none referenced by resource {INTERFACES}/new was not found.",
    ),
    (
        "interface-with-unknown-address",
        lambda c: c.put(
            f"{INTERFACES}/new", interface(publicIPAddress={"id": f"{ADDRESSES}/none"})
        ),
        "InvalidResourceReference",
        f"Resource {ADDRESSES}/none referenced by",
    ),
    (
        "interface-in-another-region",
        lambda c: c.put(
            f"{INTERFACES}/new", {**interface(publicIPAddress={"id": IP}), "location": "westeurope"}
        ),
        "InvalidResourceReference",
        "and that both resources are in the same region",
    ),
    (
        "address-of-another-interface",
        lambda c: c.put(f"{INTERFACES}/new", interface(publicIPAddress={"id": IP})),
        "PublicIPAddressInUse",
        f"already allocated to resource {NIC}/ipConfigurations/main",
    ),
    (
        "private-address-missing",
        lambda c: c.put(f"{INTERFACES}/new", interface(privateIPAllocationMethod="Static")),
        "PrivateIPAddressRequired",
        "needs a valid privateIPAddress",
    ),
    (
        "private-address-reserved",
        lambda c: c.put(
            f"{INTERFACES}/new",
            interface(privateIPAllocationMethod="Static", privateIPAddress="10.0.0.3"),
        ),
        "PrivateIPAddressInReservedRange",
        "10.0.0.3 falls within reserved IP range of subnet prefix 10.0.0.0/24",
    ),
    (
        "private-address-last",
        lambda c: c.put(
            f"{INTERFACES}/new",
            interface(privateIPAllocationMethod="Static", privateIPAddress="10.0.0.255"),
        ),
        "PrivateIPAddressInReservedRange",
        "10.0.0.255 falls within reserved IP range",
    ),
    (
        "private-address-outside",
        lambda c: c.put(
            f"{INTERFACES}/new",
            interface(privateIPAllocationMethod="Static", privateIPAddress="10.0.1.4"),
        ),
        "PrivateIPAddressNotInSubnet",
        "10.0.1.4 does not belong to the range of subnet prefix 10.0.0.0/24",
    ),
    (
        "private-address-taken",
        lambda c: c.put(
            f"{INTERFACES}/new",
            interface(privateIPAllocationMethod="Static", privateIPAddress="10.0.0.4"),
        ),
        "PrivateIPAddressIsAllocated",
        f"10.0.0.4 which is already allocated to resource {NIC}/ipConfigurations/main.",
    ),
    (
        "subnet-full",
        _full_subnet,
        "SubnetIsFull",
        "Subnet small with address prefix 10.0.9.0/29 does not have enough capacity for 1 IP",
    ),
    (
        "interface-in-use",
        lambda c: c.delete(NIC),
        "NicInUse",
        f"Network Interface {NIC} is used by existing resource {VM}.",
    ),
    # Disks
    (
        "disk-size-missing",
        lambda c: c.put(f"{DISKS}/new", disk(None)),
        "InvalidParameter",
        "Required parameter 'disk.diskSizeGB' is missing (null).",
    ),
    (
        "disk-size-range",
        lambda c: c.put(f"{DISKS}/new", disk(40000)),
        "InvalidParameter",
        "must be between '1' and '32767' inclusive",
    ),
    (
        "disk-cannot-shrink",
        lambda c: c.put(DATA, disk(32)),
        "InvalidResizeWithName",
        "cannot be resized down. Reducing disk/snapshot size is not supported in Azure to prevent"
        " data loss.",
    ),
    (
        "disk-crossing-4-tib-while-in-use",
        lambda c: c.put(DATA, disk(5000)),
        "OperationNotAllowed",
        f"Cannot resize disk data while it is attached to running VM {VM}.",
    ),
    (
        "disk-zones-fixed",
        lambda c: c.change(DATA, "zones", ["1"]),
        "ResourceAvailabilityZonesCannotBeModified",
        "Zones cannot be added/updated/removed",
    ),
    (
        "disk-creation-fixed",
        lambda c: c.put(_os_disk(c), disk(30)),
        "PropertyChangeNotAllowed",
        "Changing property 'creationData.createOption' is not allowed.",
    ),
    (
        "disk-in-use",
        lambda c: c.delete(DATA),
        "OperationNotAllowed",
        f"Disk data is attached to VM {VM}.",
    ),
    # Virtual machines: what it is made of
    (
        "size-unknown",
        lambda c: c.change(VM, HARDWARE, "Standard_B3ms"),
        "InvalidParameter",
        "The requested VM size Standard_B3ms is not available in the current region.",
    ),
    (
        "size-missing",
        lambda c: c.change(VM, HARDWARE, None),
        "InvalidParameter",
        "Required parameter 'hardwareProfile.vmSize' is missing (null).",
    ),
    (
        "image-unknown",
        lambda c: c.machine(f"{STORAGE}.imageReference.sku", "14-gen2"),
        "PlatformImageNotFound",
        "The platform image 'Debian:debian-13:14-gen2:latest' is not available.",
    ),
    (
        "image-version-malformed",
        lambda c: c.machine(f"{STORAGE}.imageReference.version", "13.1"),
        "PlatformImageNotFound",
        "'Debian:debian-13:13-gen2:13.1' is not available",
    ),
    (
        "image-of-another-architecture",
        lambda c: c.machine(f"{STORAGE}.imageReference.sku", "13-arm64"),
        "InvalidParameter",
        "this VM size only supports a CPU Architecture of 'x64', but an image or disk with CPU"
        " Architecture 'Arm64' was given",
    ),
    (
        "trusted-launch-needs-generation-2",
        lambda c: c.machine(f"{STORAGE}.imageReference.sku", "13"),
        "BadRequest",
        "Trusted Launch needs a generation 2 image",
    ),
    (
        "image-of-another-generation",
        lambda c: _size_and_image(c, "Standard_NC24ads_A100_v4", "13"),
        "BadRequest",
        "The selected VM size 'Standard_NC24ads_A100_v4' cannot boot Hypervisor Generation '1'.",
    ),
    (
        "trusted-launch-on-arm",
        lambda c: _size_and_image(c, "Standard_B2ps_v2", "13-arm64"),
        "BadRequest",
        "The VM size 'Standard_B2ps_v2' is not supported for security type 'TrustedLaunch'.",
    ),
    (
        "secure-boot-needs-trusted-launch",
        lambda c: c.machine(
            "properties.securityProfile", {"uefiSettings": {"secureBootEnabled": True}}
        ),
        "BadRequest",
        "Use of UEFI settings is not supported for security type 'Standard'",
    ),
    (
        "profile-missing",
        lambda c: c.machine(PROFILE, None),
        "InvalidParameter",
        "Required parameter 'osProfile' is missing (null).",
    ),
    (
        "computer-name",
        lambda c: c.machine(f"{PROFILE}.computerName", "chat_1"),
        "InvalidParameter",
        "Linux host name cannot exceed 64 characters in length or contain the following",
    ),
    *(
        (
            f"admin-name-{name}",
            lambda c, name=name: c.machine(f"{PROFILE}.adminUsername", name),
            "InvalidParameter",
            "The Admin Username specified is not allowed.",
        )
        for name in ["root", "admin", "Ollama", "-chat"]
    ),
    (
        "custom-data-not-base64",
        lambda c: c.machine(f"{PROFILE}.customData", "#cloud-config"),
        "InvalidParameter",
        "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380",
    ),
    (
        "custom-data-too-long",
        lambda c: c.machine(f"{PROFILE}.customData", base64.b64encode(b"#" * 65536).decode()),
        "InvalidParameter",
        "with a maximum length of 87380 characters",
    ),
    (
        "no-way-in",
        lambda c: c.machine(f"{PROFILE}.linuxConfiguration.ssh", None),
        "InvalidParameter",
        "Authentication using either SSH or by user name and password must be enabled in Linux",
    ),
    (
        "password-with-passwords-disabled",
        lambda c: c.machine(f"{PROFILE}.adminPassword", "Correct-horse-1"),
        "InvalidParameter",
        "'adminPassword' must not be given",
    ),
    (
        "password-forbidden",
        lambda c: _with_password(c, "P@ssw0rd"),
        "InvalidParameter",
        "The Admin password specified is not allowed.",
    ),
    (
        "password-too-simple",
        lambda c: _with_password(c, "onlylowercase"),
        "InvalidParameter",
        "must satisfy at least 3 of password complexity requirements",
    ),
    (
        "key-malformed",
        lambda c: c.machine(PUBLIC_KEY, "ssh-ed25519 nonsense"),
        "InvalidParameter",
        "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
    ),
    (
        "key-rsa-too-short",
        lambda c: c.machine(PUBLIC_KEY, _public_key(rsa.generate_private_key(65537, 1024))),  # noqa: S505
        "InvalidParameter",
        "linuxConfiguration.ssh.publicKeys.keyData is invalid",
    ),
    (
        "key-ecdsa",
        lambda c: c.machine(PUBLIC_KEY, _public_key(ec.generate_private_key(ec.SECP256R1()))),
        "InvalidParameter",
        "linuxConfiguration.ssh.publicKeys.keyData is invalid",
    ),
    (
        "key-path",
        lambda c: c.machine(
            f"{PROFILE}.linuxConfiguration.ssh.publicKeys.0.path", "/root/.ssh/authorized_keys"
        ),
        "InvalidParameter",
        "limited to its default value /home/ollamazure/.ssh/authorized_keys",
    ),
    (
        "machine-without-interface",
        lambda c: c.machine("properties.networkProfile.networkInterfaces", []),
        "InvalidParameter",
        "Required parameter 'networkProfile.networkInterfaces' is missing (null).",
    ),
    (
        "machine-with-unknown-interface",
        lambda c: c.machine(
            "properties.networkProfile.networkInterfaces", [{"id": f"{INTERFACES}/none"}]
        ),
        "NotFound",
        f"Resource {INTERFACES}/none not found.",
    ),
    (
        "interface-of-another-machine",
        lambda c: c.machine("properties.networkProfile.networkInterfaces", [{"id": NIC}]),
        "NicInUse",
        f"Network Interface {NIC} is used by existing resource {VM}.",
    ),
    (
        "accelerated-networking-on-b2ms",
        _accelerated,
        "VMSizeIsNotPermittedToEnableAcceleratedNetworking",
        "has size Standard_B2ms, which is not compatible with enabling accelerated networking",
    ),
    (
        "os-disk-missing",
        lambda c: c.machine(f"{STORAGE}.osDisk", None),
        "InvalidParameter",
        "Required parameter 'storageProfile.osDisk' is missing (null).",
    ),
    (
        "os-disk-smaller-than-image",
        lambda c: c.machine(f"{STORAGE}.osDisk.diskSizeGB", 20),
        "OperationNotAllowed",
        "Disk with size 20GB, which is smaller than the size 30GB of corresponding disk in Image",
    ),
    (
        "os-disk-name-taken",
        lambda c: c.machine(f"{STORAGE}.osDisk.name", "data"),
        "Conflict",
        "Disk data already exists in resource group chat.",
    ),
    (
        "os-disk-caching-on-b2ms",
        lambda c: c.machine(f"{STORAGE}.osDisk.caching", "ReadWrite"),
        "InvalidParameter",
        "Premium storage caching is not supported for VM size Standard_B2ms",
    ),
    (
        "data-disk-caching-on-b2ms",
        lambda c: _attach(c, _data_disk(0, caching="ReadOnly")),
        "InvalidParameter",
        "Premium storage caching is not supported for VM size Standard_B2ms",
    ),
    (
        "data-disk-unknown",
        lambda c: _attach(c, _data_disk(0, "none")),
        "NotFound",
        f"Resource {DISKS}/none not found.",
    ),
    (
        "data-disk-lun-taken",
        _two_on_one_lun,
        "InvalidParameter",
        "A disk at LUN 0 already exists.",
    ),
    (
        "data-disk-lun-range",
        lambda c: _attach(c, _data_disk(4)),
        "InvalidParameter",
        "must be between '0' and '3' inclusive",
    ),
    (
        "data-disks-more-than-the-size-takes",
        _many_disks,
        "OperationNotAllowed",
        "The maximum number of data disks allowed to be attached to a VM of this size is 4.",
    ),
    (
        "data-disk-of-another-machine",
        _disk_of_another,
        "ConflictingUserInput",
        f"Disk '{DATA}' cannot be attached as the disk is already owned by VM '{VM}'.",
    ),
    (
        "data-disk-of-another-zone",
        _zonal_disk,
        "BadRequest",
        "it is not in the same zone as the VM",
    ),
    # Virtual machines: what cannot change
    (
        "machine-leaves-its-network",
        _machine_to_another_network,
        "SubnetsNotInSameVnet",
        f"is not in the same virtual network as subnet {SUBNETS}/default",
    ),
    *(
        (
            f"fixed-{target}",
            lambda c, path=path, value=value: c.change(VM, path, value),
            "PropertyChangeNotAllowed",
            f"Changing property '{target}' is not allowed.",
        )
        for path, value, target in [
            (f"{PROFILE}.customData", "bmV3", "customData"),
            (f"{PROFILE}.adminUsername", "other", "osProfile.adminUsername"),
            (f"{PROFILE}.computerName", "other", "osProfile.computerName"),
            (
                PUBLIC_KEY.removesuffix(".0.keyData"),
                [],
                "linuxConfiguration.ssh.publicKeys",
            ),
            (
                f"{PROFILE}.linuxConfiguration.disablePasswordAuthentication",
                False,
                "linuxConfiguration.disablePasswordAuthentication",
            ),
            (f"{STORAGE}.imageReference.version", "0.20260914.2601", "imageReference"),
            (f"{STORAGE}.osDisk.name", "other", "osDisk.name"),
            ("properties.securityProfile", {}, "securityProfile.securityType"),
            (f"{STORAGE}.osDisk.managedDisk", {"id": DATA}, "osDisk.managedDisk.id"),
            (f"{STORAGE}.dataDisks.0.name", "other", "dataDisk.name"),
            (f"{STORAGE}.dataDisks.0.diskSizeGB", 128, "dataDisk.diskSizeGB"),
            (
                f"{STORAGE}.dataDisks.0.managedDisk.storageAccountType",
                "Premium_LRS",
                "dataDisk.managedDisk.storageAccountType",
            ),
        ]
    ),
    (
        "machine-zones-fixed",
        lambda c: c.change(VM, "zones", ["1"]),
        "ResourceAvailabilityZonesCannotBeModified",
        "Zones cannot be added/updated/removed",
    ),
    (
        "resize-across-the-temp-disk-line",
        lambda c: c.change(VM, HARDWARE, "Standard_B2s_v2"),
        "OperationNotAllowed",
        "Unable to resize the VM 'vm' since changing from resource disk to non-resource disk VM"
        " size and vice-versa is not allowed.",
    ),
    (
        "os-disk-grown-while-running",
        lambda c: c.change(VM, f"{STORAGE}.osDisk.diskSizeGB", 64),
        "OperationNotAllowed",
        "Resizing a disk of an Azure Virtual Machine requires the virtual machine to be"
        " deallocated.",
    ),
    (
        "os-disk-cannot-shrink",
        lambda c: (
            c.machine(f"{STORAGE}.osDisk.diskSizeGB", 64),
            c.machine(f"{STORAGE}.osDisk.diskSizeGB", 40),
        ),
        "InvalidResizeWithName",
        "cannot be resized down",
    ),
    (
        "restart-of-a-stopped-machine",
        _restart_deallocated,
        "OperationNotAllowed",
        "'vm' is deallocated",
    ),
    (
        "action-on-nothing",
        lambda c: c.azure.action(f"{MACHINES}/none", "start"),
        "ResourceNotFound",
        "'Microsoft.Compute/virtualMachines/none' under resource group 'chat' was not found.",
    ),
    (
        "unknown-action",
        lambda c: c.azure.action(VM, "reimage"),
        "InvalidResourceType",
        "The action 'reimage' could not be found",
    ),
    # Resource groups
    (
        "group-used-from-outside",
        _used_from_outside,
        "ResourceGroupDeletionBlocked",
        "could not be deleted",
    ),
    # What Azure may allow and the emulator does not know
    *(
        (f"not-emulated-{what}", attempt, "NotEmulated", "docs/explanation/emulator.md")
        for what, attempt in [
            (
                "global-address",
                lambda c: c.put(
                    f"{ADDRESSES}/new", _address(sku={"name": "Standard", "tier": "Global"})
                ),
            ),
            (
                "vault-with-access-policies",
                lambda c: c.put(VAULT, vault(enableRbacAuthorization=False)),
            ),
            (
                "dns-settings-without-label",
                lambda c: c.change(IP, "properties.dnsSettings", {"reverseFqdn": "chat.example"}),
            ),
            (
                "ipv6-configuration",
                lambda c: c.put(f"{INTERFACES}/new", interface(privateIPAddressVersion="IPv6")),
            ),
            (
                "second-configuration",
                lambda c: c.change(
                    NIC,
                    "properties.ipConfigurations",
                    BODIES[NIC]["properties"]["ipConfigurations"] * 2,
                ),
            ),
            (
                "second-interface",
                lambda c: c.machine(
                    "properties.networkProfile.networkInterfaces", [{"id": NIC}, {"id": NIC}]
                ),
            ),
            (
                "second-prefix",
                lambda c: c.put(
                    f"{SUBNETS}/new",
                    {"properties": {"addressPrefixes": ["10.0.8.0/24", "10.0.9.0/24"]}},
                ),
            ),
        ]
    ),
    # Clusters, and the services beside them
    *clusters.RULES,
]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("attempt", "code", "message"),
    [(attempt, code, message) for _, attempt, code, message in RULES],
    ids=[name for name, *_ in RULES],
)
def test_rule(cloud: Cloud, attempt: Try, code: str, message: str) -> None:
    with pytest.raises(AzureError) as refused:
        attempt(cloud)
    assert refused.value.code == code
    assert message in refused.value.message


@pytest.mark.unit
def test_rule_ids_are_unique() -> None:
    names = [name for name, *_ in RULES]
    assert len(names) == len(set(names))


@pytest.mark.unit
@pytest.mark.parametrize("name", sorted(FORBIDDEN_ADMINS))
def test_forbidden_admin_names(cloud: Cloud, name: str) -> None:
    with pytest.raises(AzureError, match="The Admin Username specified is not allowed"):
        cloud.machine(f"{PROFILE}.adminUsername", name)

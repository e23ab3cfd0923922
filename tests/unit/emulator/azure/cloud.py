"""An emulated Azure in plan mode with everything that the program creates, and more requests."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from emulator.azure.fabric import NullFabric
from emulator.azure.identities import TENANT
from emulator.azure.service import Azure
from emulator.instance import Instance

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/chat"
NETWORKS = f"{GROUP}/providers/Microsoft.Network/virtualNetworks"
SUBNETS = f"{NETWORKS}/net/subnets"
SECURITY_GROUPS = f"{GROUP}/providers/Microsoft.Network/networkSecurityGroups"
ADDRESSES = f"{GROUP}/providers/Microsoft.Network/publicIPAddresses"
NAT_GATEWAYS = f"{GROUP}/providers/Microsoft.Network/natGateways"
INTERFACES = f"{GROUP}/providers/Microsoft.Network/networkInterfaces"
DISKS = f"{GROUP}/providers/Microsoft.Compute/disks"
MACHINES = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
ACCOUNTS = f"{GROUP}/providers/Microsoft.Storage/storageAccounts"
WORKFLOWS = f"{GROUP}/providers/Microsoft.Logic/workflows"
# The program's own resources of these types.
VM, NIC, DATA, IP = f"{MACHINES}/vm", f"{INTERFACES}/nic", f"{DISKS}/data", f"{ADDRESSES}/ip"
NET, NSG, SUBNET = f"{NETWORKS}/net", f"{SECURITY_GROUPS}/nsg", f"{SUBNETS}/default"
IDENTITY, ACCOUNT = f"{IDENTITIES}/machine", f"{ACCOUNTS}/backup0123456789abcdef"
BLOBS = f"{ACCOUNT}/blobServices/default"
CONTAINER = f"{BLOBS}/containers/backups"
VAULTS = f"{GROUP}/providers/Microsoft.KeyVault/vaults"
VAULT, KEY = f"{VAULTS}/ollamazure-0123456789ab", f"{VAULTS}/ollamazure-0123456789ab/keys/state"
CREDENTIALS = f"{IDENTITY}/federatedIdentityCredentials"
ROLES = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization"
CONTRIBUTOR = f"{ROLES}/roleDefinitions/ba92f5b4-2d11-453d-a403-e96b0029c9fe"
ACCESS = (
    f"{CONTAINER}/providers/Microsoft.Authorization/roleAssignments"
    "/7d1f4f0c-52a2-5b3f-9a3f-6f0c3a9d2a11"
)

INSIGHTS = f"{GROUP}/providers/Microsoft.Insights"
ACTION_GROUP, ALERT = f"{INSIGHTS}/actionGroups/alerts", f"{INSIGHTS}/metricAlerts/machine-down"
COMPONENT, WEB_TEST = f"{INSIGHTS}/components/chat", f"{INSIGHTS}/webtests/chat"
PROCESSING_RULE = f"{GROUP}/providers/Microsoft.AlertsManagement/actionRules/at-night"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/availability"

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmGVRaw60H0cVU+OlkFnjNG8zLepvDwGcx5N/1F7QV2"

Body = dict[str, Any]


def rule(name: str, priority: int, **changes: Any) -> Body:
    """A security rule that lets in port 443."""
    properties = {
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationPortRange": "443",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "access": "Allow",
        "priority": priority,
        "direction": "Inbound",
    }
    merged = {**properties, **changes}
    return {"name": name, "properties": {key: each for key, each in merged.items() if each}}


def interface(**configuration: Any) -> Body:
    """A network interface; the arguments are its IP configuration's properties."""
    return {
        "location": "francecentral",
        "properties": {
            "ipConfigurations": [
                {
                    "name": "main",
                    "properties": {"subnet": {"id": f"{SUBNETS}/default"}, **configuration},
                }
            ]
        },
    }


def disk(size: int | None = 64, **properties: Any) -> Body:
    """An empty disk with a size in GB."""
    return {
        "location": "francecentral",
        "sku": {"name": "StandardSSD_LRS"},
        "properties": {
            "creationData": {"createOption": "Empty"},
            "diskSizeGB": size,
            **properties,
        },
    }


def assignment(principal: str, **properties: Any) -> Body:
    """A role assignment that lets an identity write blobs."""
    return {
        "properties": {
            "roleDefinitionId": CONTRIBUTOR,
            "principalId": principal,
            "principalType": "ServicePrincipal",
            **properties,
        }
    }


def vault(**properties: Any) -> Body:
    """A key vault as a bootstrap creates it."""
    return {
        "location": "francecentral",
        "properties": {
            "tenantId": TENANT,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
            "enablePurgeProtection": True,
            "softDeleteRetentionInDays": 90,
            **properties,
        },
    }


def key(**properties: Any) -> Body:
    """A key as a bootstrap creates it."""
    return {"properties": {"kty": "RSA", "keySize": 3072, **properties}}


def credential(environment: str, **properties: Any) -> Body:
    """A sign-in by a job of GitHub in an environment."""
    return {
        "properties": {
            "issuer": "https://token.actions.githubusercontent.com",
            "subject": f"repo:team/chat:environment:{environment}",
            "audiences": ["api://AzureADTokenExchange"],
            **properties,
        }
    }


def workflow(**recurrence: Any) -> Body:
    """A workflow that starts the machine on Mondays; the arguments change its recurrence."""
    whole = {
        "frequency": "Week",
        "interval": 1,
        "startTime": "2026-01-01T00:00:00",
        "timeZone": "Romance Standard Time",
        "schedule": {"weekDays": ["Monday"], "hours": [7], "minutes": [0]},
        **recurrence,
    }
    authentication = {"type": "ManagedServiceIdentity", "identity": IDENTITY}
    return {
        "location": "francecentral",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "definition": {
                "$schema": "https://schema.management.azure.com/providers/Microsoft.Logic/schemas"
                "/2016-06-01/workflowdefinition.json#",
                "contentVersion": "1.0.0.0",
                "triggers": {"hours": {"type": "Recurrence", "recurrence": whole}},
                "actions": {
                    "start": {
                        "type": "Http",
                        "inputs": {"method": "POST", "authentication": authentication},
                    }
                },
            }
        },
    }


MACHINE: Body = {
    "location": "francecentral",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_B2ms"},
        "storageProfile": {
            "imageReference": {
                "publisher": "Debian",
                "offer": "debian-13",
                "sku": "13-gen2",
                "version": "latest",
            },
            "osDisk": {"createOption": "FromImage", "caching": "None", "deleteOption": "Delete"},
            "dataDisks": [
                {"lun": 0, "createOption": "Attach", "managedDisk": {"id": f"{DISKS}/data"}}
            ],
        },
        "osProfile": {
            "computerName": "chat",
            "adminUsername": "ollamazure",
            "customData": "I2Nsb3VkLWNvbmZpZwo=",
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"keyData": ED25519}]},
            },
        },
        "networkProfile": {"networkInterfaces": [{"id": f"{INTERFACES}/nic"}]},
        "securityProfile": {
            "securityType": "TrustedLaunch",
            "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
        },
    },
}

STORAGE_ACCOUNT: Body = {
    "location": "francecentral",
    "kind": "StorageV2",
    "sku": {"name": "Standard_LRS"},
    "properties": {"allowSharedKeyAccess": False},
}

# Alerts on the machine, and an availability test, in an order that they can be created in.
ALERTS: dict[str, Body] = {
    ACTION_GROUP: {
        "location": "global",
        "properties": {
            "groupShortName": "chat-alerts",
            "enabled": True,
            "emailReceivers": [{"name": "alice", "emailAddress": "alice@example.com"}],
            "webhookReceivers": [{"name": "webhook", "serviceUri": "https://example.com/hook"}],
        },
    },
    ALERT: {
        "location": "global",
        "properties": {
            "severity": 0,
            "enabled": True,
            "scopes": [VM],
            "evaluationFrequency": "PT1M",
            "windowSize": "PT5M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [
                    {
                        "name": "down",
                        "criterionType": "StaticThresholdCriterion",
                        "metricName": "VmAvailabilityMetric",
                        "operator": "LessThan",
                        "threshold": 1,
                        "timeAggregation": "Maximum",
                    }
                ],
            },
            "actions": [{"actionGroupId": ACTION_GROUP}],
        },
    },
    PROCESSING_RULE: {
        "location": "global",
        "properties": {
            "scopes": [GROUP],
            "conditions": [{"field": "AlertRuleName", "operator": "Equals", "values": ["down"]}],
            "actions": [{"actionType": "RemoveAllActionGroups"}],
            "schedule": {
                "timeZone": "Romance Standard Time",
                "recurrences": [
                    {
                        "recurrenceType": "Weekly",
                        "daysOfWeek": ["Monday"],
                        "startTime": "19:00:00",
                        "endTime": "23:59:59",
                    },
                    {"recurrenceType": "Weekly", "daysOfWeek": ["Saturday", "Sunday"]},
                ],
            },
        },
    },
    WORKSPACE: {"location": "francecentral"},
    COMPONENT: {
        "location": "francecentral",
        "kind": "web",
        "properties": {"Application_Type": "web", "WorkspaceResourceId": WORKSPACE},
    },
    WEB_TEST: {
        "location": "francecentral",
        "kind": "standard",
        "tags": {f"hidden-link:{COMPONENT}": "Resource"},
        "properties": {
            "SyntheticMonitorId": "chat",
            "Kind": "standard",
            "Frequency": 900,
            "Locations": [{"Id": "emea-nl-ams-azr"}, {"Id": "emea-gb-db3-azr"}],
            "Request": {"RequestUrl": "https://chat.example.com/"},
        },
    },
}
UNREACHABLE: Body = {
    "location": "global",
    "properties": {
        **ALERTS[ALERT]["properties"],
        "scopes": [WEB_TEST, COMPONENT],
        "criteria": {
            "odata.type": "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria",
            "webTestId": WEB_TEST,
            "componentId": COMPONENT,
            "failedLocationCount": 2,
        },
    },
}

BODIES: dict[str, Body] = {
    GROUP: {"location": "francecentral"},
    f"{SECURITY_GROUPS}/nsg": {
        "location": "francecentral",
        "properties": {"securityRules": [rule("https", 100)]},
    },
    f"{NETWORKS}/net": {
        "location": "francecentral",
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}},
    },
    f"{SUBNETS}/default": {
        "properties": {
            "addressPrefix": "10.0.0.0/24",
            "networkSecurityGroup": {"id": f"{SECURITY_GROUPS}/nsg"},
        }
    },
    f"{ADDRESSES}/ip": {
        "location": "francecentral",
        "sku": {"name": "Standard"},
        "properties": {
            "publicIPAllocationMethod": "Static",
            "dnsSettings": {"domainNameLabel": "my-chat"},
        },
    },
    f"{INTERFACES}/nic": interface(
        privateIPAllocationMethod="Static",
        privateIPAddress="10.0.0.4",
        publicIPAddress={"id": f"{ADDRESSES}/ip"},
    ),
    f"{DISKS}/data": disk(),
    f"{MACHINES}/vm": MACHINE,
}


def changed(body: Body, path: str, value: Any) -> Body:
    """A copy of `body` with the value at a dotted path replaced; None removes it."""
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    node: Any = body
    for name in parents:
        node = node[int(name)] if name.isdigit() else node.setdefault(name, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return body


class Cloud:
    """The emulated Azure of a test."""

    def __init__(self, home: Path) -> None:
        self.azure = Azure(Instance(home, "abc123", 200), NullFabric())

    def put(self, resource_id: str, body: Body) -> Body:
        """PUT, wait, GET."""
        self.azure.wait(self.azure.put(resource_id, body))
        return self.azure.get(resource_id)

    def delete(self, resource_id: str) -> None:
        """DELETE and wait."""
        self.azure.wait(self.azure.delete(resource_id))

    def fill(self) -> Cloud:
        """Create everything that the program creates."""
        for resource_id, body in BODIES.items():
            self.put(resource_id, body)
        return self

    def add_backups(self) -> str:
        """Create the storage of backups and the machine's right to it; returns who has it."""
        identity = self.put(IDENTITY, {"location": "francecentral"})
        self.put(ACCOUNT, STORAGE_ACCOUNT)
        self.put(CONTAINER, {})
        principal: str = identity["properties"]["principalId"]
        self.put(ACCESS, assignment(principal))
        return principal

    def add_vault(self, **properties: Any) -> Body:
        """Create a vault with a key; returns the key."""
        self.put(VAULT, vault(**properties))
        return self.put(KEY, key())

    def add_credential(self, environment: str, **properties: Any) -> Body:
        """Create a sign-in as the identity, which must exist."""
        return self.put(f"{CREDENTIALS}/{environment}", credential(environment, **properties))

    def add_alerts(self) -> None:
        """Create the alerts, and the availability test."""
        for resource_id, body in ALERTS.items():
            self.put(resource_id, body)

    def add_workflow(self, body: Body) -> Body:
        """Create a workflow, and the identity that it signs in as."""
        self.put(IDENTITY, {"location": "francecentral"})
        return self.put(f"{WORKFLOWS}/vm-start", body)

    def change(self, resource_id: str, path: str, value: Any) -> Body:
        """PUT one of `BODIES` or `ALERTS` again with one change."""
        return self.put(resource_id, changed({**BODIES, **ALERTS}[resource_id], path, value))

    def machine(self, path: str = "tags", value: Any = None, name: str = "vm2") -> Body:
        """Create another machine, with one change."""
        self.put(f"{INTERFACES}/nic2", interface())
        body = changed(MACHINE, "properties.storageProfile.dataDisks", [])
        body["properties"]["networkProfile"] = {"networkInterfaces": [{"id": f"{INTERFACES}/nic2"}]}
        return self.put(
            f"{MACHINES}/{name}", body if path == "tags" else changed(body, path, value)
        )

    def exists(self, resource_id: str) -> bool:
        """Whether the resource exists."""
        return resource_id.lower() in self.azure.store.read().resources

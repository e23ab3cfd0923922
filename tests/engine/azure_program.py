"""A small program of a machine; $EDIT contains the changes of a test, as JSON.

With `everything`, it has a resource of each type that the emulated Azure knows.
"""

import json
import os

import pulumi
from pulumi_azure_native import compute, network, resources

edit = json.loads(os.environ.get("EDIT", "{}"))
tags = edit.get("tags", {"app": "test"})
location = edit.get("location", "francecentral")

group = resources.ResourceGroup("group", location=location, tags=tags)
rules = network.NetworkSecurityGroup(
    "rules",
    resource_group_name=group.name,
    tags=tags,
    security_rules=[
        network.SecurityRuleArgs(
            name="https",
            priority=100,
            direction="Inbound",
            access="Allow",
            protocol="Tcp",
            source_port_range="*",
            destination_port_range="443",
            source_address_prefix="*",
            destination_address_prefix="*",
        )
    ],
)
vnet = network.VirtualNetwork(
    "vnet",
    resource_group_name=group.name,
    tags=tags,
    address_space=network.AddressSpaceArgs(address_prefixes=["10.0.0.0/16"]),
)
subnet = network.Subnet(
    "subnet",
    resource_group_name=group.name,
    virtual_network_name=vnet.name,
    address_prefix="10.0.0.0/24",
    default_outbound_access=False,
    network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
)
address = network.PublicIPAddress(
    "address",
    resource_group_name=group.name,
    tags=tags,
    sku=network.PublicIPAddressSkuArgs(name=edit.get("sku", "Standard")),
    public_ip_allocation_method="Static",
)
interface = network.NetworkInterface(
    "interface",
    resource_group_name=group.name,
    tags=tags,
    ip_configurations=[
        network.NetworkInterfaceIPConfigurationArgs(
            name="main",
            subnet=network.SubnetArgs(id=subnet.id),
            private_ip_allocation_method="Static",
            private_ip_address="10.0.0.4",
            public_ip_address=network.PublicIPAddressArgs(id=address.id),
        )
    ],
)
disk = compute.Disk(
    "disk",
    disk_name="kept-data",
    resource_group_name=group.name,
    tags=tags,
    sku=compute.DiskSkuArgs(name="StandardSSD_LRS"),
    creation_data=compute.CreationDataArgs(create_option="Empty"),
    disk_size_gb=edit.get("disk", 64),
    opts=pulumi.ResourceOptions(import_=edit.get("import")),
)
machine = compute.VirtualMachine(
    "machine",
    vm_name="chat",
    resource_group_name=group.name,
    tags=tags,
    priority=edit.get("priority"),
    hardware_profile=compute.HardwareProfileArgs(vm_size=edit.get("size", "Standard_B2ms")),
    storage_profile=compute.StorageProfileArgs(
        image_reference=compute.ImageReferenceArgs(
            publisher="Debian", offer="debian-13", sku="13-gen2", version="latest"
        ),
        os_disk=compute.OSDiskArgs(
            create_option="FromImage", delete_option="Delete", caching=compute.CachingTypes.NONE
        ),
        data_disks=[
            compute.DataDiskArgs(
                lun=0,
                create_option="Attach",
                managed_disk=compute.ManagedDiskParametersArgs(id=disk.id),
            )
        ],
    ),
    os_profile=compute.OSProfileArgs(
        admin_username="ollamazure",
        computer_name=edit.get("computer", "chat"),
        custom_data=pulumi.Output.secret(edit.get("customData", "dGhlIGhvc3Qga2V5")),
        linux_configuration=compute.LinuxConfigurationArgs(
            disable_password_authentication=True,
            ssh=compute.SshConfigurationArgs(
                public_keys=[
                    compute.SshPublicKeyArgs(
                        key_data="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmGVRaw60H0cVU+OlkFnjNG8z"
                        "LepvDwGcx5N/1F7QV2",
                        path="/home/ollamazure/.ssh/authorized_keys",
                    )
                ]
            ),
        ),
    ),
    network_profile=compute.NetworkProfileArgs(
        network_interfaces=[compute.NetworkInterfaceReferenceArgs(id=interface.id)]
    ),
    opts=pulumi.ResourceOptions(
        replace_on_changes=["osProfile.computerName"], delete_before_replace=True
    ),
)
if "everything" in edit:
    from pulumi_azure_native import (
        alertsmanagement,
        applicationinsights,
        authorization,
        logic,
        managedidentity,
        monitor,
        operationalinsights,
        storage,
    )

    outbound = network.PublicIPAddress(
        "outbound",
        resource_group_name=group.name,
        sku=network.PublicIPAddressSkuArgs(name="Standard"),
        public_ip_allocation_method="Static",
    )
    network.NatGateway(
        "nat",
        resource_group_name=group.name,
        sku=network.NatGatewaySkuArgs(name="Standard"),
        public_ip_addresses=[network.SubResourceArgs(id=outbound.id)],
    )
    identity = managedidentity.UserAssignedIdentity("identity", resource_group_name=group.name)
    account = storage.StorageAccount(
        "account",
        account_name="backups0123456789",
        resource_group_name=group.name,
        kind="StorageV2",
        sku=storage.SkuArgs(name="Standard_LRS"),
        allow_shared_key_access=False,
    )
    storage.BlobServiceProperties(
        "blobs",
        blob_services_name="default",
        account_name=account.name,
        resource_group_name=group.name,
        is_versioning_enabled=True,
    )
    container = storage.BlobContainer(
        "container", account_name=account.name, resource_group_name=group.name
    )
    authorization.RoleAssignment(
        "access",
        role_assignment_name="7d1f4f0c-52a2-5b3f-9a3f-6f0c3a9d2a11",
        scope=container.id,
        principal_id=identity.principal_id,
        principal_type="ServicePrincipal",
        role_definition_id="/subscriptions/00000000-0000-0000-0000-000000000000/providers"
        "/Microsoft.Authorization/roleDefinitions/ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    )
    operators = monitor.ActionGroup(
        "operators",
        resource_group_name=group.name,
        location="global",
        group_short_name="operators",
        webhook_receivers=[
            monitor.WebhookReceiverArgs(
                name="hook", service_uri=pulumi.Output.secret("https://example.com/hush-hush")
            )
        ],
    )
    monitor.MetricAlert(
        "down",
        resource_group_name=group.name,
        location="global",
        enabled=True,
        severity=0,
        scopes=[machine.id],
        evaluation_frequency="PT1M",
        window_size="PT5M",
        criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            all_of=[
                monitor.MetricCriteriaArgs(
                    name="down",
                    criterion_type="StaticThresholdCriterion",
                    metric_name="VmAvailabilityMetric",
                    operator="LessThan",
                    threshold=1,
                    time_aggregation="Maximum",
                )
            ],
        ),
        actions=[monitor.MetricAlertActionArgs(action_group_id=operators.id)],
    )
    alertsmanagement.AlertProcessingRuleByName(
        "at-night",
        resource_group_name=group.name,
        location="global",
        properties=alertsmanagement.AlertProcessingRulePropertiesArgs(
            scopes=[group.id],
            actions=[
                alertsmanagement.RemoveAllActionGroupsArgs(action_type="RemoveAllActionGroups")
            ],
            schedule=alertsmanagement.ScheduleArgs(
                time_zone="UTC",
                recurrences=[
                    alertsmanagement.WeeklyRecurrenceArgs(
                        recurrence_type="Weekly", days_of_week=["Saturday"]
                    )
                ],
            ),
        ),
    )
    workspace = operationalinsights.Workspace("workspace", resource_group_name=group.name)
    insights = applicationinsights.Component(
        "insights",
        resource_group_name=group.name,
        resource_name_="insights",
        kind="web",
        application_type="web",
        workspace_resource_id=workspace.id,
    )
    applicationinsights.WebTest(
        "test",
        resource_group_name=group.name,
        web_test_name="test",
        synthetic_monitor_id="test",
        kind=applicationinsights.WebTestKind.STANDARD,
        web_test_kind=applicationinsights.WebTestKind.STANDARD,
        frequency=900,
        locations=[applicationinsights.WebTestGeolocationArgs(location="emea-nl-ams-azr")],
        request=applicationinsights.WebTestPropertiesRequestArgs(
            request_url="https://chat.example.com/"
        ),
        tags=insights.id.apply(lambda id_: {f"hidden-link:{id_}": "Resource"}),
    )
    logic.Workflow(
        "workflow",
        resource_group_name=group.name,
        identity=logic.ManagedServiceIdentityArgs(
            type="UserAssigned", user_assigned_identities=[identity.id]
        ),
        definition={
            "$schema": "https://schema.management.azure.com/providers/Microsoft.Logic/schemas"
            "/2016-06-01/workflowdefinition.json#",
            "contentVersion": "1.0.0.0",
            "triggers": {
                "hours": {
                    "type": "Recurrence",
                    "recurrence": {
                        "frequency": "Week",
                        "interval": 1,
                        "startTime": "2026-01-01T00:00:00Z",
                        "schedule": {"weekDays": ["Monday"], "hours": [7], "minutes": [0]},
                    },
                }
            },
            "actions": {
                "start": {
                    "type": "Http",
                    "inputs": {
                        "method": "POST",
                        "uri": "https://management.azure.com/start",
                        "authentication": {
                            "type": "ManagedServiceIdentity",
                            "identity": identity.id,
                        },
                    },
                }
            },
        },
    )
if "balancer" in edit:
    network.LoadBalancer("balancer", resource_group_name=group.name)

found = compute.get_virtual_machine_output(
    resource_group_name=group.name,
    vm_name=machine.name,
    opts=pulumi.InvokeOutputOptions(depends_on=[machine]),
)
# A resource that uses an output of the machine changes with every update of it; one that uses the
# same value read by a function does not.
resources.ResourceGroup("direct", location=location, tags={"identity": machine.vm_id})
resources.ResourceGroup("read", location=location, tags={"identity": found.vm_id})

pulumi.export("identity", found.vm_id)
pulumi.export("address", address.ip_address)

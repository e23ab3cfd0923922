"""The effects of the requests that Azure accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.azure.errors import AzureError
from emulator.azure.names import ResourceId
from emulator.azure.offers import offers
from tests.unit.emulator.azure.cloud import (
    ACCESS,
    ACCOUNT,
    ACTION_GROUP,
    ADDRESSES,
    ALERT,
    ALERTS,
    BLOBS,
    BODIES,
    COMPONENT,
    CONTAINER,
    DATA,
    DISKS,
    GROUP,
    IDENTITY,
    INTERFACES,
    IP,
    NET,
    NETWORKS,
    NIC,
    NSG,
    SUBNET,
    UNREACHABLE,
    VM,
    WEB_TEST,
    WORKSPACE,
    Cloud,
    changed,
    disk,
    interface,
)

pytestmark = pytest.mark.unit


def test_defaults_appear_on_read(cloud: Cloud) -> None:
    machine = cloud.azure.get(VM)["properties"]
    assert machine["storageProfile"]["imageReference"]["exactVersion"] == "0.20260914.2601"
    assert machine["storageProfile"]["osDisk"]["diskSizeGB"] == 30
    assert machine["storageProfile"]["dataDisks"][0]["deleteOption"] == "Detach"
    assert machine["networkProfile"]["networkInterfaces"][0]["properties"]["primary"] is True
    assert machine["provisioningState"] == "Succeeded"
    address = cloud.azure.get(IP)
    assert address["sku"] == {"name": "Standard", "tier": "Regional"}
    assert address["properties"]["idleTimeoutInMinutes"] == 4
    assert cloud.azure.get(SUBNET)["properties"]["privateLinkServiceNetworkPolicies"] == "Enabled"


def test_a_machine_shows_the_sizes_that_its_disks_have_now(cloud: Cloud) -> None:
    """What a client has read can be put again after a disk has grown: Microsoft's SDKs do that."""
    cloud.put(DATA, disk(128))
    os_disk = cloud.azure.get(VM)["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    cloud.azure.wait(cloud.azure.action(VM, "deallocate"))
    cloud.put(os_disk, changed(cloud.azure.get(os_disk), "properties.diskSizeGB", 60))
    shown = cloud.azure.get(VM)
    storage = shown["properties"]["storageProfile"]
    assert (storage["dataDisks"][0]["diskSizeGB"], storage["osDisk"]["diskSizeGB"]) == (128, 60)
    cloud.put(VM, shown)
    cloud.put(VM, BODIES[VM])
    assert cloud.azure.get(os_disk)["properties"]["diskSizeGB"] == 60


def test_custom_data_is_kept_and_never_returned(cloud: Cloud) -> None:
    assert "customData" not in json.dumps(cloud.azure.get(VM))
    stored = cloud.azure.store.read().resources[VM.lower()]
    assert stored["properties"]["osProfile"]["customData"] == "I2Nsb3VkLWNvbmZpZwo="


def test_custom_data_need_not_be_sent_again(cloud: Cloud) -> None:
    body = changed(BODIES[VM], "properties.osProfile.customData", None)
    cloud.put(VM, {**body, "tags": {"a": "b"}})
    stored = cloud.azure.store.read().resources[VM.lower()]
    assert stored["properties"]["osProfile"]["customData"] == "I2Nsb3VkLWNvbmZpZwo="


def test_the_state_file_is_private(cloud: Cloud) -> None:
    assert (cloud.azure.folder / "state.json").stat().st_mode & 0o077 == 0


def test_an_update_keeps_what_azure_chose(cloud: Cloud) -> None:
    before = cloud.azure.get(VM)["properties"]["vmId"], cloud.azure.get(IP)["properties"]
    cloud.change(VM, "tags", {"a": "b"})
    cloud.change(IP, "tags", {"a": "b"})
    after = cloud.azure.get(VM)["properties"]["vmId"], cloud.azure.get(IP)["properties"]
    assert before == after


def test_a_machine_made_again_is_another_machine(cloud: Cloud) -> None:
    first = cloud.azure.get(VM)["properties"]["vmId"]
    cloud.delete(VM)
    assert cloud.put(VM, BODIES[VM])["properties"]["vmId"] != first


def test_a_put_without_a_data_disk_detaches_it(cloud: Cloud) -> None:
    assert cloud.azure.get(DATA)["properties"]["diskState"] == "Attached"
    cloud.change(VM, "properties.storageProfile.dataDisks", [])
    data = cloud.azure.get(DATA)
    assert data["properties"]["diskState"] == "Unattached"
    assert "managedBy" not in data


def test_deleting_a_machine_deletes_its_os_disk_and_keeps_its_data(cloud: Cloud) -> None:
    os_disk = cloud.azure.get(VM)["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    assert cloud.azure.get(os_disk)["properties"]["osType"] == "Linux"
    cloud.delete(VM)
    assert not cloud.exists(os_disk)
    assert cloud.exists(DATA)
    assert cloud.exists(NIC)


def test_an_os_disk_that_says_detach_outlives_its_machine(cloud: Cloud) -> None:
    cloud.change(VM, "properties.storageProfile.osDisk.deleteOption", "Detach")
    os_disk = cloud.azure.get(VM)["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    cloud.delete(VM)
    assert cloud.azure.get(os_disk)["properties"]["diskState"] == "Unattached"


def test_an_interface_that_says_delete_goes_with_its_machine(cloud: Cloud) -> None:
    interfaces = [{"id": NIC, "properties": {"deleteOption": "Delete"}}]
    cloud.change(VM, "properties.networkProfile.networkInterfaces", interfaces)
    cloud.delete(VM)
    assert not cloud.exists(NIC)


def test_deleting_a_group_deletes_what_is_in_it(cloud: Cloud) -> None:
    cloud.delete(GROUP)
    assert cloud.azure.store.read().resources == {}


def test_deleting_what_is_not_there_is_no_error(cloud: Cloud) -> None:
    assert cloud.azure.delete(f"{DISKS}/none") is None


def test_everything_can_be_deleted_users_first(cloud: Cloud) -> None:
    for resource_id in (VM, DATA, NIC, IP, SUBNET, NET, NSG, GROUP):
        cloud.delete(resource_id)
    assert cloud.azure.store.read().resources == {}


def test_the_first_public_address_is_the_lowest_free(cloud: Cloud) -> None:
    assert cloud.azure.get(IP)["properties"]["ipAddress"] == "127.20.200.4"
    body = changed(BODIES[IP], "properties.dnsSettings", None)
    second = cloud.put(f"{ADDRESSES}/second", body)
    assert second["properties"]["ipAddress"] == "127.20.200.5"
    cloud.put(NIC, interface())
    cloud.delete(IP)
    assert cloud.put(f"{ADDRESSES}/third", body)["properties"]["ipAddress"] == "127.20.200.4"


def test_a_dns_label_gives_a_name(cloud: Cloud) -> None:
    settings = cloud.azure.get(IP)["properties"]["dnsSettings"]
    assert settings["fqdn"] == "my-chat.francecentral.cloudapp.azure.com"


def test_a_dynamic_private_address_is_the_lowest_free_and_stays(cloud: Cloud) -> None:
    first = cloud.put(f"{INTERFACES}/a", interface())
    second = cloud.put(f"{INTERFACES}/b", interface())
    cloud.delete(f"{INTERFACES}/a")
    again = cloud.put(f"{INTERFACES}/b", {**interface(), "tags": {"a": "b"}})
    addresses = [
        each["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"]
        for each in (first, second, again)
    ]
    assert addresses == ["10.0.0.5", "10.0.0.6", "10.0.0.6"]


def test_a_network_put_without_subnets_keeps_them(cloud: Cloud) -> None:
    cloud.change(NET, "tags", {"a": "b"})
    assert [each["name"] for each in cloud.azure.get(NET)["properties"]["subnets"]] == ["default"]


def test_inline_subnets_are_made_changed_and_deleted(cloud: Cloud) -> None:
    network = f"{NETWORKS}/inline"

    def put(*prefixes: str) -> list[str]:
        subnets = [
            {"name": f"s{prefix.split('.')[2]}", "properties": {"addressPrefix": prefix}}
            for prefix in prefixes
        ]
        body = {
            "location": "francecentral",
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.7.0.0/16"]},
                "subnets": subnets,
            },
        }
        return [each["name"] for each in cloud.put(network, body)["properties"]["subnets"]]

    assert put("10.7.1.0/24", "10.7.2.0/24") == ["s1", "s2"]
    assert put("10.7.2.0/25", "10.7.3.0/24") == ["s2", "s3"]
    assert cloud.azure.get(f"{network}/subnets/s2")["properties"]["addressPrefix"] == "10.7.2.0/25"
    cloud.delete(network)
    assert not cloud.exists(f"{network}/subnets/s2")


def test_references_show_on_both_sides(cloud: Cloud) -> None:
    assert cloud.azure.get(NIC)["properties"]["virtualMachine"]["id"] == VM
    assert cloud.azure.get(NSG)["properties"]["subnets"] == [{"id": SUBNET}]
    configuration = f"{NIC}/ipConfigurations/main"
    assert cloud.azure.get(IP)["properties"]["ipConfiguration"]["id"] == configuration
    assert cloud.azure.get(DATA)["managedBy"] == VM


def test_a_security_group_shows_the_six_default_rules(cloud: Cloud) -> None:
    rules = cloud.azure.get(NSG)["properties"]["defaultSecurityRules"]
    assert [(each["name"], each["properties"]["access"]) for each in rules][:3] == [
        ("AllowVnetInBound", "Allow"),
        ("AllowAzureLoadBalancerInBound", "Allow"),
        ("DenyAllInBound", "Deny"),
    ]
    assert len(rules) == 6


def test_ids_do_not_depend_on_case(cloud: Cloud) -> None:
    assert cloud.azure.get(VM.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))["id"] == VM


def test_locations_do_not_depend_on_case_and_spaces(cloud: Cloud) -> None:
    body = cloud.put(f"{DISKS}/new", {**disk(), "location": "France Central"})
    assert body["location"] == "francecentral"


@pytest.mark.parametrize("size", ["Standard_B4ms", "standard_b2MS", "Standard_NC4as_T4_v3"])
def test_resize_on_one_side_of_the_temp_disk_line(cloud: Cloud, size: str) -> None:
    resized = cloud.change(VM, "properties.hardwareProfile.vmSize", size)
    assert resized["properties"]["hardwareProfile"]["vmSize"].lower() == size.lower()


def test_a_data_disk_grows_while_in_use(cloud: Cloud) -> None:
    grown = cloud.put(DATA, disk(128))
    assert grown["properties"]["diskSizeBytes"] == 128 * 1024**3


def test_an_os_disk_grows_on_a_deallocated_machine(cloud: Cloud) -> None:
    cloud.azure.wait(cloud.azure.action(VM, "deallocate"))
    grown = cloud.change(VM, "properties.storageProfile.osDisk.diskSizeGB", 64)
    assert grown["properties"]["storageProfile"]["osDisk"]["diskSizeGB"] == 64


def test_power_states(cloud: Cloud) -> None:
    def state() -> str:
        found = cloud.azure.get(VM, expand="instanceView")["properties"]["instanceView"]
        provisioning, power = (status["code"] for status in found["statuses"])
        assert provisioning == "ProvisioningState/succeeded"
        return str(power)

    assert state() == "PowerState/running"
    for action, expected in [
        ("restart", "running"),
        ("powerOff", "stopped"),
        ("start", "running"),
        ("deallocate", "deallocated"),
    ]:
        cloud.azure.wait(cloud.azure.action(VM, action))
        assert state() == f"PowerState/{expected}"


@pytest.mark.parametrize(("id_", "expand"), [(VM, "userdata"), (NET, "instanceView")])
def test_a_get_refuses_what_it_does_not_expand(cloud: Cloud, id_: str, expand: str) -> None:
    with pytest.raises(AzureError, match="expand"):
        cloud.azure.get(id_, expand=expand)


def test_list_gives_all_of_a_type(cloud: Cloud) -> None:
    assert [each["name"] for each in cloud.azure.list("Microsoft.Compute/virtualMachines")] == [
        "vm"
    ]


def test_a_refused_request_changes_nothing(cloud: Cloud) -> None:
    before = (cloud.azure.folder / "state.json").read_bytes()
    subnets = [{"name": "a", "properties": {"addressPrefix": "192.168.0.0/24"}}]
    with pytest.raises(AzureError):
        cloud.change(NET, "properties.subnets", subnets)  # refused half way
    assert (cloud.azure.folder / "state.json").read_bytes() == before


def test_all_misfits_of_a_request_are_named(cloud: Cloud) -> None:
    body = changed(BODIES[VM], "properties.osProfile.nickname", "x")
    with pytest.raises(AzureError) as refused:
        cloud.put(VM, changed(body, "properties.speed", 1))
    assert "'properties.osProfile.nickname' is unknown" in refused.value.message
    assert "'properties.speed' is unknown" in refused.value.message


@pytest.mark.parametrize("resource_id", sorted(BODIES))
def test_what_a_get_shows_can_be_put(cloud: Cloud, resource_id: str) -> None:
    """As `az … update` does. A field that no PUT sets must be as it is shown."""
    shown = cloud.azure.get(resource_id)
    cloud.put(resource_id, shown)
    before, after = (
        re.sub(r'"etag": "(\\.|[^"])+"', "", json.dumps(each, sort_keys=True))
        for each in (shown, cloud.azure.get(resource_id))
    )
    assert after == before
    with pytest.raises(AzureError, match=r"'properties(\.provisioningState)?' is unknown"):
        cloud.put(resource_id, changed(shown, "properties.provisioningState", "Failed"))


def test_zonal_resources_fit_together(cloud: Cloud) -> None:
    cloud.put(f"{DISKS}/zonal", {**disk(), "zones": ["2"]})
    assert cloud.azure.get(f"{DISKS}/zonal")["zones"] == ["2"]


@pytest.mark.parametrize("resource_id", sorted(BODIES))
def test_an_id_survives_parsing(resource_id: str) -> None:
    assert str(ResourceId.parse(resource_id)) == resource_id


def _catalogue(name: str) -> Any:
    return yaml.safe_load((Path(__file__).parents[4] / "ollamazure" / "catalog" / name).read_text())


def test_every_region_of_the_catalogue_is_offered() -> None:
    assert set(_catalogue("locations.yaml")) <= offers().regions


def test_every_size_of_the_catalogue_is_offered_with_its_properties() -> None:
    for series in _catalogue("vm_sizes.yaml")["series"].values():
        for name, own in series["sizes"].items():
            listed = {**series, **own}
            size = offers().sizes[name.lower()]
            assert (
                name,
                size.architecture.lower(),
                size.vcpus,
                size.memory_gib,
                size.temp_disk_mib // 1024,
                size.max_data_disks,
                size.accelerated_networking,
                size.premium_caching,
                size.trusted_launch,
            ) == (
                name,
                listed["architecture"].lower(),
                listed["vcpus"],
                listed["memoryGib"],
                listed["tempDiskGib"],
                listed["maxDataDisks"],
                listed["acceleratedNetworking"],
                listed["premiumCaching"],
                listed["trustedLaunch"],
            )


def test_a_storage_account_has_a_blob_service_and_azures_defaults(cloud: Cloud) -> None:
    cloud.add_backups()
    properties = cloud.azure.get(ACCOUNT)["properties"]
    assert properties["allowBlobPublicAccess"] is False
    assert properties["primaryEndpoints"]["blob"].endswith(".blob.core.windows.net/")
    assert cloud.azure.get(BLOBS)["properties"]["isVersioningEnabled"] is False
    cloud.put(BLOBS, {"properties": {"isVersioningEnabled": True}})
    retention = {"enabled": True, "days": 30}
    blobs = cloud.put(BLOBS, {"properties": {"deleteRetentionPolicy": retention}})
    assert blobs["properties"]["isVersioningEnabled"] is True, "what a PUT leaves out stays"


def test_what_is_in_an_account_and_on_a_container_is_deleted_with_it(cloud: Cloud) -> None:
    cloud.add_backups()
    cloud.delete(CONTAINER)
    assert not cloud.exists(ACCESS)
    cloud.delete(ACCOUNT)
    assert not cloud.exists(BLOBS)
    assert cloud.exists(IDENTITY)


def test_a_machine_gets_an_identity_in_place_and_keeps_it(cloud: Cloud) -> None:
    principal = cloud.add_backups()
    before = cloud.azure.get(VM)["properties"]["vmId"]
    wanted = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    cloud.change(VM, "identity", wanted)
    cloud.change(VM, "tags", {"team": "research"})
    machine = cloud.azure.get(VM)
    assert machine["properties"]["vmId"] == before
    assert machine["identity"]["userAssignedIdentities"][IDENTITY]["principalId"] == principal
    cloud.delete(IDENTITY)  # Azure allows it, and the machine then names one that is gone
    assert cloud.azure.get(VM)["identity"]["userAssignedIdentities"] == {IDENTITY: {}}
    cloud.change(VM, "identity", {"type": "None"})
    assert "identity" not in cloud.azure.get(VM)
    cloud.change(VM, "identity", {"type": "SystemAssigned"})
    assert cloud.azure.get(VM)["identity"]["principalId"] != principal


def test_what_azure_fills_in_for_alerts(cloud: Cloud) -> None:
    cloud.add_alerts()
    group = cloud.azure.get(ACTION_GROUP)["properties"]
    assert group["emailReceivers"][0]["status"] == "Enabled"
    assert group["webhookReceivers"][0]["useCommonAlertSchema"] is False
    assert group["smsReceivers"] == []
    alert = cloud.azure.get(ALERT)["properties"]
    assert (alert["autoMitigate"], alert["isMigrated"]) == (True, False)
    [condition] = alert["criteria"]["allOf"]
    assert condition["metricNamespace"] == "Microsoft.Compute/virtualMachines"
    test = cloud.azure.get(WEB_TEST)["properties"]
    assert (test["Enabled"], test["Timeout"]) == (True, 30)
    component = cloud.azure.get(COMPONENT)["properties"]
    again = cloud.change(COMPONENT, "properties.RetentionInDays", 30)["properties"]
    assert again["InstrumentationKey"] == component["InstrumentationKey"]
    assert component["InstrumentationKey"] in component["ConnectionString"]
    assert cloud.azure.get(WORKSPACE)["properties"]["retentionInDays"] == 30


def test_a_metric_that_is_not_known_yet_can_be_accepted(cloud: Cloud) -> None:
    cloud.add_alerts()
    condition = ALERTS[ALERT]["properties"]["criteria"]["allOf"][0]
    unknown = {**condition, "metricName": "Of tomorrow", "skipMetricValidation": True}
    shown = cloud.change(ALERT, "properties.criteria.allOf", [unknown])
    assert shown["properties"]["criteria"]["allOf"][0]["metricName"] == "Of tomorrow"


def test_an_alert_on_an_availability_test(cloud: Cloud) -> None:
    cloud.add_alerts()
    cloud.put(f"{ALERT}2", UNREACHABLE)
    cloud.delete(ACTION_GROUP)
    assert cloud.exists(f"{ALERT}2"), "a rule holds no group"
    cloud.delete(GROUP)
    assert cloud.azure.store.read().resources == {}


def test_an_earlier_version_reads_the_state(cloud: Cloud) -> None:
    """`git checkout` of a former release goes on with the same Azure: test_upgrade.py does it."""
    saved = json.loads((cloud.azure.folder / "state.json").read_text())
    known = {"id", "kind", "resource", "status", "message", "not_before", "fault", "error"}
    assert all(each.keys() == known for each in saved["operations"].values())
    state = cloud.azure.store.read()
    operation = state.operations[VM.lower()]
    assert operation.creates and operation.started <= operation.ended
    with cloud.azure.store.change() as changed_state:
        assert changed_state == state
    assert cloud.azure.store.read() == state

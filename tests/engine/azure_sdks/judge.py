"""Judges an emulated Azure with one year's SDKs of Microsoft, and prints a report as JSON.

It runs among the packages of that year (emulator/artifacts/azure_sdks.py), so it imports nothing of
this project. It creates the network, the disk and the machine that the program creates, reads them,
changes them and deletes them. Each answer is compared with what the SDK made of it.

The environment has AZURE_URL, CREDENTIALS (a file) and REQUESTS_CA_BUNDLE. The report has:

    requests: each request that Azure Resource Manager did not refuse, as [method, path]
    problems: what the SDK does not know in an answer, what it misses, what is not as it was put
"""

from __future__ import annotations

import datetime
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

REGION = "francecentral"
GROUP = "chat"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmGVRaw60H0cVU+OlkFnjNG8zLepvDwGcx5N/1F7QV2"
OPERATION = {"id", "name", "status", "startTime", "endTime", "percentComplete", "properties"}
"""What ARM's answer about a long-running operation may have:
azure-rest-api-specs, common-types/resource-management/v3/types.json, OperationStatusResult."""
ERROR = {"code", "message", "target", "details", "additionalInfo"}
"""What an error of ARM may have: the same file, ErrorDetail."""

Json = Any
Read = Callable[[Json], Any]


class Answer:
    """An answer of Azure, and whether an SDK has read it."""

    def __init__(self, method: str, path: str, status: int, body: Json) -> None:
        self.method, self.path, self.status, self.body = method, path, status, body
        self.is_read = False


class Part(NamedTuple):
    """A property of an SDK's model: its names in JSON from the outermost, and what the SDK read.

    `annotation` is the type of the newest SDKs, which read a wrong value without an error.
    """

    names: tuple[str, ...]
    value: Any
    required: bool
    annotation: Any = None


class Judge:
    """Watches what the SDKs read."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.problems: list[str] = []
        self._readers: dict[str, Read] = {}

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note that something is not as it should be."""
        if found != wanted:
            self.problems.append(f"{what} is {found!r}, not {wanted!r}")

    def hook(self, run: Any) -> None:
        """Note an answer, before the SDK reads it."""
        response = run.http_response
        content = response.internal_response.content  # the SDK can read it once more
        path = urlsplit(run.http_request.url).path
        body = json.loads(content) if content else None
        self.answers.append(Answer(run.http_request.method, path, response.status_code, body))

    def read(self, found: Any, body: Json, again: Read) -> None:
        """Compare the newest answer with what the SDK made of it; `again` reads another one."""
        answer = self.answers[-1]
        if answer.status >= 400:
            return  # the SDKs' types of errors differ; read_the_rest checks them all
        answer.is_read = True
        if isinstance(body, dict):
            self._readers[answer.path.lower()] = again
        self._compare(answer, found, body)

    def read_the_rest(self) -> None:
        """Compare what the SDKs only poll: the first answer to a PUT, and operations."""
        for answer in self.answers:
            if answer.is_read or answer.body is None:
                continue
            if answer.status >= 400:
                error = answer.body.get("error", {})
                if error.keys() - ERROR or not {"code", "message"} <= error.keys():
                    self._note(answer, f"is no error of ARM: {answer.body}")
            elif again := self._readers.get(answer.path.lower()):
                self._compare(answer, again(answer.body), answer.body)
            elif "/operations/" in answer.path:
                for name in answer.body.keys() - OPERATION:
                    self._note(answer, f"{name}: ARM's operations do not have it")
            else:
                self._note(answer, "no SDK reads the answer")

    def _compare(self, answer: Answer, found: Any, body: Json) -> None:
        for problem in differences(found, body, ""):
            self._note(answer, problem)

    def _note(self, answer: Answer, problem: str) -> None:
        text = f"{answer.method} {answer.path} ({answer.status}) {problem}"
        if text not in self.problems:
            self.problems.append(text)


def differences(found: Any, body: Json, path: str) -> Iterator[str]:
    """What differs between a JSON value and what an SDK made of it."""
    if isinstance(body, list) and isinstance(found, list):
        for index, (one, each) in enumerate(zip(found, body, strict=True)):
            yield from differences(one, each, f"{path}[{index}]")
    elif isinstance(body, dict) and (parts := parts_of(found)) is not None:
        yield from _object_differences(parts, body, path)
    elif isinstance(body, dict) and isinstance(found, dict):
        for name, each in body.items():
            yield from differences(found.get(name), each, f"{path}.{name}")
    elif found is None and body is not None:
        yield f"{path}: the SDK reads nothing from {body!r}"
    elif isinstance(found, (datetime.datetime, datetime.timedelta, bytes)):
        if not isinstance(body, str):
            yield f"{path}: {body!r} is no text"
    elif found != body or isinstance(found, bool) != isinstance(body, bool):
        yield f"{path}: the SDK reads {found!r} from {body!r}"


def _object_differences(parts: list[Part], body: Json, path: str) -> Iterator[str]:
    known: dict[str, list[Part]] = {}
    for part in parts:
        known.setdefault(part.names[0], []).append(part)
    for name, inner in known.items():
        whole = next((part for part in inner if len(part.names) == 1), None)
        if name not in body or body[name] is None:
            if any(part.required for part in inner):
                yield f"{path}.{name}: is required and missing"
        elif whole is None:  # an object whose properties the SDK shows as those of the outer one
            below = [part._replace(names=part.names[1:]) for part in inner]
            yield from _object_differences(below, body[name], f"{path}.{name}")
        else:
            yield from differences(whole.value, body[name], f"{path}.{name}")
            yield from _misfits(whole, f"{path}.{name}")
    for name in body.keys() - known.keys():
        yield f"{path}.{name}: the SDK does not know it"


def _misfits(part: Part, path: str) -> Iterator[str]:
    """Values that the newest SDKs take although they want a time, another type, or known names."""
    if part.annotation is None or type(part.value) not in (bool, int, float, str):
        return
    wanted = str(part.annotation)
    fits = repr(part.value) in wanted or re.search(rf"\b{type(part.value).__name__}\b", wanted)
    if not fits or "datetime." in wanted or "_models." in wanted:
        yield f"{path}: {part.value!r} is not a {wanted}"


def parts_of(model: Any) -> list[Part] | None:
    """The properties that a model of an SDK knows, None if it is no model."""
    if fields := getattr(model, "_attr_to_rest_field", None):
        return [
            Part((field._rest_name,), getattr(model, name), *_annotated(type(model), name))
            for name, field in fields.items()
        ]
    if attributes := getattr(model, "_attribute_map", None):
        required = getattr(model, "_validation", {})
        return [
            Part(
                tuple(one.replace("\\.", ".") for one in re.split(r"(?<!\\)\.", known["key"])),
                getattr(model, name),
                required.get(name, {}).get("required", False),
            )
            for name, known in attributes.items()
        ]
    return None


def _annotated(model: type, name: str) -> tuple[bool, Any]:
    """Whether a property of a model is required, and its type."""
    bases = [inspect.get_annotations(base) for base in model.__mro__]
    annotation = next(base[name] for base in bases if name in base)
    return type(None) not in get_args(annotation), annotation


def watch(judge: Judge, package: str) -> None:
    """Let the judge see what an SDK reads."""
    if any((Path(str(import_module(package).__file__)).parent).glob("_utils/model_base.py")):
        _watch_functions(judge, import_module(f"{package}.operations._operations"))
        return
    for name in ("_utils.serialization", "_serialization"):
        try:
            module = import_module(f"{package}.{name}")
        except ModuleNotFoundError:
            continue
        _watch_class(judge, module.Deserializer)
        return
    raise RuntimeError(f"{package} has no deserializer that is known here")


def _watch_functions(judge: Judge, operations: Any) -> None:
    """Watch the function by which the newest SDKs read answers."""
    deserialize = operations._deserialize

    def read(type_: Any, value: Json, *rest: Any, **options: Any) -> Any:
        found = deserialize(type_, value, *rest, **options)
        judge.read(found, value, lambda body: deserialize(type_, body, *rest, **options))
        return found

    operations._deserialize = read


def _watch_class(judge: Judge, deserializer: Any) -> None:
    """Watch the class by which former SDKs read answers, headers and errors."""
    call = deserializer.__call__

    def read(self: Any, target: Any, data: Any, content_type: Any = None) -> Any:
        found = call(self, target, data, content_type)
        response = getattr(data, "http_response", data)
        if hasattr(response, "text"):  # it is no header
            body = json.loads(response.text())
            judge.read(found, body, lambda other: self._deserialize(target, other))
        return found

    deserializer.__call__ = read


def make_clients(judge: Judge) -> tuple[Any, Any, Any]:
    """Clients of resources, of networks and of machines, all watched by the judge."""
    url = os.environ["AZURE_URL"]
    known = json.loads(Path(os.environ["CREDENTIALS"]).read_text())
    credential = import_module("azure.identity").ClientSecretCredential(
        known["tenantId"],
        known["clientId"],
        known["clientSecret"],
        authority=url,
        disable_instance_discovery=True,
    )
    made = []
    for package, name in (
        ("azure.mgmt.resource.resources", "ResourceManagementClient"),
        ("azure.mgmt.network", "NetworkManagementClient"),
        ("azure.mgmt.compute", "ComputeManagementClient"),
    ):
        watch(judge, package)
        client = getattr(import_module(package), name)(
            credential,
            known["subscriptionId"],
            base_url=url,
            credential_scopes=[f"{url}/.default"],
            raw_response_hook=judge.hook,
            transport=_transport(),
        )
        made.append(client)
    resources, networks, machines = made
    return resources, networks, machines


def _transport() -> Any:
    """A transport that hardly waits between two polls: without machines, Azure is ready at once."""
    base: Any = import_module("azure.core.pipeline.transport").RequestsTransport

    class Transport(base):  # type: ignore[misc]  # a base without types
        def sleep(self, duration: float) -> None:
            super().sleep(min(duration, 0.02))

    return Transport()


def rule(priority: int, port: str, **changes: Any) -> Json:
    """A security rule that lets in one port."""
    return {
        "protocol": "Tcp",
        "access": "Allow",
        "direction": "Inbound",
        "priority": priority,
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": port,
        **changes,
    }


def machine(interface: str, disk: str) -> Json:
    """The program's machine."""
    login = {"path": "/home/chat/.ssh/authorized_keys", "keyData": KEY}
    return {
        "location": REGION,
        "tags": {"app": "chat"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B2ms"},
            "storageProfile": {
                "imageReference": {
                    "publisher": "Debian",
                    "offer": "debian-13",
                    "sku": "13-gen2",
                    "version": "latest",
                },
                "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
                "dataDisks": [{"lun": 0, "createOption": "Attach", "managedDisk": {"id": disk}}],
            },
            "osProfile": {
                "computerName": "chat",
                "adminUsername": "chat",
                "customData": "I2Nsb3VkLWNvbmZpZwo=",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": True,
                    "ssh": {"publicKeys": [login]},
                },
            },
            "networkProfile": {"networkInterfaces": [{"id": interface}]},
            "securityProfile": {
                "securityType": "TrustedLaunch",
                "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
            },
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
        },
    }


class Program:
    """What the program of ollamazure makes and changes, with one year's SDKs."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.expect = judge.expect
        self.resources, self.networks, self.machines = make_clients(judge)

    def run(self) -> None:
        self.subscription()
        self.group()
        self.network()
        self.machine()
        self.power()
        self.conditions()
        self.pages()
        self.removal()
        self.judge.read_the_rest()

    def subscription(self) -> None:
        providers = self.resources.providers
        self.expect(
            "the provider", providers.get("Microsoft.Compute").namespace, "Microsoft.Compute"
        )
        self.expect(
            "the provider's state",
            providers.register("Microsoft.Compute").registration_state,
            "Registered",
        )
        names = {one.namespace for one in providers.list()}
        self.expect("network among the providers", "Microsoft.Network" in names, True)
        sizes = {
            one.name for one in self.machines.resource_skus.list(filter=f"location eq '{REGION}'")
        }
        self.expect("the size among the sizes", "Standard_B2ms" in sizes, True)
        self.expect("quotas", bool(list(self.machines.usage.list(REGION))), True)

    def group(self) -> None:
        groups = self.resources.resource_groups
        self.expect("a group's existence", groups.check_existence(GROUP), False)
        made = groups.create_or_update(GROUP, {"location": REGION, "tags": {"app": "chat"}})
        self.expect(
            "the group", (made.name, made.location, made.tags), (GROUP, REGION, {"app": "chat"})
        )
        self.expect("a group's existence", groups.check_existence(GROUP), True)
        self.expect("its state", groups.get(GROUP).properties.provisioning_state, "Succeeded")
        changed = groups.update(GROUP, {"tags": {"app": "chat", "team": "one"}})
        self.expect("its tags", changed.tags, {"app": "chat", "team": "one"})
        tags = self.resources.tags
        update = getattr(tags, "begin_update_at_scope", None) or tags.update_at_scope
        patch = {"operation": "Merge", "properties": {"tags": {"team": "two"}}}
        done = update(made.id, patch)
        done = done.result() if hasattr(done, "result") else done
        self.expect("its tags", done.properties.tags, {"app": "chat", "team": "two"})
        self.expect("its tags", tags.get_at_scope(made.id).properties.tags, groups.get(GROUP).tags)

    def network(self) -> None:
        networks = self.networks
        group = networks.network_security_groups.begin_create_or_update(
            GROUP,
            "group",
            {
                "location": REGION,
                "properties": {"securityRules": [{"name": "ssh", "properties": rule(100, "22")}]},
            },
        ).result()
        self.expect("its rules", [one.name for one in group.security_rules], ["ssh"])
        self.expect("its default rules", len(group.default_security_rules), 6)
        rules = networks.security_rules
        made = rules.begin_create_or_update(GROUP, "group", "https", rule_body(110, "443")).result()
        self.expect("the rule", (made.name, made.priority, made.access), ("https", 110, "Allow"))
        self.expect("the rule", rules.get(GROUP, "group", "https").destination_port_range, "443")
        self.expect("rules", [one.name for one in rules.list(GROUP, "group")], ["ssh", "https"])
        rules.begin_delete(GROUP, "group", "ssh").result()
        self.expect("rules", [one.name for one in rules.list(GROUP, "group")], ["https"])
        defaults = networks.default_security_rules
        self.expect("default rules", len(list(defaults.list(GROUP, "group"))), 6)
        first = defaults.get(GROUP, "group", "DenyAllInBound")
        self.expect("the last default rule", (first.access, first.priority), ("Deny", 65500))
        address = networks.public_ip_addresses.begin_create_or_update(
            GROUP,
            "address",
            {
                "location": REGION,
                "sku": {"name": "Standard"},
                "properties": {
                    "publicIPAllocationMethod": "Static",
                    "dnsSettings": {"domainNameLabel": "chat-of-the-judge"},
                },
            },
        ).result()
        name = f"chat-of-the-judge.{REGION}.cloudapp.azure.com"
        self.expect("its name", address.dns_settings.fqdn, name)
        outside = networks.public_ip_addresses.begin_create_or_update(
            GROUP,
            "outside",
            {
                "location": REGION,
                "sku": {"name": "Standard"},
                "properties": {"publicIPAllocationMethod": "Static"},
            },
        ).result()
        gateway = networks.nat_gateways.begin_create_or_update(
            GROUP,
            "gateway",
            {
                "location": REGION,
                "sku": {"name": "Standard"},
                "properties": {"publicIpAddresses": [{"id": outside.id}]},
            },
        ).result()
        whole = networks.virtual_networks.begin_create_or_update(
            GROUP,
            "network",
            {
                "location": REGION,
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                    "subnets": [
                        {
                            "name": "default",
                            "properties": {
                                "addressPrefix": "10.0.0.0/24",
                                "networkSecurityGroup": {"id": group.id},
                            },
                        }
                    ],
                },
            },
        ).result()
        subnets = networks.subnets
        second = subnets.begin_create_or_update(
            GROUP,
            "network",
            "private",
            {"properties": {"addressPrefix": "10.0.1.0/24", "natGateway": {"id": gateway.id}}},
        ).result()
        self.expect("its gateway", second.nat_gateway.id, gateway.id)
        self.expect(
            "the subnet", subnets.get(GROUP, "network", "default").address_prefix, "10.0.0.0/24"
        )
        names = [one.name for one in subnets.list(GROUP, "network")]
        self.expect("subnets", names, ["default", "private"])
        subnets.begin_delete(GROUP, "network", "private").result()
        interface = networks.network_interfaces.begin_create_or_update(
            GROUP,
            "interface",
            {
                "location": REGION,
                "properties": {
                    "ipConfigurations": [
                        {
                            "name": "main",
                            "properties": {
                                "subnet": {"id": whole.subnets[0].id},
                                "publicIPAddress": {"id": address.id},
                            },
                        }
                    ]
                },
            },
        ).result()
        self.expect("its address", interface.ip_configurations[0].private_ip_address, "10.0.0.4")
        for kind, name in (
            ("network_security_groups", "group"),
            ("public_ip_addresses", "address"),
            ("nat_gateways", "gateway"),
            ("virtual_networks", "network"),
            ("network_interfaces", "interface"),
        ):
            self.tag_and_put_again(getattr(networks, kind), name)

    def tag_and_put_again(self, kind: Any, name: str) -> None:
        """Change tags, read the resource in all ways, and put it as it was read."""
        self.expect(
            f"tags of {name}", kind.update_tags(GROUP, name, {"tags": {"a": "b"}}).tags, {"a": "b"}
        )
        read = kind.get(GROUP, name)
        self.expect(f"tags of {name}", read.tags, {"a": "b"})
        self.expect(f"{name} in its group", name in {one.name for one in kind.list(GROUP)}, True)
        self.expect(f"{name} among all", name in {one.name for one in kind.list_all()}, True)
        read.tags = {"a": "c"}
        after = kind.begin_create_or_update(GROUP, name, read).result()
        self.expect(f"{name} after a PUT", (after.id, after.tags), (read.id, {"a": "c"}))
        self.expect(f"the state of {name}", after.provisioning_state, "Succeeded")

    def machine(self) -> None:
        disks, machines = self.machines.disks, self.machines.virtual_machines
        disk = disks.begin_create_or_update(
            GROUP,
            "data",
            {
                "location": REGION,
                "sku": {"name": "StandardSSD_LRS"},
                "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 64},
            },
        ).result()
        self.expect("the disk", (disk.disk_size_gb, disk.disk_state), (64, "Unattached"))
        interface = self.networks.network_interfaces.get(GROUP, "interface")
        made = machines.begin_create_or_update(GROUP, "vm", machine(interface.id, disk.id)).result()
        self.expect("the size", made.hardware_profile.vm_size, "Standard_B2ms")
        self.expect("customData", made.os_profile.custom_data, None)
        disk = disks.get(GROUP, "data")
        self.expect("the disk", (disk.disk_state, disk.managed_by), ("Attached", made.id))
        grown = disks.begin_update(GROUP, "data", {"properties": {"diskSizeGB": 128}}).result()
        self.expect("the disk's size", grown.disk_size_gb, 128)
        of_system = made.storage_profile.os_disk.name
        tagged = disks.begin_update(GROUP, of_system, {"tags": {"a": "b"}}).result()
        self.expect("the tags of the OS disk", tagged.tags, {"a": "b"})
        names = {one.name for one in disks.list_by_resource_group(GROUP)}
        self.expect("the disks", names, {"data", of_system})
        self.expect("all disks", {one.name for one in disks.list()}, names)
        self.expect("machines", [one.name for one in machines.list(GROUP)], ["vm"])
        self.expect("all machines", [one.name for one in machines.list_all()], ["vm"])
        listed = {one.name for one in self.resources.resources.list_by_resource_group(GROUP)}
        self.expect("the machine in the group", "vm" in listed, True)
        disks_only = f"resourceType eq '{disk.type}'"
        listed = {one.name for one in self.resources.resources.list(filter=disks_only)}
        self.expect("the disks", listed, names)
        read = machines.get(GROUP, "vm")
        read.hardware_profile.vm_size = "Standard_B4ms"
        resized = machines.begin_create_or_update(GROUP, "vm", read).result()
        self.expect("the size", resized.hardware_profile.vm_size, "Standard_B4ms")
        self.expect("the machine", resized.vm_id, made.vm_id)
        patch = {"tags": {"a": "b"}, "properties": {"hardwareProfile": {"vmSize": "Standard_B2ms"}}}
        resized = machines.begin_update(GROUP, "vm", patch).result()
        self.expect(
            "the patched machine",
            (resized.hardware_profile.vm_size, resized.tags),
            ("Standard_B2ms", {"a": "b"}),
        )

    def power(self) -> None:
        machines = self.machines.virtual_machines
        for action, state in (
            ("restart", "running"),
            ("power_off", "stopped"),
            ("start", "running"),
            ("deallocate", "deallocated"),
            ("start", "running"),
        ):
            getattr(machines, f"begin_{action}")(GROUP, "vm").result()
            view = machines.instance_view(GROUP, "vm")
            codes = [one.code for one in view.statuses]
            self.expect(f"the state after {action}", codes[-1], f"PowerState/{state}")
        expanded = machines.get(GROUP, "vm", expand="instanceView").instance_view
        self.expect("the machine's state", len(expanded.statuses), 2)
        run = {"commandId": "RunShellScript", "script": ["true"]}
        self.refused(
            409,
            "OperationNotAllowed",
            lambda: machines.begin_run_command(GROUP, "vm", run).result(),
        )

    def conditions(self) -> None:
        groups = self.networks.network_security_groups
        group = groups.get(GROUP, "group")

        def put(etag: str) -> None:
            changed = {"headers": {"If-Match": etag}}
            groups.begin_create_or_update(GROUP, "group", group, **changed).result()

        self.refused(412, "PreconditionFailed", lambda: put('W/"another"'))
        put(group.etag)
        self.refused(412, "PreconditionFailed", lambda: put(group.etag))
        put("*")
        disks = self.machines.disks
        self.refused(404, "ResourceNotFound", lambda: disks.get(GROUP, "none"))
        self.refused(404, "ResourceGroupNotFound", lambda: list(disks.list_by_resource_group("no")))
        self.refused(409, "OperationNotAllowed", lambda: disks.begin_delete(GROUP, "data").result())
        self.refused(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            lambda: groups.begin_delete(GROUP, "group").result(),
        )

    def refused(self, status: int, code: str, call: Callable[[], Any]) -> None:
        """Expect an error of Azure's."""
        error: Any = import_module("azure.core.exceptions").HttpResponseError
        try:
            call()
        except error as refusal:
            found = (refusal.status_code, refusal.error and refusal.error.code)
            self.expect("a refusal", found, (status, code))
        else:
            self.judge.problems.append(f"{code} was expected, and nothing was refused")

    def pages(self) -> None:
        """A list that is longer than one page."""
        names = [f"port-{port}" for port in range(60)]
        rules = [
            {"name": name, "properties": rule(1000 + number, str(8000 + number))}
            for number, name in enumerate(names)
        ]
        self.networks.network_security_groups.begin_create_or_update(
            GROUP, "many", {"location": REGION, "properties": {"securityRules": rules}}
        ).result()
        pages = list(self.networks.security_rules.list(GROUP, "many").by_page())
        found = [one.name for page in pages for one in page]
        self.expect("the rules of all pages", found, names)
        self.expect("the number of pages", len(pages) > 1, True)

    def removal(self) -> None:
        networks, machines = self.networks, self.machines
        machines.virtual_machines.begin_delete(GROUP, "vm").result()
        self.expect("machines", [one.name for one in machines.virtual_machines.list(GROUP)], [])
        machines.disks.begin_delete(GROUP, "data").result()
        self.expect("disks", [one.name for one in machines.disks.list()], [])
        for kind, name in (
            ("network_interfaces", "interface"),
            ("virtual_networks", "network"),
            ("nat_gateways", "gateway"),
            ("public_ip_addresses", "address"),
            ("network_security_groups", "group"),
        ):
            operations = getattr(networks, kind)
            operations.begin_delete(GROUP, name).result()
            self.refused(404, "ResourceNotFound", partial(operations.get, GROUP, name))
        groups = self.resources.resource_groups
        groups.begin_delete(GROUP).result()
        self.expect("groups", [one.name for one in groups.list()], [])


def rule_body(priority: int, port: str) -> Json:
    """A security rule as a resource."""
    return {"properties": rule(priority, port)}


def main() -> None:
    judge = Judge()
    try:
        Program(judge).run()
    except Exception:
        judge.problems.append(traceback.format_exc())
    requests = [[one.method, one.path] for one in judge.answers if one.status < 400]
    json.dump({"requests": requests, "problems": judge.problems}, sys.stdout)


if __name__ == "__main__":
    main()

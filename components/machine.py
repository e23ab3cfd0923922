"""The machine: its keys, its data disk, the VM, and the wait until its first boot is done."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pulumi
import pulumi_tls as tls
from pulumi_azure_native import compute, resources
from pulumi_command.remote import ConnectionArgs

from components.remote_command import (
    TOOLS,
    File,
    RemoteCommand,
    Target,
    machine_files,
    render_file,
    run_on_machine,
)
from ollamazure.sizing import OS_DISK_GIB

CLOUD_INIT = Path(__file__).resolve().parent.parent / "cloud-init"
COMPUTER_NAME = "chat"
# Files of guest/ that the first boot writes, with their modes. Constant: no application is in them.
FIRST_BOOT_FILES = {
    "/usr/local/sbin/ollamazure-data-disk": "0755",
    "/etc/ollamazure/firewall.nft": "0644",
    "/etc/systemd/system/ollamazure-firewall.service": "0644",
    "/etc/containers/storage.conf": "0644",
    "/etc/ssh/sshd_config.d/10-ollamazure.conf": "0644",
    "/etc/sysctl.d/60-ollamazure.conf": "0644",
    "/etc/apt/apt.conf.d/20auto-upgrades": "0644",
}
# And those of a size with a GPU.
GPU_FIRST_BOOT_FILES = {
    "/etc/apt/sources.list.d/nvidia.sources": "0644",
    "/etc/apt/apt.conf.d/52ollamazure-nvidia": "0644",
    "/etc/modules-load.d/ollamazure-gpu.conf": "0644",
}

# What Azure refuses to change on a VM (409 PropertyChangeNotAllowed) although azure-native previews
# it as an update (pulumi-azure-native issues 577 and 1117), and the machine's class, which decides
# whether Azure resizes in place.
REPLACES = [
    "storageProfile.imageReference",
    "storageProfile.osDisk.createOption",
    "osProfile.adminUsername",
    "osProfile.computerName",
    "securityProfile.securityType",
    "zones",
    "tags.machineClass",
]
# These only seed a new machine; Azure refuses to change them on one that exists.
SEEDS = ["osProfile.customData", "osProfile.linuxConfiguration.ssh"]


_FIX = (
    "`sshCommand` of `pulumi stack output` signs you in; "
    "`cloud-init status --long` says what went wrong at the first boot."
)


@dataclass(frozen=True)
class MachineArgs:
    """What the machine needs to know.

    Attributes:
        group: the resource group of the VM.
        data_group_name: the group of the data disk, made here unless a disk is adopted: deleting
            a group deletes what is in it, so the disk has one of its own.
        location: Azure region.
        nic_id: ARM id of the network interface.
        address: public IPv4 address, where SSH is reached.
        vm_size: for example `Standard_B2ms`.
        machine_class: what of the size only a new machine can change (VmSize.machine_class).
        premium_caching: whether the size may cache the OS disk.
        gpu: whether the size has a GPU: its driver is built at the first boot, unsigned, so Secure
            Boot is off, and with it the vTPM, as Microsoft advises for NVIDIA's driver on Linux.
        image_version: of Debian's image; `latest` never shows as a change.
        admin_username: of the operators.
        data_disk_gib: size of the data disk, GiB.
        data_disk_id: ARM id of a disk to adopt instead of making one.
        keep_data: protect the data disk and keep it when everything else is destroyed.
        container_mirror: `host:port` that stands in for the container registries, or None.
        reapply: any text; another one runs every command again (Target).
        tags: on everything.
    """

    group: resources.ResourceGroup
    data_group_name: str
    location: str
    nic_id: pulumi.Input[str]
    address: pulumi.Input[str]
    vm_size: str
    machine_class: str
    premium_caching: bool
    gpu: bool
    image_version: str
    admin_username: str
    data_disk_gib: int
    data_disk_id: str | None
    keep_data: bool
    container_mirror: str | None
    reapply: str | None
    tags: Mapping[str, str]


class Machine(pulumi.ComponentResource):
    """One Debian VM whose first boot is done.

    `target` is what commands run on; `private_key` (secret, OpenSSH) signs an operator in to the
    machine that shows `host_key` (one `ssh-ed25519 …` line); `data_disk_id` is the ARM id of the
    disk that holds everything worth keeping.
    """

    target: Target
    private_key: pulumi.Output[str]
    host_key: pulumi.Output[str]
    data_disk_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Machine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # Azure takes ED25519 keys of users; pulumi-command cannot pin an RSA key of a host.
        user_key = tls.PrivateKey("ssh-key", algorithm="ED25519", opts=child)
        host_key = tls.PrivateKey("host-key", algorithm="ED25519", opts=child)
        self.host_key = host_key.public_key_openssh.apply(str.strip)
        self.data_disk_id = self._data_disk(args)
        vm = self._vm(args, user_key, host_key)
        # Not before the VM is what it shall be: one output that waits holds back all of a stack, so
        # that none tells of a size that Azure had no room for.
        self.private_key = pulumi.Output.secret(
            pulumi.Output.all(user_key.private_key_openssh, vm.id).apply(lambda both: both[0])
        )

        connection = ConnectionArgs(
            host=args.address,
            user=args.admin_username,
            private_key=user_key.private_key_openssh,
            host_key=self.host_key,
            # A VM is "created" before its SSH answers; the wait is bounded by the timeout.
            dial_error_limit=-1,
            per_dial_timeout=15,
        )
        # Read from Azure rather than from the resource: an update in place (a tag, a size)
        # previews with unknown outputs, and every command would preview as replaced with it.
        identity = compute.get_virtual_machine_output(
            resource_group_name=args.group.name,
            vm_name="vm",
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[vm]),
        ).vm_id
        booting = Target(connection, identity, vm, reapply=args.reapply)
        if args.gpu:
            booting = dataclasses.replace(booting, ready=[self._gpu_driver(booting, args)])
        self.target = dataclasses.replace(booting, ready=[self._ready(booting, args)])
        self.register_outputs({"dataDiskId": self.data_disk_id})

    def _gpu_driver(self, booting: Target, args: MachineArgs) -> RemoteCommand:
        """A step of its own, because it may end with a restart of the machine."""
        return run_on_machine(
            "gpu-driver",
            booting,
            purpose="load NVIDIA's driver",
            script=f"{TOOLS}/machine-ready\n{TOOLS}/gpu-driver load\n",
            files=[
                *machine_files(mirror=args.container_mirror),
                *_files(GPU_FIRST_BOOT_FILES),
                File(f"{TOOLS}/gpu-driver", "0755"),
            ],
            timeout="60m",
            fix=_FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _ready(self, booting: Target, args: MachineArgs) -> RemoteCommand:
        size = 0 if args.data_disk_id else args.data_disk_gib  # an adopted disk has its own
        check = f"{TOOLS}/gpu-driver check\n" if args.gpu else ""
        return run_on_machine(
            "machine-ready",
            booting,
            purpose="prepare the machine",
            script=f"{TOOLS}/machine-ready\n{check}{TOOLS}/grow-data-disk {size}\n",
            files=[
                *machine_files(mirror=args.container_mirror),
                # There from the first boot, and here so that a change of them needs no new machine.
                *_files(FIRST_BOOT_FILES),
                File(f"{TOOLS}/grow-data-disk", "0755"),
            ],
            timeout="40m",
            fix=_FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _data_disk(self, args: MachineArgs) -> pulumi.Output[str]:
        if args.data_disk_id is not None:
            return pulumi.Output.from_input(args.data_disk_id)
        kept = pulumi.ResourceOptions(
            parent=self, protect=args.keep_data, retain_on_delete=args.keep_data
        )
        common = {"location": args.location, "tags": dict(args.tags)}
        group = resources.ResourceGroup(
            "data-group", resource_group_name=args.data_group_name, opts=kept, **common
        )
        disk = compute.Disk(
            "data-disk",
            disk_name="data",
            resource_group_name=group.name,
            creation_data={"create_option": compute.DiskCreateOption.EMPTY},
            disk_size_gb=args.data_disk_gib,
            sku={"name": compute.DiskStorageAccountTypes.STANDARD_SS_D_LRS},
            encryption={"type": compute.EncryptionType.ENCRYPTION_AT_REST_WITH_PLATFORM_KEY},
            network_access_policy=compute.NetworkAccessPolicy.DENY_ALL,
            public_network_access=compute.PublicNetworkAccess.DISABLED,
            opts=kept,
            **common,
        )
        disk_id: pulumi.Output[str] = disk.id
        return disk_id

    def _vm(
        self, args: MachineArgs, user_key: tls.PrivateKey, host_key: tls.PrivateKey
    ) -> compute.VirtualMachine:
        user_data: pulumi.Output[str] = pulumi.Output.all(
            private=host_key.private_key_openssh, public=host_key.public_key_openssh
        ).apply(lambda key: _base64(render_user_data(key["private"], key["public"], gpu=args.gpu)))
        custom_data: pulumi.Output[str] = pulumi.Output.secret(user_data)
        authorized_key = {
            "path": f"/home/{args.admin_username}/.ssh/authorized_keys",
            "key_data": user_key.public_key_openssh.apply(str.strip),
        }
        return compute.VirtualMachine(
            "vm",
            vm_name="vm",
            resource_group_name=args.group.name,
            location=args.location,
            hardware_profile={"vm_size": args.vm_size},
            os_profile={
                "computer_name": COMPUTER_NAME,
                "admin_username": args.admin_username,
                "allow_extension_operations": False,
                "custom_data": custom_data,
                "linux_configuration": {
                    "disable_password_authentication": True,
                    "ssh": {"public_keys": [authorized_key]},
                },
            },
            storage_profile={
                "image_reference": {
                    "publisher": "Debian",
                    "offer": "debian-13",
                    "sku": "13-gen2",
                    "version": args.image_version,
                },
                "os_disk": {
                    "create_option": compute.DiskCreateOptionTypes.FROM_IMAGE,
                    "delete_option": compute.DiskDeleteOptionTypes.DELETE,
                    "caching": compute.CachingTypes.READ_ONLY
                    if args.premium_caching
                    else compute.CachingTypes.NONE,
                    "disk_size_gb": OS_DISK_GIB,
                    "managed_disk": {
                        "storage_account_type": compute.StorageAccountTypes.STANDARD_SS_D_LRS
                    },
                },
                "data_disks": [
                    {
                        "lun": 0,
                        "create_option": compute.DiskCreateOptionTypes.ATTACH,
                        "delete_option": compute.DiskDeleteOptionTypes.DETACH,
                        "caching": compute.CachingTypes.NONE,
                        "managed_disk": {"id": self.data_disk_id},
                    }
                ],
            },
            network_profile={
                "network_interfaces": [
                    {
                        "id": args.nic_id,
                        "primary": True,
                        "delete_option": compute.DeleteOptions.DETACH,
                    }
                ]
            },
            security_profile={
                "security_type": compute.SecurityTypes.TRUSTED_LAUNCH,
                "uefi_settings": {
                    "secure_boot_enabled": not args.gpu,
                    "v_tpm_enabled": not args.gpu,
                },
            },
            diagnostics_profile={"boot_diagnostics": {"enabled": True}},
            tags={**args.tags, "machineClass": args.machine_class},
            opts=pulumi.ResourceOptions(
                parent=self,
                replace_on_changes=REPLACES,
                delete_before_replace=True,
                ignore_changes=SEEDS,
            ),
        )


def render_user_data(host_private_key: str, host_public_key: str, *, gpu: bool = False) -> str:
    """The cloud-config of the first boot, with NVIDIA's driver where the size has a GPU.

    `host_private_key` is PEM in OpenSSH's form, `host_public_key` one `ssh-ed25519 …` line.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CLOUD_INIT),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML
    )
    files = [
        {"path": path, "mode": mode, "content": render_file(path)}
        for path, mode in {**FIRST_BOOT_FILES, **(GPU_FIRST_BOOT_FILES if gpu else {})}.items()
    ]
    return environment.get_template("user-data.yaml.j2").render(
        host_private_key=host_private_key,
        host_public_key=host_public_key.strip(),
        files=files,
        gpu=gpu,
    )


def _files(modes: Mapping[str, str]) -> list[File]:
    return [File(path, mode) for path, mode in modes.items()]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

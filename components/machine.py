"""The machine: its keys, its data disk, the VM, and the command that waits for its first boot."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_tls as tls
from pulumi_azure_native import compute, managedidentity, network, resources
from pulumi_command.remote import ConnectionArgs

from components.remote_command import (
    APT_PROXY,
    HALF_AN_HOUR,
    TOOLS,
    File,
    RemoteCommand,
    Target,
    machine_files,
    proxy_values,
    render_file,
    run_on_machine,
)
from components.ssh_access import SshAccess, SshAccessArgs
from components.tags import Tags
from ollamazure.names import IDENTITY, VM, group_of
from ollamazure.settings.groups import Rotation
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.stack import Settings
from ollamazure.sizing import duration
from ollamazure.sizing.disks import OS_DISK_GIB
from ollamazure.sizing.plan import Sizing
from ollamazure.templates import render_template

COMPUTER_NAME = "chat"
# Files of guest/ that the first boot writes, with their modes. They configure no application.
FIRST_BOOT_FILES = {
    "/usr/local/sbin/ollamazure-data-disk": "0755",
    "/etc/ollamazure/firewall.nft": "0644",
    "/etc/systemd/system/ollamazure-firewall.service": "0644",
    "/etc/containers/storage.conf": "0644",
    "/etc/ssh/sshd_config.d/10-ollamazure.conf": "0644",
    "/etc/sysctl.d/60-ollamazure.conf": "0644",
    "/etc/apt/apt.conf.d/20auto-upgrades": "0644",
    "/etc/apt/apt.conf.d/51ollamazure-recommends": "0644",
}
# What follows from the settings, so no first boot writes them.
ALLOWED_CLIENTS = "/etc/ollamazure/firewall.d/allowed-clients.nft"
OUTBOUND = "/etc/ollamazure/firewall.d/outbound.nft"
SSH_USERS = "/etc/ssh/sshd_config.d/11-ollamazure-users.conf"
RESTART_TIMER = "/etc/systemd/system/ollamazure-restart.timer"
RESTART_SERVICE = "/etc/systemd/system/ollamazure-restart.service"
# The additional files of a size with a GPU.
GPU_FIRST_BOOT_FILES = {
    "/etc/apt/sources.list.d/nvidia.sources": "0644",
    "/etc/apt/apt.conf.d/52ollamazure-nvidia": "0644",
    "/etc/modules-load.d/ollamazure-gpu.conf": "0644",
}

# Azure refuses to change these on a VM (409 PropertyChangeNotAllowed), but azure-native previews
# them as an update (pulumi-azure-native issues 577 and 1117). The last one is the machine's class:
# Azure resizes in place only within a class.
REPLACES = [
    "storageProfile.imageReference",
    "storageProfile.osDisk.createOption",
    "osProfile.adminUsername",
    "osProfile.computerName",
    "securityProfile.securityType",
    "zones",
    "tags.machineClass",
]
# Only a new machine uses these; Azure refuses to change them on an existing one.
SEEDS = ["osProfile.customData", "osProfile.linuxConfiguration.ssh"]

_FIX = (
    "Sign in with the command that `pulumi stack output sshCommand` prints; "
    "`cloud-init status --long` reports what went wrong at the first boot."
)


@dataclass(frozen=True)
class MachineArgs:
    """What the machine is made from.

    Attributes:
        settings: the stack's.
        plan: the size, and what follows from it.
        group: the resource group of the VM.
        group_name: its name.
        data_group_name: the group of the data disk, made here unless a disk is adopted.
        nic: the network interface; a VM cannot move to another one.
        address: the IPv4 address where SSH is reached.
        tags: of each resource.
    """

    settings: Settings
    plan: Sizing
    group: resources.ResourceGroup
    group_name: str
    data_group_name: str
    nic: network.NetworkInterface
    address: pulumi.Input[str]
    tags: Tags


class Machine(pulumi.ComponentResource):
    """One Debian VM whose first boot is done.

    Attributes:
        target: what commands run on.
        private_key: secret; the operator's key, in OpenSSH's form.
        host_key: the machine's own public key, one `ssh-ed25519 …` line.
        data_disk_id: ARM id of the disk that holds everything worth keeping.
        data_group: name of the resource group of that disk.
        identity: what the machine signs in to Azure's storage as; None if it keeps nothing there.
    """

    target: Target
    private_key: pulumi.Output[str]
    host_key: pulumi.Output[str]
    data_disk_id: pulumi.Output[str]
    data_group: pulumi.Output[str]
    identity: managedidentity.UserAssignedIdentity | None

    def __init__(
        self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Machine", name, None, opts)
        # Both are ED25519: Azure accepts it for users, and pulumi-command can pin it for a host.
        user_key, host_key = self._keys(args.settings.rotation)
        self.host_key = host_key.public_key_openssh.apply(str.strip)
        self.data_disk_id, self.data_group = self._data_disk(args)
        self.identity = self._identity(args) if args.settings.backup.target == "azure" else None
        vm = self._vm(args, user_key, host_key)
        access = SshAccess(
            "ssh-access",
            SshAccessArgs(
                user_key,
                user=args.settings.vm_admin_username,
                address=args.address,
                host_key=self.host_key,
                vm=vm,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        # Wait for the VM: Pulumi publishes stack outputs only when all of them are known, so no
        # output names a size that Azure then refused.
        self.private_key = pulumi.Output.secret(
            pulumi.Output.all(access.private_key, vm.id).apply(lambda both: both[0])
        )

        connection = ConnectionArgs(
            host=args.address,
            user=args.settings.vm_admin_username,
            private_key=access.private_key,
            host_key=self.host_key,
            # Azure reports a VM as created before its SSH answers; the timeout limits the wait.
            dial_error_limit=-1,
            per_dial_timeout=15,
        )
        # Read from Azure rather than from the resource: an update in place (a tag, a size) previews
        # with unknown outputs, and then every command would preview as changed too.
        found = compute.get_virtual_machine_output(
            expand="instanceView",
            resource_group_name=args.group.name,
            vm_name=VM,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[vm]),
        )
        running = found.apply(lambda machine: _require_running(machine, args.group_name))
        booting = Target(connection, running.vm_id, vm, reapply=args.settings.reapply)
        if args.plan.gpu:
            booting = dataclasses.replace(booting, ready=[self._gpu_driver(booting, args)])
        ready = self._ready(booting, args, user_key)
        self.target = dataclasses.replace(booting, ready=[ready])
        self.register_outputs({"dataDiskId": self.data_disk_id})

    def _keys(self, rotation: Rotation) -> tuple[tls.PrivateKey, tls.PrivateKey]:
        """The operators' key and the machine's own.

        Pulumi ignores a trigger that was or becomes null, so an unset one is an empty text.
        """

        def key(name: str, trigger: str | None) -> tls.PrivateKey:
            opts = pulumi.ResourceOptions(parent=self, replacement_trigger=trigger or "")
            return tls.PrivateKey(name, algorithm="ED25519", opts=opts)

        return key("ssh-key", rotation.ssh_key), key("host-key", rotation.host_key)

    def _gpu_driver(self, booting: Target, args: MachineArgs) -> RemoteCommand:
        """The command for the driver, on its own because it may end with a restart."""
        return run_on_machine(
            "gpu-driver",
            booting,
            purpose="load NVIDIA's driver",
            script=f"{TOOLS}/machine-ready\n{TOOLS}/gpu-driver load\n",
            files=[
                *machine_files(args.settings),
                *_files(GPU_FIRST_BOOT_FILES),
                File(f"{TOOLS}/gpu-driver", "0755"),
            ],
            limit=2 * HALF_AN_HOUR + duration.packages_seconds(args.plan.vm_size),
            fix=_FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _ready(self, booting: Target, args: MachineArgs, user_key: tls.PrivateKey) -> RemoteCommand:
        settings = args.settings
        size = 0 if settings.data_disk_id else settings.data_disk_gib  # 0: as large as it is
        restarts = "on" if settings.restarts_in_window else "off"
        check = f"{TOOLS}/gpu-driver check\n" if args.plan.gpu else ""
        return run_on_machine(
            "machine-ready",
            booting,
            purpose="prepare the machine",
            script=f"{TOOLS}/machine-ready\n{check}{TOOLS}/grow-data-disk {size}\n"
            f"{TOOLS}/restart.py {restarts}\n",
            files=[
                *machine_files(args.settings),
                # The first boot writes them too. Here a change of them needs no new machine.
                *_files(FIRST_BOOT_FILES),
                File(
                    ALLOWED_CLIENTS,
                    values={
                        "clients": settings.allowed_clients,
                        "metrics_clients": settings.metrics_clients,
                    },
                ),
                File(
                    OUTBOUND,
                    values={
                        "outbound_ports": settings.outbound_ports,
                        "open_webui": settings.webui_uses_proxy,
                        **proxy_values(settings.proxy),
                    },
                ),
                File(SSH_USERS, values={"user": settings.vm_admin_username}),
                File(f"{TOOLS}/grow-data-disk", "0755"),
                File(f"{TOOLS}/follow-data-disk", "0755"),
                File(f"{TOOLS}/restart.py", "0755"),
                *_restart_units(settings),
                File("/etc/systemd/system/ollamazure-follow-data-disk.service"),
                File("/etc/udev/rules.d/90-ollamazure-data-disk.rules"),
                File("/etc/systemd/system/srv-data.mount.d/ollamazure.conf"),
                # For drift.py only; ssh_access.py changes the keys.
                File(
                    "/etc/ollamazure/authorized-key",
                    values={
                        "user": settings.vm_admin_username,
                        "key": user_key.public_key_openssh.apply(str.strip),
                    },
                ),
            ],
            # The data disk may be attached late, and Azure may show its new size late.
            limit=HALF_AN_HOUR + 1200 + duration.packages_seconds(args.plan.vm_size),
            fix=_FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _data_disk(self, args: MachineArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The adopted disk, or a new one in a resource group of its own: its ARM id, its group."""
        settings = args.settings
        if settings.data_disk_id is not None:
            adopted = settings.data_disk_id
            return pulumi.Output.from_input(adopted), pulumi.Output.from_input(group_of(adopted))
        kept = pulumi.ResourceOptions(
            parent=self, protect=settings.keep_data, retain_on_delete=settings.keep_data
        )
        in_group = {"resource_group_name": args.data_group_name}
        group = resources.ResourceGroup(
            "data-group",
            resource_group_name=args.data_group_name,
            location=settings.location,
            tags=args.tags.of(resources.get_resource_group, **in_group),
            opts=kept,
        )
        disk = compute.Disk(
            "data-disk",
            disk_name="data",
            resource_group_name=group.name,
            creation_data={"create_option": compute.DiskCreateOption.EMPTY},
            disk_size_gb=settings.data_disk_gib,
            sku={"name": compute.DiskStorageAccountTypes.STANDARD_SS_D_LRS},
            encryption={"type": compute.EncryptionType.ENCRYPTION_AT_REST_WITH_PLATFORM_KEY},
            network_access_policy=compute.NetworkAccessPolicy.DENY_ALL,
            public_network_access=compute.PublicNetworkAccess.DISABLED,
            location=settings.location,
            tags=args.tags.of(compute.get_disk, disk_name="data", **in_group),
            opts=kept,
        )
        return disk.id, group.name

    def _identity(self, args: MachineArgs) -> managedidentity.UserAssignedIdentity:
        """An identity that stays when the machine is replaced, and its rights with it."""
        in_group = {"resource_group_name": args.group_name}
        return managedidentity.UserAssignedIdentity(
            "machine-identity",
            resource_name_=IDENTITY,
            resource_group_name=args.group.name,
            location=args.settings.location,
            tags=args.tags.of(
                managedidentity.get_user_assigned_identity, resource_name=IDENTITY, **in_group
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _vm(
        self, args: MachineArgs, user_key: tls.PrivateKey, host_key: tls.PrivateKey
    ) -> compute.VirtualMachine:
        tags = args.tags.of(
            compute.get_virtual_machine, vm_name=VM, resource_group_name=args.group_name
        )
        return compute.VirtualMachine(
            "vm",
            vm_name=VM,
            resource_group_name=args.group.name,
            location=args.settings.location,
            hardware_profile={"vm_size": args.plan.vm_size.name},
            os_profile=_os_profile(args, user_key, host_key),
            storage_profile=_storage_profile(args, self.data_disk_id),
            network_profile={
                "network_interfaces": [
                    {
                        "id": args.nic.id,
                        "primary": True,
                        "delete_option": compute.DeleteOptions.DETACH,
                    }
                ]
            },
            security_profile={
                "security_type": compute.SecurityTypes.TRUSTED_LAUNCH,
                # The first boot builds NVIDIA's driver unsigned, which Secure Boot would refuse.
                # Microsoft advises against the vTPM with this driver on Linux.
                "uefi_settings": {
                    "secure_boot_enabled": not args.plan.gpu,
                    "v_tpm_enabled": not args.plan.gpu,
                },
            },
            diagnostics_profile={"boot_diagnostics": {"enabled": True}},
            identity=_signs_in_as(self.identity),
            tags={**tags, "machineClass": args.plan.vm_size.machine_class},
            opts=pulumi.ResourceOptions(
                parent=self,
                replace_on_changes=REPLACES,
                replace_with=[args.nic],
                delete_before_replace=True,
                ignore_changes=SEEDS,
                # Only a first boot installs a host key.
                replacement_trigger=args.settings.rotation.host_key or "",
            ),
        )


def _restart_units(settings: Settings) -> list[File]:
    window = settings.restart_window
    if not settings.restarts_in_window:
        return []
    days = [day[:3] for day in window.days]
    return [
        File(RESTART_TIMER, values={"days": days, "time": window.time}),
        File(RESTART_SERVICE, values={"seconds": window.hours * 3600}),
    ]


def _signs_in_as(
    identity: managedidentity.UserAssignedIdentity | None,
) -> compute.VirtualMachineIdentityArgs | None:
    if identity is None:
        return None
    return compute.VirtualMachineIdentityArgs(
        type=compute.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity.id]
    )


def _os_profile(
    args: MachineArgs, user_key: tls.PrivateKey, host_key: tls.PrivateKey
) -> dict[str, Any]:
    """The first boot's configuration, and the operators' account."""
    user = args.settings.vm_admin_username
    user_data = pulumi.Output.all(
        private=host_key.private_key_openssh, public=host_key.public_key_openssh
    ).apply(
        lambda key: render_user_data(
            key["private"], key["public"], gpu=args.plan.gpu, proxy=args.settings.proxy
        )
    )
    authorized_key = {
        "path": f"/home/{user}/.ssh/authorized_keys",
        "key_data": user_key.public_key_openssh.apply(str.strip),
    }
    return {
        "computer_name": COMPUTER_NAME,
        "admin_username": user,
        "allow_extension_operations": False,
        "custom_data": pulumi.Output.secret(user_data.apply(_base64)),
        "linux_configuration": {
            "disable_password_authentication": True,
            "ssh": {"public_keys": [authorized_key]},
        },
    }


class StoppedError(pulumi.RunError):
    """The VM does not run, so no command could run on it."""


def _require_running(
    machine: compute.GetVirtualMachineResult, group: str
) -> compute.GetVirtualMachineResult:
    """The VM, if it runs. A preview only warns if it does not.

    Pulumi does not compare that, and would wait half an hour for SSH.

    Raises:
        StoppedError: it does not run.
    """
    statuses = machine.instance_view.statuses if machine.instance_view else None
    codes = [status.code or "" for status in statuses or []]
    for state in (code.partition("/")[2] for code in codes if code.startswith("PowerState/")):
        if state in ("running", "starting"):
            continue
        found = (
            f"The VM is {state}, so no user reaches the chat. Nothing is lost, and this starts it: "
            f"bin/ollamazure start --stack {pulumi.get_stack()} (in another project: az vm start "
            f"--resource-group {group} --name {VM})."
        )
        if not pulumi.runtime.is_dry_run():
            raise StoppedError(f"{found} Then run `pulumi up` again: it goes on from here.")
        pulumi.log.warn(f"{found} `pulumi up` needs a VM that runs.")
    return machine


def _storage_profile(args: MachineArgs, data_disk_id: pulumi.Output[str]) -> dict[str, Any]:
    """Debian's image on the OS disk, and the data disk, which outlives the VM."""
    caching = compute.CachingTypes
    return {
        "image_reference": {
            "publisher": "Debian",
            "offer": "debian-13",
            "sku": "13-gen2",
            "version": args.settings.image_version,
        },
        "os_disk": {
            "create_option": compute.DiskCreateOptionTypes.FROM_IMAGE,
            "delete_option": compute.DiskDeleteOptionTypes.DELETE,
            "caching": caching.READ_ONLY if args.plan.vm_size.premium_caching else caching.NONE,
            "disk_size_gb": OS_DISK_GIB,
            "managed_disk": {"storage_account_type": compute.StorageAccountTypes.STANDARD_SS_D_LRS},
        },
        "data_disks": [
            {
                "lun": 0,
                "create_option": compute.DiskCreateOptionTypes.ATTACH,
                "delete_option": compute.DiskDeleteOptionTypes.DETACH,
                "caching": caching.NONE,
                "managed_disk": {"id": data_disk_id},
            }
        ],
    }


def render_user_data(
    host_private_key: str,
    host_public_key: str,
    *,
    gpu: bool = False,
    proxy: ProxySettings | None = None,
) -> str:
    """The cloud-config of the first boot.

    Args:
        host_private_key: PEM in OpenSSH's form.
        host_public_key: one `ssh-ed25519 …` line.
        gpu: whether to install NVIDIA's driver.
        proxy: through which the packages are downloaded.
    """
    files = [
        {"path": path, "mode": mode, "content": render_file(path)}
        for path, mode in {**FIRST_BOOT_FILES, **(GPU_FIRST_BOOT_FILES if gpu else {})}.items()
    ]
    if proxy and proxy.url:
        content = render_file(APT_PROXY, **proxy_values(proxy))
        files.append({"path": APT_PROXY, "mode": "0644", "content": content})
    return render_template(
        "cloud-init/user-data.yaml.j2",
        authority=proxy and proxy.certificate_authority,
        host_private_key=host_private_key,
        host_public_key=host_public_key.strip(),
        files=files,
        gpu=gpu,
    )


def _files(modes: Mapping[str, str]) -> list[File]:
    return [File(path, mode) for path, mode in modes.items()]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

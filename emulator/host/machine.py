"""Virtual machines: Podman system containers that run systemd and the real cloud-init.

A machine is a folder: `root` (its OS disk), `temp.disk`, `console.log`, and `hypervisor` for its
first process. The container itself holds nothing, so a change of size creates another one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from emulator.azure.fabric import FabricError, PowerAction, Report
from emulator.azure.offers import Size, offers
from emulator.host import disks as loop
from emulator.host import provision
from emulator.host.commands import remove_folder, run, succeeds, wait_until
from emulator.host.desired import Desired, DesiredInterface, DesiredMachine, DesiredNetwork
from emulator.host.disks import Disks
from emulator.host.faults import DiskFaults
from emulator.host.namespace import (
    CGROUP,
    Podman,
    group_folders,
    has_unified_cgroups,
    may_raise_limits,
    remove_group,
)
from emulator.host.network import Networks
from emulator.host.places import Places, replace_text
from emulator.host.processes import Processes
from emulator.host.speeds import Speeds

_BOOT = Path(__file__).parent / "boot"
_POWER_ON = _BOOT / "power-on-network"
_BOOT_SECONDS = 180
_STOP_SECONDS = 60
_UNWANTED_UNITS = ("systemd-modules-load.service", "systemd-udev-settle.service")
"""The machine must not configure the host's kernel."""


class Machines:
    """The virtual machines of one instance."""

    def __init__(  # noqa: PLR0913, PLR0917 -- everything that a machine needs
        self,
        places: Places,
        podman: Podman,
        processes: Processes,
        networks: Networks,
        disks: Disks,
        image: Path,
    ) -> None:
        self._places = places
        self._podman = podman
        self._processes = processes
        self._networks = networks
        self._disks = disks
        self._image = image
        self._faults = DiskFaults(places)
        self._speeds = Speeds(places)

    def remove_others(self, machines: Iterable[DesiredMachine]) -> None:
        """Remove machines that are not among these; with another vmId it is another machine.

        A machine that was moved to another resource group keeps its vmId and its OS disk.
        """
        names = {machine.identity: machine.name for machine in machines}
        for folder in self._places.machines.glob("*"):
            name = names.get(_identity(folder) or "")
            if name is None:
                self.remove(folder.name)
            elif name != folder.name:
                self.stop(folder.name)
                self._unplug(folder.name)
                folder.rename(folder.with_name(name))

    def reconcile(self, desired: Desired, report: Report) -> None:
        """Create these machines, and start or stop them as they should be. Raises FabricError."""
        for machine in (each for each in desired.machines if not each.failed):
            network, interface = desired.cable_of(machine)
            self._provision(machine, interface, report)
            self._connect_disks(machine)
            self._make_container(machine)
            if not machine.running:
                self.stop(machine.name)
            elif not self.runs(machine.name):
                report(f"{machine.name}: booting")
                self.start(machine, network, interface)
            else:
                self._keep(machine)

    def refresh(self) -> None:
        """Give running machines what an earlier version did not yet give them when they booted."""
        for folder in self._places.machines.glob("*"):
            script = folder / "hypervisor" / "visible-proc"
            if script.parent.exists() and not script.exists() and self.runs(folder.name):
                shutil.copy(_BOOT / script.name, script)
                self._podman(
                    "exec", self._places.container(folder.name), f"/run/hypervisor/{script.name}"
                )

    def power(self, desired: Desired, vm_id: str, action: PowerAction, report: Report) -> None:
        """Start, restart or stop one machine. Raises FabricError."""
        machine = next((each for each in desired.machines if each.id == vm_id), None)
        if machine is None:
            raise FabricError("ResourceNotFound", f"The host has no machine {vm_id}.")
        report(f"{machine.name}: {action}")
        if action in ("start", "restart"):
            self.start(machine, *desired.cable_of(machine))
        else:
            self.stop(machine.name)
            if action == "deallocate":
                self._lose_temp_disk(machine.name)

    def revive(self, desired: Desired, vm_id: str, report: Report) -> None:
        """Start one machine if it should run and does not. Raises FabricError."""
        machine = next((each for each in desired.machines if each.id == vm_id), None)
        if machine and machine.running and not machine.failed and not self.runs(machine.name):
            report(f"{machine.name}: booting")
            self.start(machine, *desired.cable_of(machine))

    def runs(self, name: str) -> bool:
        """Whether the machine runs, and does so in its current network."""
        container = self._places.container(name)
        if not self._podman.succeeds("container", "exists", container):
            return False
        template = "{{.State.Running}} {{.State.Pid}} {{.HostConfig.NetworkMode}}"
        running, pid, network = self._podman(
            "container", "inspect", "--format", template, container
        ).split()
        return running == "true" and _same_file(f"/proc/{pid}/ns/net", network.removeprefix("ns:"))

    def start(
        self, machine: DesiredMachine, network: DesiredNetwork, interface: DesiredInterface
    ) -> None:
        """Boot the machine and wait for its SSH server, as Azure waits for its agent."""
        container = self._places.container(machine.name)
        self._shut_down(machine.name)
        # A former machine may have left rules in this namespace; a new one may not have nft yet.
        run(["ip", "netns", "exec", self._networks.namespace_of(interface.id), str(_POWER_ON)])
        self._limit(machine)
        self._connect_disks(machine)
        if not self._podman.succeeds("start", container, group=container):
            self._remove_container(container)
            self._make_container(machine)
            self._podman("start", container, group=container)
        self._keep(machine)
        probe = ["ip", "netns", "exec", self._networks.router_of(network.id)]
        probe += ["timeout", "5", "bash", "-c", _SSH_PROBE, interface.address]
        if not wait_until(lambda: succeeds(probe), _BOOT_SECONDS, every=0.2):
            where = f"{self.console(machine.name)}, its console, ends with"
            raise FabricError(
                "OSProvisioningTimedOut",
                f"OS provisioning for VM '{machine.name}' did not finish in the allotted time: no "
                f"SSH server answered on {interface.address}:22 within {_BOOT_SECONDS} s. "
                f"{where}:\n{self._console_end(machine.name)}",
            )

    def _keep(self, machine: DesiredMachine) -> None:
        """Start the helper that boots the machine again when it reboots."""
        home, container = self._places.instance.home, self._places.container(machine.name)
        keeper = [sys.executable, "-m", "emulator.host.keeper", str(home), machine.id, container]
        self._processes.ensure(_keeper(machine.name), keeper, ready=lambda: True)

    def stop(self, name: str) -> None:
        """Shut the machine down; it stays off."""
        self._processes.stop(_keeper(name))
        self._shut_down(name)

    def _shut_down(self, name: str) -> None:
        """Shut the machine down, and kill it if that takes too long."""
        container = self._places.container(name)
        stop = ["stop", "--ignore", "--time", str(_STOP_SECONDS), container]
        # Podman can fail on a container that ends, or restarts, at this very moment.
        if not (self._podman.succeeds(*stop) or self._podman.succeeds(*stop)):
            self._remove_container(container)

    def remove(self, name: str) -> None:
        """Remove the machine with its OS disk; data disks stay."""
        self._unplug(name)
        remove_folder(self._places.machine(name))

    def _unplug(self, name: str) -> None:
        """Remove all of the machine except its folder, in whatever state it is."""
        container = self._places.container(name)
        self._processes.stop(_keeper(name))
        self._remove_container(container)
        loop.detach(self._places.machine(name) / "temp.disk")
        for group in group_folders(container):
            remove_group(group)

    def console(self, name: str) -> Path:
        """The machine's boot log, as in Azure's boot diagnostics."""
        return self._places.machine(name) / "console.log"

    def _provision(
        self, machine: DesiredMachine, interface: DesiredInterface, report: Report
    ) -> None:
        folder = self._places.machine(machine.name)
        if (folder / "provisioned").exists():
            return
        report(f"{machine.name}: unpacking the image")
        replace_text(folder / "identity", machine.identity)
        if not (folder / "root").exists():
            provision.unpack(self._image, folder / "root")
        has_temp_disk = bool(_size(machine).temp_disk_mib)
        provision.prepare(folder / "root", machine, interface.gateway, has_temp_disk)
        for unit in _UNWANTED_UNITS:
            link = folder / "root/etc/systemd/system" / unit
            if not link.is_symlink():
                link.symlink_to("/dev/null")
        (folder / "provisioned").touch()

    def _connect_disks(self, machine: DesiredMachine) -> None:
        """Write the list of the machine's disks, and apply it at once if the machine runs."""
        hypervisor = self._places.machine(machine.name) / "hypervisor"
        hypervisor.mkdir(exist_ok=True)
        for script in _BOOT.iterdir():
            shutil.copy(script, hypervisor / script.name)
        listing = hypervisor / "disks"
        former = listing.read_text() if listing.exists() else None
        wanted = self._disk_list(machine)
        if wanted != former:
            replace_text(listing, wanted)
            if self.runs(machine.name):
                self._podman("exec", self._places.container(machine.name), "/run/hypervisor/attach")

    def _disk_list(self, machine: DesiredMachine) -> str:
        lines = []
        late = self._faults.read()
        for lun, disk_id in machine.disks:
            seconds = late.get(disk_id.rpartition("/")[2], 0)
            number = loop.attach(self._disks.file(disk_id), self._speeds.read().disk_mbps)
            if seconds is not None:
                lines.append(f"data/by-lun/{lun} {number} {seconds:g}")
        if mib := _size(machine).temp_disk_mib:
            lines.append(f"{provision.TEMP_DISK} {self._temp_disk(machine.name, mib)} 0")
        return "".join(f"{line}\n" for line in lines)

    def _temp_disk(self, name: str, mib: int) -> int:
        file = self._places.machine(name) / "temp.disk"
        if not file.exists():
            new = file.with_suffix(".new")
            new.unlink(missing_ok=True)
            loop.make_or_grow(new, mib // 1024)
            run(["mkfs.ext4", "-q", "-F", str(new)])
            new.rename(file)
        return loop.attach(file, self._speeds.read().disk_mbps)

    def _lose_temp_disk(self, name: str) -> None:
        """Delete the temp disk: a deallocated machine loses its hardware, and with it that disk."""
        file = self._places.machine(name) / "temp.disk"
        loop.detach(file)
        file.unlink(missing_ok=True)

    def _make_container(self, machine: DesiredMachine) -> None:
        """Create the container, and replace one whose options have changed."""
        container = self._places.container(machine.name)
        options = self._options(machine)
        spec = hashlib.sha256(json.dumps(options).encode()).hexdigest()
        template = '{{index .Config.Labels "spec"}}'
        if self._podman.succeeds("container", "exists", container):
            if (
                self._podman("container", "inspect", "--format", template, container).strip()
                == spec
            ):
                return
            self._shut_down(machine.name)
            self._remove_container(container)
        root = self._places.machine(machine.name) / "root"
        self._podman(
            *["create", "--name", container, "--label", f"spec={spec}", *options],
            *["--rootfs", str(root), "/run/hypervisor/init"],
        )

    def _remove_container(self, container: str) -> None:
        """Remove the container, in whatever state it is. The machine loses nothing."""
        self._podman("rm", "--force", "--ignore", "--time", "0", container)

    def _options(self, machine: DesiredMachine) -> list[str]:
        folder = self._places.machine(machine.name)
        size = _size(machine)
        options = [
            "--privileged",
            "--systemd=always",
            "--tty",
            f"--hostname={machine.host_name}",
            f"--network=ns:/run/netns/{self._networks.namespace_of(machine.interface)}",
            "--no-hosts",
            "--dns=none",
            f"--volume={folder / 'hypervisor'}:/run/hypervisor:ro",
            f"--shm-size={size.memory_gib / 2:g}g",
            "--pids-limit=-1",
            "--log-driver=k8s-file",
            f"--log-opt=path={self.console(machine.name)}",
            f"--label=size={size.name}",
        ]
        if has_unified_cgroups():
            options += [f"--memory={size.memory_gib:g}g", f"--cpuset-cpus={_cores(size)}"]
        if not may_raise_limits():
            options += ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"]
        return options

    def _limit(self, machine: DesiredMachine) -> None:
        """On a host with cgroup v1, create groups with the size's limits; `start` enters them."""
        if has_unified_cgroups():
            return
        size, container = _size(machine), self._places.container(machine.name)
        memory, cpuset = (CGROUP / kind / container for kind in ("memory", "cpuset"))
        if memory.parent.is_dir():
            memory.mkdir(exist_ok=True)
            limit = str(int(size.memory_gib * (1 << 30)))
            (memory / "memory.limit_in_bytes").write_text(limit)
        if cpuset.parent.is_dir():
            cpuset.mkdir(exist_ok=True)
            (cpuset / "cpuset.cpus").write_text(_cores(size))
            (cpuset / "cpuset.mems").write_text((cpuset.parent / "cpuset.mems").read_text())

    def _console_end(self, name: str) -> str:
        """The last lines of the console, without Podman's prefixes and terminal colours."""
        lines = self.console(name).read_text(errors="replace").splitlines()[-25:]
        texts = [line.split(" ", 3)[-1] for line in lines]
        return "\n".join(re.sub(r"\x1b\[[0-9;?!]*[a-zA-Z]", "", text).rstrip() for text in texts)


_SSH_PROBE = 'exec 3<> "/dev/tcp/$0/22" && [ "$(head -c 4 <&3)" = SSH- ]'


def _size(machine: DesiredMachine) -> Size:
    return offers().sizes[machine.size.lower()]


def _cores(size: Size) -> str:
    """The size's cores, as many as the host has, in the kernel's notation."""
    return f"0-{min(size.vcpus, os.cpu_count() or 1) - 1}"


def _keeper(name: str) -> str:
    """The name of the helper that keeps a machine on."""
    return f"keeper-{name}"


def _identity(folder: Path) -> str | None:
    file = folder / "identity"
    return file.read_text() if file.exists() else None


def _same_file(one: str, other: str) -> bool:
    """Whether two paths are the same namespace."""
    try:
        return os.path.samefile(one, other)  # noqa: PTH121
    except FileNotFoundError:
        return False

"""The host side by itself: one machine, a tiny cloud-config, neither Pulumi nor Azure's rules."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emulator.host import teardown
from emulator.host.commands import run, wait_until
from emulator.host.desired import name_on_host
from emulator.host.fabric import HostFabric
from emulator.host.faults import DiskFaults
from emulator.host.places import Places
from emulator.host.processes import Processes
from emulator.instance import Instance

# In `make test`, all tests of a deployed machine go through it.
pytestmark = pytest.mark.long

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/rg/providers"
NETWORK, COMPUTE = f"{GROUP}/microsoft.network", f"{GROUP}/microsoft.compute"
MACHINE = f"{COMPUTE}/virtualmachines/chat"
NAME = name_on_host(MACHINE)

BOOT = "cat /proc/sys/kernel/random/boot_id"
CLOUD_CONFIG = """\
#cloud-config
write_files:
  - path: /etc/made-by-cloud-init
    content: exact
runcmd:
  - [systemd-run, --unit=listener, --collect, python3, -m, http.server, "3000"]
"""


@dataclass
class Host:
    """A fabric with the bodies it was last given."""

    instance: Instance
    fabric: HostFabric
    key: Path
    resources: dict[str, Any] = field(default_factory=dict)
    address_index: int = 0

    @property
    def init(self) -> int:
        """The machine's first process, as the host sees it."""
        namespace = Places(self.instance).interface_namespace(0)
        processes = run(["ip", "netns", "pids", namespace]).split()
        return min(int(process) for process in processes)

    @property
    def address(self) -> str:
        return self.instance.public_address(self.address_index)

    def reconcile(self) -> None:
        self.fabric.reconcile(self.resources, lambda line: None)

    def power(self, action: Any) -> None:
        self.fabric.power(MACHINE, action, lambda line: None)

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        target = f"ollamazure@{self.address}"
        return subprocess.run(
            ["ssh", "-i", str(self.key), *options, "-o", "LogLevel=ERROR", target, command],
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, command: str) -> str:
        """What a command prints on the machine, over SSH as the admin user."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def booted_since(self, boot: str) -> bool:
        """Whether it answers, and in another boot than the given one."""
        done = self.ssh(BOOT)
        return done.returncode == 0 and done.stdout.strip() != boot

    def answers(self, port: int, client: str = "127.0.0.1") -> bool:
        """Whether a client's connection to a port of the public address is taken."""
        with socket.socket() as connection:
            connection.settimeout(20)
            connection.bind((client, 0))
            try:
                connection.connect((self.address, port))
            except ConnectionRefusedError:
                return False
            return True


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    instance = Instance.open(folder / "emulator")
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    mirror = folder / "mirror"
    mirror.mkdir()
    (mirror / "artifact").write_text("from the mirror")
    host = Host(instance, HostFabric(instance, mirror=mirror), key)
    host.resources = bodies(host)
    try:
        host.reconcile()
        host.run("cloud-init status --wait")
        yield host
    finally:
        teardown.remove(instance)
        assert teardown.verify_clean(instance) == []
        shutil.rmtree(instance.home)
        instance.release()


def bodies(host: Host) -> dict[str, Any]:
    subnet = {
        "addressPrefix": "10.0.0.0/24",
        "networkSecurityGroup": {"id": f"{NETWORK}/networkSecurityGroups/nsg"},
    }
    ip = {
        "privateIPAddress": "10.0.0.4",
        "subnet": {"id": f"{NETWORK}/virtualNetworks/vnet/subnets/default"},
        "publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/ip"},
    }
    network = {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "default", "properties": subnet}],
    }
    profile = {
        "computerName": "chat",
        "adminUsername": "ollamazure",
        "customData": base64.b64encode(CLOUD_CONFIG.encode()).decode(),
        "linuxConfiguration": {
            "ssh": {"publicKeys": [{"keyData": host.key.with_suffix(".pub").read_text()}]}
        },
    }
    machine = {
        "vmId": "00000000-0000-0000-0000-000000000001",
        "hardwareProfile": {"vmSize": "Standard_B2ms"},
        "osProfile": profile,
        "networkProfile": {"networkInterfaces": [{"id": f"{NETWORK}/networkInterfaces/nic"}]},
        "storageProfile": {
            "dataDisks": [{"lun": 0, "managedDisk": {"id": f"{COMPUTE}/disks/data"}}]
        },
    }
    properties = {
        f"{NETWORK}/virtualnetworks/vnet": network,
        f"{NETWORK}/networksecuritygroups/nsg": {"securityRules": [allow("ssh", 100, 22)]},
        f"{NETWORK}/publicipaddresses/ip": {"ipAddress": host.address},
        f"{NETWORK}/networkinterfaces/nic": {
            "ipConfigurations": [{"name": "ip", "properties": ip}]
        },
        f"{COMPUTE}/disks/data": {"diskSizeGB": 4},
        MACHINE: machine,
    }
    return {
        arm_id: {"type": arm_id.partition("/providers/")[2].rpartition("/")[0], "properties": body}
        for arm_id, body in properties.items()
    }


def allow(name: str, priority: int, port: int) -> dict[str, Any]:
    """A rule for 127.0.0.1, which the machine's network knows as 198.51.100.1."""
    properties = {
        "priority": priority,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "198.51.100.1/32",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": str(port),
    }
    return {"name": name, "properties": properties}


def rules(host: Host) -> list[Any]:
    own: list[Any] = host.resources[f"{NETWORK}/networksecuritygroups/nsg"]["properties"][
        "securityRules"
    ]
    return own


def test_the_machine_is_what_osprofile_and_customdata_say(host: Host) -> None:
    assert host.run("hostname") == "chat"
    assert host.run("sudo -n id -u") == "0"
    assert host.run("cat /etc/made-by-cloud-init") == "exact"
    assert host.run("systemctl is-system-running --wait") == "running"
    assert host.run("echo $SSH_CLIENT").startswith("198.51.100.1 ")


def test_the_machine_has_its_own_disks_and_no_others(host: Host) -> None:
    links = host.run("ls /dev/disk/azure /dev/disk/azure/data/by-lun").split()
    assert {"resource", "0"} <= set(links)
    assert host.run("findmnt -no FSTYPE /mnt") == "ext4"
    assert host.run("find /dev -type b | wc -l") == "2"
    assert host.run("sudo wipefs -n /dev/disk/azure/data/by-lun/0") == ""
    size = host.run("sudo blockdev --getsize64 /dev/disk/azure/data/by-lun/0")
    assert int(size) == 4 << 30


def test_the_size_limits_memory_and_cores(host: Host) -> None:
    """B2ms: 8 GiB and two cores, asked where this kind of host enforces them."""
    assert host.run("nproc") == "2"
    group = Path("/sys/fs/cgroup/memory") / f"{host.instance.prefix}-{NAME}"
    if group.exists():
        assert (group / "memory.limit_in_bytes").read_text().strip() == str(8 << 30)
        assert len((group / "cgroup.procs").read_text().split()) > 10
    else:
        assert host.run("cat /sys/fs/cgroup/memory.max") == str(8 << 30)


def test_only_the_security_group_opens_a_port(host: Host) -> None:
    assert host.run("ss -Hltn sport = :3000") != ""
    assert not host.answers(3000)
    rules(host).append(allow("listener", 200, 3000))
    host.reconcile()
    assert host.answers(3000)
    assert not host.answers(3000, client="127.0.0.7")
    rules(host).pop()
    host.reconcile()
    assert not host.answers(3000)


def test_the_client_decides_who_reaches_ssh(host: Host) -> None:
    assert host.answers(22)
    assert not host.answers(22, client="127.0.0.7")


def test_no_firewall_command_on_the_machine_opens_anything(host: Host) -> None:
    host.run("sudo apt-get -qq update && sudo apt-get -qq install -y nftables >/dev/null 2>&1")
    host.run("sudo nft flush ruleset")
    assert not host.answers(3000)
    assert not host.answers(22, client="127.0.0.7")


def test_an_open_port_without_a_listener_refuses(host: Host) -> None:
    rules(host).append(allow("unused", 200, 4000))
    host.reconcile()
    assert not host.answers(4000)
    rules(host).pop()


def test_mirrors_are_reached_by_name(host: Host) -> None:
    fetch = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{}:8480/artifact\").read().decode())'"
    for name in ("mirrors.internal", "blobs.mirrors.internal"):
        assert host.run(fetch.format(name)) == "from the mirror"


def test_a_dead_helper_is_back_after_reconcile(host: Host) -> None:
    record = json.loads((Places(host.instance).state / "processes/mirrors-0.json").read_text())
    subprocess.run(["kill", "-9", str(record["pid"])], check=True)
    host.reconcile()
    test_mirrors_are_reached_by_name(host)


@pytest.fixture(scope="module")
def kept_files(host: Host) -> None:
    """A file on each disk: that of the system, the data disk and the temporary one."""
    host.run(
        "sudo mkfs.ext4 -q /dev/disk/azure/data/by-lun/0 && sudo mkdir -p /srv/data && "
        "echo UUID=$(sudo blkid -s UUID -o value /dev/disk/azure/data/by-lun/0) "
        "/srv/data ext4 nofail,x-systemd.device-timeout=60 0 0 | sudo tee -a /etc/fstab && "
        "sudo systemctl daemon-reload && sudo mount /srv/data && "
        "sudo touch /srv/data/kept /root/kept /mnt/lost"
    )


@pytest.mark.usefixtures("kept_files")
def test_disks_keep_their_content_over_restart_and_deallocation(host: Host) -> None:
    boot = host.run(BOOT)
    host.power("restart")
    assert host.booted_since(boot)
    assert host.run("sudo ls /srv/data/kept /root/kept /mnt/lost")
    host.power("deallocate")
    assert not host.answers(22)
    host.power("start")
    assert host.run("sudo ls /srv/data/kept /root/kept")
    assert host.run("ls /mnt") == "lost+found"


def test_a_reboot_from_inside_and_a_crash_come_back(host: Host) -> None:
    boot = host.run(BOOT)
    host.ssh("sudo reboot")
    assert wait_until(lambda: host.booted_since(boot), 60)
    boot = host.run(BOOT)
    os.kill(host.init, signal.SIGKILL)
    assert wait_until(lambda: host.booted_since(boot), 60)


def test_a_power_off_from_inside_lasts(host: Host) -> None:
    log = Processes(Places(host.instance)).log(f"keeper-{NAME}")
    host.ssh("sudo poweroff")
    assert wait_until(lambda: "powered off" in log.read_text(), 60)
    assert not host.answers(22)
    host.power("start")
    assert host.answers(22)


def test_a_disk_grows_under_the_running_machine(host: Host) -> None:
    host.resources[f"{COMPUTE}/disks/data"]["properties"]["diskSizeGB"] = 6
    host.reconcile()
    size = host.run("sudo blockdev --getsize64 /dev/disk/azure/data/by-lun/0")
    assert int(size) == 6 << 30


def test_a_late_disk_appears_when_it_comes_and_a_missing_one_never(
    host: Host, disk_faults: DiskFaults
) -> None:
    link = "/dev/disk/azure/data/by-lun/0"
    disk_faults.set("data", 4)
    host.power("restart")
    assert wait_until(lambda: host.ssh(f"ls {link}").returncode == 0, 60)
    booted, appeared = host.run(f"stat -c %Y /run/boot_id {link}").split()
    assert int(appeared) - int(booted) >= 3  # whole seconds, each rounded down
    disk_faults.set("data", None)
    host.power("restart")
    assert host.ssh(f"ls {link}").returncode != 0


@pytest.fixture
def disk_faults(host: Host) -> Iterator[DiskFaults]:
    faults = DiskFaults(Places(host.instance))
    yield faults
    faults.clear()


def test_disks_are_detached_and_attached_while_it_runs(host: Host) -> None:
    host.reconcile()
    boot = host.run(BOOT)
    disks = host.resources[MACHINE]["properties"]["storageProfile"]["dataDisks"]
    (disk,) = disks
    assert host.run("ls /dev/disk/azure/data/by-lun") == "0"
    disks[:] = [{**disk, "lun": 3}]
    host.reconcile()
    assert host.run("ls /dev/disk/azure/data/by-lun") == "3"
    disks.clear()
    host.reconcile()
    assert host.ssh("ls /dev/disk/azure/data/by-lun/*").returncode != 0
    disks[:] = [disk]
    host.reconcile()
    assert host.run("sudo blkid -o value -s TYPE /dev/disk/azure/data/by-lun/0") == "ext4"
    assert host.run(BOOT) == boot


def test_another_size_restarts_the_machine_with_its_limits(host: Host) -> None:
    hardware = host.resources[MACHINE]["properties"]["hardwareProfile"]
    boot = host.run(BOOT)
    hardware["vmSize"] = "Standard_B2s"
    host.reconcile()
    assert host.booted_since(boot)
    group = Path("/sys/fs/cgroup/memory") / f"{host.instance.prefix}-{NAME}"
    if group.exists():
        assert (group / "memory.limit_in_bytes").read_text().strip() == str(4 << 30)
    hardware["vmSize"] = "Standard_B2ms"
    host.reconcile()


@pytest.mark.usefixtures("kept_files")
def test_after_the_host_rebooted_everything_is_made_again(host: Host) -> None:
    """What a reboot takes: namespaces, links, loop devices, rules, processes, /run."""
    host.run("sync")
    reboot_host(host)
    host.reconcile()
    assert wait_until(lambda: host.ssh("ls /srv/data/kept").returncode == 0, 60)
    assert host.answers(22)
    assert not host.answers(3000)


def test_a_failed_machine_does_not_fail_the_rest(host: Host) -> None:
    """Its size is unknown; the rule still takes effect, and the machine stays."""
    broken = host.resources[MACHINE]["properties"]
    broken |= {"provisioningState": "Failed", "hardwareProfile": {"vmSize": "Standard_None"}}
    rules(host).append(allow("web", 210, 8000))
    host.reconcile()
    assert host.answers(22)
    broken |= {"provisioningState": "Updating", "hardwareProfile": {"vmSize": "Standard_B2ms"}}
    host.reconcile()


@pytest.mark.usefixtures("kept_files")
@pytest.mark.parametrize("appears", ["root.partial", "console.log"])
def test_another_identity_is_another_machine_even_when_its_creation_is_killed(
    host: Host, appears: str
) -> None:
    """The next `reconcile` completes it; the data disk is the same."""
    file = Places(host.instance).machine(NAME) / appears
    host.resources[MACHINE]["properties"]["vmId"] = f"00000000-0000-0000-0001-{appears:0>12}"
    kill_reconcile_when(host, lambda: file.exists() and not host.answers(22))
    host.reconcile()
    assert host.run("cloud-init status --wait | tail -n1") == "status: done"
    assert host.run("systemctl is-system-running --wait") == "running"
    assert host.ssh("sudo ls /root/kept").returncode != 0
    host.run("sudo mount /dev/disk/azure/data/by-lun/0 /srv && ls /srv/kept")


def test_another_group_holds_the_same_names_and_addresses_side_by_side(host: Host) -> None:
    """As two stacks do, each with its network, its machine and its disk."""
    here = host.run(BOOT)
    text = json.dumps(bodies(host)).replace("/resourcegroups/rg/", "/resourcegroups/other/")
    text = text.replace(host.address, host.instance.public_address(1))
    theirs = json.loads(text)
    theirs[MACHINE.replace("/rg/", "/other/")]["properties"]["vmId"] += "-other"
    other = dataclasses.replace(host, resources=theirs | host.resources, address_index=1)

    other.reconcile()
    assert (other.run("hostname"), other.run(BOOT) == here) == ("chat", False)
    assert other.run("lsblk --bytes --noheadings --output SIZE /dev/disk/azure/data/by-lun/0")

    host.reconcile()
    assert not other.answers(22)
    assert host.run(BOOT) == here


def kill_reconcile_when(host: Host, reached: Callable[[], bool]) -> None:
    """Reconcile in another process, which is killed in the middle."""
    child = os.fork()
    if child == 0:
        try:
            host.reconcile()
        finally:
            os._exit(0)
    assert wait_until(reached, 60, every=0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def reboot_host(host: Host) -> None:
    """Take from the instance what a reboot of the host would."""
    places = Places(host.instance)
    teardown.take_down(places)
    shutil.rmtree(places.run)

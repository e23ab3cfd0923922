"""Operations outlive their callers; faults make them slow or make them fail."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.errors import AzureError
from emulator.azure.fabric import FabricError, PowerAction, Report
from emulator.azure.faults import Fault, main
from emulator.azure.service import Azure
from emulator.azure.store import Store
from emulator.azure.worker import Worker, _fabric
from emulator.instance import PROJECT, Instance
from tests.unit.emulator.azure.cloud import BODIES, DISKS, GROUP, INTERFACES, MACHINES, Cloud, disk

pytestmark = pytest.mark.unit

VM, NIC, DATA = f"{MACHINES}/vm", f"{INTERFACES}/nic", f"{DISKS}/data"
NEW = f"{DISKS}/new"


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class FakeFabric:
    """Records its calls, and fails if it should. It replaces the host, not Azure."""

    def __init__(self, failure: FabricError | None = None) -> None:
        self.failure = failure
        self.seen: list[set[str]] = []
        self.bodies: dict[str, Any] = {}
        self.powered: list[tuple[str, str]] = []

    def reconcile(self, resources: Any, report: Report) -> None:
        report("making things")
        self.seen.append(set(resources))
        self.bodies = dict(resources)
        if self.failure is not None:
            raise self.failure

    def power(self, vm_id: str, action: PowerAction, report: Report) -> None:
        self.powered.append((vm_id, action))


@pytest.fixture
def plan(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud whose worker may run; it ends with the test."""
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    yield cloud
    cloud.azure.faults.clear()
    until(lambda: not cloud.azure.store.read().pending() and not _worker_runs(cloud))
    Instance.open(cloud.azure.folder.parent).release()


def _worker_runs(cloud: Cloud) -> bool:
    with (cloud.azure.folder / "worker.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _work(cloud: Cloud, fabric: FakeFabric) -> None:
    """Carry out what is pending, in this process."""
    with (cloud.azure.folder / "worker.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Worker(cloud.azure.folder, fabric).run(lock)


@pytest.fixture
def hosted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A cloud whose operations wait for `_work`."""
    monkeypatch.setattr("emulator.azure.worker.ensure", lambda *_: None)
    azure = Azure(Instance(cloud.azure.folder.parent, "abc123", 200), FakeFabric())
    cloud.azure = azure
    return cloud


def test_an_operation_survives_its_callers_death(plan: Cloud) -> None:
    plan.azure.faults.add(Fault("Microsoft.Compute/disks", slow=3600))
    program = (
        "import json, os, pathlib, sys\n"
        "from emulator.azure.service import Azure\n"
        "from emulator.instance import Instance\n"
        "azure = Azure(Instance(pathlib.Path(sys.argv[1]), 'abc123', 200))\n"
        "azure.put(sys.argv[2], json.loads(sys.argv[3]))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    home = plan.azure.folder.parent
    died = subprocess.run(
        [sys.executable, "-c", program, home, NEW, json.dumps(disk())], cwd=PROJECT, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert plan.azure.get(NEW)["properties"]["provisioningState"] == "Creating"
    plan.azure.faults.clear()
    until(lambda: plan.azure.get(NEW)["properties"]["provisioningState"] == "Succeeded")


def test_a_killed_worker_is_replaced(plan: Cloud) -> None:
    plan.azure.faults.add(Fault("Microsoft.Compute/disks", slow=3600))
    operation = plan.azure.put(NEW, disk())
    until(lambda: _worker_runs(plan))
    os.kill(_worker_process(plan), signal.SIGKILL)
    until(lambda: not _worker_runs(plan))
    plan.azure.faults.clear()
    plan.azure.wait(operation, timeout=20)
    assert plan.azure.get(NEW)["properties"]["provisioningState"] == "Succeeded"


def _worker_process(cloud: Cloud) -> int:
    home = str(cloud.azure.folder.parent).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            command = _command_line(entry)
            if b"emulator.azure.worker" in command and home in command:
                return int(entry.name)
    raise AssertionError("no worker runs")


def _command_line(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def test_a_slow_operation_lets_others_pass(plan: Cloud) -> None:
    plan.azure.faults.add(Fault("Microsoft.Compute/disks", name="new", slow=3600))
    slow = plan.azure.put(NEW, disk())
    plan.put(f"{DISKS}/quick", disk())
    found = plan.azure.poll(slow)
    assert found is not None
    assert found.status == "InProgress"


def test_waiting_has_an_end_and_the_operation_has_not(plan: Cloud) -> None:
    plan.azure.faults.add(Fault("Microsoft.Compute/disks", slow=3600))
    operation = plan.azure.put(NEW, disk())
    with pytest.raises(AzureError, match="OperationTimedOut"):
        plan.azure.wait(operation, timeout=0)
    plan.azure.faults.clear()
    plan.azure.wait(operation, timeout=20)


def test_a_resource_under_way_refuses_other_requests(hosted: Cloud) -> None:
    hosted.azure.put(NEW, disk())
    with pytest.raises(AzureError) as refused:
        hosted.azure.put(NEW, disk(128))
    assert refused.value.code == "AnotherOperationInProgress"
    assert refused.value.status == 429


def test_a_group_being_deleted_takes_nothing_in(hosted: Cloud) -> None:
    hosted.azure.delete(GROUP)
    with pytest.raises(AzureError) as refused:
        hosted.azure.put(NEW, disk())
    assert refused.value.code == "ResourceGroupBeingDeleted"


def test_a_group_is_deleted_after_what_is_under_way_in_it(hosted: Cloud) -> None:
    hosted.azure.put(NEW, disk())
    hosted.azure.delete(GROUP)
    _work(hosted, FakeFabric())
    assert hosted.azure.store.read().resources == {}


def test_the_fabric_gets_what_should_exist(hosted: Cloud) -> None:
    fabric = FakeFabric()
    hosted.azure.put(NEW, disk())
    hosted.azure.put(f"{DISKS}/later", disk())
    _work(hosted, fabric)
    assert NEW.lower() in fabric.seen[0]
    assert f"{DISKS}/later".lower() not in fabric.seen[0]
    assert f"{DISKS}/later".lower() in fabric.seen[1]
    machine = fabric.bodies[VM.lower()]["properties"]
    assert machine["osProfile"]["customData"] == "I2Nsb3VkLWNvbmZpZwo="
    assert machine["instanceView"]["statuses"][0]["code"] == "PowerState/running"
    network = next(body for key, body in fabric.bodies.items() if key.endswith("/net"))
    assert [each["name"] for each in network["properties"]["subnets"]] == ["default"]


def test_the_fabric_loses_what_is_deleted_before_the_state_does(hosted: Cloud) -> None:
    fabric = FakeFabric()
    os_disk = hosted.azure.get(VM)["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
    hosted.azure.delete(VM)
    assert hosted.azure.get(VM)["properties"]["provisioningState"] == "Deleting"
    _work(hosted, fabric)
    assert not {VM.lower(), os_disk.lower()} & fabric.seen[-1]
    assert DATA.lower() in fabric.seen[-1]


def test_power_actions_reach_the_fabric(hosted: Cloud) -> None:
    fabric = FakeFabric()
    hosted.azure.action(VM, "restart")
    _work(hosted, fabric)
    assert fabric.powered == [(VM.lower(), "restart")]


def test_what_the_fabric_cannot_do_fails_and_can_be_put_again(hosted: Cloud) -> None:
    operation = hosted.azure.put(NEW, disk())
    _work(hosted, FakeFabric(FabricError("AllocationFailed", "no space left on this host")))
    with pytest.raises(AzureError, match="AllocationFailed: no space left on this host"):
        hosted.azure.wait(operation)
    assert hosted.azure.get(NEW)["properties"]["provisioningState"] == "Failed"
    again = hosted.azure.put(NEW, disk())
    _work(hosted, FakeFabric())
    hosted.azure.wait(again)
    assert hosted.azure.get(NEW)["properties"]["provisioningState"] == "Succeeded"


def test_a_bug_in_the_fabric_leaves_no_caller_waiting(hosted: Cloud) -> None:
    operation = hosted.azure.put(NEW, disk())
    fabric = FakeFabric()
    fabric.reconcile = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    _work(hosted, fabric)
    with pytest.raises(AzureError, match="InternalExecutionError: ZeroDivisionError"):
        hosted.azure.wait(operation)


def test_a_failed_deletion_leaves_the_resource(hosted: Cloud) -> None:
    hosted.azure.delete(VM)
    _work(hosted, FakeFabric(FabricError("InternalExecutionError", "cannot unmount")))
    assert hosted.azure.get(VM)["properties"]["provisioningState"] == "Failed"


def test_an_allocation_that_fails_leaves_a_failed_machine(plan: Cloud) -> None:
    plan.delete(VM)
    plan.azure.faults.add(
        Fault("Microsoft.Compute/virtualMachines", code="AllocationFailed", times=1)
    )
    with pytest.raises(AzureError, match="We do not have sufficient capacity"):
        plan.put(VM, BODIES[VM])
    assert plan.azure.get(VM)["properties"]["provisioningState"] == "Failed"
    assert plan.put(VM, BODIES[VM])["properties"]["provisioningState"] == "Succeeded"


def test_a_resize_that_azure_refuses_works_on_a_deallocated_machine(plan: Cloud) -> None:
    fault = Fault(
        "Microsoft.Compute/virtualMachines", operation="resize", code="OperationNotAllowed"
    )
    plan.azure.faults.add(fault)
    assert plan.put(VM, BODIES[VM])["properties"]["provisioningState"] == "Succeeded"
    larger = copy.deepcopy(BODIES[VM])
    larger["properties"]["hardwareProfile"]["vmSize"] = "Standard_B4ms"
    with pytest.raises(
        AzureError, match="Standard_B4ms is not available in the current"
    ) as refused:
        plan.put(VM, larger)
    assert (refused.value.code, refused.value.target) == ("OperationNotAllowed", "vmSize")
    plan.azure.wait(plan.azure.action(VM, "deallocate"))
    plan.put(VM, larger)
    plan.azure.wait(plan.azure.action(VM, "start"))
    assert plan.azure.get(VM)["properties"]["hardwareProfile"]["vmSize"] == "Standard_B4ms"


def test_an_interface_reserved_for_another_machine_cannot_be_deleted(cloud: Cloud) -> None:
    cloud.delete(VM)
    cloud.azure.faults.add(
        Fault("Microsoft.Network/networkInterfaces", "delete", code="NicReservedForAnotherVm")
    )
    with pytest.raises(AzureError, match="reserved for another Virtual Machine for 180 seconds"):
        cloud.azure.delete(NIC)
    cloud.azure.faults.clear()
    cloud.delete(NIC)


def test_a_fault_fits_by_name_and_operation(cloud: Cloud) -> None:
    cloud.azure.faults.add(Fault("Microsoft.Compute/disks", name="data*", code="QuotaExceeded"))
    cloud.put(NEW, disk())
    cloud.delete(NEW)
    with pytest.raises(AzureError, match="QuotaExceeded"):
        cloud.azure.put(DATA, disk())


def test_the_command_sets_lists_and_clears_faults(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = cloud.azure.folder.parent
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(home))
    main(["add", "--type", "microsoft.compute/disks", "--code", "SkuNotAvailable", "--times", "2"])
    main(["list"])
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["type"] == "Microsoft.Compute/disks"
    with pytest.raises(AzureError, match="SkuNotAvailable"):
        cloud.azure.put(NEW, disk())
    main(["clear"])
    cloud.put(NEW, disk())
    with pytest.raises(SystemExit):
        main(["add", "--type", "Microsoft.Compute/toasters"])
    Instance.open(home).release()


def test_state_changes_in_one_step(cloud: Cloud) -> None:
    """A process killed while it writes leaves the state as it was."""
    program = (
        "import json, os, pathlib, sys\n"
        "from emulator.azure.store import Store\n"
        "json.dump = lambda value, file, **_: (file.write('{half'), file.flush(), os._exit(9))\n"
        "with Store(pathlib.Path(sys.argv[1])).change() as state:\n"
        "    state.resources.clear()\n"
    )
    before = cloud.azure.store.read()
    died = subprocess.run(
        [sys.executable, "-c", program, cloud.azure.folder], cwd=PROJECT, check=False
    )
    assert died.returncode == 9
    assert cloud.azure.store.read() == before
    cloud.put(NEW, disk())


def test_changes_of_many_processes_are_all_kept(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from emulator.azure.store import Store\n"
        "for number in range(20):\n"
        "    with Store(pathlib.Path(sys.argv[1])).change() as state:\n"
        "        state.resources[f'{sys.argv[2]}-{number}'] = {}\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path, str(each)], cwd=PROJECT)
        for each in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    assert len(Store(tmp_path).read().resources) == 80


def test_after_a_restart_of_the_host_everything_is_made_again(hosted: Cloud) -> None:
    assert hosted.azure.resume() is None  # the first look
    assert hosted.azure.resume() is None  # the same boot
    with hosted.azure.store.change() as state:
        state.boot = "a boot before this one"
    operation = hosted.azure.resume()
    fabric = FakeFabric()
    _work(hosted, fabric)
    hosted.azure.wait(operation)
    assert VM.lower() in fabric.seen[0]
    assert hosted.azure.resume() is None


def test_a_host_that_cannot_work_says_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "emulator.host.fabric", None)
    monkeypatch.delenv("OLLAMAZURE_PLAN", raising=False)
    with pytest.raises(FabricError, match="the emulator cannot work"):
        _fabric(Instance(cloud.azure.folder.parent, "abc123", 200)).reconcile({}, print)

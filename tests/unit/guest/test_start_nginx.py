"""Another Nginx on a folder that stands for the machine. Real containers: tests/e2e."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from components import remote_command

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"
CONTAINER = "etc/containers/systemd/nginx.container"
AS_BEFORE = 75  # as in command.sh
# It makes a unit of which the image can be read. The real one reads the folders of this variable.
QUADLET = """for file in "$QUADLET_UNIT_DIRS"/*.container; do
    cp "$file" "$2/$(basename "$file" .container).service"
done"""
# A restart of a unit runs its image, if no file `broken-UNIT-IMAGE` exists.
SYSTEMCTL = """case "$1" in
restart)
    unit=ROOT/run/systemd/system.control/$2
    [ -e "$unit" ] || unit=ROOT/etc/containers/systemd/nginx.container
    image=$(sed -n 's/^Image=//p' "$unit")
    echo "$2 $image" >>ROOT/ran
    cp "$unit" "ROOT/$2"
    [ ! -e "ROOT/broken-$2-$image" ] && touch ROOT/active
    ;;
is-active) [ -e ROOT/active ] ;;
esac"""
# Nginx answers, if no file `silent-IMAGE` exists.
CURL = "[ ! -e \"ROOT/silent-$(sed -n 's/^Image=//p' ROOT/nginx.service)\" ]"


class Machine:
    """The machine's root below `root`, with the tools that the script uses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("etc/containers/systemd", "var/lib/ollamazure", "bin", "usr/libexec/podman"):
            (root / folder).mkdir(parents=True)
        (root / "etc/containers/systemd/mynet.network").touch()
        programs = {"systemctl": SYSTEMCTL, "curl": CURL, "podman": "", "journalctl": "echo a log"}
        for path, text in {
            **{f"bin/{name}": text for name, text in programs.items()},
            "usr/libexec/podman/quadlet": QUADLET,
        }.items():
            (root / path).write_text(f"#!/bin/sh\n{text.replace('ROOT', str(root))}\n")
            (root / path).chmod(0o755)
        for name in ("start-nginx", "lib.sh"):
            text = (TOOLS / name).read_text()
            text = re.sub(r"(?<![\w.])/(etc|run|var|usr/libexec)/", rf"{root}/\1/", text)
            (root / name).write_text(text.replace("/usr/local/lib/ollamazure/lib.sh", "./lib.sh"))

    def start(self, image: str) -> subprocess.CompletedProcess[str]:
        declared = remote_command.render_file("/" + CONTAINER, image=image)
        (self.root / f"{CONTAINER}.next").write_text(declared)
        return subprocess.run(
            ["bash", "start-nginx", image],
            cwd=self.root,
            env={**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    def fault(self, name: str) -> None:
        text = (self.root / "lib.sh").read_text()  # so that the test need not wait for a minute
        (self.root / "lib.sh").write_text(text.replace("local seconds=$1 ", "local seconds=0 "))
        (self.root / name).touch()

    @property
    def ran(self) -> list[str]:
        return (self.root / "ran").read_text().splitlines()

    @property
    def declares(self) -> str:
        (image,) = re.findall("^Image=(.+)$", (self.root / CONTAINER).read_text(), re.MULTILINE)
        return str(image)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    done = machine.start("nginx:1")
    assert done.returncode == 0, done.stderr
    assert machine.ran == ["nginx.service nginx:1"]
    return machine


def test_a_new_image_checks_the_configuration_and_is_started_once(machine: Machine) -> None:
    for _ in range(2):
        done = machine.start("nginx:2")
        assert done.returncode == 0, done.stderr
        assert machine.ran[1:] == ["nginx-check.service nginx:2", "nginx.service nginx:2"]
    assert machine.declares == "nginx:2"
    # What cleanup.py keeps.
    records = machine.root / "var/lib/ollamazure"
    assert (records / "nginx.image").read_text() == "nginx:2\n"
    assert (records / "nginx.image.former").read_text() == "nginx:1\n"
    assert list((machine.root / "run/systemd/system.control").iterdir()) == []


def test_the_check_has_the_mounts_and_limits_and_no_network(machine: Machine) -> None:
    machine.start("nginx:2")
    check = (machine.root / "nginx-check.service").read_text().splitlines()
    declared = (machine.root / CONTAINER).read_text().splitlines()
    assert {"ContainerName=nginx-check", "Network=none", "Exec=nginx -t -q", "Type=oneshot"} == set(
        check
    ) - set(declared)
    left_out = {line.partition("=")[0] for line in set(declared) - set(check) if "=" in line}
    assert left_out == {
        "ContainerName",
        "Network",
        "IP",
        "PodmanArgs",
        "PublishPort",
        "ExecReload",
        "Restart",
        "RestartSec",
        "WantedBy",
    }


def test_an_image_that_refuses_the_configuration_never_replaces_the_present_one(
    machine: Machine,
) -> None:
    machine.fault("broken-nginx-check.service-nginx:2")
    done = machine.start("nginx:2")
    assert done.returncode == AS_BEFORE
    assert "Nginx of nginx:2 refuses the configuration" in done.stderr.splitlines()[-1]
    assert machine.ran == ["nginx.service nginx:1", "nginx-check.service nginx:2"]
    assert machine.declares == "nginx:1"


@pytest.mark.parametrize("fault", ["broken-nginx.service-nginx:2", "silent-nginx:2"])
def test_the_former_image_comes_back_with_its_quadlet(machine: Machine, fault: str) -> None:
    """The new one does not start, or does not answer."""
    machine.fault(fault)
    done = machine.start("nginx:2")
    assert done.returncode == AS_BEFORE
    last = done.stderr.splitlines()[-1]
    assert "Nginx of nginx:2 does not answer, and the former one serves again" in last
    assert "a log" in done.stderr
    assert machine.ran[1:] == [
        "nginx-check.service nginx:2",
        "nginx.service nginx:2",
        "nginx.service nginx:1",
    ]
    assert machine.declares == "nginx:1"
    assert list((machine.root / "run/systemd/system.control").iterdir()) == []
    assert (machine.root / "var/lib/ollamazure/nginx.image").read_text() == "nginx:1\n"

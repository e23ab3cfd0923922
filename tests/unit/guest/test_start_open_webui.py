"""The secret key of Open WebUI, on a folder that stands for the machine. A real one: tests/e2e."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from components import remote_command

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"
# `podman run` is the program that encrypts again: it fails while the file `broken` exists.
PODMAN = """#!/bin/sh
[ "$1" = run ] || exit 0
cat >>ROOT/encrypted
[ ! -e ROOT/broken ]
"""
# Which units it acts on, and whether the former way to Ollama is open then.
SYSTEMCTL = """#!/bin/sh
echo "$* $(ls ROOT/etc/ollamazure/firewall.d)" >>ROOT/units
"""
# The upgrade itself: webui/test_upgrade.py.
WEBUI_CLI = """#!/bin/sh
[ "$1" != wait ] || exit 0
echo "$*" >>ROOT/upgrade
[ "$2" != "$(cat ROOT/fails 2>/dev/null)" ]
"""


class Machine:
    """The machine's root below `root`, with the tools that the script uses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.secrets = root / "srv/data/open-webui/secrets.env"
        self.rotation = root / "etc/ollamazure/session-key-rotation"
        self.rotation.parent.mkdir(parents=True)
        container = root / "etc/containers/systemd/open-webui.container"
        container.parent.mkdir(parents=True)
        container.write_text(f"EnvironmentFile={self.secrets}\n")
        (root / "var/lib/ollamazure").mkdir(parents=True)
        (root / "etc/ollamazure/open-webui").mkdir()
        (root / "etc/ollamazure/firewall.d").mkdir()
        (root / "etc/ollamazure/open-webui/sitecustomize.py").touch()
        (root / "bin").mkdir()
        for name, text in {"podman": PODMAN, "systemctl": SYSTEMCTL, "curl": "#!/bin/sh\n"}.items():
            tool = root / "bin" / name
            tool.write_text(text.replace("ROOT", str(root)))
            tool.chmod(0o755)
        # It fails at the step that the file `fails` names.
        cli = root / "usr/local/lib/ollamazure/webui-cli"
        cli.parent.mkdir(parents=True)
        cli.write_text(WEBUI_CLI.replace("ROOT", str(root)))
        cli.chmod(0o755)
        for name in ("start-open-webui", "lib.sh"):
            text = re.sub(r"(?<![\w.])/(etc|srv|run|var|usr)/", rf"{root}/\1/", self.source(name))
            (root / name).write_text(
                text.replace(f"{root}/usr/local/lib/ollamazure/lib.sh", "./lib.sh")
            )

    @staticmethod
    def source(name: str) -> str:
        return (TOOLS / name).read_text()

    def start(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "start-open-webui", "image:1"],
            cwd=self.root,
            env={**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    def declare(self, rotation: str) -> None:
        self.rotation.write_text(f"{rotation}\n")

    @property
    def values(self) -> dict[str, str]:
        assert self.secrets.stat().st_mode & 0o777 == 0o600
        return dict(re.findall("^([A-Z_]+)=(.+)$", self.secrets.read_text(), re.MULTILINE))

    @property
    def key(self) -> str:
        return self.values["WEBUI_SECRET_KEY"]

    def encrypted(self) -> list[str]:
        """The keys that the program got, former and new."""
        return (self.root / "encrypted").read_text().split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    done = machine.start()
    assert done.returncode == 0, done.stderr
    return machine


def test_a_new_machine_makes_its_secrets_once(machine: Machine) -> None:
    assert machine.values.keys() == {
        "WEBUI_ADMIN_EMAIL",
        "WEBUI_ADMIN_PASSWORD",
        "WEBUI_SECRET_KEY",
    }
    before = machine.secrets.read_text()
    machine.start()
    assert machine.secrets.read_text() == before


def test_another_rotation_replaces_the_key_once(machine: Machine) -> None:
    before = machine.values
    for rotation in ("2027-01", "a.b [c]*"):
        former = machine.key
        machine.declare(rotation)
        for _ in range(2):
            done = machine.start()
            assert done.returncode == 0, done.stderr
            assert machine.key not in done.stdout + done.stderr
        assert machine.encrypted()[-2:] == [former, machine.key]
    assert len(machine.encrypted()) == 4
    assert machine.values == {**before, "WEBUI_SECRET_KEY": machine.key}
    assert machine.key != before["WEBUI_SECRET_KEY"]


def test_a_rotation_that_was_removed_or_came_with_a_new_machine_replaces_nothing(
    machine: Machine,
) -> None:
    machine.secrets.unlink()
    machine.declare("2027-01")
    machine.start()
    key = machine.key
    machine.rotation.unlink()
    machine.start()
    assert machine.key == key
    assert not (machine.root / "encrypted").exists()


def test_a_run_that_was_cut_off_goes_on_with_the_same_new_key(machine: Machine) -> None:
    former = machine.key
    machine.declare("2027-01")
    (machine.root / "broken").touch()
    assert machine.start().returncode != 0
    assert machine.key == former  # which Open WebUI would still start with
    (machine.root / "broken").unlink()
    assert machine.start().returncode == 0
    assert machine.encrypted() == [former, machine.key] * 2


def test_the_former_way_to_ollama_is_closed_when_open_webui_has_the_present_one(
    machine: Machine,
) -> None:
    container = machine.root / "etc/containers/systemd/open-webui.container"
    rule = machine.root / "etc/ollamazure/firewall.d/former-open-webui.nft"
    rule.touch()
    former = container.read_text() + "AddHost=host.containers.internal:10.89.0.1\n"
    container.write_text(former)
    assert machine.start().returncode == 0
    assert rule.exists()
    container.with_name("open-webui.container.next").write_text(former.replace("0.1\n", "0.10\n"))
    (machine.root / "units").unlink()
    assert machine.start().returncode == 0
    acted = (machine.root / "units").read_text().splitlines()
    after = acted[acted.index("reload ollamazure-firewall.service ") :]
    assert "daemon-reload " in after  # before Open WebUI restarts
    assert machine.start().returncode == 0


def test_an_upgrade_is_begun_before_the_new_files_are_used_and_completed_at_the_end(
    machine: Machine,
) -> None:
    container = machine.root / "etc/containers/systemd/open-webui.container"
    customize = machine.root / "etc/ollamazure/open-webui/sitecustomize.py"
    for file in (container, customize):
        file.with_name(f"{file.name}.next").write_text(f"EnvironmentFile={machine.secrets}\n#new\n")
    log = machine.root / "upgrade"
    log.unlink()
    (machine.root / "fails").write_text("begin")
    assert machine.start().returncode != 0
    assert "#new" not in container.read_text() + customize.read_text()
    assert log.read_text().splitlines() == [
        "upgrade recover",
        "upgrade begin image:1",
        "upgrade put-back",
    ]
    assert "start ollamazure-open-webui-recovery.service " in (
        (machine.root / "units").read_text().splitlines()
    )
    log.unlink()
    (machine.root / "fails").unlink()
    assert machine.start().returncode == 0
    assert "#new" in container.read_text()
    assert "#new" in customize.read_text()
    steps = [f"upgrade {step}" for step in ("recover", "begin image:1", "finish")]
    assert log.read_text().splitlines() == steps
    assert (machine.root / "srv/data/open-webui/image").read_text() == "image:1\n"


def test_whatever_fails_after_the_copy_goes_back(machine: Machine) -> None:
    """Here the unit does not start."""
    systemctl = machine.root / "bin/systemctl"
    systemctl.write_text('#!/bin/sh\n[ "$1" != restart ] && [ "$1" != is-active ]\n')
    container = machine.root / "etc/containers/systemd/open-webui.container"
    container.with_name(f"{container.name}.next").write_text(
        f"EnvironmentFile={machine.secrets}\n#new\n"
    )
    assert machine.start().returncode != 0
    assert (machine.root / "upgrade").read_text().splitlines()[-1] == "upgrade put-back"

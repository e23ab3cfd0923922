"""The cloud-config of the first boot: complete, valid, and without users and disks."""

from __future__ import annotations

from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import machine
from emulator.artifacts import chroot
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from ollamazure.settings.proxy import ProxySettings

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nbGluZQ==\n-----END OPENSSH PRIVATE KEY-----\n"
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHpz"
# osProfile.customData, before base64 (Azure: "a maximum length of 87380 characters" after it).
CUSTOM_DATA_LIMIT = 65535


@pytest.fixture(params=[False, True], ids=["cpu", "gpu"])
def gpu(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def user_data(gpu: bool) -> str:
    return machine.render_user_data(PRIVATE, PUBLIC + "\n", gpu=gpu)


@pytest.fixture
def config(user_data: str) -> dict[str, Any]:
    parsed = yaml.safe_load(user_data)
    assert isinstance(parsed, dict)
    return parsed


def test_is_a_cloud_config_that_fits_custom_data(user_data: str) -> None:
    assert user_data.startswith("#cloud-config\n")
    assert len(user_data.encode()) < CUSTOM_DATA_LIMIT


def test_installs_the_pinned_host_key(config: dict[str, Any]) -> None:
    assert config["ssh_keys"]["ed25519_private"] == PRIVATE
    assert config["ssh_keys"]["ed25519_public"] == PUBLIC
    assert config["ssh_deletekeys"] is True


def test_writes_each_file_of_the_guest_tree_whole(config: dict[str, Any], gpu: bool) -> None:
    written = {entry["path"]: entry for entry in config["write_files"]}
    files = machine.FIRST_BOOT_FILES | (machine.GPU_FIRST_BOOT_FILES if gpu else {})
    assert written.keys() == files.keys()
    for path, mode in files.items():
        source = Path("guest") / path.removeprefix("/")
        assert written[path]["content"] == source.read_text(), path
        assert written[path]["permissions"] == mode


def test_leaves_users_and_disks_to_azure(config: dict[str, Any]) -> None:
    """Azure provisions them from osProfile; doing it twice breaks sign-in or data."""
    for key in ("users", "ssh_authorized_keys", "disk_setup", "fs_setup", "chpasswd", "hostname"):
        assert key not in config


def test_no_step_of_the_first_boot_is_empty(config: dict[str, Any]) -> None:
    """A null item drops the whole runcmd (cloud-init issue 3498)."""
    assert config["runcmd"] and all(config["runcmd"])


def test_a_gpu_only_adds_its_driver() -> None:
    """Headers of the cloud kernel, and the driver from the parts of Debian that contain it."""
    cpu, gpu = (machine.render_user_data(PRIVATE, PUBLIC, gpu=gpu) for gpu in (False, True))
    added = [line[2:] for line in ndiff(cpu.splitlines(), gpu.splitlines()) if line[0] in "+-"]
    assert len(added) == len(gpu.splitlines()) - len(cpu.splitlines())
    assert {"  - linux-headers-cloud-amd64", "  - nvidia-kernel-dkms"} <= set(added)
    assert "      Components: contrib non-free non-free-firmware" in added
    assert "nvidia" not in cpu


PROXY = ProxySettings(
    url="http://proxy.example.com:3128",
    exceptions=("mirror.example.com", ".intern", "10.0.0.0/8"),
    certificate_authority=EXAMPLE_AUTHORITY,
)


def test_packages_come_through_a_proxy() -> None:
    """apt and its authority are set up before packages are installed, which is the final stage."""
    without = machine.render_user_data(PRIVATE, PUBLIC, proxy=ProxySettings())
    assert without == machine.render_user_data(PRIVATE, PUBLIC)
    text = machine.render_user_data(PRIVATE, PUBLIC, proxy=PROXY)
    assert len(text.encode()) < CUSTOM_DATA_LIMIT
    config = yaml.safe_load(text)
    assert config["ca_certs"] == {"trusted": [EXAMPLE_AUTHORITY]}
    [file] = [each for each in config["write_files"] if "apt.conf.d/53" in each["path"]]
    assert file["content"].splitlines()[1:] == [
        'Acquire::http::Proxy "http://proxy.example.com:3128";',
        'Acquire::https::Proxy "http://proxy.example.com:3128";',
        'Acquire::http::Proxy::mirror.example.com "DIRECT";',
        'Acquire::https::Proxy::mirror.example.com "DIRECT";',
    ]


def test_configures_no_application(user_data: str) -> None:
    """Otherwise an application change would change customData, which Azure refuses."""
    for word in ("open-webui", "smollm", "llama3", "nginx.conf"):
        assert word not in user_data


@pytest.mark.parametrize("proxy", [None, PROXY], ids=["direct", "proxy"])
def test_schema_is_valid(proxy: ProxySettings | None, gpu: bool) -> None:
    """Checked by the cloud-init that the machine runs."""
    user_data = machine.render_user_data(PRIVATE, PUBLIC, gpu=gpu, proxy=proxy)
    command = ["cloud-init", "schema", "--config-file", "/user-data"]
    checked = chroot.run(chroot.machine_tree(), command, {"/user-data": user_data})
    assert checked.returncode == 0, checked.stdout + checked.stderr

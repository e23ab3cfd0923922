"""A machine's files before its first boot."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from emulator.azure.fabric import FabricError
from emulator.host.desired import DesiredMachine
from emulator.host.provision import prepare, unpack

MACHINE = DesiredMachine(
    id="/vm",
    identity="1-2-3",
    name="vm",
    size="Standard_B2ms",
    host_name="chat",
    user="operator",
    keys=("ssh-ed25519 AAAA",),
    custom_data=b"#cloud-config\n# \xc3\xa9 kept to the byte\n",
    interface="/nic",
    disks=(),
    running=True,
    failed=False,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image after Debian's package scripts: with keys and a name of its own."""
    files = {"etc/hostname": b"builder", "etc/ssh/ssh_host_rsa_key": b"key"}
    with tarfile.open(tmp_path / "image.tar", "w") as image:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            image.addfile(member, io.BytesIO(content))
    unpack(tmp_path / "image.tar", tmp_path / "root")
    return tmp_path / "root"


def test_customdata_is_the_user_data_to_the_byte(root: Path) -> None:
    prepare(root, MACHINE, "10.0.0.1", temp_disk=False)
    seed = root / "var/lib/cloud/seed/nocloud"
    assert (seed / "user-data").read_bytes() == MACHINE.custom_data
    assert (seed / "user-data").stat().st_mode & 0o077 == 0
    assert json.loads((seed / "meta-data").read_text()) == {
        "instance-id": "1-2-3",
        "local-hostname": "chat",
        "public-keys": ["ssh-ed25519 AAAA"],
    }


def test_the_admin_user_is_cloud_inits_default_user(root: Path) -> None:
    prepare(root, MACHINE, "10.0.0.1", temp_disk=False)
    config = yaml.safe_load((root / "etc/cloud/cloud.cfg.d/90-azure.cfg").read_text())
    user = config["system_info"]["default_user"]
    assert user["name"] == "operator"
    assert user["lock_passwd"] is True
    assert user["sudo"] == ["ALL=(ALL) NOPASSWD:ALL"]
    assert config["network"] == {"config": "disabled"}


def test_the_images_own_identity_is_gone(root: Path) -> None:
    prepare(root, MACHINE, "10.0.0.1", temp_disk=False)
    assert list((root / "etc/ssh").iterdir()) == []
    assert (root / "etc/hostname").read_text() == "chat\n"
    assert (root / "etc/machine-id").read_text() == ""


def test_mirrors_have_names_and_the_temp_disk_its_mount_point(root: Path) -> None:
    prepare(root, MACHINE, "10.0.0.1", temp_disk=True)
    hosts = (root / "etc/hosts").read_text()
    assert "10.0.0.1 mirrors.internal blobs.mirrors.internal\n" in hosts
    assert (root / "etc/fstab").read_text().startswith("/dev/disk/azure/resource /mnt ext4 ")
    prepare(root, MACHINE, "10.0.0.1", temp_disk=False)
    assert (root / "etc/fstab").read_text() == ""


def test_a_missing_image_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(FabricError, match=r"emulator\.artifacts build") as failure:
        unpack(tmp_path / "none.tar", tmp_path / "root")
    assert failure.value.code == "PlatformImageNotFound"


def test_a_broken_image_leaves_no_root(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"not a tar" * 1000)
    with pytest.raises(FabricError, match="tar"):
        unpack(tmp_path / "image.tar", tmp_path / "root")
    assert not (tmp_path / "root").exists()

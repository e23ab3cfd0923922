"""A full disk is named with what frees space, damages nothing, and all works once there is space.

The data disk is filled for real, root's reserve too, in blocks that its host need not write. The
machine's system disk is a folder of this host, which no test fills: a small file system over one of
its folders stands for it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_application import started
from tests.e2e.test_operations import rows, run

DATABASE = "/srv/data/containers/volumes/open-webui/_data/webui.db"
# ext4 shows blocks that it keeps for itself as free, so the last ones are tried in smaller parts.
FILL = """
cd /srv/data
number=0
fallocate --length "$(df --output=avail --block-size=1 . | tail -1)" filler || true
for size in 256M 64M 16M 4M 1M 64K 4K; do
    while fallocate --length $size filler-$((number += 1)) 2>/dev/null; do :; done
done
df . | tail -1
! dd if=/dev/zero of=filler-last bs=4k count=64 status=none
"""
CHECK = """
import sqlite3, sys
print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("PRAGMA integrity_check")
    .fetchall())
"""
CLEAN_UP = "sudo systemctl start ollamazure-cleanup"
LARGE = "All work and no play. " * 400_000
CONFIG = "/etc/ollamazure"


@contextmanager
def full_data_disk(deployment: Deployment) -> Iterator[None]:
    try:
        deployment.ssh("sudo bash -s", stdin=FILL)
        yield
    finally:
        deployment.ssh("sudo rm -f /srv/data/filler*")


def new_chat(deployment: Deployment, text: str) -> httpx.Response:
    chat = {"title": "Full", "models": deployment.outputs["models"]}
    messages = [{"role": "user", "content": text}]
    with deployment.client(deployment.token) as client:
        return client.post("/api/v1/chats/new", json={"chat": {**chat, "messages": messages}})


def upload(deployment: Deployment, text: str) -> httpx.Response:
    file = {"file": ("full.txt", text.encode(), "text/plain")}
    with deployment.client(deployment.token) as client:
        return client.post("/api/v1/files/", files=file, params={"process": "false"})


def is_sound(deployment: Deployment) -> bool:
    return "[('ok',)]" in deployment.ssh(f"sudo python3 - {DATABASE}", stdin=CHECK).output


def test_a_full_data_disk_is_named_and_nothing_is_lost(deployment: Deployment) -> None:
    kept = Kept.by(deployment)
    before, running = kept.of(deployment), started(deployment)
    with full_data_disk(deployment):
        for refused in (new_chat(deployment, LARGE), upload(deployment, LARGE)):
            assert refused.status_code >= 400, refused.text
            assert "html" not in refused.headers["Content-Type"]
        ill = run(deployment, "status")
        assert ill.code == 1
        assert "\nThe data disk is full: 0.0 of " in ill.output
        assert CLEAN_UP in ill.output
        assert rows(ill.output)["Chat"].endswith(" answers")
        failed = run(deployment, "backup")
        assert failed.code != 0
        assert "The data disk is full: 0 of " in failed.output
        assert kept.of(deployment) == before
        assert deployment.ask("Hello?")
    assert is_sound(deployment)
    assert kept.of(deployment) == before
    assert new_chat(deployment, LARGE).status_code == 200
    assert upload(deployment, LARGE).status_code == 200
    assert started(deployment) == running
    assert run(deployment, "backup").code == 0
    assert run(deployment, "status").code == 0


@pytest.mark.long
def test_a_service_that_starts_on_a_full_data_disk_serves_once_there_is_space(
    deployment: Deployment,
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    with full_data_disk(deployment):
        for service in ("nginx", "open-webui", "ollama"):
            deployment.ssh(f"sudo systemctl restart {service}", check=False)

    wait_until(lambda: kept.of(deployment) == before, "every chat", patience=300)
    assert deployment.ask("Hello?")
    assert is_sound(deployment)
    assert run(deployment, "status").code == 0


@pytest.mark.long
def test_a_password_that_is_changed_on_a_full_data_disk_is_the_former_or_the_new_one(
    deployment: Deployment,
) -> None:
    former, following = secrets.token_urlsafe(), secrets.token_urlsafe()
    user = {"name": "Full", "email": f"full-{secrets.token_hex(4)}@example.org", "role": "user"}
    with deployment.client(deployment.token) as client:
        added = client.post("/api/v1/auths/add", json={**user, "password": former})
    change = {"password": former, "new_password": following}
    with full_data_disk(deployment), deployment.client(added.json()["token"]) as client:
        new_chat(deployment, LARGE)  # fills the room that the database itself has left
        answer = client.post("/api/v1/auths/update/password", json=change)
    valid = following if answer.is_success else former
    credentials = {"email": user["email"], "password": valid}
    with deployment.client() as client:
        assert client.post("/api/v1/auths/signin", json=credentials).is_success
    assert is_sound(deployment)


@pytest.mark.long
def test_an_up_on_a_full_system_disk_names_it_and_is_completed_by_the_next(
    deployment: Deployment,
) -> None:
    """The folder of the settings, where each command writes, has no byte left."""
    setting = "ollamazure:tuning.databasePoolSize"
    deployment.pulumi("config", "set", "--path", setting, "11")
    try:
        with full_settings_folder(deployment):
            failed = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
            assert failed.code != 0
            assert "No space left on device" in failed.output
            assert f"The file system at {CONFIG} is full: 0 of 1 MiB free." in failed.output
            assert CLEAN_UP in failed.output
            assert deployment.ask("Hello?")
        deployment.up()
        pool = deployment.ssh("sudo podman exec open-webui printenv DATABASE_POOL_SIZE").output
        assert pool.strip() == "11"
    finally:
        deployment.pulumi("config", "rm", "--path", setting)
        deployment.up()


@contextmanager
def full_settings_folder(deployment: Deployment) -> Iterator[None]:
    deployment.ssh(
        f"sudo mount -t tmpfs -o size=1m full /mnt && sudo cp -a {CONFIG}/. /mnt"
        f" && sudo mount --move /mnt {CONFIG}"
    )
    try:
        fill = f"sudo dd if=/dev/zero of={CONFIG}/filler bs=4k status=none"
        deployment.ssh(fill, check=False)
        yield
    finally:
        deployment.ssh(f"sudo umount {CONFIG}")


@pytest.mark.long
def test_a_disk_without_room_for_another_file_is_named(deployment: Deployment) -> None:
    """A file system with few inodes in the place of the data disk, for one process only."""
    script = """
    mount -t tmpfs -o size=64m,nr_inodes=100 inodes /srv/data
    mkdir -p /srv/data/ollama
    touch /srv/data/ollama/{1..97} && ! touch /srv/data/ollama/{98..200} 2>/dev/null
    /usr/local/lib/ollamazure/disks.py
    /usr/local/lib/ollamazure/status.py
    """
    within = "sudo unshare --mount --propagation private bash -euc"
    printed = deployment.ssh(f'{within} "$(cat)"', stdin=script).output
    sentence, facts = printed.strip().rsplit("\n", 1)
    assert "The data disk has no room for many more files: 0 of 100 inodes free" in sentence
    files = json.loads(facts)["data_disk"]["files"]
    assert files["full"]
    assert files["largest"][0][0] == "/srv/data/ollama"

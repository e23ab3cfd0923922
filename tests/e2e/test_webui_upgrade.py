"""Upgrades of Open WebUI on a machine: to images that fail in every way, and to real versions.

The images are made on the machine from the present one, with another command.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.artifacts import open_webui, paths
from ollamazure import catalog
from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment, cut_power, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_operations import run
from tests.tiers import first_of

PRESENT = catalog.versions().open_webui.tag
NEXT = "v0.99.0"
REPOSITORY = "ghcr.io/open-webui/open-webui"
DATABASE = "/srv/data/containers/volumes/open-webui/_data/webui.db"
KEPT = "/srv/data/open-webui/upgrade"
# Half of a migration: a table more, and all chats gone.
HALF = """python3 -c 'import sqlite3
database = sqlite3.connect("data/webui.db")
database.execute("create table half (text)")
database.execute("delete from chat")
database.commit()'"""
HAS_HALF = """import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(database.execute("select name from sqlite_master where name = 'half'").fetchall())"""
WITHOUT_OLLAMA = """python3 -c 'import sqlite3
database = sqlite3.connect("data/webui.db")
database.execute("update config set value = ? where key = ?",
    ["[\\"http://127.0.0.1:1\\"]", "ollama.base_urls"])
database.commit()'"""
# Of the blocks only, so that the disk of the emulated Azure does not take space on its host.
FILL = "fallocate --length $(df --output=avail --block-size=1 data | tail -1) data/filler"
FAILURES = {
    "fails half way through its migration": (f"{HALF}; exit 1", ""),
    "does not start": ("exit 1", ""),
    "fills the disk": (f"{FILL}; {HALF}; exit 1", ""),
    "answers but cannot chat": (f"{WITHOUT_OLLAMA}; exec bash start.sh", "it does not list"),
}


def make_image(deployment: Deployment, command: str, version: str = NEXT) -> None:
    """An image of the present one that runs `command`, as a new version."""
    change = f"CMD {json.dumps(['bash', '-c', command])}"
    deployment.ssh(
        f'sudo podman commit --quiet --change "$(cat)" open-webui {REPOSITORY}:{version}',
        stdin=change,
    )


def has_half(deployment: Deployment) -> bool:
    """Whether the database has the table that HALF makes."""
    return "half" in deployment.ssh(f"sudo python3 - {DATABASE}", stdin=HAS_HALF).output


@pytest.fixture
def present(deployment: Deployment) -> Iterator[Deployment]:
    """The machine with the present version, before and after."""
    yield deployment
    deployment.pulumi("config", "rm", "ollamazure:webuiVersion", check=False)
    deployment.up()
    deployment.ssh(f"sudo podman rmi --force {REPOSITORY}:{NEXT}", check=False)


def running(deployment: Deployment) -> str:
    return deployment.ssh("sudo podman inspect --format '{{.ImageName}}' open-webui").output.strip()


@pytest.mark.parametrize("failure", first_of(FAILURES))
def test_a_version_that_fails_goes_back_with_every_chat(present: Deployment, failure: str) -> None:
    command, reason = FAILURES[failure]
    kept, image = Kept.by(present), running(present)
    before = kept.of(present)
    make_image(present, command)
    present.pulumi("config", "set", "ollamazure:webuiVersion", NEXT)
    failed = present.pulumi("up", "--yes", "--skip-preview", check=False)
    assert failed.code != 0
    assert f"{NEXT} does not work: {reason}" in failed.output
    assert f"{PRESENT} is back, with all data from before the upgrade" in failed.output
    assert "Kept?" not in failed.output + present.ssh(f"sudo cat {KEPT}/failed.log").output
    assert running(present) == image
    assert kept.of(present) == before
    assert present.ask("Hello?")
    assert present.ssh(f"sudo ls {KEPT}").output.split() == ["failed.log"]


@pytest.mark.long
def test_an_upgrade_that_works_can_be_undone(present: Deployment) -> None:
    kept, image = Kept.by(present), running(present)
    before = kept.of(present)
    make_image(present, "exec bash start.sh")
    preview = present.pulumi("preview", "--config", f"ollamazure:webuiVersion={NEXT}").output
    assert f"Open WebUI is upgraded from {PRESENT} to {NEXT}" in " ".join(preview.split())
    present.up(webuiVersion=NEXT)
    assert running(present).endswith(NEXT)
    assert kept.of(present) == before
    later = Kept.by(present)

    present.pulumi("config", "rm", "ollamazure:webuiVersion")
    refused = present.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.code != 0
    assert "bin/ollamazure undo-upgrade" in refused.output
    assert kept.of(present) == before
    undone = run(present, "undo-upgrade", "--yes")
    assert undone.code == 0, undone.output
    assert running(present) == image
    assert kept.of(present) == before
    with present.client(present.token) as client:
        assert client.get(f"/api/v1/chats/{later.chat}").status_code != 200
    present.environment["OLLAMAZURE_RESTORED"] = PRESENT
    try:
        present.up()
    finally:
        del present.environment["OLLAMAZURE_RESTORED"]
    present.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_a_power_cut_in_the_middle_of_a_migration(present: Deployment) -> None:
    """The machine goes back at its boot, before Open WebUI starts."""
    kept, image = Kept.by(present), running(present)
    before = kept.of(present)
    make_image(present, f"{HALF}; while :; do :; done")
    present.pulumi("config", "set", "ollamazure:webuiVersion", NEXT)
    up = subprocess.Popen(
        [str(PROJECT / "bin/pulumi-local"), "up", "--yes", "--skip-preview", "--stack", "local"],
        env={**os.environ, "OLLAMAZURE_EMULATOR": str(present.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: has_half(present), "half of a migration", patience=600)
        cut_power(present)
    finally:
        up.kill()
        up.wait()
    wait_until(lambda: kept.of(present) == before, "the chat of the former version", patience=600)
    assert running(present) == image
    assert (
        "Going back to the data of"
        in present.ssh("sudo journalctl --boot --unit ollamazure-open-webui-recovery").output
    )
    present.pulumi("config", "rm", "ollamazure:webuiVersion")
    # Pulumi has no record of what it had begun, so with the former settings it would run nothing.
    present.up(reapply=secrets.token_hex(4))
    assert run(present, "drift").code == 0


@pytest.fixture
def former(tmp_path: Path) -> Iterator[Deployment]:
    """A machine with the last version of the release before."""
    manifest = paths.manifest(catalog.versions().open_webui.repository, open_webui.FORMER_TAG)
    if not manifest.exists():
        pytest.skip("`python -m emulator.artifacts build open-webui-former` was not run")
    deployment = Deployment(tmp_path / "emulator")
    try:
        deployment.up(webuiVersion=open_webui.FORMER_TAG)
        yield deployment
    finally:
        remove(deployment.home)


@pytest.mark.long
def test_a_real_upgrade_keeps_every_chat_and_reads_backups_of_before(former: Deployment) -> None:
    kept = Kept.by(former)
    before = kept.of(former)
    assert run(former, "backup").code == 0
    former.up(webuiVersion=PRESENT)
    with former.client() as client:
        assert f"v{client.get('/api/version').json()['version']}" == PRESENT
    assert kept.of(former) == before
    assert former.ask("Hello?")

    with former.client(former.token) as client:
        assert client.delete(f"/api/v1/chats/{kept.chat}").status_code == 200
    restored = run(former, "restore", "--yes")
    assert restored.code == 0, restored.output
    former.forget()
    assert kept.of(former) == before
    assert former.ask("Hello?")
    former.pulumi("preview", "--expect-no-changes")

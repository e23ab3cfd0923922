"""The power is cut at bad moments. What was not synced is lost, and nothing that a user has."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.e2e.deployment import Deployment, cut_power, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_backup import REPOSITORY
from tests.e2e.test_operations import run

VOLUME = "/srv/data/containers/volumes/open-webui/_data"
INTEGRITY = f"""sudo python3 -c '
import sqlite3
for name in ("webui.db", "vector_db/chroma.sqlite3"):
    database = sqlite3.connect("file:{VOLUME}/" + name + "?mode=ro", uri=True)
    print(database.execute("pragma integrity_check").fetchone()[0])'"""
BLOBS = "/srv/data/ollama/models/blobs"
# The sum of each complete file of a model, which is also its name.
SUMS = f"sudo bash -c 'cd {BLOBS} && sha256sum *'"
MODEL, MIRROR = "all-minilm:22m", "http://mirrors.internal:8480"
RESTIC = f"sudo env RESTIC_PASSWORD_FILE=/srv/data/backup/key restic --no-cache --repo {REPOSITORY}"


@contextmanager
def answering(deployment: Deployment) -> Iterator[None]:
    """While the model is answering a user."""
    body = {
        "model": deployment.outputs["models"][0],
        "messages": [{"role": "user", "content": "Count from one to a thousand."}],
        "stream": True,
        "max_tokens": 2000,
    }
    with (
        deployment.client(deployment.token) as client,
        suppress(httpx.HTTPError),  # the answer is cut off
        client.stream("POST", "/api/chat/completions", json=body) as answer,
    ):
        next(answer.iter_lines())
        yield


def is_sound(deployment: Deployment) -> bool:
    return set(deployment.ssh(INTEGRITY).output.split()) == {"ok"}


def test_during_an_answer(deployment: Deployment) -> None:
    """What was stored a moment before is there: Open WebUI syncs its database and its files."""
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    with answering(deployment):
        last = Kept.by(deployment)
        cut_power(deployment)
    wait_until(lambda: kept.of(deployment) == before, "the chat", patience=300)
    assert last.of(deployment) == before
    assert is_sound(deployment)
    assert deployment.ask("Hello?")


# A program in the place of `sync` for a whole disk, which never ends: the pull is complete, and
# nothing of it is synced.
NEVER_SYNCED = """sudo install -d /run/blocked
sudo install -m 0755 /dev/stdin /run/blocked/sync <<'END'
#!/bin/sh
[ "$1" = --file-system ] || exec /usr/bin/sync "$@"
touch /run/blocked/reached
exec sleep infinity
END
sudo systemd-run --quiet --setenv=PATH=/run/blocked:/usr/sbin:/usr/bin bash -c"""


@contextmanager
def pulled_and_not_synced(deployment: Deployment, command: str) -> Iterator[None]:
    """While `command`, which pulls something, writes that to the disk."""
    deployment.ssh(f"{NEVER_SYNCED} {shlex.quote(command)}")
    reached = "test -e /run/blocked/reached"
    wait_until(lambda: deployment.ssh(reached).code == 0, "the end of the pull")
    yield


@pytest.mark.long
def test_during_the_pull_of_a_model(deployment: Deployment) -> None:
    """Ollama lists the model before its content is on the disk; the next run finds that."""
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    pull = f"/usr/local/lib/ollamazure/model.py pull {MODEL} /run/record {MIRROR}"
    try:
        with pulled_and_not_synced(deployment, pull):
            cut_power(deployment)
        wait_until(lambda: kept.of(deployment) == before, "the chat", patience=300)
        deployment.pulumi("config", "set", "--path", "ollamazure:models[1]", MODEL)
        deployment.up()
        sums = [line.split() for line in deployment.ssh(SUMS).output.splitlines()]
        assert all(name == f"sha256-{sha256}" for sha256, name in sums)
        assert MODEL in run(deployment, "status").output
        deployment.pulumi("preview", "--expect-no-changes")
    finally:
        deployment.pulumi("config", "rm", "--path", "ollamazure:models[1]", check=False)
        deployment.up()


@pytest.mark.long
def test_during_the_pull_of_an_image(deployment: Deployment) -> None:
    """Podman notes layers whose files are empty after the power cut; the next run finds them."""
    unit = "/etc/containers/systemd/nginx.container"
    image = deployment.ssh(f"sudo sed -n s/^Image=//p {unit}").output.strip()
    deployment.ssh(f"sudo systemctl stop nginx && sudo podman rmi --force {image} && sudo sync")
    pull = f". /usr/local/lib/ollamazure/lib.sh && pull_image nginx {image}"
    with pulled_and_not_synced(deployment, pull):
        cut_power(deployment)
    deployment.up(reapply=secrets.token_hex(4))
    assert deployment.ask("Hello?")
    assert "repaired" not in deployment.ssh("sudo podman system check", check=False).output
    deployment.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_during_a_backup(deployment: Deployment) -> None:
    """The repository is good, and the next backup removes the lock that is left."""
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    assert run(deployment, "backup").code == 0
    deployment.ssh("sudo systemctl start --no-block ollamazure-backup.service")
    locks = f"sudo ls {REPOSITORY}/locks"
    wait_until(lambda: bool(deployment.ssh(locks).output.strip()), "restic's lock")
    cut_power(deployment)
    wait_until(lambda: kept.of(deployment) == before, "the chat", patience=300)
    made = run(deployment, "backup", "--check")
    assert made.code == 0, made.output
    assert deployment.ssh(locks).output.strip() == ""
    assert "no errors were found" in deployment.ssh(f"{RESTIC} check").output
    assert is_sound(deployment)

"""Storage for backups on a real machine: its identity, and blobs that only root reaches with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment, boot
from tests.e2e.test_backup import restore, titles, write_chat
from tests.e2e.test_operations import run

pytestmark = pytest.mark.long

TOKEN = (
    "curl --silent --max-time 20 --header Metadata:true 'http://169.254.169.254/metadata/identity"
    "/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com'"
)
# The token reaches curl by a file, as no secret is on a command line.
BLOB = """
set -euo pipefail
account=$(grep -o 'backup[0-9a-f]*[.]blob[.]core[.]windows[.]net' /etc/hosts)
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
{token} | python3 -c '
import json, sys
print("Authorization: Bearer", json.load(sys.stdin)["access_token"])' >"$headers"
curl --silent --show-error --fail --max-time 60 --header "@$headers" \
    --header 'x-ms-version: 2021-12-02' {options} "https://$account/backups/data/test"
"""


@pytest.fixture(scope="module")
def with_backups(deployment: Deployment) -> Iterator[Deployment]:
    """The machine after an update that gives it an identity and a storage account."""
    started = boot(deployment)
    deployment.up(**{"backup.target": "azure"})
    assert boot(deployment) == started, "the machine was not restarted"
    yield deployment
    deployment.up(**{"backup.target": "dataDisk"})


def as_root(deployment: Deployment, options: str) -> str:
    script = BLOB.format(token=TOKEN, options=options)
    return deployment.ssh("sudo bash -s", stdin=script).output


def test_root_gets_a_token_and_no_one_else(with_backups: Deployment) -> None:
    answer = json.loads(with_backups.ssh(f"sudo {TOKEN}").output)
    assert answer["token_type"] == "Bearer"
    assert with_backups.ssh(TOKEN, check=False).code != 0
    refused = with_backups.ssh(f"sudo podman exec open-webui {TOKEN}", check=False)
    assert refused.code != 0


def test_blobs_are_written_and_read_with_the_identity(with_backups: Deployment) -> None:
    put = "--request PUT --header x-ms-blob-type:BlockBlob --data-binary 'a backup'"
    as_root(with_backups, put)
    assert "a backup" in as_root(with_backups, "")
    address = "https://$(grep -o 'backup.*net' /etc/hosts)/backups/data/test"
    anonymous = with_backups.ssh(
        f"curl --silent --output /dev/null --write-out '%{{http_code}}' {address}", check=False
    )
    assert anonymous.output.strip() == "409"


def test_a_backup_in_azure_brings_back_a_chat(with_backups: Deployment) -> None:
    kept = write_chat(with_backups, "Kept in Azure")
    saved = run(with_backups, "backup", "--check")
    assert saved.code == 0, saved.output
    with with_backups.client(with_backups.token) as client:
        assert client.delete(f"/api/v1/chats/{kept}").status_code == 200
    restore(with_backups)
    assert "Kept in Azure" in titles(with_backups)
    assert run(with_backups, "status").code == 0
    with_backups.pulumi("preview", "--expect-no-changes")


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Deployment]:
    """A stack of its own, of which a test leaves the storage account only."""
    deployment = Deployment(tmp_path / "emulator")
    try:
        deployment.up(**{"backup.target": "azure", "keepData": "true"})
        yield deployment
    finally:
        remove(deployment.home)


def test_another_stack_restores_from_the_storage_account_that_is_left(lost: Deployment) -> None:
    write_chat(lost, "In Azure only")
    saved = run(lost, "backup")
    assert saved.code == 0, saved.output
    key = run(lost, "backup", "key").output.strip()
    exported = json.loads(lost.pulumi("stack", "export").output)
    resources = exported["deployment"]["resources"]
    [container] = [one["id"] for one in resources if one["type"].endswith(":BlobContainer")]
    lost.pulumi("destroy", "--exclude-protected", "--yes", "--skip-preview")

    rescue = Deployment(lost.home, stack="rescue")
    rescue.pulumi("stack", "init")
    lost.pulumi("config", "cp", "--dest", "rescue")
    rescue.up(**{"keepData": "false", "backup.containerId": container})
    assert "another key" in run(rescue, "status").output
    restore(rescue, "--other-key", key=key)
    assert titles(rescue) == {"In Azure only"}
    assert run(rescue, "backup").code == 0
    rescue.pulumi("preview", "--expect-no-changes")

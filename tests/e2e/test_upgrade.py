"""A machine that the last commit before this issue deployed, upgraded by one `pulumi up`, and back.

docs/how-to/new-release.md describes both.
tests/engine/test_upgrade.py has the preview of a larger stack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.authenticator import is_accepted, sign_in
from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment, boot
from tests.e2e.kept import Kept
from tests.engine.record_deployed import RECORD, check_out

pytestmark = pytest.mark.long
ALICE = "alice@example.com"
KEPT = ("url", "adminPassword", "initialPasswords", "sshPrivateKey", "hostKey", "models")


def azure(deployment: Deployment) -> dict[str, str]:
    """The ids of what the stack has in Azure."""
    exported = json.loads(deployment.pulumi("stack", "export").output)
    resources = exported["deployment"]["resources"]
    return {one["urn"]: one["id"] for one in resources if one["type"].startswith("azure-native:")}


@pytest.fixture
def former(tmp_path: Path) -> Iterator[Deployment]:
    """The machine as that commit deploys it."""
    commit = json.loads((RECORD / "secrets.json").read_text())["commit"]
    home = tmp_path / "emulator"
    with check_out(commit) as tree:
        try:
            # pytest-xdist sets it to this project.
            former = Deployment(home, project=tree, environment={"PYTHONPATH": str(tree)})
            former.up(users=json.dumps([{"email": ALICE, "name": "Alice"}]))
            yield former
        finally:
            remove(home)


def test_an_upgrade_keeps_the_machine_its_secrets_and_every_chat(former: Deployment) -> None:
    kept = Kept.by(former)
    before = kept.of(former)
    ids, booted = azure(former), boot(former)

    present = Deployment(former.home)
    present.up()
    outputs = present.outputs
    assert [outputs[name] for name in KEPT] == [former.outputs[name] for name in KEPT]
    assert_unchanged(present, ids, booted)
    assert is_accepted(present, former.token), "users stay signed in"
    assert "token" in sign_in(present, ALICE, outputs["initialPasswords"][ALICE])
    assert kept.of(present) == before
    assert json.loads(present.ssh("sudo /usr/local/lib/ollamazure/drift.py").output) == []
    present.pulumi("preview", "--expect-no-changes")

    since = Kept.by(present)
    written = since.of(present)
    former.up()
    assert_unchanged(former, ids, booted)
    assert kept.of(former) == before
    assert since.of(former) == written
    former.pulumi("preview", "--expect-no-changes")


def assert_unchanged(deployment: Deployment, ids: dict[str, str], booted: str) -> None:
    """Azure has the same resources, the machine has not restarted, and the chat answers."""
    assert (azure(deployment), boot(deployment)) == (ids, booted)
    assert deployment.ask("Hello?")

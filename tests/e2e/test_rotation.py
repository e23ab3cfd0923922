"""Every secret replaced on a real machine, by one `pulumi up`."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from ollamazure.operate import ssh_key
from ollamazure.operate.connection import MachineConnection
from tests.e2e.deployment import Deployment
from tests.e2e.test_application import started

ALICE, CAROL = "alice@example.com", "carol@example.com"
CHOSEN = "chosen by Alice herself"
# Carol's second factor, encrypted and decrypted as Open WebUI does it.
IN_CONTAINER = "sudo podman exec --interactive open-webui python3 -"
SET_SECOND_FACTOR = """
import json, sqlite3
from open_webui.models.auths import MfaData
from open_webui.utils.mfa import cipher
factor = MfaData(secret=cipher().encrypt(b"totp").decode()).model_dump_json()
with sqlite3.connect("/app/backend/data/webui.db", timeout=30) as database:
    database.execute("update auth set mfa = ? where email = 'carol@example.com'", [factor])
"""
READ_SECOND_FACTOR = """
import json, sqlite3
from open_webui.utils.mfa import cipher
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
statement = "select mfa from auth where email = 'carol@example.com'"
factor = json.loads(database.execute(statement).fetchone()[0])
print("second factor:", cipher().decrypt(factor["secret"]).decode())
database.execute("update auth set mfa = null")
database.commit()
"""


@dataclass
class Before:
    """The secrets, the sessions and the start times before they are replaced."""

    outputs: dict[str, Any]
    tokens: list[str]
    started: dict[str, str]


def sign_in(deployment: Deployment, email: str, password: str) -> str | None:
    """The token of a session; None if the password is wrong."""
    with deployment.client() as client:
        answer = client.post("/api/v1/auths/signin", json={"email": email, "password": password})
    assert answer.status_code in (200, 400), answer.text
    return answer.json()["token"] if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def before(team: Deployment) -> Before:
    initial = team.outputs["initialPasswords"]
    alice, carol = (sign_in(team, email, initial[email]) for email in (ALICE, CAROL))
    with team.client(alice) as client:
        passwords = {"password": initial[ALICE], "new_password": CHOSEN}
        client.post("/api/v1/auths/update/password", json=passwords).raise_for_status()
    team.ssh(IN_CONTAINER, stdin=SET_SECOND_FACTOR)
    before = Before(team.outputs, [team.token, carol or ""], started(team))
    secrets = ("sshKey", "adminPassword", "sessionKey", "certificateKey", "initialPasswords")
    stamp = str(int(time.time()))
    team.up(**{f"rotation.{secret}": stamp for secret in secrets})
    return before


def test_every_secret_is_another_one_and_the_next_up_changes_nothing(
    team: Deployment, before: Before
) -> None:
    for name in ("sshPrivateKey", "adminPassword", "certificateFingerprint", "initialPasswords"):
        assert team.outputs[name] != before.outputs[name]
    team.pulumi("preview", "--expect-no-changes")
    assert team.ask("Hello?")


def test_the_machine_accepts_only_the_new_ssh_key(team: Deployment, before: Before) -> None:
    accepted = [
        asyncio.run(ssh_key.is_accepted(MachineConnection.from_outputs(outputs)))
        for outputs in (team.outputs, before.outputs)
    ]
    assert accepted == [True, False]
    found = json.loads(team.ssh("sudo /usr/local/lib/ollamazure/drift.py").output)
    assert not [each for each in found if each["resource"] == "ssh-key"]


def test_nothing_but_open_webui_started_again(team: Deployment, before: Before) -> None:
    """The new SSH key ran no command; the new certificate was only loaded."""
    now = started(team)
    assert {name for name in now if now[name] != before.started[name]} == {"open-webui"}


def test_all_sessions_ended_and_second_factors_stay(team: Deployment, before: Before) -> None:
    for token in before.tokens:
        with team.client(token) as client:
            assert client.get("/api/v1/auths/").status_code == 401
    assert "second factor: totp" in team.ssh(IN_CONTAINER, stdin=READ_SECOND_FACTOR).output


def test_only_initial_passwords_are_replaced(team: Deployment, before: Before) -> None:
    former, new = before.outputs["initialPasswords"], team.outputs["initialPasswords"]
    assert sign_in(team, ALICE, CHOSEN)
    assert sign_in(team, CAROL, new[CAROL])
    assert not sign_in(team, CAROL, former[CAROL])


@pytest.mark.long
def test_a_key_added_by_hand_is_drift(team: Deployment) -> None:
    file = ".ssh/authorized_keys"
    team.ssh(f"cp {file} kept && echo 'ssh-ed25519 AAAA bob@laptop' >>{file}")
    found = json.loads(team.ssh("sudo /usr/local/lib/ollamazure/drift.py").output)
    team.ssh(f"mv kept {file}")
    [found] = [each["what"] for each in found if each["resource"] == "ssh-key"]
    assert found.endswith(f"{file} has another key: bob@laptop")

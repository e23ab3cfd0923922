"""`bin/ollamazure people` on a running machine: the list, messages, another password."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.authenticator import is_accepted
from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.test_multi_factor import in_database
from tests.e2e.test_operations import run
from tests.e2e.test_rotation import sign_in

pytestmark = pytest.mark.long
DAVE, ERIN = "dave@example.com", "erin@example.com"
USERS = [{"email": DAVE, "name": "Dave", "groups": ["chat-only"]}, {"email": ERIN, "name": "Erin"}]
TOOL = "sudo /usr/local/lib/ollamazure/webui-cli"


@pytest.fixture(scope="module")
def accounts(team: Deployment) -> Iterator[Deployment]:
    """The team with two people who have not signed in yet; afterwards they are suspended."""
    former = team.pulumi("config", "get", "ollamazure:users").output.strip().splitlines()[-1]
    team.up(users=json.dumps([*json.loads(former), *USERS]))
    yield team
    team.up(users=former)


@pytest.fixture(scope="module")
def messages(accounts: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The messages for both, by e-mail."""
    folder = tmp_path_factory.mktemp("people") / "messages"
    ran = run(accounts, "people", "invite", DAVE, ERIN, "--to", str(folder))
    assert ran.code == 0, ran.output
    files = {file.name.removesuffix(".txt"): file for file in folder.iterdir()}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert not [each for each in initial_passwords(accounts) if each in ran.output]
    return {email: file.read_text() for email, file in files.items()}


def initial_passwords(deployment: Deployment) -> list[str]:
    return list(deployment.outputs["initialPasswords"].values())


def listed(deployment: Deployment, email: str) -> list[str]:
    """The columns of a person in the list."""
    ran = run(deployment, "people")
    assert ran.code == 0, ran.output
    [line] = [line for line in ran.output.splitlines() if line.startswith(f"{email} ")]
    return re.split(" {2,}", line)


def password_in(message: str) -> str:
    [password] = re.findall(r"^Password: +(\S+)$", message, re.MULTILINE)
    return str(password)


def test_a_new_person_has_neither_come_nor_been_invited(accounts: Deployment) -> None:
    assert listed(accounts, DAVE) == [DAVE, "active", "never", "no", "none", "chat-only"]


def test_the_message_lets_the_person_in(accounts: Deployment, messages: dict[str, str]) -> None:
    assert {*messages} == {DAVE, ERIN}
    assert accounts.outputs["url"] in messages[DAVE]
    assert accounts.outputs["certificateFingerprint"] in messages[DAVE]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", listed(accounts, DAVE)[4])
    assert listed(accounts, ERIN)[2] == "never", "an account that no one has used"

    token = sign_in(accounts, DAVE, password_in(messages[DAVE]))
    assert token and is_accepted(accounts, token)
    wait_until(lambda: listed(accounts, DAVE)[2] != "never", "the account was used")


def test_a_second_message_has_to_be_requested(
    accounts: Deployment, messages: dict[str, str], tmp_path: Path
) -> None:
    again = run(accounts, "people", "invite", ERIN, "--to", str(tmp_path))
    assert again.code == 2, again.output
    assert "Add --again to make another message." in again.output
    everyone = run(accounts, "people", "invite", "--all", "--to", str(tmp_path))
    assert everyone.code == 0, everyone.output
    for email in (DAVE, ERIN):
        assert f"no message for {email}: a message was made on" in everyone.output
        assert not (tmp_path / f"{email}.txt").exists()
    requested = run(accounts, "people", "invite", ERIN, "--again", "--to", str(tmp_path))
    assert requested.code == 0, requested.output
    assert (tmp_path / f"{ERIN}.txt").read_text() == messages[ERIN]


def test_no_password_gets_into_a_log(accounts: Deployment) -> None:
    ran = run(accounts, "people", "invite", ERIN, "--again")
    assert ran.code == 2, ran.output
    assert "Add --to FOLDER" in ran.output
    assert not [each for each in initial_passwords(accounts) if each in ran.output]


def test_a_second_factor_is_in_the_list(accounts: Deployment) -> None:
    set_factor = "update auth set mfa = ? where email = ?"
    in_database(accounts, set_factor, json.dumps({"secret": "encrypted"}), ERIN)
    assert listed(accounts, ERIN)[3] == "yes"
    in_database(accounts, "update auth set mfa = null where email = ?", ERIN)
    assert listed(accounts, ERIN)[3] == "no"


def test_another_password_ends_the_sessions_and_stays(
    accounts: Deployment, messages: dict[str, str], tmp_path: Path
) -> None:
    initial = password_in(messages[DAVE])
    token = sign_in(accounts, DAVE, initial)
    assert token and is_accepted(accounts, token)
    ran = run(accounts, "people", "reset", DAVE, "--yes", "--to", str(tmp_path))
    assert ran.code == 0, ran.output
    password = password_in((tmp_path / f"{DAVE}.txt").read_text())
    assert password not in ran.output
    assert not is_accepted(accounts, token)
    assert not sign_in(accounts, DAVE, initial)
    assert sign_in(accounts, DAVE, password)

    accounts.pulumi("preview", "--expect-no-changes")
    # What `pulumi up` runs when the user's declaration or the machine has changed.
    apply = f"{TOOL} apply user /etc/ollamazure/declared/user/{DAVE}.json"
    for declared in (initial, "another initial password"):
        assert "is as declared" in accounts.ssh(apply, stdin=declared).output
    assert sign_in(accounts, DAVE, password)
    refused = run(accounts, "people", "invite", DAVE, "--to", str(tmp_path / "other"))
    assert refused.code == 1, refused.output
    assert "the account has another password than the initial one" in refused.output

    found = accounts.ssh(
        "sudo grep --recursive --files-with-matches --fixed-strings --file - "
        "/etc /run/ollamazure /var/log /srv/data/open-webui /dev/shm /home || true",
        stdin=password,
    )
    assert found.output.strip() == ""


def test_the_administrator_and_strangers_are_refused(accounts: Deployment, tmp_path: Path) -> None:
    for email in (accounts.outputs["adminEmail"], "eve@example.com"):
        ran = run(accounts, "people", "reset", email, "--yes", "--to", str(tmp_path))
        assert ran.code == 2, ran.output
        assert f"{email}: not declared in `users`" in ran.output

"""Administrators need a second factor, with real codes; test_sign_in.py is about users who may."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import authenticator, browser
from tests.e2e.authenticator import Authenticator, is_accepted, send, set_up
from tests.e2e.deployment import Deployment
from tests.e2e.test_clocks import clock_of

pytestmark = pytest.mark.long
RESET = "sudo /usr/local/lib/ollamazure/webui-cli reset-second-factor"
ALICE = "alice@example.com"


@pytest.fixture(scope="module")
def demanding(team: Deployment) -> Iterator[Deployment]:
    """The chat where administrators need a second factor. `pulumi up` itself signs no one in."""
    former = team.token
    team.up(multiFactor="administrators")
    assert not is_accepted(team, former)
    yield team
    in_database(team, "update auth set mfa = null")
    team.pulumi("config", "rm", "ollamazure:multiFactor")
    team.up()


def in_database(deployment: Deployment, statement: str, *values: str) -> None:
    """Run this in the database of Open WebUI."""
    code = "import json, sqlite3, sys; database = sqlite3.connect('/app/backend/data/webui.db'); "
    code += "database.execute(*json.load(sys.stdin)); database.commit()"
    run = f"sudo podman exec --interactive open-webui python3 -c {shlex.quote(code)}"
    deployment.ssh(run, stdin=json.dumps([statement, list(values)]))


def sign_in(deployment: Deployment, email: str) -> dict[str, object]:
    passwords = {
        deployment.outputs["adminEmail"]: deployment.outputs["adminPassword"],
        **deployment.outputs["initialPasswords"],
    }
    return authenticator.sign_in(deployment, email, passwords[email])


def test_an_administrator_is_signed_in_only_with_a_code(demanding: Deployment) -> None:
    admin = demanding.outputs["adminEmail"]
    challenge = sign_in(demanding, admin)
    assert not challenge.keys() & {"token", "role"}
    assert not is_accepted(demanding, str(challenge["challenge_token"]))
    app, session = set_up(demanding, challenge)
    assert is_accepted(demanding, session["token"])

    challenge = sign_in(demanding, admin)
    assert challenge["next_step"] == "verify"
    assert send(demanding, "verify", challenge, code=app.code()).status_code == 401, "used before"
    assert send(demanding, "verify", challenge, code="000000").status_code == 401
    verified = send(demanding, "verify", challenge, code=app.code(1))
    assert is_accepted(demanding, verified.json()["token"])
    drift = json.loads(demanding.ssh("sudo /usr/local/lib/ollamazure/drift.py").output)
    assert drift == []

    # What an operator does for an administrator who has lost the phone and the recovery codes.
    ran = demanding.ssh(f"{RESET} {admin}")
    (recovery,) = [line for line in ran.output.splitlines() if " " not in line]
    assert not is_accepted(demanding, verified.json()["token"])
    challenge = sign_in(demanding, admin)
    assert challenge["next_step"] == "recover"
    assert send(demanding, "recover", challenge, reset_token="x" * 43).status_code == 401
    challenge = send(demanding, "recover", challenge, reset_token=recovery).json()
    _, session = set_up(demanding, challenge)
    assert is_accepted(demanding, session["token"])
    assert (
        "no account has the e-mail" in demanding.ssh(f"{RESET} x@example.com", check=False).output
    )


def test_a_code_of_another_time_is_refused_until_the_clock_is_right(demanding: Deployment) -> None:
    admin = demanding.outputs["adminEmail"]
    in_database(demanding, "update auth set mfa = null where email = ?", admin)
    app, _ = set_up(demanding, sign_in(demanding, admin))
    with clock_of(demanding, "open-webui", "+1d"):
        refused = send(demanding, "verify", sign_in(demanding, admin), code=app.code(1))
        assert refused.status_code == 401
        assert "code" in str(refused.json()["detail"]).lower()
    verified = send(demanding, "verify", sign_in(demanding, admin), code=app.code(1))
    assert is_accepted(demanding, verified.json()["token"])


def test_other_users_need_none_until_they_become_administrators(demanding: Deployment) -> None:
    alice = sign_in(demanding, ALICE)
    token = str(alice["token"])
    assert is_accepted(demanding, token)
    try:
        in_database(demanding, "update user set role = 'admin' where email = ?", ALICE)
        assert not is_accepted(demanding, token)
        assert sign_in(demanding, ALICE)["next_step"] == "enroll"
    finally:
        in_database(demanding, "update user set role = 'user' where email = ?", ALICE)
    assert is_accepted(demanding, token)


def test_a_user_sets_up_a_second_factor_in_the_browser(demanding: Deployment, page: Page) -> None:
    email, password = "bob@example.com", demanding.outputs["initialPasswords"]["bob@example.com"]
    browser.sign_in(page, demanding, email, password)
    expect(page.locator("#chat-input")).to_be_visible()
    page.goto(f"{demanding.outputs['url']}/second-factor")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/auth**")
    page.locator("input[type=email]").fill(email)
    page.locator("input[type=password]").fill(password)
    page.locator("button[type=submit]").click()
    expect(page.get_by_text("Set up your authenticator")).to_be_visible()
    page.get_by_text("Enter the key manually").click()
    app = Authenticator(page.locator("code").inner_text().replace(" ", ""))
    page.get_by_placeholder("Enter your authenticator code").fill(app.code())
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Save your recovery codes")).to_be_visible()
    page.get_by_text("I have saved my recovery codes").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#chat-input")).to_be_visible()
    assert sign_in(demanding, email)["next_step"] == "verify"

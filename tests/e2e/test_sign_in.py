"""Users sign in with an account of a real OpenID provider."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import authenticator
from tests.e2e.authenticator import is_accepted, send, set_up
from tests.e2e.browser import is_blocked, new_context, show_in_frame
from tests.e2e.deployment import Deployment
from tests.e2e.openid import Person, Provider, provider
from tests.e2e.people import TEAM
from tests.e2e.test_machine import not_readable_on_the_machine, not_written_in_plain

SECRET = secrets.token_urlsafe()
PASSWORD = secrets.token_urlsafe()
KILGORE = "kilgore@kilgore.trout"
MALLORY = Person("mallory@elsewhere.example", PASSWORD, "Mallory")
# The name is in the provider's ID token, which becomes as large as with some hundred groups.
LONG_NAME = Person("long.name@kilgore.trout", PASSWORD, "Long Name " + "x" * 24_000)
PORTAL = "https://portal.example.com"


@pytest.fixture(scope="module")
def dex(team: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Dex signs the users in; it is the last that happens to the machine."""
    client = {
        "id": "team-chat",
        "secret": SECRET,
        "redirectURIs": [f"{team.outputs['url']}/oauth/oidc/callback"],
    }
    with provider(team, tmp_path_factory.mktemp("dex"), client, [MALLORY, LONG_NAME]) as dex:
        declared: dict[str, Any] = {
            "groups": [*TEAM["groups"], {"name": "authors"}],
            "signIn": {
                "clientId": "team-chat",
                "issuer": dex.issuer,
                "allowedDomains": ["kilgore.trout"],
                "scopes": ["openid", "email", "profile", "groups"],
                "newAccounts": "user",
                "groups": ["authors"],
            },
            "frameOrigins": [PORTAL],
        }
        try:
            set_secret(team, SECRET)
            values = {key: json.dumps(value) for key, value in declared.items()}
            team.up(**values, multiFactor="offered")
            yield dex
        finally:
            keys = [f"ollamazure:{key}" for key in ("signInSecret", "multiFactor", *declared)]
            team.pulumi("config", "rm-all", *keys)


@pytest.fixture
def page(browser: Browser, dex: Provider) -> Iterator[Page]:
    """A browser that reaches the provider, too."""
    proxy = {"server": dex.proxy, "bypass": "127.0.0.0/8"}
    context = new_context(browser, proxy=proxy)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def users(deployment: Deployment) -> dict[str, dict[str, Any]]:
    with deployment.client(deployment.token) as client:
        found = client.get("/api/v1/users/").json()["users"]
    return {user["email"]: user for user in found}


def sign_in_with_password(page: Page, deployment: Deployment, person: Person) -> None:
    """Sign in at the provider, as far as its form."""
    page.goto(deployment.outputs["url"])
    page.get_by_role("button", name="Continue with SSO").click()
    page.get_by_text("Log in with Email").click()
    page.locator("#login").fill(person.email)
    page.locator("#password").fill(person.password)
    page.locator("#submit-login").click()


def sign_in_as_kilgore(page: Page, deployment: Deployment) -> None:
    page.add_locator_handler(page.get_by_text("Okay, Let's Go!"), lambda news: news.click())
    page.goto(deployment.outputs["url"])
    page.get_by_role("button", name="Continue with SSO").click()
    page.get_by_text("Log in with Kilgore").click()
    expect(page.locator("#chat-input")).to_be_visible()


def test_who_is_vouched_for_gets_the_declared_role_and_group(team: Deployment, page: Page) -> None:
    """And stays in the groups that the provider has no say in."""
    sign_in_as_kilgore(page, team)
    kilgore = users(team)[KILGORE]
    assert (kilgore["name"], kilgore["role"]) == ("Kilgore Trout", "user")
    with team.client(team.token) as client:
        groups = {group["name"]: group["id"] for group in client.get("/api/v1/groups/").json()}
        assert kilgore["group_ids"] == [groups["authors"]]
        form = {"name": "by hand", "description": ""}
        by_hand = client.post("/api/v1/groups/create", json=form).json()["id"]
        everybody = {"user_ids": [kilgore["id"]]}
        client.post(f"/api/v1/groups/id/{by_hand}/users/add", json=everybody).raise_for_status()
        client.post(f"/api/v1/groups/id/{groups['authors']}/users/remove", json=everybody)

        page.context.clear_cookies()
        page.evaluate("localStorage.clear()")
        sign_in_as_kilgore(page, team)
        assert {*users(team)[KILGORE]["group_ids"]} == {by_hand, groups["authors"]}
        client.delete(f"/api/v1/groups/id/{by_hand}/delete").raise_for_status()
        client.delete(f"/api/v1/users/{kilgore['id']}").raise_for_status()
    drift = json.loads(team.ssh("sudo /usr/local/lib/ollamazure/drift.py").output)
    assert drift == []


@pytest.mark.usefixtures("dex")
def test_a_user_who_asked_for_a_second_factor_needs_it(team: Deployment) -> None:
    """The cookie is what the page /second-factor sets. test_multi_factor.py opens that page."""
    carol = "carol@example.com", team.outputs["initialPasswords"]["carol@example.com"]
    former = authenticator.sign_in(team, *carol)["token"]
    assert is_accepted(team, former)
    challenge = authenticator.sign_in(team, *carol, cookies={"second_factor": "wanted"})
    app, session = set_up(team, challenge)
    assert is_accepted(team, session["token"]) and not is_accepted(team, former)

    challenge = authenticator.sign_in(team, *carol)
    assert challenge["next_step"] == "verify"
    assert send(team, "verify", challenge, code="000000").status_code == 401
    verified = send(team, "verify", challenge, code=app.code(1)).json()
    assert is_accepted(team, verified["token"])


@pytest.mark.long
def test_another_domain_is_refused(team: Deployment, page: Page) -> None:
    sign_in_with_password(page, team, MALLORY)
    page.wait_for_url(f"{team.outputs['url']}/auth?error=*")
    assert MALLORY.email not in users(team)


@pytest.mark.long
def test_a_large_id_token_signs_in(team: Deployment, page: Page) -> None:
    sign_in_with_password(page, team, LONG_NAME)
    expect(page.locator("#chat-input")).to_be_visible()
    found = users(team)[LONG_NAME.email]
    assert found["name"] == LONG_NAME.name
    with team.client(team.token) as client:
        client.delete(f"/api/v1/users/{found['id']}").raise_for_status()


@pytest.mark.long
def test_no_single_sign_on_leads_into_a_frame(team: Deployment, page: Page) -> None:
    """As docs/how-to/show-the-chat-in-a-frame.md says: neither there nor by way of a tab."""
    show_in_frame(page, PORTAL, team)
    page.goto(f"{PORTAL}/start")
    frame = page.frame_locator("iframe")
    with page.expect_event("requestfailed", is_blocked):
        frame.get_by_role("button", name="Continue with SSO").click()

    tab = page.context.new_page()
    sign_in_as_kilgore(tab, team)
    page.goto(f"{PORTAL}/start")
    expect(frame.get_by_role("button", name="Continue with SSO")).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("at_provider", [False, True])
def test_everyone_needs_a_second_factor_unless_the_provider_asks_for_it(
    team: Deployment, page: Page, at_provider: bool
) -> None:
    former = team.pulumi("config", "get", "ollamazure:signIn").output
    changed = {**json.loads(former), "multiFactorAtProvider": at_provider}
    email = f"new-{at_provider}@example.com"
    with team.client(team.token) as client:
        account = {"email": email, "name": "New", "password": PASSWORD, "role": "user"}
        client.post("/api/v1/auths/add", json=account).raise_for_status()
    try:
        team.up(multiFactor="everyone", signIn=json.dumps(changed))
        challenge = authenticator.sign_in(team, email, PASSWORD)
        assert challenge["next_step"] == "enroll"
        if at_provider:
            sign_in_as_kilgore(page, team)
        else:
            page.goto(team.outputs["url"])
            page.get_by_role("button", name="Continue with SSO").click()
            page.get_by_text("Log in with Kilgore").click()
            expect(page.get_by_text("Set up your authenticator")).to_be_visible()
    finally:
        team.up(multiFactor="offered", signIn=former)


def test_the_administrator_still_signs_in_with_a_password(team: Deployment, dex: Provider) -> None:
    assert team.sign_in()


@pytest.mark.long
def test_no_user_reads_the_clients_secret_and_another_replaces_it(
    team: Deployment, dex: Provider
) -> None:
    not_written_in_plain(team, [SECRET])
    not_readable_on_the_machine(team, [SECRET])
    other = secrets.token_urlsafe()
    set_secret(team, other)
    alone = ("--target", "**::open-webui-sign-in-secret")
    team.pulumi("up", "--yes", "--skip-preview", *alone)
    known = team.ssh("sudo podman exec open-webui printenv OAUTH_CLIENT_SECRET").output
    assert known.strip() == other


def set_secret(deployment: Deployment, secret: str) -> None:
    """Set it by standard input, as the documentation says: it is on no command line."""
    deployment.pulumi("config", "set", "--secret", "ollamazure:signInSecret", stdin=secret)

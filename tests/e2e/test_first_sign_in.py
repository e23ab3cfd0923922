"""A person's first sign-in: what is on the page, in which language, on a desktop and a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ollamazure import catalog
from tests.e2e.browser import enter, new_context
from tests.e2e.deployment import Deployment
from tests.e2e.people import MODEL, TEAM

pytestmark = pytest.mark.long
WELCOME = "Bienvenue ! Des questions ? Écrivez à alice@example.com."
SUGGESTION = {
    "title": "Expliquer un texte",
    "subtitle": "en mots simples",
    "prompt": "Explique ce texte en mots simples : ",
}
# Who signs in first on which screen.
PEOPLE = {"desktop": "dora@example.com", "phone": "emil@example.com"}
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
# In the menus of who may use more than these people.
OTHERS_PAGES = ("/workspace", "/admin", "/playground", "/notes", "/calendar", "/automations")


def test_without_a_setting_each_browser_has_its_own_language(
    team: Deployment, browser: Browser
) -> None:
    for locale, language in (("de-DE", "de-DE"), ("fr-CH", "fr-FR")):
        context = new_context(browser, locale=locale)
        page = context.new_page()
        page.goto(team.outputs["url"])
        expect(page.locator("html")).to_have_attribute("lang", language)
        context.close()


@pytest.fixture(scope="module")
def french(team: Deployment) -> Iterator[Deployment]:
    """The chat of a French team, with two people who have never signed in."""
    groups = ["chat-only"]
    newcomers = [
        {"email": email, "name": email.partition("@")[0].title(), "groups": groups}
        for email in PEOPLE.values()
    ]
    team.up(
        language="fr",
        welcome=WELCOME,
        suggestions=json.dumps([SUGGESTION]),
        users=json.dumps([*TEAM["users"], *newcomers]),
    )
    yield team
    team.pulumi("config", "rm", "ollamazure:language")
    declared = {key: json.dumps(TEAM[key]) for key in ("suggestions", "users")}
    team.up(welcome=TEAM["welcome"], **declared)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_sign_in(french: Deployment, browser: Browser, screen: str) -> None:
    email = PEOPLE[screen]
    context = new_context(browser, **SCREENS[screen])  # of an English browser
    page = context.new_page()
    page.goto(french.outputs["url"])
    expect(page.locator("html")).to_have_attribute("lang", "fr-FR")
    enter(page, email, french.outputs["initialPasswords"][email])

    expect(page.locator("#chat-input")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#model-selector-model-button")).to_contain_text(MODEL)
    hint = page.get_by_text("Vous avez encore votre mot de passe initial")
    suggestion = page.get_by_text(SUGGESTION["title"])
    for shown in (page.get_by_text(WELCOME), hint, suggestion):
        expect(shown).to_be_in_viewport()
        box, width = shown.bounding_box(), SCREENS[screen]["viewport"]["width"]
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    for path in OTHERS_PAGES:
        expect(page.locator(f"a[href='{path}']")).to_have_count(0)
    suggestion.click()
    expect(page.locator(".chat-assistant")).to_be_visible()

    choose_password(page, french, email)
    enter(page, email, chosen_password(email))
    expect(page.locator("#chat-input")).to_be_visible()
    expect(page.get_by_text(WELCOME)).to_be_visible()
    expect(hint).to_have_count(0)
    context.close()


def choose_password(page: Page, deployment: Deployment, email: str) -> None:
    """Choose a password with the link of the hint; this ends the session."""
    page.goto(deployment.outputs["url"])
    page.get_by_role("link", name="Choisissez le vôtre").click()
    form = page.get_by_role("dialog").locator("form", has_text="Changer le mot de passe").last
    form.get_by_role("button").first.click()
    initial = deployment.outputs["initialPasswords"][email]
    form.get_by_placeholder("Entrez votre mot de passe actuel").fill(initial)
    form.get_by_placeholder("Entrez votre nouveau mot de passe").fill(chosen_password(email))
    form.get_by_placeholder("Confirmer votre nouveau mot de passe").fill(chosen_password(email))
    form.locator("button:not([type=button])").click()
    page.wait_for_url("**/auth**")


def chosen_password(email: str) -> str:
    return f"one of my own: {email}"


def test_an_administrator_meets_no_news_of_a_version(french: Deployment, browser: Browser) -> None:
    context = new_context(browser)
    page = context.new_page()
    page.goto(french.outputs["url"])
    enter(page, french.outputs["adminEmail"], french.outputs["adminPassword"])
    expect(page.locator("#chat-input")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("mot de passe initial")).to_have_count(0)
    context.close()


def test_a_language_that_a_user_chose_stays(french: Deployment, browser: Browser) -> None:
    context = new_context(browser)
    context.add_init_script("localStorage.locale = 'de-DE'")
    page = context.new_page()
    page.goto(french.outputs["url"])
    expect(page.locator("html")).to_have_attribute("lang", "de-DE")
    context.close()


def test_nginxs_page_has_the_browsers_language_else_the_stacks(
    french: Deployment, browser: Browser
) -> None:
    """Also without JavaScript."""
    texts = catalog.texts("pages")
    french.ssh("sudo systemctl stop open-webui")
    try:
        for locale, language in (("it-IT", "fr"), ("fr-CA", "fr"), ("de-AT", "de"), ("es", "es")):
            context = new_context(browser, locale=locale, java_script_enabled=False)
            page = context.new_page()
            page.goto(french.outputs["url"])
            expect(page.locator("html")).to_have_attribute("lang", language)
            expect(page.locator("h1")).to_have_text(texts[language]["preparing_title"])
            context.close()
    finally:
        french.ssh("sudo systemctl start open-webui")
        french.ssh("sudo /usr/local/lib/ollamazure/webui-cli wait")

"""People in front of Chromium: signed in by their session, and measured by their own clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e import browser as e2e_browser
from tests.e2e.deployment import Deployment

TIMEOUT_MS = 600_000.0
# When the question was sent and when each piece of the answer came over the WebSocket. The page
# itself stops an answer that is long enough: Ollama may answer another page first.
_WATCH = """
window.measured = {sent: 0, pieces: []};
const Native = window.WebSocket;
window.WebSocket = class extends Native {
    constructor(...given) {
        super(...given);
        this.addEventListener("message", (message) => {
            if (!String(message.data).includes("output_text.delta")) return;
            window.measured.pieces.push(performance.now());
            if (window.measured.pieces.length >= window.enough)
                document.querySelector("[aria-label=Stop]")?.click();
        });
    }
};
document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") window.measured = {sent: performance.now(), pieces: []};
}, true);
"""
_ANSWERED = """() => window.measured.pieces.length > 0
    && !document.querySelector("[aria-label=Stop]")"""


@dataclass(frozen=True)
class Shown:
    """An answer in a page: milliseconds until the first piece, and pieces (tokens) a second."""

    first: float
    rate: float


def sign_in(browser: Browser, url: str, token: str, **options: Any) -> BrowserContext:
    """A browser of its own with the session of `token`, without a sign-in."""
    context = e2e_browser.new_context(browser, **options)
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(f"localStorage.setItem('token', {json.dumps(token)})")
    context.add_cookies([{"name": "token", "value": token, "url": url}])
    return context


def open_chats(browser: Browser, azure: Deployment, tokens: Sequence[str]) -> list[Page]:
    """A page for each person, with the first model chosen."""
    url = azure.outputs["url"]
    pages = []
    for token in tokens:
        context = sign_in(browser, url, token)
        context.add_init_script(_WATCH)
        pages.append(context.new_page())
        new_chat(pages[-1], azure)
    return pages


def new_chat(page: Page, azure: Deployment) -> None:
    """An empty chat with the first model."""
    page.goto(f"{azure.outputs['url']}/?models={azure.outputs['models'][0]}")
    page.locator("#chat-input").wait_for()


def ask_in_pages(pages: Sequence[Page], questions: Sequence[str], enough: int) -> list[Shown]:
    """Ask in all pages at the same time; an answer is stopped after `enough` pieces."""
    for page, question in zip(pages, questions, strict=True):
        page.evaluate("(count) => { window.enough = count; }", enough)
        page.locator("#chat-input").click()
        page.keyboard.type(question)
    for page in pages:
        page.keyboard.press("Enter")
    shown = []
    for page in pages:
        page.wait_for_function(_ANSWERED)
        shown.append(_shown(page.evaluate("window.measured"), enough))
    return shown


def _shown(measured: dict[str, Any], enough: int) -> Shown:
    pieces = measured["pieces"][:enough]
    length = (pieces[-1] - pieces[0]) / 1000
    return Shown(pieces[0] - measured["sent"], (len(pieces) - 1) / length if length else 0.0)

"""A person in front of Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    FilePayload,
    Page,
    Request,
    expect,
    sync_playwright,
)
from playwright.sync_api import (
    TimeoutError as PlaywrightTimeoutError,
)

from tests.e2e.deployment import Deployment

CHROMIUM = "/usr/bin/chromium-headless-shell"

expect.set_options(timeout=120_000)  # milliseconds; an answer on busy processors takes a while


@contextmanager
def launch(program: str = CHROMIUM, *options: str) -> Iterator[Browser]:
    """Chromium without a window; `program` starts it, with further options of its command line."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--disable-component-update",
                # A site of the internet may show an address of this machine in a frame.
                "--disable-features=LocalNetworkAccessChecks",
                *options,
            ],
        )
        yield browser
        browser.close()


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A person's browser, without cookies; `options` are those of Playwright's new_context."""
    defaults = {"locale": "en-US", "reduced_motion": "reduce"}
    return browser.new_context(ignore_https_errors=True, **{**defaults, **options})


def show_in_frame(page: Page, site: str, deployment: Deployment) -> None:
    """Have each page of the site show the chat in a frame; no request leaves this machine."""
    body = f'<iframe src="{deployment.outputs["url"]}" width=1000 height=700></iframe>'
    page.route(f"{site}/**", lambda route: route.fulfill(content_type="text/html", body=body))


def is_blocked(request: Request) -> bool:
    """Whether the answer says that the page must not be shown in this frame."""
    return request.failure == "net::ERR_BLOCKED_BY_RESPONSE"


def sign_in(page: Page, deployment: Deployment, email: str, password: str) -> None:
    """Open the chat and sign in."""
    # The news that Open WebUI shows an administrator, until the program's settings are applied.
    page.add_locator_handler(page.get_by_text("Okay, Let's Go!"), lambda news: news.click())
    page.goto(deployment.outputs["url"])
    enter(page, email, password)


def enter(page: Page, email: str, password: str) -> None:
    """Sign in on the page that is open."""
    page.locator("input[type=email]").fill(email)
    page.locator("input[type=password]").fill(password)
    page.locator("button[type=submit]").click()


def choose(page: Page, model: str) -> None:
    """Choose a model by its name in the list."""
    page.locator("#model-selector-model-button").click()
    page.get_by_role("option", name=model).click()


def ask(page: Page, question: str) -> None:
    """Send a question to the chosen model."""
    page.locator("#chat-input").click()
    page.keyboard.type(question)
    page.keyboard.press("Enter")


def attach(page: Page, name: str, content: bytes) -> None:
    """Choose a file for the next question."""
    page.locator("#chat-input").wait_for()
    chosen = FilePayload(name=name, mimeType="text/plain", buffer=content)
    page.locator("input[type=file]").first.set_input_files(chosen)


def stop(page: Page) -> None:
    """Stop the answer: a small model may go on for long, and no test reads the rest.

    A page that is closed before it has sent the request would leave the model busy.
    """
    button = "document.querySelector('[aria-label=Stop]')"
    if not page.evaluate(f"!!{button}"):
        return
    with (
        suppress(PlaywrightTimeoutError),  # the answer ended by itself meanwhile
        page.expect_request_finished(lambda sent: sent.url.endswith("/stop"), timeout=10_000),
    ):
        page.evaluate(f"{button}?.click()")

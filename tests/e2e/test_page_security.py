"""What the headers of Nginx let pages of the chat do, and not those of other sites."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.e2e.browser import ask, attach, choose, new_context, stop
from tests.e2e.deployment import Deployment

# What a model may answer: a page with scripts, diagrams, charts, formulas.
ANSWER = """\
```html
<h1 id="here">Not yet</h1>
<script>document.querySelector("#here").textContent = eval("'Done'")</script>
```

```mermaid
graph TD; A[Question] --> B[Answer]
```

```vega-lite
{"data": {"values": [{"a": "A", "b": 28}, {"a": "B", "b": 55}]}, "mark": "bar",
 "encoding": {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}}}
```

A formula: $x^2 + y^2$
"""
PICTURE = "https://elsewhere.example/?what-the-user-wrote"
MICROPHONE = "Permissions policy violation: microphone is not allowed in this document."


@pytest.fixture
def visitor(deployment: Deployment, browser: Browser) -> Iterator[Page]:
    """A page of the administrator, who is signed in."""
    url = deployment.outputs["url"]
    context = new_context(browser)
    context.set_default_timeout(180_000)
    context.add_cookies([{"name": "token", "value": deployment.token, "url": url}])
    context.add_init_script(
        f"if (location.origin === '{url}') localStorage.token = '{deployment.token}'"
    )
    page = context.new_page()
    page.add_locator_handler(page.get_by_text("Okay, Let's Go!"), lambda news: news.click())
    yield page
    context.close()


def violations(page: Page) -> list[str]:
    """The messages of the console about a rule of a header; they come later, in this list."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if re.search(r"violat|Refused to|Permissions-Policy|BLOCKED_BY", message.text):
            found.append(message.text)

    page.on("console", note)
    return found


def show_answer(page: Page, deployment: Deployment, answer: str) -> None:
    """Open a chat that ends with `answer`."""
    model = deployment.outputs["models"][0]
    question = {"id": "q", "parentId": None, "childrenIds": ["a"], "role": "user", "content": "?"}
    reply = {"id": "a", "parentId": "q", "childrenIds": [], "role": "assistant", "content": answer}
    messages = {
        "q": {**question, "models": [model]},
        "a": {**reply, "model": model, "done": True},
    }
    chat = {
        "title": "page security",
        "models": [model],
        "history": {"messages": messages, "currentId": "a"},
        "messages": [*messages.values()],
    }
    with deployment.client(deployment.token) as client:
        made = client.post("/api/v1/chats/new", json={"chat": chat})
    page.goto(f"{deployment.outputs['url']}/c/{made.json()['id']}")


def preview_code(page: Page, deployment: Deployment) -> None:
    show_answer(page, deployment, ANSWER)
    page.locator("svg[id^=mermaid]").first.wait_for()
    page.locator(".katex").first.wait_for()
    page.locator("canvas, svg.marks").first.wait_for()  # the chart
    page.get_by_role("button", name="Preview").first.click()
    expect(page.frame_locator("iframe").locator("#here")).to_have_text("Done")


def attach_files(page: Page, deployment: Deployment) -> None:
    page.goto(deployment.outputs["url"])
    choose(page, deployment.outputs["models"][0])
    attach(page, "notes.html", b"<h1>Notes</h1><script>alert(1)</script>")
    page.get_by_text("notes.html").first.click()
    page.keyboard.press("Escape")
    ask(page, "Hello")
    expect(page.locator(".chat-assistant")).to_contain_text(re.compile(r"\w"))
    stop(page)


def speak(page: Page, deployment: Deployment) -> None:
    page.goto(deployment.outputs["url"])
    page.get_by_role("button", name="Voice Input").click()
    page.get_by_text("Permission denied").first.wait_for()


def open_settings(page: Page, deployment: Deployment) -> None:
    page.goto(deployment.outputs["url"])
    page.get_by_role("button", name="User menu").last.click()
    page.get_by_text("Settings", exact=True).first.click()
    tabs = page.locator("[role=tab]:visible")
    tabs.first.wait_for()
    for tab in tabs.all():
        tab.click()


def administer(page: Page, deployment: Deployment) -> None:
    for path in (
        *("/admin/users/overview", "/admin/evaluations", "/admin/functions", "/admin/settings"),
        *("/workspace/models", "/workspace/knowledge", "/workspace/prompts", "/workspace/tools"),
        *("/notes", "/playground"),
    ):
        page.goto(deployment.outputs["url"] + path)
        page.get_by_role("button", name="User menu").first.wait_for()
        page.locator("#splash-screen").wait_for(state="detached")


@pytest.mark.parametrize(
    "visit",
    [preview_code, attach_files, speak, open_settings, administer],
    ids=lambda v: v.__name__,
)
def test_the_headers_hinder_no_page(
    deployment: Deployment, visitor: Page, visit: Callable[[Page, Deployment], None]
) -> None:
    found = violations(visitor)
    visit(visitor, deployment)
    # The button exists for administrators although the microphone is off.
    assert [each for each in found if each != MICROPHONE or visit is not speak] == []


@pytest.mark.long
def test_an_answer_sends_nothing_to_another_site(deployment: Deployment, visitor: Page) -> None:
    found = violations(visitor)
    sent: list[str] = []
    visitor.context.route(
        "https://elsewhere.example/**", lambda route: sent.append(route.request.url)
    )
    with visitor.expect_event("console", lambda message: PICTURE in message.text):
        show_answer(visitor, deployment, f"![A picture]({PICTURE})")
    assert any("img-src" in each for each in found)
    assert sent == []


def test_only_pages_of_the_chat_read_its_answers(deployment: Deployment) -> None:
    socket = "/ws/socket.io/?EIO=4&transport=websocket"
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **key}
    own = deployment.outputs["url"]
    with deployment.client() as client:
        for origin, allowed, status in ((own, own, 101), ("https://elsewhere.example", None, 403)):
            for path in ("/api/config", "/api/version", "/"):
                answer = client.get(path, headers={"Origin": origin})
                assert answer.headers.get("access-control-allow-origin") == allowed
            request = client.build_request("GET", socket, headers={**upgrade, "Origin": origin})
            assert client.send(request, stream=True).status_code == status


def test_scripts_read_no_cookie_of_a_sign_in(deployment: Deployment) -> None:
    credentials = {
        "email": deployment.outputs["adminEmail"],
        "password": deployment.outputs["adminPassword"],
    }
    with deployment.client() as client:
        answer: httpx.Response = client.post("/api/v1/auths/signin", json=credentials)
    cookies = answer.headers.get_list("set-cookie")
    assert cookies
    for cookie in cookies:
        flags = {each.strip().lower() for each in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax"} <= flags

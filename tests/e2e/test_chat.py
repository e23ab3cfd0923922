"""What a user does: sign in, choose a model, ask, and watch the answer arrive."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.e2e.browser import ask, choose, sign_in, stop
from tests.e2e.deployment import Deployment

QUESTION = "Tell me a story about a fox and a crow."


def test_a_person_signs_in_asks_and_sees_the_answer_stream_in(
    deployment: Deployment, page: Page
) -> None:
    frames: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(str(frame)))

    page.on("websocket", listen)
    outputs = deployment.outputs
    sign_in(page, deployment, outputs["adminEmail"], outputs["adminPassword"])
    choose(page, outputs["models"][0])
    ask(page, QUESTION)

    answer = page.locator(".chat-assistant")
    expect(answer).to_contain_text(re.compile(r"\w+\W+\w+\W+\w+\W+\w+"))
    pieces = [frame for frame in frames if "output_text.delta" in frame]
    assert len(pieces) > 1, "the answer did not come in pieces over the WebSocket"
    stop(page)


def test_the_api_streams_an_answer(deployment: Deployment) -> None:
    body = {
        "model": deployment.outputs["models"][0],
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "max_tokens": 64,
    }
    with (
        deployment.client(deployment.token) as client,
        client.stream("POST", "/api/chat/completions", json=body) as answer,
    ):
        assert answer.status_code == 200
        events = [
            json.loads(line.removeprefix("data: "))
            for line in answer.iter_lines()
            if line.startswith("data: {")
        ]
    words = [
        choice["delta"].get("content") or ""
        for event in events
        for choice in event.get("choices", [])
    ]
    assert len([word for word in words if word]) > 3
    assert "".join(words).strip()


@pytest.mark.long
def test_fifty_questions_at_the_same_moment(deployment: Deployment) -> None:
    """Each needs several connections of Open WebUI's database when it starts."""
    account = {"email": "fifty@example.com", "name": "Fifty", "password": f"{token_urlsafe()}aA1!"}
    with deployment.client(deployment.token) as admin:
        added = admin.post("/api/v1/auths/add", json={**account, "role": "user"}).json()
        body = {
            "model": deployment.outputs["models"][0],
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 1,
        }

        def ask_once(_: int) -> str:
            with deployment.client(added["token"]) as client:
                answer = client.post("/api/chat/completions", json=body)
            return "answered" if answer.status_code == 200 else answer.text

        try:
            with ThreadPoolExecutor(50) as people:
                answers = Counter(people.map(ask_once, range(50)))
        finally:
            admin.delete(f"/api/v1/users/{added['id']}")
    assert answers == {"answered": 50}


def test_no_one_else_can_sign_up(deployment: Deployment) -> None:
    stranger = {"name": "Eve", "email": "eve@example.com", "password": "correct horse battery"}
    with deployment.client() as client:
        assert client.get("/api/config").json()["features"]["enable_signup"] is False
        assert client.post("/api/v1/auths/signup", json=stranger).status_code == 403


def test_plain_http_is_sent_to_https(deployment: Deployment) -> None:
    with deployment.client() as client:
        answer = client.get(f"http://{deployment.address}/c/1?x=y", follow_redirects=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["location"] == f"{deployment.outputs['url']}/c/1?x=y"


@pytest.mark.long
def test_a_second_preview_shows_no_change(deployment: Deployment) -> None:
    deployment.pulumi("preview", "--expect-no-changes")


def test_the_microphone_is_off(deployment: Deployment, page: Page) -> None:
    page.goto(deployment.outputs["url"])
    allowed = "document.featurePolicy.allowsFeature('microphone')"
    assert page.evaluate(allowed) is False

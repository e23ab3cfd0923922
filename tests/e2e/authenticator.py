"""An authenticator app, and signing in with it through Open WebUI's interface."""

from __future__ import annotations

import base64
import hmac
import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.deployment import Deployment

STEP = 30  # seconds that a code is valid


@dataclass
class Authenticator:
    """What the app on a person's phone has."""

    key: str

    def code(self, steps_later: int = 0) -> str:
        """The code of RFC 6238. Open WebUI takes each once, and the next one early."""
        step = int(time.time()) // STEP + steps_later
        digest = hmac.digest(base64.b32decode(self.key), step.to_bytes(8, "big"), "sha1")
        start = digest[-1] & 15
        number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
        return f"{number % 10**6:06}"


def sign_in(
    deployment: Deployment, email: str, password: str, cookies: dict[str, str] | None = None
) -> dict[str, Any]:
    """A session, or the next step of the sign-in."""
    with deployment.client() as client:
        client.cookies.update(cookies or {})
        answer = client.post("/api/v1/auths/signin", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def send(deployment: Deployment, step: str, challenge: dict[str, Any], **form: Any) -> Any:
    """The answer to one step of a sign-in with a second factor."""
    with deployment.client() as client:
        body = {"challenge_token": challenge["challenge_token"], **form}
        return client.post(f"/api/v1/auths/mfa/{step}", json=body)


def set_up(
    deployment: Deployment, challenge: dict[str, Any]
) -> tuple[Authenticator, dict[str, Any]]:
    """Set up an authenticator; it, and the session with its recovery codes."""
    assert challenge["next_step"] == "enroll"
    app = Authenticator(send(deployment, "enroll/start", challenge).json()["manual_key"])
    answer: httpx.Response = send(deployment, "enroll/confirm", challenge, code=app.code())
    assert answer.status_code == 200, answer.text
    return app, dict(answer.json())


def is_accepted(deployment: Deployment, token: str) -> bool:
    """Whether this session is answered."""
    with deployment.client(token) as client:
        status = client.get("/api/v1/auths/").status_code
    assert status in (200, 401)
    return status == 200

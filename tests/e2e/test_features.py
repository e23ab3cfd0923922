"""All features with a risk, and the strictest settings of signing in: turned on, and off again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ollamazure.settings.base import key_of
from ollamazure.settings.features import Features
from tests.e2e import authenticator
from tests.e2e.authenticator import is_accepted, set_up
from tests.e2e.deployment import Deployment
from tests.e2e.test_multi_factor import in_database

pytestmark = pytest.mark.long
FEATURES = [key_of(name) for name in Features.model_fields]
EMAIL, PASSWORD = "erin@example.org", "a password for the test"
AUDIT = "/srv/data/containers/volumes/open-webui/_data/audit"
# Open WebUI's switches that `features` turns on; the others it only allows.
SWITCHES = (
    "code_execution.enable",
    "code_interpreter.enable",
    "direct.enable",
    "ui.enable_community_sharing",
    "auth.enable_api_keys",
    "ui.enable_user_webhooks",
    "automations.enable",
    "channels.enable",
)
PLUGIN = """
class Pipe:
    def pipe(self, body):
        return "from the plugin"
"""
# With another end, as if the session's time had passed or not.
SIGN_AGAIN = """
import time, jwt
from open_webui.utils.auth import ALGORITHM, SESSION_SECRET
claims = jwt.decode("TOKEN", SESSION_SECRET, algorithms=[ALGORITHM])
claims["exp"] = int(time.time()) + SECONDS
print("token:", jwt.encode(claims, SESSION_SECRET, ALGORITHM))
"""


@dataclass
class On:
    """The chat with everything on, what `pulumi up` printed, and what was made there."""

    deployment: Deployment
    printed: str
    made: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def on(deployment: Deployment) -> Iterator[On]:
    user = {"name": "Erin", "email": EMAIL, "password": PASSWORD, "role": "user"}
    with deployment.client(deployment.token) as client:
        client.post("/api/v1/auths/add", json=user).raise_for_status()
    features = {f"features.{name}": "true" for name in FEATURES}
    other = {"multiFactor": "everyone", "sessionLength": "10m", "auditLogDays": "0"}
    ran = deployment.up(**features, **other)
    deployment.token = set_up(deployment, sign_in(deployment))[1]["token"]
    yield On(deployment, ran.output)
    in_database(deployment, "delete from function")
    in_database(deployment, "update auth set mfa = null")
    in_database(deployment, "delete from channel")
    with deployment.client(deployment.sign_in()) as client:
        [erin] = client.get("/api/v1/users/", params={"query": EMAIL}).json()["users"]
        client.delete(f"/api/v1/users/{erin['id']}").raise_for_status()


def sign_in(deployment: Deployment) -> dict[str, Any]:
    outputs = deployment.outputs
    return authenticator.sign_in(deployment, outputs["adminEmail"], outputs["adminPassword"])


def config_of(deployment: Deployment) -> dict[str, Any]:
    with deployment.client(deployment.token) as client:
        config: dict[str, Any] = client.get("/api/v1/configs/export").json()
    return config


def models(deployment: Deployment, token: str) -> list[str]:
    with deployment.client(token) as client:
        return [model["id"] for model in client.get("/api/models").json()["data"]]


def test_each_feature_is_warned_about_and_the_chat_answers(on: On) -> None:
    for name in FEATURES:
        assert f"ollamazure:features.{name} is on. " in on.printed
    assert on.deployment.ask("Hello?")
    assert on.deployment.ssh("sudo /usr/local/lib/ollamazure/drift.py").output.strip() == "[]"
    config = config_of(on.deployment)
    assert [config[key] for key in SWITCHES] == [True] * len(SWITCHES)


def test_everyone_needs_a_second_factor(on: On) -> None:
    challenge = authenticator.sign_in(on.deployment, EMAIL, PASSWORD)
    assert challenge["next_step"] == "enroll" and "token" not in challenge
    _, session = set_up(on.deployment, challenge)
    assert is_accepted(on.deployment, session["token"])


def test_a_session_ends_after_its_time(on: On) -> None:
    token = on.deployment.token
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["exp"] - claims["iat"] in (599, 600), "Open WebUI reads the clock twice"

    def lasting(seconds: int) -> str:
        code = SIGN_AGAIN.replace("TOKEN", token).replace("SECONDS", str(seconds))
        run = "sudo podman exec --interactive open-webui python3 -"
        return on.deployment.ssh(run, stdin=code).output.rpartition("token: ")[2].strip()

    assert is_accepted(on.deployment, lasting(60))
    assert not is_accepted(on.deployment, lasting(-1))


def test_no_audit_log_is_written(on: On) -> None:
    """The former one is removed once a day."""
    on.deployment.ssh("sudo systemd-tmpfiles --clean ollamazure-audit-log.conf")
    sign_in(on.deployment)
    assert not on.deployment.ssh(f"sudo find {AUDIT} -type f 2>/dev/null || true").output


def test_features_work(on: On) -> None:
    form = {"id": "added", "name": "Added", "content": PLUGIN, "meta": {"description": ""}}
    with on.deployment.client(on.deployment.token) as client:
        client.post("/api/v1/functions/create", json=form).raise_for_status()
        client.post("/api/v1/functions/id/added/toggle").raise_for_status()
        assert "added" in models(on.deployment, on.deployment.token)
        answer = client.post(
            "/api/chat/completions",
            json={"model": "added", "messages": [{"role": "user", "content": "Hello?"}]},
        )
        assert "from the plugin" in answer.text
        on.made["key"] = client.post("/api/v1/auths/api_key").json()["api_key"]
        channel = client.post("/api/v1/channels/create", json={"name": "all"}).json()["id"]
        made = client.post(f"/api/v1/channels/{channel}/webhooks/create", json={"name": "w"}).json()
        on.made["webhook"] = f"/api/v1/channels/webhooks/{made['id']}/{made['token']}"
        assert client.get("/api/v1/automations/list").is_success
    assert on.deployment.outputs["models"][0] in models(on.deployment, on.made["key"])
    assert posts(on)


def posts(on: On) -> bool:
    """Whether anyone can post to the channel by its webhook."""
    with on.deployment.client() as client:
        return client.post(on.made["webhook"], json={"content": "Hello!"}).is_success


def test_all_of_it_is_off_again(on: On) -> None:
    """Also what was made in the meantime."""
    names = [f"ollamazure:{name}" for name in ("features", "sessionLength", "auditLogDays")]
    on.deployment.pulumi("config", "rm-all", *names)
    try:
        ran = on.deployment.up(multiFactor="off")
    finally:
        on.deployment.pulumi("config", "rm", "ollamazure:multiFactor")
    assert "is on. " not in ran.output
    assert "token" in sign_in(on.deployment), "no second factor is asked for"
    config = config_of(on.deployment)
    assert [config[key] for key in SWITCHES] == [False] * len(SWITCHES)
    assert "added" not in models(on.deployment, on.deployment.token)
    assert not posts(on)
    with on.deployment.client(on.made["key"]) as client:
        assert client.get("/api/models").status_code in (401, 403)
    with on.deployment.client(on.deployment.token) as client:
        assert client.get("/api/v1/channels/").status_code in (401, 403)
        assert client.get("/api/v1/automations/list").status_code in (401, 403)
    assert on.deployment.ssh(f"sudo cat {AUDIT}/audit.log").output
    assert on.deployment.ask("Hello?")

"""Changes of the application on a running machine: each touches what it is about and no more."""

from __future__ import annotations

import io
import json
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from playwright.sync_api import Page, expect

from ollamazure import catalog
from tests.e2e.browser import is_blocked, show_in_frame
from tests.e2e.deployment import Deployment, wait_until

SERVICES = ("ollama", "open-webui", "nginx")


def started(deployment: Deployment) -> dict[str, str]:
    """When each service was last started."""
    show = "systemctl show --property=ActiveEnterTimestampMonotonic --value"
    return {unit: deployment.ssh(f"{show} {unit}").output for unit in SERVICES}


def models_of_a_new_user(deployment: Deployment) -> list[str]:
    user = {
        "name": "Bob",
        "email": f"bob-{secrets.token_hex(4)}@example.org",
        "password": secrets.token_urlsafe(),
        "role": "user",
    }
    with deployment.client(deployment.token) as client:
        added = client.post("/api/v1/auths/add", json=user)
        assert added.status_code == 200, added.status_code
    with deployment.client(added.json()["token"]) as client:
        return [model["id"] for model in client.get("/api/models").json()["data"]]


def test_an_ordinary_user_sees_the_models(deployment: Deployment) -> None:
    assert models_of_a_new_user(deployment) == deployment.outputs["models"]


def test_the_settings_are_what_is_declared(deployment: Deployment) -> None:
    with deployment.client(deployment.token) as client:
        config = client.get("/api/v1/configs/export").json()
    assert config["openai.enable"] is False
    assert config["ui.enable_signup"] is False
    assert config["ollama.base_urls"] == ["http://host.containers.internal:11434"]
    assert config["webui.url"] == deployment.outputs["url"]
    assert config["models.default_metadata"]["capabilities"]["builtin_tools"] is False
    assert config["user.permissions"]["features"]["web_search"] is False
    assert config["channels.enable"] is config["automations.enable"] is False


def test_no_administrator_manages_models_in_the_chat(deployment: Deployment) -> None:
    model = deployment.outputs["models"][0]
    with deployment.client(deployment.token) as client:
        for method, path, form in (
            ("POST", "pull", {"model": "127.0.0.1:1/x/y"}),
            ("POST", "create", {"model": "mine", "from": model}),
            ("POST", "copy", {"source": model, "destination": "mine"}),
            ("DELETE", "delete", {"model": model}),
        ):
            answer = client.request(method, f"/ollama/api/{path}", json=form)
            assert answer.status_code == 403, answer.text
            assert "features.modelManagement" in answer.text
        models = client.get("/ollama/api/tags").json()["models"]
    assert [each["name"] for each in models] == deployment.outputs["models"]


@pytest.mark.parametrize("kind", ["functions", "tools"])
def test_no_administrator_adds_code(deployment: Deployment, kind: str) -> None:
    """Python runs it when it is added."""
    content = "import os\nos.mkdir('/tmp/ran')\nclass Pipe: pass\nclass Tools: pass\n"
    form = {"id": "added", "name": "Added", "content": content, "meta": {"description": ""}}
    with deployment.client(deployment.token) as client:
        answer = client.post(f"/api/v1/{kind}/create", json=form)
        assert answer.status_code == 400, answer.text
        assert client.get(f"/api/v1/{kind}/list").json() == []
        from_elsewhere = {"url": "http://host.containers.internal:11434/api/tags"}
        answer = client.post(f"/api/v1/{kind}/load/url", json=from_elsewhere)
        assert answer.status_code == 403 and "features.plugins" in answer.text, answer.text
    deployment.ssh("! sudo podman exec open-webui test -e /tmp/ran")


def test_the_audit_log_has_who_did_what_and_no_text(deployment: Deployment) -> None:
    text, audit = f"text-{secrets.token_hex(8)}", "/usr/local/lib/ollamazure/audit_log.py"
    wrong = {"email": deployment.outputs["adminEmail"], "password": text}
    with deployment.client() as client:
        assert client.post("/api/v1/auths/signin", json=wrong).status_code == 400
    with deployment.client(deployment.sign_in()) as client:
        note = client.post("/api/v1/notes/create", json={"title": text, "data": {}}).json()
        client.delete(f"/api/v1/notes/{note['id']}/delete").raise_for_status()
    lines = deployment.ssh(f"sudo {audit} -1h").output.splitlines()
    admin, address = deployment.outputs["adminEmail"], "198.51.100.1"
    for who, path in (
        (admin, "/api/v1/auths/signin"),
        ("-", "/api/v1/auths/signin"),
        (admin, "/api/v1/notes/create"),
    ):
        assert any(line.endswith(f"Z {who} {address} POST {path}") for line in lines), (who, path)
    folder = "/srv/data/containers/volumes/open-webui/_data/audit"
    deployment.ssh(f"! sudo grep --recursive --quiet {text} {folder}")
    assert deployment.ssh(f"cat {folder}/audit.log", check=False).code != 0


def test_nginx_knows_the_address_of_a_client(deployment: Deployment) -> None:
    with deployment.client() as client:
        client.get("/who-asks")
    log = deployment.ssh("sudo journalctl --no-pager --output cat --unit nginx").output
    assert re.search(r"^198\.51\.100\.1 .*/who-asks", log, re.MULTILINE)


class SlowFile(io.BytesIO):
    """A file whose bytes come at 1 Mbit/s."""

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        time.sleep(len(piece) / 125_000)
        return piece


@pytest.mark.long
def test_an_upload_may_last_longer_than_the_pause_that_ends_it(deployment: Deployment) -> None:
    """6 MB, which take 48 s: more than the 30 s that Nginx waits for headers or between two pieces.

    50 MB take 400 s and differ from this in nothing that Nginx measures.
    """
    content = secrets.token_bytes(6_000_000)
    with deployment.client(deployment.token) as client:
        files = {"file": ("large.bin", SlowFile(content), "application/octet-stream")}
        answer = client.post("/api/v1/files/?process=false", files=files)
        assert answer.status_code == 200, answer.text
        file = f"/api/v1/files/{answer.json()['id']}"
        assert client.get(f"{file}/content").content == content
        assert client.delete(file).status_code == 200


def test_no_service_logs_a_question(deployment: Deployment) -> None:
    question = f"question-{secrets.token_hex(8)}"
    with deployment.client(deployment.token) as client:
        for path in (
            f"/?q={question}",
            f"/api/v1/chats/search?text={question}",
            f"/api/v1/users/search?query={question}",
            f"/oauth/oidc/callback?code={question}",
            "/the-last-request",
        ):
            client.get(path, headers={"Referer": f"{client.base_url}?q={question}"})
    services = " ".join(f"--unit {name}" for name in SERVICES)
    show = f"sudo journalctl --no-pager --output cat {services}"
    wait_until(lambda: "/the-last-request" in deployment.ssh(show).output, "the last request")
    assert question not in deployment.ssh(show).output


def test_open_webui_does_not_limit_sign_ins(deployment: Deployment) -> None:
    """By itself it would refuse the sixteenth to one account, even with the right password."""
    assert [bool(deployment.sign_in()) for _ in range(17)] == [True] * 17


def test_the_bare_name_of_another_site_gets_no_page(deployment: Deployment) -> None:
    with deployment.client() as client:
        assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 421


@dataclass(frozen=True)
class Renewed:
    """What the machine had before one `pulumi up` renewed its certificate and its password."""

    started: dict[str, str]
    fingerprint: str
    password: str


@pytest.fixture(scope="module")
def renewed(deployment: Deployment) -> Renewed:
    outputs = deployment.outputs
    before = Renewed(
        started(deployment), outputs["certificateFingerprint"], outputs["adminPassword"]
    )
    # The number of the renewal period changes, as it does when a period ends. The rotation has only
    # digits: Pulumi takes other random text for a secret that is about to be stored in plain.
    rotation = {"rotation.adminPassword": str(int(time.time()))}
    deployment.up(**{"certificate.renewAfterDays": "200"}, **rotation)
    return before


def test_a_new_certificate_is_taken_up_without_a_restart(
    deployment: Deployment, renewed: Renewed
) -> None:
    assert deployment.outputs["certificateFingerprint"] != renewed.fingerprint
    with deployment.client() as client:  # checks the fingerprint
        assert client.get("/ready").status_code == 200
    assert started(deployment) == renewed.started


def test_a_rotated_password_replaces_the_former(deployment: Deployment, renewed: Renewed) -> None:
    assert deployment.outputs["adminPassword"] != renewed.password
    assert deployment.token
    credentials = {"email": deployment.outputs["adminEmail"], "password": renewed.password}
    with deployment.client() as client:
        refused = client.post("/api/v1/auths/signin", json=credentials)
    assert refused.status_code == 400, refused.status_code


@pytest.mark.long
def test_a_password_set_elsewhere_gives_way_to_the_declared_one(deployment: Deployment) -> None:
    with deployment.client(deployment.token) as client:
        changed = client.post(
            "/api/v1/auths/update/password",
            json={
                "password": deployment.outputs["adminPassword"],
                "new_password": "set in the browser",
            },
        )
    assert changed.status_code == 200, changed.text
    # As docs/how-to/read-the-password.md advises.
    advised = ("--replace", "**::open-webui-admin")
    deployment.pulumi("up", "--yes", "--skip-preview", *advised)
    deployment.forget()
    assert deployment.token


SWITCH_SECOND_FACTOR_OFF = """
import sqlite3
with sqlite3.connect("/app/backend/data/webui.db", timeout=30) as database:
    database.execute("update config set value = 'false' where key = 'auth.mfa.enable'")
    database.execute("update auth set mfa = null")  # with the sign-ins that it counted
"""


@pytest.mark.long
def test_no_command_of_up_signs_in(deployment: Deployment) -> None:
    """A second factor is demanded, and the administrator's sign-ins are used up."""
    tool = "sudo /usr/local/lib/ollamazure/webui-cli"
    credentials = {
        "email": deployment.outputs["adminEmail"],
        "password": deployment.outputs["adminPassword"],
    }
    with deployment.client(deployment.token) as client:
        demanded = {"config": {"auth.mfa.enable": True}}
        client.post("/api/v1/configs/import", json=demanded).raise_for_status()
    try:
        with deployment.client() as client:
            sign_in = partial(client.post, "/api/v1/auths/signin", json=credentials)
            assert "token" not in sign_in().json()
            wait_until(lambda: sign_in().status_code == 429, "the limit on sign-ins")
        ran = deployment.last_check()
        assert ran.code == 0, ran.output
        account = json.dumps({**credentials, "name": "Administrator"})
        assert "can sign in" in deployment.ssh(f"{tool} admin", stdin=account).output
        deployment.ssh(f"{tool} apply-settings /etc/ollamazure/open-webui.json")
    finally:
        switch_off = "sudo podman exec --interactive open-webui python3 -"
        deployment.ssh(switch_off, stdin=SWITCH_SECOND_FACTOR_OFF)
        # For the other tests, it forgets the sign-ins that it counted.
        deployment.ssh("sudo systemctl restart open-webui")
        deployment.forget()
        with deployment.client() as client:
            wait_until(lambda: client.get("/ready").status_code == 200, "Open WebUI")


def test_a_model_that_cannot_be_had_is_named_and_breaks_nothing(deployment: Deployment) -> None:
    before = started(deployment)
    deployment.pulumi("config", "set", "--path", "ollamazure:models[1]", "smollm2:360m")
    try:
        failed = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
    finally:
        deployment.pulumi("config", "rm", "--path", "ollamazure:models[1]")

    assert failed.code != 0
    assert "smollm2:360m cannot be pulled from mirrors.internal:8480/library" in failed.output
    assert "Traceback" not in failed.output
    assert deployment.ask("Hello?")
    deployment.up()  # the stack's outputs name the model until then
    assert started(deployment) == before


# A mirror by HTTPS on the machine itself, with a certificate of a private authority.
HTTPS_MIRROR = """
set -e
sudo install -d /root/tls && sudo tee /root/tls/nginx.conf >/dev/null <<'END'
events {}
http { server {
    listen 127.0.0.1:8443 ssl;
    ssl_certificate /etc/nginx/server.pem;
    ssl_certificate_key /etc/nginx/server.key;
    location / { proxy_pass http://mirrors.internal:8480; proxy_set_header Host $proxy_host; }
} }
END
echo '127.0.0.1 secure.internal' | sudo tee -a /etc/hosts >/dev/null
sudo sh -ec 'cd /root/tls
openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2
openssl req -x509 -CA ca.pem -CAkey ca.key -newkey ed25519 -nodes -keyout server.key \
    -out server.pem -subj /CN=secure.internal -days 2 -addext basicConstraints=CA:FALSE \
    -addext subjectAltName=DNS:secure.internal' 2>/dev/null
# The machine's firewall lets no other program reach the mirror.
echo 'insert rule inet ollamazure output tcp dport 8480 accept' |
    sudo tee /etc/ollamazure/firewall.d/tls.nft >/dev/null
sudo systemctl reload ollamazure-firewall
sudo podman commit --quiet nginx localhost/tls >/dev/null
sudo podman run --detach --rm --name tls --network host --volume /root/tls:/etc/nginx:ro \
    localhost/tls >/dev/null
sudo curl --silent --fail -X DELETE http://127.0.0.1:11434/api/delete -d '{"model": "smollm2:135m"}'
sudo systemctl stop nginx
sudo podman rmi $(sudo sed -n s/^Image=//p /etc/containers/systemd/nginx.container) >/dev/null
sudo cat /root/tls/ca.pem
"""


@pytest.mark.long
def test_mirrors_by_https_are_verified(deployment: Deployment) -> None:
    mirror = "https://secure.internal:8443"
    addresses = {"ollama": f"{mirror}/ollama", "models": mirror, "containers": mirror}
    settings = {f"mirrors.{key}": value for key, value in addresses.items()}
    former = json.loads(deployment.pulumi("config", "get", "ollamazure:mirrors").output)
    authority = deployment.ssh(HTTPS_MIRROR).output
    before = deployment.ssh("cat /etc/ssl/certs/ca-certificates.crt").output
    try:
        with pytest.raises(AssertionError, match="x509: certificate signed by unknown authority"):
            deployment.up(reapply="without the authority", **settings)
        deployment.up(**{"mirrors.certificateAuthority": authority})
        assert deployment.ask("Hello?")
    finally:
        stop = "sudo podman stop tls; sudo podman rmi localhost/tls"
        deployment.ssh(f"{stop}; sudo rm /etc/ollamazure/firewall.d/tls.nft")
        deployment.pulumi("config", "set", "ollamazure:mirrors", json.dumps(former))
        deployment.up(reapply="with the former mirrors")
    assert deployment.ssh("cat /etc/ssl/certs/ca-certificates.crt").output == before


@pytest.mark.long
def test_the_machine_keeps_the_present_image_and_the_one_before(deployment: Deployment) -> None:
    image = "docker.io/library/nginx"
    present = deployment.ssh("sudo podman inspect --format '{{.ImageName}}' nginx").output.strip()
    assert present.startswith(f"{image}@sha256:")
    for former in ("1.28.0", "1.29.0"):
        deployment.ssh(f"sudo podman commit --quiet nginx {image}:{former}")
    deployment.up(nginxVersion="1.29.0")
    deployment.ssh(f"sudo podman rmi {present}")

    deployment.up(nginxVersion=catalog.versions().nginx.tag)

    listed = deployment.ssh(
        f"sudo podman images --filter reference={image} --format '{{{{.Tag}}}}'"
    ).output
    assert sorted(listed.split()) == ["1.29.0", "<none>"], "by its digest, so without a tag"
    volumes = deployment.ssh("sudo podman volume ls --quiet").output.split()
    nameless = [name for name in volumes if re.fullmatch("[0-9a-f]{64}", name)]
    assert sorted({*volumes} - {*nameless}) == ["open-webui"]


def test_an_image_with_another_digest_is_refused(deployment: Deployment) -> None:
    """Nginx keeps its image, also when it starts again."""
    unit, wrong = "/etc/containers/systemd/nginx.container", f"@sha256:{'0' * 64}"
    deployment.ssh(f"sudo sed 's/@sha256:.*/{wrong}/' {unit} | sudo tee {unit}.next")
    start = f"/usr/local/lib/ollamazure/start-nginx $(sed -n s/^Image=//p {unit}.next)"
    try:
        refused = deployment.ssh(f"sudo bash -c '{start}'", check=False)
    finally:
        deployment.ssh(f"sudo rm -f {unit}.next")
    assert refused.code != 0
    assert f"{wrong} cannot be pulled, so nginx keeps the image that it has" in refused.output
    assert "Only an image with exactly this digest is run." in refused.output

    again = f"/usr/local/lib/ollamazure/start-nginx $(sed -n s/^Image=//p {unit})"
    deployment.ssh(f"sudo systemctl daemon-reload && sudo systemctl restart nginx && sudo {again}")
    with deployment.client() as client:
        assert client.get("/").is_success


@pytest.mark.long
def test_an_up_with_another_digest_stops_and_the_chat_goes_on(deployment: Deployment) -> None:
    """Also when Open WebUI starts again before the digest is corrected."""
    assert deployment.token
    before, tag = started(deployment), catalog.versions().open_webui.tag
    wrong = f"{tag}@sha256:{'0' * 64}"
    deployment.pulumi("config", "set", "ollamazure:webuiVersion", wrong)
    try:
        failed = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
        assert failed.code != 0
        assert f"{wrong} cannot be pulled, so open-webui keeps the image" in failed.output
        assert started(deployment) == before
        assert deployment.ask("Hello?")
        deployment.ssh("sudo systemctl daemon-reload && sudo systemctl restart open-webui")
        wait_until(lambda: bool(deployment.ask("Hello?")), "an answer of the former image")
    finally:
        deployment.pulumi("config", "rm", "ollamazure:webuiVersion")
    before = started(deployment)
    deployment.up()
    assert started(deployment) == before
    assert deployment.ask("Hello?")


@pytest.mark.long
def test_a_pull_that_fills_the_disk_leaves_nothing_on_it(deployment: Deployment) -> None:
    """The model then leaves the settings, so that the next `up` has nothing to do."""
    used = "sudo du --summarize --block-size=1 --apparent-size /srv/data/ollama/models | cut -f 1"
    before = deployment.ssh(used).output
    deployment.pulumi("config", "set", "--path", "ollamazure:models[1]", "all-minilm:22m")
    deployment.ssh(
        "sudo fallocate --length $(($(df --block-size=1 --output=avail /srv/data | tail -1)"
        " - 10000000)) /srv/data/filler"
    )
    try:
        failed = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
    finally:
        deployment.ssh("sudo rm /srv/data/filler")
        deployment.pulumi("config", "rm", "--path", "ollamazure:models[1]")
    deployment.up()

    assert failed.code != 0
    assert "no space left on device; what was downloaded is removed" in failed.output
    assert deployment.ssh(used).output == before


@pytest.mark.long
def test_a_run_cut_off_half_way_is_made_good_by_the_next(deployment: Deployment) -> None:
    """A new unit file is there, but the connection broke before the restart."""
    unit = "/etc/containers/systemd/nginx.container"
    next_run = f"sudo /usr/local/lib/ollamazure/start-nginx $(sudo sed -n s/^Image=//p {unit})"
    deployment.ssh(f"echo '# cut off' | sudo tee -a {unit}")
    before = started(deployment)
    deployment.ssh(next_run)
    after = started(deployment)
    assert after.pop("nginx") != before.pop("nginx")
    assert after == before

    deployment.ssh(f"sudo sed -i '$d' {unit} && {next_run}")  # as it was, for the other tests


# The session's process on the machine that the step's lock is held under.
FIND_SESSION = """
pid=$(pgrep --oldest --full '^flock --close /run/ollamazure/open-webui.lock')
while [ -n "$pid" ] && [ "$(ps -o comm= "$pid")" != sshd-session ]; do
    pid=$(ps -o ppid= "$pid" | tr -d ' ')
done
echo "$pid"
"""


def session(deployment: Deployment) -> str:
    return deployment.ssh(FIND_SESSION).output.strip()


@pytest.mark.long
def test_a_connection_lost_half_way_is_made_good_by_the_next_run(deployment: Deployment) -> None:
    deployment.pulumi("config", "set", "--path", "ollamazure:tuning.databasePoolSize", "9")
    with ThreadPoolExecutor() as executor:
        running = executor.submit(deployment.pulumi, "up", "--yes", "--skip-preview", check=False)
        wait_until(lambda: session(deployment) != "", "the step at work")
        deployment.ssh(f"sudo kill {session(deployment)}")
        assert running.result().code != 0

    deployment.up()

    pool = deployment.ssh("sudo podman exec open-webui printenv DATABASE_POOL_SIZE").output
    assert pool.strip() == "9"
    assert deployment.ask("Hello?")


@pytest.fixture
def framed(deployment: Deployment) -> Iterator[str]:
    """The site that the settings let show the chat in a frame."""
    site = "https://portal.example.com"
    deployment.up(**{"frameOrigins[0]": site})
    yield site
    deployment.pulumi("config", "rm", "frameOrigins")
    deployment.up()


@pytest.mark.long
def test_a_site_of_the_settings_shows_the_chat_in_a_frame(
    deployment: Deployment, framed: str, page: Page
) -> None:
    for site in (framed, "https://elsewhere.example.com"):
        show_in_frame(page, site, deployment)
    page.goto(f"{framed}/portal")
    chat = page.frame_locator("iframe")
    chat.locator("input[type=email]").fill(deployment.outputs["adminEmail"])
    chat.locator("input[type=password]").fill(deployment.outputs["adminPassword"])
    with page.expect_response("**/api/v1/auths/signin") as answer:
        chat.locator("button[type=submit]").click()
    expect(chat.locator("#chat-input")).to_be_visible(timeout=120_000)
    cookie = answer.value.header_value("set-cookie") or ""
    assert re.search("^token=.*; SameSite=None; Secure$", cookie)

    with page.expect_event("requestfailed", is_blocked):
        page.goto("https://elsewhere.example.com/portal")
    expect(chat.locator("#chat-input")).to_have_count(0)

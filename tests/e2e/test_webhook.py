"""Reports to a webhook. It is on the machine itself, with a certificate that the machine trusts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.test_hardening import EXPOSURE
from tests.e2e.test_operations import command_lines, rows, run
from tests.unit.ollamazure.settings.test_provided_certificate import Signer

TOKEN = "a-token-that-no-one-may-see"
AUTHORITY = "/usr/local/share/ca-certificates/test-webhook.crt"
REPORT = "sudo systemctl start ollamazure-webhook"
RECEIVER = """
import http.server, ssl

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/root/webhook.log", "ab") as log:
            log.write(body + b"\\n")
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/webhook.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8444), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def webhook(deployment: Deployment) -> Iterator[Deployment]:
    root = Signer("Company root", authority=True)
    server = Signer("localhost", root, names=["localhost"])
    deployment.ssh("sudo tee /root/webhook.pem >/dev/null", stdin=server.pem + server.key_pem)
    deployment.ssh(f"sudo tee {AUTHORITY}", stdin=root.pem)
    deployment.ssh("sudo update-ca-certificates && sudo touch /root/webhook.log")
    deployment.ssh("sudo tee /root/receiver.py >/dev/null", stdin=RECEIVER)
    deployment.ssh("sudo systemd-run --quiet --unit test-webhook python3 /root/receiver.py")
    listens = "ss --no-header --tcp --listening --numeric 'sport = :8444'"
    wait_until(lambda: bool(deployment.ssh(listens).output), "the webhook")
    address = f"https://localhost:8444/hooks/{TOKEN}"
    deployment.pulumi("config", "set", "--secret", "ollamazure:webhook", stdin=address)
    yield deployment
    deployment.pulumi("config", "rm", "ollamazure:webhook", check=False)
    deployment.ssh(f"sudo rm -f {AUTHORITY} && sudo update-ca-certificates --fresh")
    deployment.ssh("sudo systemctl stop test-webhook", check=False)  # the test may have ended it
    deployment.ssh("sudo rm -f /root/webhook* /root/receiver.py")
    deployment.up()


def messages(deployment: Deployment) -> list[Any]:
    log = deployment.ssh("sudo cat /root/webhook.log").output
    return [json.loads(line) for line in log.splitlines()]


def reported(deployment: Deployment, kind: str) -> list[str]:
    """The ids of all that was ever reported: problems, or what is over."""
    return [each["id"] for message in messages(deployment) for each in message[kind]]


def test_each_change_is_reported_once_and_the_address_stays_secret(webhook: Deployment) -> None:
    ran = webhook.up()
    assert "Warning: the webhook" not in ran.output
    [first] = messages(webhook)
    assert (first["stack"], first["url"]) == (webhook.stack, webhook.outputs["url"])
    assert "from now on" in json.dumps(first)

    webhook.ssh("sudo systemctl stop nginx")
    try:
        for _ in range(4):
            webhook.ssh(REPORT)
        assert {"service.nginx", "chat"} <= {*reported(webhook, "problems")}
        assert reported(webhook, "problems").count("service.nginx") == 1
    finally:
        webhook.ssh("sudo systemctl start nginx")
    wait_until(lambda: bool(webhook.ask("Hello?")), "an answer", patience=300)
    for _ in range(4):
        webhook.ssh(REPORT)
    assert reported(webhook, "over").count("service.nginx") == 1
    assert reported(webhook, "over").count("chat") == 1
    assert rows(run(webhook, "status").output)["Webhook"].startswith("last report ")

    webhook.ssh("sudo systemctl stop test-webhook && sudo systemctl stop nginx")
    try:
        webhook.ssh(f"{REPORT} && {REPORT}")
        named = "cannot be reached (Connection refused)"
        assert named in run(webhook, "status").output
    finally:
        webhook.ssh("sudo systemctl start nginx")

    assert webhook.ssh("sudo stat --format %a /etc/ollamazure/webhook-address").output == "600\n"
    assert TOKEN not in ran.output
    assert TOKEN not in command_lines()
    assert TOKEN not in webhook.ssh("sudo journalctl --boot --output cat").output
    seen = webhook.ssh("sudo grep --recursive --files-with-matches a-token-that /etc /var/lib")
    assert seen.output == "/etc/ollamazure/webhook-address\n"
    unit = "ollamazure-webhook.service"
    webhook.ssh(f"systemd-analyze security --no-pager --threshold={EXPOSURE} {unit}")
    assert run(webhook, "drift").code == 0

    webhook.pulumi("config", "rm", "ollamazure:webhook")
    webhook.up()
    assert webhook.ssh("systemctl is-active ollamazure-webhook.timer", check=False).code != 0
    assert webhook.ssh("ls /etc/ollamazure/webhook-address", check=False).code != 0
    assert run(webhook, "drift").code == 0

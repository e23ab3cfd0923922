"""Where a setting lets users read web pages: public addresses only, also behind a redirect."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.deployment import Deployment
from tests.e2e.hostile_table import ADDRESSES, METADATA, NOT_READ, OLLAMA
from tests.e2e.test_hostile_requests import Witness, json_of

pytestmark = pytest.mark.long

# Public for Open WebUI, and no server: of a prefix for sinkholes (AS112, RFC 7534). Here it is
# on the loopback interface of Open WebUI's container only.
PUBLIC = "192.175.48.2"
# A site at that address: a page, and redirects to what their path says.
START = """
set -e
cat > /run/site.py <<'END'
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        _, kind, address = self.path.split("/", 2)
        self.send_response(302 if kind == "redirect" else 200)
        self.send_header("Location" if kind == "redirect" else "X-Nothing", unquote(address))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>The lighthouse is red.</p>")

HTTPServer((sys.argv[1], 80), Handler).serve_forever()
END
network=/proc/$(podman inspect --format '{{.State.Pid}}' open-webui)/ns/net
nsenter --net=$network ip address add $1/32 dev lo
systemd-run --quiet --unit site --property NetworkNamespacePath=$network python3 /run/site.py $1
nsenter --net=$network curl --silent --retry 30 --retry-connrefused --output /dev/null http://$1/x/
"""


@dataclass
class Reader:
    """A user who may read web pages, and where Open WebUI connected to for that."""

    client: httpx.Client
    witness: Witness

    def read(self, url: str, how: str = "url") -> httpx.Response:
        return self.client.post(f"/api/v1/retrieval/process/{how}?process=false", json={"url": url})


@pytest.fixture(scope="module")
def reader(deployment: Deployment) -> Iterator[Reader]:
    deployment.up(**{"defaultPermissions.chat.web_upload": "true"})
    witness = Witness(deployment)
    account = {"email": "reader@example.com", "name": "Reader", "password": secrets.token_urlsafe()}
    with ExitStack() as stack:
        stack.callback(deployment.up)
        stack.callback(
            deployment.pulumi, "config", "rm", "--path", "ollamazure:defaultPermissions.chat"
        )
        admin = stack.enter_context(deployment.client(deployment.token))
        user = json_of(admin.post("/api/v1/auths/add", json={**account, "role": "user"}))
        stack.callback(admin.delete, f"/api/v1/users/{user['id']}")
        stack.callback(deployment.ssh, "sudo systemctl stop site")
        deployment.ssh(f"sudo bash -s {PUBLIC}", stdin=START)
        witness.start()
        stack.callback(witness.stop)
        yield Reader(stack.enter_context(deployment.client(user["token"])), witness)


def test_a_public_page_is_read(reader: Reader) -> None:
    answer = json_of(reader.read(f"http://{PUBLIC}/page/"))
    assert "The lighthouse is red." in answer["content"]


@pytest.mark.parametrize("how", ["url", "web"])
@pytest.mark.parametrize("url", [METADATA, OLLAMA, "http://127.0.0.1:8080/api/version"])
def test_a_redirect_leads_nowhere_inside(reader: Reader, url: str, how: str) -> None:
    reader.read(f"http://{PUBLIC}/redirect/{quote(url, safe='')}", how)
    assert reader.witness.destinations() == {f"{PUBLIC} . 80"}


@pytest.mark.parametrize("how", ["url", "web", "youtube"])
def test_no_private_address_is_read(reader: Reader, how: str) -> None:
    before = reader.witness.destinations()
    for url in ADDRESSES:
        answer = reader.read(url.replace("{host}", "127.0.0.1"), how)
        assert answer.status_code in NOT_READ, f"{url}: {answer.text[:200]}"
        assert reader.witness.destinations() == before, url

"""A machine that reaches nothing but an HTTP proxy: Debian's tinyproxy, on the emulated router."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.host.network import MIRROR_PORT
from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.openid import router_of

pytestmark = pytest.mark.long
GATEWAY, PORT = "10.0.0.1", 8888
MIRRORS = "mirrors.internal"
CONFIGURATION = f"""
Listen {GATEWAY}
Port {PORT}
Timeout 600
MaxClients 100
Allow 10.0.0.0/16
LogLevel Connect
"""
# The links of the machines to the router are nic0, nic1 …
CLOSED = f"""
table inet closed {{
    chain input {{
        type filter hook input priority filter - 5
        iifname "nic*" tcp dport {MIRROR_PORT} counter drop
    }}
    chain forward {{
        type filter hook forward priority filter - 5
        iifname "nic*" ct state new meta l4proto tcp counter drop
        iifname "nic*" ct state new drop
    }}
}}
"""


class Proxy:
    """tinyproxy on the router of a deployment's virtual network, which lets nothing else out."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._router = router_of(deployment)
        self._log, file = folder / "tinyproxy.log", folder / "tinyproxy.conf"
        file.write_text(CONFIGURATION + f'LogFile "{self._log}"\n')
        names = Path("/etc/hosts").read_text() + f"{GATEWAY} {MIRRORS} blobs.{MIRRORS}\n"
        (folder / "hosts").write_text(names)
        self._run("nft", "-f", "-", stdin=CLOSED)
        start = f"mount --bind {folder}/hosts /etc/hosts && exec tinyproxy -d -c {file}"
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self._router, "unshare", "--mount", "sh", "-c", start]
        )
        wait_until(lambda: bool(self._run("ss", "-Hltn", f"sport = :{PORT}")), "tinyproxy listens")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def requests(self) -> str:
        """What was requested from the proxy."""
        return self._log.read_text(errors="replace")

    def dropped(self) -> str:
        """The rules with their counters, after `packets`."""
        return self._run("nft", "list", "table", "inet", "closed")

    def _run(self, *command: str, stdin: str = "") -> str:
        return subprocess.run(
            ["ip", "netns", "exec", self._router, *command],
            input=stdin,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Proxy]]:
    """A stack that is deployed from nothing through the proxy."""
    folder = tmp_path_factory.mktemp("proxied")
    deployment = Deployment(folder / "emulator")
    proxy = None
    try:
        address = f"http://{GATEWAY}:{PORT}"
        deployment.pulumi("config", "set", "--path", "ollamazure:proxy.url", address)
        network = ("--target", "**::chat", "--target", "**Network**")
        deployment.pulumi("up", "--yes", "--skip-preview", *network)
        proxy = Proxy(deployment, folder)
        deployment.up()
        yield deployment, proxy
    finally:
        if proxy:
            proxy.stop()
        remove(deployment.home)


def test_everything_comes_through_the_proxy(proxied: tuple[Deployment, Proxy]) -> None:
    """Ollama, the model and both images; the answer check has had an answer."""
    _, proxy = proxied
    requests = proxy.requests()
    for part in ("/ollama/v", "/v2/library/smollm2/", "/v2/open-webui/", "/v2/library/nginx/"):
        assert f"{MIRRORS}:{MIRROR_PORT}{part}" in requests, part
    assert "packets 0 bytes 0" in proxy.dropped().split("chain forward")[0]


def test_every_program_knows_the_proxy_and_what_needs_none(
    proxied: tuple[Deployment, Proxy],
) -> None:
    deployment, _ = proxied
    address = f"http://{GATEWAY}:{PORT}"
    assert address in deployment.ssh("apt-config dump Acquire::http::Proxy").output
    shown = "sudo cat /proc/$(systemctl show --property MainPID --value ollama)/environ"
    environment = deployment.ssh(f"{shown} | tr '\\0' '\\n'").output
    assert f"https_proxy={address}" in environment
    assert "169.254.169.254,168.63.129.16" in environment
    seen_at_boot = deployment.ssh("sudo cat /var/lib/cloud/instance/user-data.txt").output
    assert f'Acquire::http::Proxy "{address}";' in seen_at_boot


def test_nothing_else_is_reached(proxied: tuple[Deployment, Proxy]) -> None:
    """By the machine's own firewall: the packets do not even arrive at the router."""
    deployment, proxy = proxied
    before = proxy.dropped()
    direct = f"curl --noproxy '*' --max-time 5 --silent --output /dev/null http://{MIRRORS}"
    assert deployment.ssh(f"sudo {direct}:{MIRROR_PORT}/v2/", check=False).code != 0
    assert deployment.ssh(
        "sudo curl --noproxy '*' --max-time 5 https://192.0.2.1", check=False
    ).code
    assert proxy.dropped() == before
    through = f"sudo curl --proxy http://{GATEWAY}:{PORT} --fail --silent http://{MIRRORS}"
    assert deployment.ssh(f"{through}:{MIRROR_PORT}/v2/").code == 0


def test_an_exception_is_reached_directly_and_the_machine_stays(
    proxied: tuple[Deployment, Proxy],
) -> None:
    deployment, _ = proxied
    exceptions = ("ollamazure:proxy.exceptions[0]", "10.0.0.0/24")
    deployment.pulumi("config", "set", "--path", *exceptions)
    changed = deployment.pulumi("preview", "--diff").output
    assert "replace" not in changed.lower().split("resources:")[-1]
    deployment.up()
    assert (
        "10.0.0.0/24 tcp dport { 80, 443 } accept"
        in deployment.ssh("sudo nft list chain inet ollamazure internet").output
    )

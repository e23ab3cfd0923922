"""The program with the settings of the stack `dev` creates what the guide creates by hand.

docs/explanation/guide.md names these tests, and others that check a deployed machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.machine import render_user_data
from ollamazure.azure.stack_file import StackFile
from ollamazure.settings.stack import Settings
from tests.unit.components.recorder import Recorder
from tests.unit.components.test_cloud import CALLS, whole_program

PROJECT = Path(__file__).resolve().parents[2]
ADDRESS = CALLS["azure-native:network:getPublicIPAddress"]["ipAddress"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    dev = StackFile.read("dev", PROJECT)
    return StackFile("dev", {**dev.config, "ollamazure:sshClients": ["192.0.2.7"]}).settings()


@pytest.fixture(scope="module")
def chat() -> Recorder:
    """The whole program, with the settings of Pulumi.dev.yaml."""
    return whole_program("dev")


@pytest.fixture(scope="module")
def first_boot() -> dict[str, Any]:
    rendered: dict[str, Any] = yaml.safe_load(render_user_data("private", "ssh-ed25519 AAAA"))
    return rendered


def guest(path: str) -> str:
    return (PROJECT / "guest" / path).read_text(encoding="utf-8")


def test_a_b2ms_with_debian(chat: Recorder) -> None:
    vm = chat.named("vm").inputs
    assert vm["hardwareProfile"] == {"vmSize": "Standard_B2ms"}
    image = vm["storageProfile"]["imageReference"]
    assert (image["publisher"], image["offer"], image["sku"]) == (
        "Debian",
        "debian-13",
        "13-gen2",
    )


def test_the_same_model(chat: Recorder) -> None:
    assert "pull llama3.2:1b" in chat.named("model-llama3.2-1b").inputs["stdin"]


def test_packages_are_upgraded_and_podman_and_htop_installed(first_boot: dict[str, Any]) -> None:
    assert first_boot["package_upgrade"] is True
    assert {"htop", "podman"} <= set(first_boot["packages"])


def test_ollama_listens_on_all_interfaces() -> None:
    assert "Environment=OLLAMA_HOST=0.0.0.0:11434" in guest("etc/systemd/system/ollama.service.j2")


def test_network_containers_and_volume_keep_their_names() -> None:
    network = guest("etc/containers/systemd/mynet.network")
    webui = guest("etc/containers/systemd/open-webui.container.j2")
    nginx = guest("etc/containers/systemd/nginx.container.j2")

    assert "NetworkName=mynet" in network
    assert "ContainerName=open-webui" in webui
    assert "Volume=open-webui:/app/backend/data" in webui
    assert "ContainerName=nginx" in nginx
    for container in (webui, nginx):
        assert "Network=mynet.network" in container
        assert "Restart=always" in container


def test_the_host_has_its_name_and_a_fixed_address_for_containers() -> None:
    gateway = "10.89.0.1"
    assert f"Gateway={gateway}" in guest("etc/containers/systemd/mynet.network")
    assert f"AddHost=host.containers.internal:{gateway}" in guest(
        "etc/containers/systemd/open-webui.container.j2"
    )


def test_the_connection_to_ollama_is_preset(chat: Recorder) -> None:
    create = chat.named("open-webui").inputs["stdin"]
    assert "OLLAMA_BASE_URLS=http://host.containers.internal:11434" in create


def test_the_certificate_says_what_the_guide_says(chat: Recorder) -> None:
    certificate, request = chat.named("certificate"), chat.named("certificate-request")
    key = chat.named("certificate-key").inputs

    assert (key["algorithm"], key["rsaBits"]) == ("RSA", 2048)
    assert certificate.inputs["validityPeriodHours"] == 365 * 24
    assert request.inputs["subject"] == {
        "country": "FR",
        "province": "France",
        "locality": "Paris",
        "organization": "Company",
        "commonName": ADDRESS,
    }
    assert request.inputs["ipAddresses"] == [ADDRESS]


def test_https_is_open_and_open_webuis_port_is_not(chat: Recorder) -> None:
    rules = chat.named("nsg").inputs["securityRules"]
    ports = {rule["destinationPortRange"] for rule in rules if rule["access"] == "Allow"}
    assert ports == {"22", "80", "443"}


def test_nginx_takes_as_many_connections() -> None:
    found = re.search(r"worker_connections (\d+);", guest("etc/nginx/nginx.conf.j2"))
    assert found
    # More than the guide's 1024: each request has a second connection, to Open WebUI.
    assert int(found[1]) >= 1024


def test_the_administrator_is_declared(chat: Recorder, settings: Settings) -> None:
    assert settings.admin_email in chat.named("open-webui-admin").inputs["stdin"]
    declared = chat.named("open-webui-settings").inputs["stdin"]
    assert '"ui.enable_signup": false' in declared

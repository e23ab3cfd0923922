"""The proxy of a company network: its values, and what follows from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.stack import Settings

URL = "http://proxy.example.com:3128"


def settings_of(*, proxy: dict[str, Any], **given: str) -> Settings:
    settings = {"sshClients": '["203.0.113.7"]', "proxy": json.dumps(proxy), **given}
    return parse(settings, secrets=frozenset({"backupSecretKey"}))


def test_values_are_in_their_usual_form() -> None:
    exceptions = ["*.Intern.example.com", "10.20.0.1/16", "10.0.0.9/32", "mirror"]
    proxy = settings_of(proxy={"url": f" {URL.upper()[:4]}{URL[4:]}/ "[1:-1].lower()}).proxy
    assert (proxy.url, proxy.host, proxy.port, proxy.address) == (
        URL, "proxy.example.com", 3128, None
    )  # fmt: skip
    proxy = settings_of(proxy={"url": "http://10.0.0.9:8080", "exceptions": exceptions}).proxy
    assert proxy.exceptions == (".intern.example.com", "10.20.0.0/16", "10.0.0.9", "mirror")
    assert proxy.address == "10.0.0.9" and proxy.direct is None
    assert {"127.0.0.1", "169.254.169.254", "168.63.129.16", "mirror"} <= {*proxy.never}
    assert ProxySettings(url=URL, exceptions=("10.0.0.0/8",)).direct == ["10.0.0.0/8"]
    assert ProxySettings(url=URL).direct == []


def test_a_password_in_the_address_is_not_shown() -> None:
    with pytest.raises(SettingsError) as error:
        settings_of(proxy={"url": "http://me:a-password@proxy.example.com:3128"})
    assert "a-password" not in str(error.value)
    assert "http://[secret]@proxy.example.com:3128" in str(error.value)


S3 = '{"target": "s3", "repository": "s3:http://s3.example.com:9000/b/c", "accessKeyId": "id"}'
MIRRORS = '{"models": "http://mirrors.example.com:8480"}'


@pytest.mark.parametrize(
    ("proxy", "mirror_ports", "backup_ports"),
    [
        ({}, [8480], [9000]),
        ({"url": URL}, [], []),
        ({"url": URL, "exceptions": [".example.com"]}, [8480], [9000]),
    ],
)
def test_only_exceptions_need_ports_beside_the_proxy(
    proxy: dict[str, Any], mirror_ports: list[int], backup_ports: list[int]
) -> None:
    secret = {"backup": S3, "backupSecretKey": "a-secret-key", "mirrors": MIRRORS}
    ports = settings_of(proxy=proxy, **secret).outbound_ports
    assert ports["mirror_ports"] == mirror_ports
    assert ports["backup_ports"] == backup_ports


def test_open_webui_reaches_pages_through_the_proxy() -> None:
    allowed = '{"chat": {"web_upload": true}}'
    for proxy, ports in (({}, [443]), ({"url": URL}, [])):
        settings = settings_of(proxy=proxy, defaultPermissions=allowed)
        assert settings.outbound_ports["web_ports"] == ports
        assert settings.webui_uses_proxy is bool(proxy)
    assert not settings_of(proxy={"url": URL}).webui_uses_proxy

"""The variables of the proxy, as shells and programs of the machine read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import proxy
import pytest

from components.remote_command import GUEST, proxy_values, render_file
from ollamazure.settings.proxy import ProxySettings

URL = "http://proxy.example.com:3128"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(proxy, "FILE", tmp_path / "proxy.env")
    return tmp_path / "proxy.env"


def write(file: Path, **given: str) -> None:
    values = proxy_values(ProxySettings(**given))  # type: ignore[arg-type]
    file.write_text(render_file("/etc/ollamazure/proxy.env", **values))


def shell(file: Path, command: str) -> str:
    lib = (GUEST / "usr/local/lib/ollamazure/lib.sh").read_text()
    lib = lib.replace("/etc/ollamazure/proxy.env", str(file))
    done = subprocess.run(
        ["bash", "-euc", f"{lib}\n{command}"],
        env={"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def test_programs_and_shells_find_the_proxy(file: Path) -> None:
    write(file, url=URL)
    found = proxy.environment()
    assert found["https_proxy"] == found["HTTP_PROXY"] == URL
    for address in ("127.0.0.1", "10.89.0.0/24", "169.254.169.254", "168.63.129.16"):
        assert address in found["no_proxy"].split(",")
    for name, value in found.items():
        assert shell(file, f"printenv {name}") == f"{value}\n"


def test_without_a_proxy_there_are_no_variables(file: Path) -> None:
    for _ in range(2):
        assert proxy.environment() == {}
        assert "proxy" not in shell(file, "printenv")
        write(file)

"""The machine's files, each read by the program that reads it on the machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from components import remote_command
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from tests.unit.guest import tree

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"

HIGHEST_EXPOSURE = 3.0
OLLAMA = {
    "context_length": 4096,
    "num_parallel": 1,
    "max_loaded_models": 1,
    "memory_limit_mib": 5539,
    "load_seconds": 764,
    "prompt_cache_mib": 256,
    "keep_alive": "24h",
    "proxy": False,
}


def scripts() -> list[Path]:
    return [
        path
        for path in tree.files()
        if path.suffix == ".sh" or path.read_text().startswith("#!/bin/bash")
    ]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.name)
def test_shellcheck(script: Path) -> None:
    checked = run("shellcheck", "--external-sources", script)
    assert checked.returncode == 0, checked.stdout


def test_no_script_protects_a_name_that_a_function_of_lib_sets() -> None:
    """`local` fails for a name that the script has made readonly."""
    local = {
        name
        for line in re.findall(r"^    local (.*)", (TOOLS / "lib.sh").read_text(), re.MULTILINE)
        for name in re.findall(r"(?:^| )(\w+)(?==| |$)", line)
    }
    assert {"unit", "content", "url", "file"} <= local
    for script in scripts():
        text = script.read_text()
        if "/usr/local/lib/ollamazure/lib.sh" in text:
            readonly = re.findall(r"(?:^readonly |^readonly .* )(\w+)=", text, re.MULTILINE)
            assert not local & set(readonly), script.name


def test_shellcheck_of_a_whole_command(tmp_path: Path) -> None:
    """What surrounds every script: the outer command, and the script with its secrets."""
    outer, inner = tmp_path / "outer.sh", tmp_path / "inner.sh"
    outer.write_text(remote_command.command("step"))
    files = [(remote_command.File("/etc/x"), b"x\n")]
    script = remote_command.render_script(
        "step", "secret word", files, purpose="test", machine="vm-1", secrets=True
    )
    inner.write_text(remote_command.add_secrets(script, '{"word": "x"}'))

    for shell, path in (("sh", outer), ("bash", inner)):
        # SC2016: what to do next is words for people, with `commands` in them.
        checked = run("shellcheck", "--shell", shell, "--exclude", "SC2016", path)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("gpu", [False, True])
def test_ollama_unit(tmp_path: Path, gpu: bool) -> None:
    text = remote_command.render_file("/etc/systemd/system/ollama.service", gpu=gpu, **OLLAMA)
    unit = tmp_path / "ollama.service"
    unit.write_text(re.sub(r"/usr/(local/bin/ollama|bin/nvidia-modprobe)", "/bin/true", text))

    verified = run("systemd-analyze", "verify", "--recursive-errors=no", unit)

    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize("gpu", [False, True])
def test_ollama_is_confined(tmp_path: Path, gpu: bool) -> None:
    unit = tmp_path / "ollama.service"
    path = "/etc/systemd/system/ollama.service"
    unit.write_text(remote_command.render_file(path, gpu=gpu, **OLLAMA))
    assert exposure(unit) <= HIGHEST_EXPOSURE


@pytest.mark.parametrize("name", ["container-dns", "load-model", "webhook", "node-exporter"])
def test_what_runs_beside_the_applications_is_confined(name: str) -> None:
    unit = remote_command.GUEST / f"etc/systemd/system/ollamazure-{name}.service"
    assert exposure(unit) <= HIGHEST_EXPOSURE


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` finds, from 0 (confined) to 10."""
    found = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    overall = re.search(r"Overall exposure level for .*: ([\d.]+) ", found.stdout)
    assert overall, found.stderr
    return float(overall[1])


def test_every_hardening_line_of_ollama_says_why() -> None:
    text = remote_command.render_file("/etc/systemd/system/ollama.service", gpu=False, **OLLAMA)
    block = text.split("# Ollama serves every client")[1].split("[Install]")[0]
    for group in re.split(r"\n(?=#)", block)[1:]:
        assert len(group.strip().splitlines()) > 1, group


@pytest.mark.parametrize("unit", ["open-webui", "nginx"])
def test_containers_start_only_with_the_data_disk(unit: str) -> None:
    text = container(unit)
    assert "RequiresMountsFor=/srv/data\n" in text
    assert "AssertPathExists=/srv/data/.ollamazure-data\n" in text
    assert f"ContainerName={unit}\n" in text
    assert "Pull=never\n" in text


def test_open_webui_publishes_no_port() -> None:
    text = container("open-webui")
    assert "PublishPort" not in text
    assert "AddHost=host.containers.internal:10.89.0.10\n" in text
    assert "Volume=open-webui:/app/backend/data:idmap\n" in text


@pytest.mark.parametrize("unit", ["open-webui", "nginx"])
def test_containers_are_confined(unit: str) -> None:
    lines = container(unit).splitlines()
    assert {"ReadOnly=true", "NoNewPrivileges=true", "DropCapability=all"} <= set(lines)
    for start in ("UIDMap=0:2", "GIDMap=0:2", "IP=10.89.0.1", "MemoryMax=", "TasksMax="):
        assert [line for line in lines if line.startswith(start)], start


def test_the_firewall_knows_the_addresses_of_the_containers() -> None:
    firewall = remote_command.render_file("/etc/ollamazure/firewall.nft")
    for unit in ("open-webui", "nginx"):
        name = unit.replace("-", "_")
        (address,) = re.findall(rf"^define {name} = (\S+)$", firewall, re.MULTILINE)
        assert f"\nIP={address}\n" in container(unit)


def test_web_pages_are_fetched_only_if_users_may_use_them() -> None:
    nowhere = "Environment=WEB_FETCH_FILTER_LIST=nowhere.invalid\n"
    assert nowhere in container("open-webui")
    assert nowhere not in container("open-webui", web_access=True)


def test_no_code_of_administrators_runs_unless_the_settings_allow_it() -> None:
    off = container("open-webui")
    for switch in ("FUNCTIONS", "TOOLS", "TOOL_SERVERS"):
        assert f"Environment=ENABLE_{switch}=false\n" in off
    assert "Environment=ENABLE_FUNCTIONS=true\n" in container("open-webui", plugins=True)
    assert "Environment=ENABLE_TOOL_SERVERS=true\n" in container("open-webui", tool_servers=True)
    assert "Environment=ENABLE_LOCAL_WEB_FETCH=false\n" in container("open-webui", web_access=True)


@pytest.mark.parametrize(
    ("multi_factor", "is_set"),
    [(None, False), ("off", False), ("offered", True), ("administrators", True)],
)
def test_a_second_factor_is_demanded_from_the_first_start(
    multi_factor: str | None, is_set: bool
) -> None:
    text = container("open-webui", multi_factor=multi_factor)
    assert ("Environment=ENABLE_MFA=true\n" in text) is is_set
    assert (f"Environment=OLLAMAZURE_MULTI_FACTOR={multi_factor}\n" in text) is is_set


def test_the_audit_log_has_no_content_and_can_be_off() -> None:
    assert "Environment=AUDIT_LOG_LEVEL=METADATA\n" in container("open-webui", audit_log=True)
    assert "AUDIT" not in container("open-webui")


@pytest.mark.parametrize(("days", "kept"), [(90, {"audit.log", "audit.new.zip"}), (0, set())])
def test_an_old_audit_log_is_removed(tmp_path: Path, days: int, kept: set[str]) -> None:
    """But never the file that Open WebUI writes to."""
    rules = tmp_path / "rules.conf"
    text = remote_command.render_file("/etc/tmpfiles.d/ollamazure-audit-log.conf", days=days)
    folder = tmp_path / "audit"
    rules.write_text(
        text.replace("/srv/data/containers/volumes/open-webui/_data/audit", f"{folder}")
    )
    folder.mkdir()
    old = time.time() - 100 * 24 * 3600
    for name in ("audit.log", "audit.old.zip", "audit.new.zip"):
        (folder / name).touch()
    for name in ("audit.log", "audit.old.zip"):
        os.utime(folder / name, (old, old))
    cleaned = run("systemd-tmpfiles", "--clean", rules)
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert {file.name for file in folder.iterdir()} == kept


def container(unit: str, **values: Any) -> str:
    defaults = {
        "web_access": False,
        "plugins": False,
        "proxy": None,
        "tool_servers": False,
        "language": None,
        "multi_factor": None,
        "audit_log": False,
    }
    return remote_command.render_file(
        f"/etc/containers/systemd/{unit}.container",
        image="registry/image:tag",
        url="https://chat",
        sign_in=False,
        database_pool_size=8,
        memory_limit_mib=1740,
        ollama_url="http://host.containers.internal:11434",
        **{**defaults, **values},
    )


@pytest.mark.parametrize(
    ("mirror", "location", "insecure"),
    [
        ("http://mirrors.internal:8480", "mirrors.internal:8480", True),
        ("https://mirrors.internal:8480", "mirrors.internal:8480", False),
        ("https://mirrors.internal/public", "mirrors.internal/public", False),
        ("mirrors.internal", "mirrors.internal", False),
    ],
)
def test_only_http_makes_a_mirror_insecure(mirror: str, location: str, insecure: bool) -> None:
    assert registries(mirror) == {
        "ghcr.io": [{"location": location, "insecure": insecure}],
        "docker.io": [{"location": location, "insecure": insecure}],
    }
    assert registries(None) == {}


def registries(mirror: str | None) -> dict[str, Any]:
    text = remote_command.render_file(
        "/etc/containers/registries.conf.d/ollamazure.conf", mirror=mirror
    )
    return {entry["prefix"]: entry["mirror"] for entry in tomllib.loads(text).get("registry", [])}


def test_the_file_of_the_mirrors_authority() -> None:
    path = "/etc/ollamazure/mirrors-ca.pem"
    empty = remote_command.render_file(path, authority=None)
    assert "CERTIFICATE" not in empty
    full = remote_command.render_file(path, authority=EXAMPLE_AUTHORITY)
    assert full == empty + EXAMPLE_AUTHORITY


def test_declared_settings_are_json() -> None:
    value = {"config": {"a": False, "b": "<'\"&>"}}
    text = remote_command.render_file("/etc/ollamazure/open-webui.json", declared=value)
    assert json.loads(text) == value


@pytest.mark.skipif(os.geteuid() != 0, reason="nft asks the kernel, which takes root")
def test_the_firewall_admits_no_client_but_those_that_are_allowed(tmp_path: Path) -> None:
    """Before the file of the setting exists, as at the first boot, it admits no client."""
    firewall = remote_command.render_file("/etc/ollamazure/firewall.nft")
    loaded = tmp_path / "firewall.nft"
    loaded.write_text(firewall.replace("/etc/ollamazure/firewall.d", str(tmp_path / "parts")))
    listed = "nft list set inet ollamazure allowed_clients"
    load = ("unshare", "--net", "sh", "-c", f"nft -f {loaded} && nft -f {loaded} && {listed}")
    empty = run(*load)
    assert (empty.returncode, "elements" in empty.stdout) == (0, False), empty.stderr

    clients = ("203.0.113.0/24", "203.0.113.7/32", "10.1.2.3/32")
    part = "/etc/ollamazure/firewall.d/allowed-clients.nft"
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/allowed-clients.nft").write_text(
        remote_command.render_file(part, clients=clients, metrics_clients=[])
    )
    assert "elements = { 10.1.2.3, 203.0.113.0/24 }" in run(*load).stdout


@pytest.mark.parametrize("timer", ["apt-daily", "apt-daily-upgrade", "ollamazure-cleanup"])
def test_the_working_hours_replace_the_time_of_a_timer(timer: str) -> None:
    calendar = "Mon,Fri *-*-* 17:00:00 Europe/Paris"
    path = f"/etc/systemd/system/{timer}.timer.d/ollamazure-hours.conf"
    lines = remote_command.render_file(path, calendar=calendar).splitlines()
    # An empty line first: without it the former times would stay.
    assert lines[lines.index("OnCalendar=") + 1] == f"OnCalendar={calendar}"
    parsed = run("systemd-analyze", "calendar", "--iterations=2", calendar)
    assert parsed.returncode == 0, parsed.stderr

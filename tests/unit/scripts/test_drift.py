"""What `make drift` says, and what it needs from the stack. The machine's side: tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import drift

OUTPUTS = {
    "sshCommand": "ssh -i chat.key a@192.0.2.1",
    "sshPrivateKey": "key",
    "hostKey": "ssh-ed25519 AAAA",
    "adminEmail": "admin@chat.local",
    "adminPassword": "secret",
}


def pulumi(folder: Path, script: str) -> str:
    """A command that answers as the Pulumi CLI would."""
    command = folder / "pulumi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return str(command)


def test_reads_the_outputs_of_the_stack(tmp_path: Path) -> None:
    answer = (
        f'[ "$*" = "stack output --json --show-secrets --stack dev" ] && cat {tmp_path}/outputs'
    )
    (tmp_path / "outputs").write_text(json.dumps(OUTPUTS))
    assert drift.outputs_of("dev", pulumi(tmp_path, answer)) == OUTPUTS


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such stack >&2; exit 255", "the outputs of the stack dev cannot be read"),
        ("echo '{}'", "has no output sshCommand, sshPrivateKey, hostKey, admin"),
    ],
)
def test_trouble_is_not_drift(
    script: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drift.main(["--stack", "dev", "--pulumi", pulumi(tmp_path, script)]) == 2
    assert said in capsys.readouterr().err


def test_without_pulumi_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.main(["--stack", "dev", "--pulumi", str(tmp_path / "pulumi")]) == 2
    assert "is not installed" in capsys.readouterr().err


def test_names_each_resource_once_and_the_command_that_ends_it() -> None:
    found = [
        {"resource": "ollama", "what": "ollama.service is not active"},
        {"resource": "nginx", "what": "/etc/nginx/nginx.conf is gone"},
        {"resource": "ollama", "what": "/usr/local/bin/x is gone"},
    ]
    assert drift.report("dev", found, "pulumi", "2027-01-31T10:15:00Z") == (
        "Drift on the machine of the stack dev:\n"
        "\n"
        "nginx\n"
        "  /etc/nginx/nginx.conf is gone\n"
        "\n"
        "ollama\n"
        "  /usr/local/bin/x is gone\n"
        "  ollama.service is not active\n"
        "\n"
        "To have it as declared again, which runs every command on the machine once more:\n"
        "\n"
        "  pulumi config set ollamazure:reapply 2027-01-31T10:15:00Z --stack dev"
        " && pulumi up --stack dev"
    )


def test_no_drift_is_one_line() -> None:
    assert drift.report("dev", [], "pulumi", "x") == (
        "No drift: the machine of the stack dev is as declared."
    )

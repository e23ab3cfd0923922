"""A Pulumi CLI that runs a test's script, and the outputs of a stack that does not exist."""

from __future__ import annotations

from pathlib import Path

OUTPUTS = {
    "sshCommand": "ssh -i chat.key a@192.0.2.1",
    "sshPrivateKey": "-----BEGIN-----\nc2VjcmV0\n-----END-----\n",
    "hostKey": "ssh-ed25519 AAAA",
    "adminEmail": "admin@chat.local",
    "adminPassword": "a password",
    "initialPasswords": {"alice@example.com": "a password of hers"},
}


def pulumi(folder: Path, script: str) -> str:
    """A command that answers as the Pulumi CLI would."""
    command = folder / "pulumi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return str(command)

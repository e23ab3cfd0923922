"""Asking a program of the machine. With a machine: tests/e2e/test_application.py."""

from __future__ import annotations

import json
import subprocess
import sys

import asyncssh


def test_a_machine_that_cannot_be_reached_is_named_without_the_key() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = key.export_private_key().decode()
    machine = {
        "user": "admin",
        "address": "chat.invalid",
        "private_key": private,
        "host_key": key.export_public_key().decode(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ollamazure.operate.query", "sudo true"],
        input=json.dumps(machine),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("SSH to the machine at chat.invalid failed: ")
    assert "PRIVATE KEY" not in done.stderr

"""The program that changes the authorized keys of a user; test_ssh_access.py uses it by SSH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from components.remote_command import GUEST

PROGRAM = GUEST / "usr/local/lib/ollamazure/authorized-keys"


def test_keys_that_are_removed_at_the_same_time_all_go(tmp_path: Path) -> None:
    file = tmp_path / ".ssh/authorized_keys"
    file.parent.mkdir()
    keys = [f"ssh-ed25519 AAAA{number:03}" for number in range(20)]
    file.write_text("\n".join([*keys, "ssh-ed25519 stays", ""]))
    environment = {**os.environ, "HOME": str(tmp_path)}
    running = [
        subprocess.Popen(["sh", str(PROGRAM), "remove", key], env=environment) for key in keys
    ]
    assert [process.wait() for process in running] == [0] * len(keys)
    assert file.read_text() == "ssh-ed25519 stays\n"

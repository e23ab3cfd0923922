"""tools/select-stack.sh: the state and the key that a workflow uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.artifacts import paths

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "select-stack.sh"
KEY = "azurekeyvault://ours.vault.azure.net/keys/state"


class Checkout:
    """A project with one stack, `dev`, and the environment variables of a job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tools").mkdir()
        shutil.copy(SCRIPT, folder / "tools")
        (folder / "state").mkdir()
        (folder / "Pulumi.yaml").write_text("name: chat\nruntime: yaml\n")
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{paths.pulumi().parent}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_SECRETS_PROVIDER": KEY,
        }

    def encrypted_with(self, provider: str) -> None:
        (self.folder / "Pulumi.dev.yaml").write_text(f"{provider}encryptedkey: AAAA\n")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def select(self, stack: str = "dev") -> tuple[int, str]:
        done = self.run("tools/select-stack.sh", stack)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_stack_is_selected_when_the_key_is_ours(checkout: Checkout) -> None:
    made = checkout.run("pulumi", "stack", "init", "dev", "--no-select")
    assert made.returncode == 0, made.stderr
    checkout.encrypted_with(f"secretsprovider: {KEY}\n")

    code, printed = checkout.select()
    assert code == 0, printed
    assert checkout.run("pulumi", "stack", "ls").stdout.count("dev*") == 1


@pytest.mark.parametrize(
    "provider",
    ["", "secretsprovider: passphrase\n", f"secretsprovider: {KEY}s\n", f"# {KEY}\n"],
)
def test_another_key_is_refused(checkout: Checkout, provider: str) -> None:
    checkout.encrypted_with(provider)
    code, printed = checkout.select()

    assert code == 1
    assert f"this environment's is '{KEY}'" in printed


def test_a_stack_without_a_file_is_refused(checkout: Checkout) -> None:
    code, printed = checkout.select()

    assert code == 1
    assert "Pulumi.dev.yaml does not exist" in printed


@pytest.mark.parametrize("name", ["PULUMI_BACKEND_URL", "PULUMI_SECRETS_PROVIDER"])
def test_a_missing_variable_is_named(checkout: Checkout, name: str) -> None:
    checkout.encrypted_with(f"secretsprovider: {KEY}\n")
    checkout.environment[name] = ""
    code, printed = checkout.select()

    assert code != 0
    assert name in printed
    assert "bin/ollamazure bootstrap" in printed

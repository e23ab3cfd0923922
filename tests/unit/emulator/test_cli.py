"""What `bin/pulumi-local` makes of its arguments and its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.arm.account import Account
from emulator.cli import (
    AZURE_NATIVE,
    RefusalError,
    official_environment,
    split_folder,
    wants_official_azure,
)
from emulator.host.places import replace_text
from emulator.instance import Instance


@pytest.mark.parametrize(
    ("arguments", "folder", "rest"),
    [
        (["up", "--yes"], None, ["up", "--yes"]),
        (["-C", "../laptop", "up"], "../laptop", ["up"]),
        (["up", "--cwd", "../laptop", "--yes"], "../laptop", ["up", "--yes"]),
        (["--cwd=../laptop", "stack"], "../laptop", ["stack"]),
        (["up", "-C"], None, ["up", "-C"]),
    ],
)
def test_the_folder_of_another_project(
    arguments: list[str], folder: str | None, rest: list[str]
) -> None:
    assert split_folder(arguments) == (Path(folder) if folder else None, rest)


def test_the_official_plugin_is_requested_by_its_exact_word() -> None:
    assert not wants_official_azure({})
    assert not wants_official_azure({AZURE_NATIVE: "emulator"})
    assert wants_official_azure({AZURE_NATIVE: "official"})
    with pytest.raises(RefusalError, match="it must be emulator or official"):
        wants_official_azure({AZURE_NATIVE: "yes"})


def test_the_official_plugin_can_reach_the_emulated_azure_alone(tmp_path: Path) -> None:
    account = Account(Instance(tmp_path, "abcdef", 0))
    account.prepare()
    replace_text(account.port_file, "4321")
    environment = official_environment(account)
    assert environment["ARM_METADATA_HOSTNAME"] == "127.0.0.1:4321"
    assert environment["ARM_DISABLE_INSTANCE_DISCOVERY"] == "true"
    assert environment["SSL_CERT_FILE"] == str(account.authority)
    assert environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")

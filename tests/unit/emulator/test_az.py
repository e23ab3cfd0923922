"""`bin/az-local`: nothing that the Azure CLI does may reach another cloud than the emulated one.

What its commands do is tested with the CLI itself: tests/engine/test_azure_cli.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.arm.account import Account
from emulator.arm.sign_in import CLOUD
from emulator.az import AzureCommand
from emulator.cli import RefusalError
from emulator.host.places import replace_text
from emulator.instance import Instance


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """The account of an instance whose server listens on port 4321, as far as its files say."""
    account = Account(Instance(tmp_path, "abcdef", 0))
    account.prepare()
    replace_text(account.port_file, "4321")
    return account


def configure(account: Account, active: str, endpoint: str) -> AzureCommand:
    command = AzureCommand(account)
    replace_text(command.folder / "config", f"[cloud]\nname = {active}\n")
    clouds = f"[{CLOUD}]\nendpoint_resource_manager = {endpoint}\n"
    replace_text(command.folder / "clouds.config", clouds)
    return command


def test_the_cloud_must_be_the_emulated_one(account: Account) -> None:
    configure(account, CLOUD, "https://127.0.0.1:4321").check_cloud()


@pytest.mark.parametrize(
    ("active", "endpoint"),
    [
        ("AzureCloud", "https://127.0.0.1:4321"),
        (CLOUD, "https://management.azure.com"),
        (CLOUD, "https://127.0.0.1:4322"),
    ],
)
def test_another_cloud_is_refused(account: Account, active: str, endpoint: str) -> None:
    command = configure(account, active, endpoint)
    with pytest.raises(RefusalError, match="not the emulated Azure") as refusal:
        command.check_cloud()
    assert str(command.folder) in str(refusal.value)


def test_without_a_configuration_the_cloud_is_the_real_one(account: Account) -> None:
    with pytest.raises(RefusalError, match="'AzureCloud'"):
        AzureCommand(account).check_cloud()


def test_no_variable_leads_elsewhere(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    leading = ("AZURE_CLOUD_NAME", "ARM_CLOUD_METADATA_URL", "https_proxy", "PYTHONHOME")
    for name in leading:
        monkeypatch.setenv(name, "elsewhere")
    environment = AzureCommand(account).environment()
    assert "elsewhere" not in environment.values()
    assert environment["AZURE_CONFIG_DIR"] == str(account.instance.home / "azure-cli")
    assert environment["NO_PROXY"] == "127.0.0.1"
    assert environment["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert account.credentials.clientSecret not in environment.values()

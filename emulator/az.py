"""az-local: the real Azure CLI, signed in to the emulated Azure, which it can never leave.

    bin/az-local vm list --output table

The CLI is installed when it is first used. It has a configuration of its own, in which the emulated
Azure is a cloud; every other address is behind a proxy that does not exist.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from emulator.arm import server
from emulator.arm.account import Account, only_loopback
from emulator.arm.sign_in import CLOUD
from emulator.artifacts import azure_cli
from emulator.artifacts.build import Builds
from emulator.artifacts.python_packages import python_with
from emulator.artifacts.work import BuildError
from emulator.azure.fabric import FabricError
from emulator.cli import RefusalError, open_instance
from emulator.host.places import replace_text

SETTINGS = {
    "AZURE_CORE_COLLECT_TELEMETRY": "false",
    "AZURE_CORE_INSTANCE_DISCOVERY": "false",  # else the sign-in asks Microsoft whose host this is
    "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
    "AZURE_CORE_SURVEY_MESSAGE": "false",
    "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, or 2 when it could reach another cloud."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with redirect_stdout(sys.stderr):  # what `az` prints is read by programs
            Builds().make([azure_cli.ARTIFACT])
        cli = AzureCommand(server.ensure(open_instance()))
        cli.sign_in()
        cli.check_cloud()
    except (BuildError, FabricError, RefusalError) as refusal:
        print(f"az-local: {refusal}", file=sys.stderr)
        return 2
    return cli.run(*arguments).returncode


class AzureCommand:
    """The Azure CLI for one emulated Azure."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.folder = account.instance.home / "azure-cli"

    def sign_in(self) -> None:
        """Register the cloud and sign in to it, unless that is done.

        Each step is only taken after the one before: a sign-in to a cloud that is not registered
        goes to Microsoft. Raises RefusalError.
        """
        credentials = self._account.credentials
        wanted = f"{self._account.url} {credentials.clientId}"
        done = self.folder / "signed-in"
        if done.exists() and done.read_text() == wanted:
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        known = self._endpoint() is not None
        endpoints = ("--endpoint-resource-manager", self._account.url)
        secret = self.folder / "secret"
        replace_text(secret, credentials.clientSecret)
        try:
            self._step("cloud", "update" if known else "register", "--name", CLOUD, *endpoints)
            self._step("cloud", "set", "--name", CLOUD)
            self.check_cloud()
            self._step(
                *("login", "--service-principal", "--username", credentials.clientId),
                # With "=", as the first character of a password may be a hyphen.
                *(f"--password=@{secret}", "--tenant", credentials.tenantId),
            )
        finally:
            secret.unlink()
        replace_text(done, wanted)

    def check_cloud(self) -> None:
        """Check that the active cloud is the emulated Azure. Raises RefusalError."""
        config = _read(self.folder / "config")
        active = config.get("cloud", "name", fallback="AzureCloud")
        if active != CLOUD or self._endpoint() != self._account.url:
            raise RefusalError(
                f"the active cloud of the Azure CLI in {self.folder} is '{active}', not the"
                " emulated Azure, and a command could reach the real one. Remove the folder and"
                " run this again."
            )

    def run(self, *arguments: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command with the terminal's own input and output, or with none."""
        return subprocess.run(
            [*python_with(azure_cli.NAME), "-m", "azure.cli", *arguments],
            env=self.environment(),
            check=False,
            capture_output=quiet,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """The environment of the CLI: without what could lead it elsewhere."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("AZURE_", "ARM_", "PYTHON"))
            and not name.upper().endswith("_PROXY")
        }
        return {
            **kept,
            **SETTINGS,
            "AZURE_CONFIG_DIR": str(self.folder),
            "REQUESTS_CA_BUNDLE": str(self._account.authority),
            **only_loopback(),
        }

    def _step(self, *arguments: str) -> None:
        done = self.run(*arguments, "--only-show-errors", quiet=True)
        if done.returncode:
            shown = " ".join(arguments[:2])
            raise RefusalError(f"`az {shown}` failed: {done.stderr.strip()}")

    def _endpoint(self) -> str | None:
        """The registered address of the emulated Azure."""
        clouds = _read(self.folder / "clouds.config")
        return clouds.get(CLOUD, "endpoint_resource_manager", fallback=None)


def _read(file: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(file)
    return config


if __name__ == "__main__":
    sys.exit(main())

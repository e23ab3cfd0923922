"""pulumi-local: the real Pulumi CLI, with Azure answered by this machine.

All arguments are passed to Pulumi, and its exit code is returned. Pulumi gets a PULUMI_HOME of its
own with our azure-native plugin, a state of its own, and a scratch copy of the project, so that the
stack files of the repository never change. With `-C FOLDER` it works on another project, there.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import recovery
from emulator.artifacts import paths
from emulator.azure.fabric import FabricError
from emulator.host.places import Places, replace_text
from emulator.instance import PROJECT, Instance, in_plan_mode
from emulator.plugins import install
from emulator.scratch import SECRET_PLACEHOLDER, ScratchProject

if TYPE_CHECKING:
    from emulator.arm.account import Account

DEFAULT_STACK = "local"
AZURE_NATIVE = "OLLAMAZURE_AZURE_NATIVE"
_CREATES = {"up", "update"}
_CHANGES_STATE = _CREATES | {"destroy", "down", "dn", "refresh", "import", "watch"}
_CALLS_AZURE = _CHANGES_STATE | {"preview", "pre"}
_USES_A_STACK = _CALLS_AZURE | {
    "config",
    "stack",
    "state",
    "logs",
    "cancel",
    "console",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Pulumi with `arguments`; returns its exit code, or 2 when we refuse to run it."""
    folder, arguments = split_folder(list(sys.argv[1:] if arguments is None else arguments))
    try:
        instance = open_instance()
        refuse_real_azure(os.environ)
        environment = pulumi_environment(instance)
        official = wants_official_azure(os.environ)
        if folder:
            project = None
            pulumi = Pulumi(paths.pulumi(), folder, environment)
        else:
            project = ScratchProject(instance)
            project.lay_out()
            recovery.repair_backend(instance)
            environment.setdefault("PULUMI_STACK", stack_of(arguments))
            pulumi = Pulumi(paths.pulumi(), project.folder, environment)
        for choice in install.install(instance, paths.pulumi(), official_azure=official):
            if choice.refused:
                print(f"pulumi-local: {choice.refused}.", file=sys.stderr)
        calls_azure = bool(set(arguments) & _CALLS_AZURE)
        if official:
            environment |= official_environment(start_front(instance))
        elif calls_azure and not install.emulated_azure_answers(instance):
            raise RefusalError(
                f"the azure-native plugin in {instance.pulumi_home} is not the emulator's, and "
                "another one could reach the real Azure. Remove the folder and run this again."
            )
        if project:
            prepare_stack(instance, arguments, project, pulumi)
        if set(arguments) & _CHANGES_STATE:
            remove_dead_instances()
            refresh_machines(instance)
            if not in_plan_mode() and set(arguments) & _CREATES:
                start_front(instance)
    except (RefusalError, install.MissingPluginError, FabricError) as refusal:
        print(f"pulumi-local: {refusal}", file=sys.stderr)
        return 2
    code = pulumi.run(arguments)
    if project and "config" in arguments:
        project.keep_settings(stack_of(arguments))
    elif project and "stack" in arguments:
        project.forget_settings()
    return code


def prepare_stack(
    instance: Instance, arguments: Sequence[str], project: ScratchProject, pulumi: Pulumi
) -> None:
    """Create the stack of our own project, and settle what a killed run has left of it."""
    stack = stack_of(arguments)
    if needs_stack(arguments):
        if recovery.state_file(instance, stack) is None:
            pulumi.create_stack(stack, project)
        pulumi.set_placeholders(stack, project)
    if set(arguments) & _CHANGES_STATE:
        recovery.recover(instance, pulumi.run_quietly, stack)


class RefusalError(Exception):
    """pulumi-local stops; the message says why and what to do."""


def open_instance() -> Instance:
    """The instance of this project; in plan mode a second one, which has no machines."""
    if in_plan_mode() and "OLLAMAZURE_EMULATOR" not in os.environ:
        return Instance.open(PROJECT / ".emulator" / "plan")
    return Instance.open()


def refuse_real_azure(environment: os._Environ[str] | dict[str, str]) -> None:
    """Refuse to run with credentials of the real cloud in the environment.

    Raises:
        RefusalError: an ARM_* variable is set.
    """
    found = sorted(name for name in environment if name.startswith("ARM_"))
    if found:
        raise RefusalError(
            f"{', '.join(found)} is set, and pulumi-local must never reach the real Azure. "
            f"Unset it (`env {' '.join(f'-u {name}' for name in found)} bin/pulumi-local …`), or "
            "use `pulumi` itself for the real Azure."
        )


def wants_official_azure(environment: Mapping[str, str]) -> bool:
    """Whether Pulumi's official azure-native is to be used. Raises RefusalError."""
    wanted = environment.get(AZURE_NATIVE, "emulator")
    if wanted not in ("emulator", "official"):
        raise RefusalError(f"{AZURE_NATIVE} is {wanted!r}; it must be emulator or official.")
    return wanted == "official"


def start_front(instance: Instance) -> Account:
    """Start the HTTPS front of the emulated Azure, for clients that are not ours.

    Raises FabricError.
    """
    from emulator.arm import server  # noqa: PLC0415  slow to import

    return server.ensure(instance)


def official_environment(account: Account) -> dict[str, str]:
    """What leads the official azure-native to the emulated Azure, and keeps it from any other.

    Its documentation names the variables; Go reads the last three.
    """
    from emulator.arm.account import only_loopback  # noqa: PLC0415  slow to import

    known = account.credentials
    return {
        "ARM_METADATA_HOSTNAME": account.url.removeprefix("https://"),
        "ARM_DISABLE_INSTANCE_DISCOVERY": "true",
        "ARM_TENANT_ID": known.tenantId,
        "ARM_SUBSCRIPTION_ID": known.subscriptionId,
        "ARM_CLIENT_ID": known.clientId,
        "ARM_CLIENT_SECRET": known.clientSecret,
        "SSL_CERT_FILE": str(account.authority),
        **only_loopback(),
    }


def remove_dead_instances() -> None:
    """Remove what emulated Azures without a home have left on this host.

    One of them may still have a firewall for the addresses that this instance was given.
    """
    if in_plan_mode() or os.geteuid() != 0:
        return
    from emulator.host import teardown  # noqa: PLC0415  takes longer than most commands

    if left := teardown.remove_dead():
        print(f"Removed what emulated Azures that are gone had left: {', '.join(left)}", flush=True)


def refresh_machines(instance: Instance) -> None:
    """Bring machines that an earlier version of the emulator booted up to this one."""
    if not in_plan_mode() and Places(instance).machines.is_dir():
        from emulator.host.fabric import HostFabric  # noqa: PLC0415 - slow to import

        HostFabric(instance).refresh()


def pulumi_environment(instance: Instance) -> dict[str, str]:
    """The environment of the CLI and of everything it starts."""
    passphrase = instance.home / "passphrase"
    if not passphrase.exists():
        replace_text(passphrase, secrets.token_urlsafe(24))
    empty = instance.home / "azure-config"
    for folder in (instance.backend, instance.pulumi_home, empty, instance.home / "bin"):
        folder.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        # A stale SSH agent makes pulumi-command fail to connect.
        if not name.startswith(("PULUMI_", "AZURE_")) and name != "SSH_AUTH_SOCK"
    }
    return {
        **kept,
        "PATH": os.pathsep.join(
            [str(instance.home / "bin"), str(paths.pulumi().parent), kept.get("PATH", "")]
        ),
        "AZURE_CONFIG_DIR": str(empty),
        "OLLAMAZURE_EMULATOR": str(instance.home),
        "PULUMI_HOME": str(instance.pulumi_home),
        "PULUMI_BACKEND_URL": f"file://{instance.backend}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # A plugin on PATH would win over ours and could reach the real cloud.
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
    }


def split_folder(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The folder of another project, by Pulumi's option -C, and the other arguments."""
    for index, argument in enumerate(arguments):
        if argument in ("-C", "--cwd") and index + 1 < len(arguments):
            return Path(arguments[index + 1]), arguments[:index] + arguments[index + 2 :]
        if argument.startswith("--cwd="):
            folder = Path(argument.partition("=")[2])
            return folder, arguments[:index] + arguments[index + 1 :]
    return None, arguments


def stack_of(arguments: Sequence[str]) -> str:
    """The stack named by `-s NAME`, `--stack NAME` or `--stack=NAME`, else the default."""
    for index, argument in enumerate(arguments):
        if argument in ("-s", "--stack") and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith("--stack="):
            return argument.partition("=")[2]
    return os.environ.get("PULUMI_STACK") or DEFAULT_STACK


def needs_stack(arguments: Sequence[str]) -> bool:
    """Whether the command works on a stack, so that we create the stack first."""
    return bool(set(arguments) & _USES_A_STACK) and not set(arguments) & {"init", "-h", "--help"}


class Pulumi:
    """The Pulumi CLI with its environment, run in the scratch project."""

    def __init__(self, cli: Path, folder: Path, environment: dict[str, str]) -> None:
        self._cli, self._folder, self._environment = cli, folder, environment

    def run(self, arguments: Sequence[str]) -> int:
        """Run with the terminal's own input and output. On Ctrl-C the CLI decides how it ends."""
        process = subprocess.Popen([self._cli, *arguments], cwd=self._folder, env=self._environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the CLI got it as well

    def run_quietly(self, *arguments: str, stdin: str | None = None) -> str:
        """Run and return standard output.

        Raises:
            RefusalError: the CLI failed; the message is the CLI's own.
        """
        done = subprocess.run(
            [self._cli, "--non-interactive", *arguments],
            cwd=self._folder,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            output = done.stderr or done.stdout
            raise RefusalError(f"`pulumi {' '.join(arguments)}` failed:\n{output}")
        return done.stdout

    def create_stack(self, stack: str, project: ScratchProject) -> None:
        """Create a stack that the project has a file for.

        Raises:
            RefusalError: the project has no such file.
        """
        if stack not in project.stacks():
            raise RefusalError(
                f"there is no stack {stack!r}: the project has no Pulumi.{stack}.yaml. "
                f"Stacks are {', '.join(project.stacks())}; choose one with -s."
            )
        self.run_quietly("stack", "init", stack, "--no-select")

    def set_placeholders(self, stack: str, project: ScratchProject) -> None:
        """Set a placeholder for every secret setting that only the real backend can decrypt."""
        for setting in project.unreadable_secrets(stack):
            set_secret = ("config", "set", "--stack", stack, "--secret", "--path", setting)
            self.run_quietly(*set_secret, stdin=SECRET_PLACEHOLDER)
        project.keep_settings(stack)


if __name__ == "__main__":
    sys.exit(main())

"""Backups on the machine: restic, its timer, its key and its repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_random as random
import pulumi_tls as tls

from components.backup_storage import BackupStorage
from components.remote_command import (
    TOOLS,
    File,
    RemoteCommand,
    Target,
    run_on_machine,
)
from ollamazure.settings.backup import SSH_PORT, BackupSettings
from ollamazure.settings.stack import Settings

SETTINGS = "/etc/ollamazure/backup.json"
KEY = "/etc/ollamazure/backup-key"
SECRETS = "/etc/ollamazure/backup-secrets.env"
SSH_KEY = "/etc/ollamazure/backup-ssh-key"
KNOWN_HOSTS = "/etc/ollamazure/backup-known-hosts"
ON_DATA_DISK = "/srv/data/backup/repository"
BACKUP_CLI = f"{TOOLS}/backup-cli"
SERVICE = "/etc/systemd/system/ollamazure-backup.service"
TIMER = "/etc/systemd/system/ollamazure-backup.timer"


@dataclass(frozen=True)
class BackupArgs:
    """What backups are made from.

    Attributes:
        target: the machine.
        settings: the stack's; backup.target is not off.
        after: commands that must have run, Open WebUI's above all.
        storage: of the target azure.
    """

    target: Target
    settings: Settings
    after: Sequence[pulumi.Resource] = ()
    storage: BackupStorage | None = None


class Backup(pulumi.ComponentResource):
    """A backup each night.

    Attributes:
        key: secret; with it, anyone who has the repository can read every chat.
        ssh_public_key: what a server of the target sftp has to accept; None for another target.
    """

    key: pulumi.Output[str]
    ssh_public_key: pulumi.Output[str] | None

    def __init__(
        self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Backup", name, None, opts)
        self.key = self._key(args.settings.rotation.backup_key)
        ssh_key = self._ssh_key() if args.settings.backup.target == "sftp" else None
        self.ssh_public_key = ssh_key.public_key_openssh.apply(str.strip) if ssh_key else None
        self._command(args, ssh_key)
        self.register_outputs({})

    def _key(self, rotation: str | None) -> pulumi.Output[str]:
        key: pulumi.Output[str] = random.RandomPassword(
            "backup-key",
            length=40,
            special=False,
            keepers={"rotation": rotation} if rotation else None,
            opts=pulumi.ResourceOptions(parent=self),
        ).result
        return key

    def _ssh_key(self) -> tls.PrivateKey:
        return tls.PrivateKey(
            "backup-ssh-key", algorithm="ED25519", opts=pulumi.ResourceOptions(parent=self)
        )

    def _command(self, args: BackupArgs, ssh_key: tls.PrivateKey | None) -> RemoteCommand:
        settings, backup = args.settings, args.settings.backup
        files = [
            File(f"{TOOLS}/start-backup", "0755"),
            File(SERVICE),
            File(TIMER, values={"calendar": settings.backup_calendar}),
            File(SETTINGS, values={"settings": _restic(backup, args.storage)}),
            File(KEY, "0600", key="key"),
        ]
        secrets: dict[str, pulumi.Input[str]] = {"key": self.key}
        if settings.backup_secret_key:
            line = f"AWS_SECRET_ACCESS_KEY={settings.backup_secret_key.get_secret_value()}\n"
            secrets["environment"] = pulumi.Output.secret(line)
            files.append(File(SECRETS, "0600", key="environment"))
        if ssh_key:
            secrets["ssh_key"] = ssh_key.private_key_openssh
            known = {"host": _known_host(backup), "key": backup.host_key}
            files += [File(SSH_KEY, "0600", key="ssh_key"), File(KNOWN_HOSTS, values=known)]
        access = [args.storage.access] if args.storage else []
        return run_on_machine(
            "backup",
            args.target,
            purpose="set up the backups",
            script=f"{TOOLS}/start-backup",
            files=files,
            secrets=secrets,
            show_output=True,  # why no backup is possible; it never has a secret
            delete=f"{BACKUP_CLI} off",
            fix="`journalctl --unit ollamazure-backup` on the machine has details.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*args.after, *access]),
        )


def _restic(backup: BackupSettings, storage: BackupStorage | None) -> dict[str, Any]:
    """The content of backup.json, which the machine's `backup` package reads."""
    repository = backup.repository
    environment: dict[str, pulumi.Input[str]] = {}
    if backup.target == "dataDisk":
        repository = ON_DATA_DISK
    elif storage:
        # Debian builds restic without Azure's storage, so rclone passes it on.
        repository = f"rclone:azure:{storage.container}"
        environment = {
            "RCLONE_CONFIG_AZURE_TYPE": "azureblob",
            "RCLONE_CONFIG_AZURE_ACCOUNT": storage.account,
            "RCLONE_CONFIG_AZURE_USE_MSI": "true",
            "RCLONE_CONFIG_AZURE_MSI_CLIENT_ID": storage.client_id,
        }
    elif backup.access_key_id:
        environment = {"AWS_ACCESS_KEY_ID": backup.access_key_id}
    return {
        "repository": repository,
        "environment": environment,
        "keep": {
            "daily": backup.keep_daily,
            "weekly": backup.keep_weekly,
            "monthly": backup.keep_monthly,
        },
    }


def _known_host(backup: BackupSettings) -> str:
    """The server as OpenSSH's list of known hosts names it."""
    address = urlsplit(backup.repository or "")
    port = address.port or SSH_PORT
    return f"{address.hostname}" if port == SSH_PORT else f"[{address.hostname}]:{port}"

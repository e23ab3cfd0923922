"""Backups of the chat: where they are kept, when they are made, how long they stay."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from ollamazure.settings.base import Section, setting
from ollamazure.settings.types import (
    HTTPS_PORT,
    AccessKeyId,
    BackupRepository,
    BackupTarget,
    BlobContainerId,
    HostKey,
    TimeOfDay,
    Whole,
)

SSH_PORT = 22
EXAMPLES = {
    "s3": "s3:https://s3.example.com/bucket/chat",
    "sftp": "sftp://chat@backups.example.com//srv/backups/chat",
}
EXAMPLE_HOST_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFCgTtGFzpDBwFtVLpe4c2ZcGvB5cPbqf4Ml6JfwE8qh"
)


class BackupSettings(Section):
    """Backups: where they are kept, when they are made, how long they stay."""

    target: BackupTarget = setting(
        "dataDisk",
        description="Where backups are kept. dataDisk: beside the chats, against mistakes and not "
        "against the loss of the disk; azure: in a storage account of the stack; s3, sftp: on a "
        "server of your own; off: there are none.",
        allowed="dataDisk, azure, s3, sftp or off",
        example="azure",
    )
    redundancy: Literal["local", "zones"] = setting(
        "local",
        description="How Azure stores the backups. local: three copies in one data centre; zones: "
        "in three availability zones of the region. Azure changes it only for a new account.",
        allowed="local or zones, and only if backup.target is azure",
        example="zones",
    )
    container_id: BlobContainerId | None = setting(
        None,
        description="An existing container with backups to adopt, such as the one that a stack "
        "with keepData left. Unset: a new storage account.",
        allowed="the ARM id of a blob container, and only if backup.target is azure",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/chat-data"
        "/providers/Microsoft.Storage/storageAccounts/backup0123456789abcdef/blobServices/default"
        "/containers/backups",
    )
    time: TimeOfDay | None = setting(
        None,
        description="When the daily backup starts, up to half an hour later; in UTC, or with "
        "workingHours in their time zone. Unset: 02:30, or two hours before workingHours end.",
        allowed="a time of day, 00:00 to 23:59; with workingHours within them, and at least an "
        "hour before they end",
        example="01:00",
    )
    keep_daily: Annotated[Whole, Field(ge=1, le=365)] = setting(
        7,
        description="For how many days the last backup of each day is kept.",
        allowed="1 to 365",
        example=14,
    )
    keep_weekly: Annotated[Whole, Field(ge=0, le=520)] = setting(
        5,
        description="For how many weeks the last backup of each week is kept.",
        allowed="0 to 520",
        example=8,
    )
    keep_monthly: Annotated[Whole, Field(ge=0, le=120)] = setting(
        12,
        description="For how many months the last backup of each month is kept.",
        allowed="0 to 120",
        example=24,
    )
    repository: BackupRepository | None = setting(
        None,
        description="The place on a server, in restic's notation; one for each stack.",
        allowed="s3:https://SERVER/BUCKET/PATH for the target s3, and sftp://USER@SERVER//PATH "
        "for sftp",
        example=EXAMPLES["sftp"],
    )
    access_key_id: AccessKeyId | None = setting(
        None,
        description="Name of the access key of the target s3; backupSecretKey has the key.",
        allowed="1 to 128 letters, digits and . _ - +, and only with the target s3",
        example="AKIAIOSFODNN7EXAMPLE",
        fill_in=("<id>", "The server of the backups shows it beside its secret key."),
    )
    host_key: HostKey | None = setting(
        None,
        description="The public host key of the server of the target sftp, as "
        "`ssh-keyscan -t ed25519 SERVER` prints it after the name.",
        allowed="a public key in OpenSSH's form, and only with the target sftp",
        example=EXAMPLE_HOST_KEY,
        fill_in=(
            "'<ssh-ed25519 AAAA…>'",
            "`ssh-keyscan -t ed25519 SERVER` prints it after the name; compare it with the "
            "server's own.",
        ),
    )

    @property
    def ports(self) -> list[int]:
        """The TCP port of the server, except that of HTTPS, which every machine reaches."""
        if self.repository is None:
            return []
        address = urlsplit(self.repository.removeprefix("s3:"))
        default = {"sftp": SSH_PORT, "http": 80}.get(address.scheme, HTTPS_PORT)
        return sorted({address.port or default} - {HTTPS_PORT})

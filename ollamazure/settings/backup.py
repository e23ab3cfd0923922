"""Backups of the chat: where they are kept."""

from __future__ import annotations

from typing import Literal

from ollamazure.settings.base import Section, setting
from ollamazure.settings.types import BlobContainerId


class BackupSettings(Section):
    """Where backups are kept."""

    target: Literal["dataDisk", "azure"] = setting(
        "dataDisk",
        description="Where backups are kept. azure: in an Azure storage account of the stack's "
        "own, beside the data disk.",
        allowed="dataDisk or azure",
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

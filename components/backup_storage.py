"""The Azure storage account that keeps the backups, and the machine's right to use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import authorization, managedidentity, storage

from components.roles import assign_role
from components.tags import Tags
from ollamazure.names import (
    BACKUPS,
    BLOB_DATA_CONTRIBUTOR,
    IDENTITY,
    GroupNames,
    backup_account_name,
    group_of,
)
from ollamazure.settings.stack import Settings

# What is deleted or overwritten, also by a machine in the wrong hands, comes back for this long.
UNDELETE_DAYS = 30
SKUS = {"local": storage.SkuName.STANDARD_LRS, "zones": storage.SkuName.STANDARD_ZRS}


@dataclass(frozen=True)
class BackupStorageArgs:
    """What the storage of the backups is made from.

    Attributes:
        settings: the stack's.
        groups: names of the stack's resource groups.
        data_group: the group of the data disk: who keeps the disk keeps its backups.
        identity: of the machine.
        tags: of the account.
    """

    settings: Settings
    groups: GroupNames
    data_group: pulumi.Input[str]
    identity: managedidentity.UserAssignedIdentity
    tags: Tags


class BackupStorage(pulumi.ComponentResource):
    """A container of blobs that the machine's identity may use. The account has no keys.

    Attributes:
        account: name of the storage account.
        container: name of the container in it.
        client_id: of the machine's identity, of which it asks for tokens.
        access: the role assignment; before it exists, the machine cannot use the container.
    """

    account: str
    container: str
    client_id: pulumi.Output[str]
    access: authorization.RoleAssignment

    def __init__(
        self, name: str, args: BackupStorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:BackupStorage", name, None, opts)
        self._args = args
        self._subscription = authorization.get_client_config().subscription_id
        adopted = args.settings.backup.container_id
        if adopted:
            self.account, self.container = adopted.split("/")[8], adopted.split("/")[-1]
            container_id = pulumi.Output.from_input(adopted)
        else:
            self.account = backup_account_name(self._subscription, args.groups)
            self.container = BACKUPS
            container_id = self._new_container()
        # Read from Azure rather than from the resource: a new tag previews with unknown outputs,
        # and then the role assignment would preview as replaced.
        identity = managedidentity.get_user_assigned_identity_output(
            resource_group_name=args.groups.chat,
            resource_name=IDENTITY,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[args.identity]),
        )
        self.client_id = identity.client_id
        self.access = self._access(container_id, identity.principal_id)
        self.register_outputs({"account": self.account, "container": self.container})

    def _new_container(self) -> pulumi.Output[str]:
        """The ARM id of a container in a storage account of its own."""
        args, settings, disk = self._args, self._args.settings, self._args.settings.data_disk_id
        kept = pulumi.ResourceOptions(
            parent=self, protect=settings.keep_data, retain_on_delete=settings.keep_data
        )
        account = storage.StorageAccount(
            "backup-account",
            account_name=self.account,
            resource_group_name=args.data_group,
            **without_keys(),
            sku={"name": SKUS[settings.backup.redundancy]},
            # Backups are needed where the machine is not: see the decision 0062.
            public_network_access=storage.PublicNetworkAccess.ENABLED,
            location=settings.location,
            tags=args.tags.of(
                storage.get_storage_account,
                account_name=self.account,
                resource_group_name=group_of(disk) if disk else args.groups.data,
            ),
            opts=kept,
        )
        retention = {"enabled": True, "days": UNDELETE_DAYS}
        blobs = storage.BlobServiceProperties(
            "backup-blobs",
            blob_services_name="default",
            account_name=account.name,
            resource_group_name=args.data_group,
            is_versioning_enabled=True,
            delete_retention_policy=retention,
            container_delete_retention_policy=retention,
            opts=kept,
        )
        container = storage.BlobContainer(
            "backup-container",
            container_name=self.container,
            account_name=account.name,
            resource_group_name=args.data_group,
            public_access=storage.PublicAccess.NONE,
            # Nothing is written before deleted blobs can come back.
            opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[blobs])),
        )
        container_id: pulumi.Output[str] = container.id
        return container_id

    def _access(
        self, container_id: pulumi.Output[str], principal_id: pulumi.Output[str]
    ) -> authorization.RoleAssignment:
        """The machine's right to read and write the blobs of the container, and no more."""
        return assign_role(
            "backup-access",
            role=BLOB_DATA_CONTRIBUTOR,
            scope=container_id,
            subscription=self._subscription,
            principal_id=principal_id,
            seed=f"{self._subscription}/{self._args.groups.chat}/{IDENTITY}",
            opts=pulumi.ResourceOptions(parent=self),
        )


def without_keys() -> dict[str, Any]:
    """Arguments of a storage account that is reached with roles only."""
    return {
        "kind": storage.Kind.STORAGE_V2,
        "access_tier": storage.AccessTier.HOT,
        "enable_https_traffic_only": True,
        "minimum_tls_version": storage.MinimumTlsVersion.TLS1_2,
        "allow_shared_key_access": False,
        "default_to_o_auth_authentication": True,
        "allow_blob_public_access": False,
        "allow_cross_tenant_replication": False,
    }

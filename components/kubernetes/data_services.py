"""What Azure operates for the chat: a PostgreSQL server, a cache, and a store of files."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import pulumi
import pulumi_random as random
from pulumi_azure_native import (
    authorization,
    dbforpostgresql,
    managedidentity,
    network,
    privatedns,
    redisenterprise,
    resources,
    storage,
)

from components.backup_storage import without_keys
from components.kubernetes.cluster import Cluster
from components.kubernetes.objects import NAMESPACE, WEBUI
from components.roles import assign_role
from components.tags import Tags
from ollamazure.names import (
    BLOB_DATA_CONTRIBUTOR,
    UPLOADS,
    WEBUI_IDENTITY,
    GroupNames,
    service_name,
)
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan

DATABASE = "openwebui"
# https://learn.microsoft.com/azure/postgresql/extensions/concepts-extensions-versions has pgvector.
POSTGRESQL_VERSION = "17"
LOGIN = "chat"
CACHE_PORT = 10000
TIERS = {"Standard_B": "Burstable", "Standard_D": "GeneralPurpose", "Standard_E": "MemoryOptimized"}
# Days in which Azure can restore the database to any second: the most that it allows.
RESTORE_DAYS = 35
UNDELETE_DAYS = 35


@dataclass(frozen=True)
class DataServicesArgs:
    """What the services are made from.

    Attributes:
        settings: the stack's.
        plan: their sizes.
        groups: names of the stack's resource groups.
        cluster: reaches them.
        tags: of the Azure resources.
    """

    settings: Settings
    plan: ClusterPlan
    groups: GroupNames
    cluster: Cluster
    tags: Tags


class DataServices(pulumi.ComponentResource):
    """The services, which only the cluster's network reaches.

    Attributes:
        database_url: secret; `postgresql://…`.
        cache_url: secret; `rediss://…`.
        blob_endpoint: `https://…` of the storage account.
        container: of Open WebUI's files.
        client_id: of the identity that may use the container.
        ready: resources that must exist before anything uses them.
    """

    database_url: pulumi.Output[str]
    cache_url: pulumi.Output[str]
    blob_endpoint: str
    container: str
    client_id: pulumi.Output[str]
    ready: list[pulumi.Resource]

    def __init__(
        self, name: str, args: DataServicesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:DataServices", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._kept = pulumi.ResourceOptions.merge(self._child, args.cluster.kept)
        self._group = args.cluster.group.name
        self._data_group = args.cluster.data_group.name
        self._subscription = authorization.get_client_config().subscription_id
        self._name = service_name(self._subscription, args.groups)
        self.blob_endpoint = f"https://{self._name}.blob.core.windows.net"
        self.container = UPLOADS
        self.ready = [*self._database(), *self._cache(), *self._blobs()]
        self.register_outputs({})

    def _database(self) -> list[pulumi.Resource]:
        args, plan = self._args, self._args.plan
        password = random.RandomPassword(
            "database-password", length=32, special=False, opts=self._child
        ).result
        zone, link = self._zone(
            "database",
            f"{self._name}.private.postgres.database.azure.com",
            args.cluster.data_group,
            self._kept,
        )
        server = dbforpostgresql.Server(
            "database",
            server_name=self._name,
            resource_group_name=self._data_group,
            location=args.settings.location,
            version=POSTGRESQL_VERSION,
            sku={"name": plan.database_size, "tier": TIERS[plan.database_size[:10]]},
            storage={"storage_size_gb": plan.database_gib, "auto_grow": "Enabled"},
            high_availability={"mode": "ZoneRedundant" if plan.database_standby else "Disabled"},
            backup={"backup_retention_days": RESTORE_DAYS, "geo_redundant_backup": "Disabled"},
            network={
                "delegated_subnet_resource_id": args.cluster.cluster_network.database_subnet_id,
                "private_dns_zone_arm_resource_id": zone.id,
            },
            administrator_login=LOGIN,
            administrator_login_password=password,
            tags=args.tags.of(
                dbforpostgresql.get_server,
                resource_group_name=args.groups.data,
                server_name=self._name,
            ),
            opts=pulumi.ResourceOptions.merge(
                self._kept, pulumi.ResourceOptions(depends_on=[link])
            ),
        )
        in_server = {"server_name": server.name, "resource_group_name": self._data_group}
        extensions = dbforpostgresql.Configuration(
            "database-extensions",
            configuration_name="azure.extensions",
            value="VECTOR,PGCRYPTO",
            source="user-override",
            opts=self._child,
            **in_server,
        )
        database = dbforpostgresql.Database(
            "database-of-open-webui",
            database_name=DATABASE,
            charset="UTF8",
            collation="en_US.utf8",
            opts=self._kept,
            **in_server,
        )
        host = f"{self._name}.postgres.database.azure.com"
        self.database_url = pulumi.Output.secret(
            password.apply(
                lambda known: (
                    f"postgresql://{LOGIN}:{quote(known)}@{host}:5432/{DATABASE}?sslmode=require"
                )
            )
        )
        return [extensions, database]

    def _cache(self) -> list[pulumi.Resource]:
        """A cache. Nothing in it must last, so nothing of it is stored."""
        args = self._args
        in_group = {"cluster_name": self._name, "resource_group_name": args.groups.chat}
        cache = redisenterprise.RedisEnterprise(
            "cache",
            cluster_name=self._name,
            resource_group_name=self._group,
            location=args.settings.location,
            sku={"name": args.plan.cache_size},
            high_availability="Enabled",
            minimum_tls_version="1.2",
            public_network_access="Disabled",
            tags=args.tags.of(redisenterprise.get_redis_enterprise, **in_group),
            opts=self._child,
        )
        database = redisenterprise.Database(
            "cache-database",
            database_name="default",
            cluster_name=cache.name,
            resource_group_name=self._group,
            port=CACHE_PORT,
            client_protocol="Encrypted",
            # With the default policy, clients must know Redis' cluster protocol.
            clustering_policy="EnterpriseCluster",
            eviction_policy="VolatileLRU",
            access_keys_authentication="Enabled",
            opts=self._child,
        )
        endpoint = self._endpoint(
            "cache", cache.id, "redisEnterprise", "privatelink.redis.azure.net"
        )
        after = pulumi.InvokeOutputOptions(parent=self, depends_on=[database])
        keys = redisenterprise.list_database_keys_output(
            **in_group, database_name="default", opts=after
        )
        found = redisenterprise.get_redis_enterprise_output(**in_group, opts=after)
        self.cache_url = pulumi.Output.secret(
            pulumi.Output.all(keys.primary_key, found.host_name).apply(
                lambda known: f"rediss://:{quote(known[0], safe='')}@{known[1]}:{CACHE_PORT}/0"
            )
        )
        return [database, endpoint]

    def _blobs(self) -> list[pulumi.Resource]:
        """A container that Open WebUI's identity may use. The account has no keys."""
        args = self._args
        account = storage.StorageAccount(
            "files",
            account_name=self._name,
            resource_group_name=self._data_group,
            location=args.settings.location,
            **without_keys(),
            sku={"name": storage.SkuName.STANDARD_ZRS},
            public_network_access=storage.PublicNetworkAccess.DISABLED,
            tags=args.tags.of(
                storage.get_storage_account,
                resource_group_name=args.groups.data,
                account_name=self._name,
            ),
            opts=self._kept,
        )
        in_account = {"account_name": account.name, "resource_group_name": self._data_group}
        retention = {"enabled": True, "days": UNDELETE_DAYS}
        service = storage.BlobServiceProperties(
            "files-blobs",
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=retention,
            container_delete_retention_policy=retention,
            opts=self._kept,
            **in_account,
        )
        container = storage.BlobContainer(
            "files-container",
            container_name=self.container,
            public_access=storage.PublicAccess.NONE,
            opts=pulumi.ResourceOptions.merge(
                self._kept, pulumi.ResourceOptions(depends_on=[service])
            ),
            **in_account,
        )
        endpoint = self._endpoint("files", account.id, "blob", "privatelink.blob.core.windows.net")
        return [endpoint, *self._identity(container.id)]

    def _identity(self, container_id: pulumi.Output[str]) -> list[pulumi.Resource]:
        """The identity of Open WebUI's pods: Azure trusts the tokens of their service account."""
        args = self._args
        in_group = {"resource_name": WEBUI_IDENTITY, "resource_group_name": args.groups.chat}
        identity = managedidentity.UserAssignedIdentity(
            "open-webui-identity",
            resource_name_=WEBUI_IDENTITY,
            resource_group_name=self._group,
            location=args.settings.location,
            tags=args.tags.of(managedidentity.get_user_assigned_identity, **in_group),
            opts=self._child,
        )
        trust = managedidentity.FederatedIdentityCredential(
            "open-webui-trust",
            federated_identity_credential_resource_name="cluster",
            resource_name_=identity.name,
            resource_group_name=self._group,
            issuer=args.cluster.oidc_issuer,
            subject=f"system:serviceaccount:{NAMESPACE}:{WEBUI}",
            audiences=["api://AzureADTokenExchange"],
            opts=self._child,
        )
        found = managedidentity.get_user_assigned_identity_output(
            **in_group, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[identity])
        )
        self.client_id = found.client_id
        access = assign_role(
            "files-access",
            role=BLOB_DATA_CONTRIBUTOR,
            scope=container_id,
            subscription=self._subscription,
            principal_id=found.principal_id,
            seed=f"{self._subscription}/{args.groups.chat}/{WEBUI_IDENTITY}",
            opts=self._child,
        )
        return [trust, access]

    def _endpoint(
        self, name: str, service_id: pulumi.Output[str], part: str, zone_name: str
    ) -> network.PrivateDnsZoneGroup:
        """A private endpoint of a service; resolves its name in the cluster's network."""
        args = self._args
        zone, link = self._zone(name, zone_name, args.cluster.group, self._child)
        endpoint = network.PrivateEndpoint(
            f"{name}-endpoint",
            private_endpoint_name=name,
            resource_group_name=self._group,
            location=args.settings.location,
            subnet={"id": args.cluster.cluster_network.endpoint_subnet_id},
            private_link_service_connections=[
                {"name": name, "private_link_service_id": service_id, "group_ids": [part]}
            ],
            tags=args.tags.of(
                network.get_private_endpoint,
                resource_group_name=args.groups.chat,
                private_endpoint_name=name,
            ),
            opts=self._child,
        )
        return network.PrivateDnsZoneGroup(
            f"{name}-endpoint-name",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            resource_group_name=self._group,
            private_dns_zone_configs=[{"name": name, "private_dns_zone_id": zone.id}],
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[link])
            ),
        )

    def _zone(
        self,
        name: str,
        zone_name: str,
        group: resources.ResourceGroup,
        opts: pulumi.ResourceOptions,
    ) -> tuple[privatedns.PrivateZone, privatedns.VirtualNetworkLink]:
        """A private DNS zone that the cluster's network asks."""
        zone = privatedns.PrivateZone(
            f"{name}-zone",
            private_zone_name=zone_name,
            resource_group_name=group.name,
            location="global",
            tags=dict(self._args.tags.own),
            opts=opts,
        )
        link = privatedns.VirtualNetworkLink(
            f"{name}-zone-link",
            virtual_network_link_name="cluster",
            private_zone_name=zone.name,
            resource_group_name=group.name,
            location="global",
            registration_enabled=False,
            virtual_network={"id": self._args.cluster.cluster_network.vnet_id},
            tags=dict(self._args.tags.own),
            opts=opts,
        )
        return zone, link

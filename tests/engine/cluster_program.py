"""A program with a cluster and the services beside it; $NODES is the size of its second pool."""

import os

import pulumi
from pulumi_azure_native import (
    containerservice,
    dbforpostgresql,
    managedidentity,
    network,
    privatedns,
    redisenterprise,
    resources,
)

group = resources.ResourceGroup("cluster-group", location="francecentral")
in_group = {"resource_group_name": group.name}
vnet = network.VirtualNetwork(
    "cluster-vnet", **in_group, address_space={"address_prefixes": ["10.0.0.0/16"]}
)
POSTGRESQL = {"name": "postgresql", "service_name": "Microsoft.DBforPostgreSQL/flexibleServers"}


def subnet(name: str, prefix: str, after: network.Subnet | None = None) -> network.Subnet:
    """A subnet; Azure changes one of a network at a time."""
    return network.Subnet(
        name,
        **in_group,
        virtual_network_name=vnet.name,
        address_prefix=prefix,
        delegations=[POSTGRESQL] if name == "for-database" else None,
        opts=pulumi.ResourceOptions(depends_on=[after] if after else None),
    )


for_nodes = subnet("for-nodes", "10.0.0.0/22")
for_database = subnet("for-database", "10.0.4.0/27", for_nodes)
for_endpoints = subnet("for-endpoints", "10.0.4.32/27", for_database)
identity = managedidentity.UserAssignedIdentity("cluster-identity", **in_group)
nodes = {"vm_size": "Standard_D4as_v5", "vnet_subnet_id": for_nodes.id}
cluster = containerservice.ManagedCluster(
    "cluster",
    **in_group,
    dns_prefix="chat",
    identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
    oidc_issuer_profile={"enabled": True},
    agent_pool_profiles=[{"name": "system", "mode": "System", "count": 2, **nodes}],
    # Azure lists the other pool here, too.
    opts=pulumi.ResourceOptions(ignore_changes=["agentPoolProfiles"]),
)
pool = containerservice.AgentPool(
    "pool",
    **in_group,
    agent_pool_name="models",
    resource_name_=cluster.name,
    mode="User",
    count=int(os.environ.get("NODES", "1")),
    **nodes,
)
credentials = containerservice.list_managed_cluster_user_credentials_output(
    **in_group, resource_name=cluster.name
)
managedidentity.FederatedIdentityCredential(
    "trust",
    **in_group,
    resource_name_=identity.name,
    issuer=cluster.oidc_issuer_profile.apply(lambda profile: profile.issuer_url),
    subject="system:serviceaccount:chat:open-webui",
    audiences=["api://AzureADTokenExchange"],
)

zone = privatedns.PrivateZone(
    "zone",
    **in_group,
    private_zone_name="chat.private.postgres.database.azure.com",
    location="global",
)
link = privatedns.VirtualNetworkLink(
    "link",
    **in_group,
    private_zone_name=zone.name,
    location="global",
    registration_enabled=False,
    virtual_network={"id": vnet.id},
)
server = dbforpostgresql.Server(
    "server",
    **in_group,
    server_name="chat-0123456789ab",
    sku={"name": "Standard_B1ms", "tier": "Burstable"},
    version="17",
    administrator_login="chat",
    administrator_login_password=pulumi.Output.secret("hush-hush-Database-1"),
    network={
        "delegated_subnet_resource_id": for_database.id,
        "private_dns_zone_arm_resource_id": zone.id,
    },
    opts=pulumi.ResourceOptions(depends_on=[link]),
)
in_server = {**in_group, "server_name": server.name}
dbforpostgresql.Configuration(
    "extensions",
    **in_server,
    configuration_name="azure.extensions",
    value="VECTOR",
    source="user-override",
)
dbforpostgresql.Database("database", **in_server, charset="UTF8", collation="en_US.utf8")

cache = redisenterprise.RedisEnterprise(
    "cache",
    **in_group,
    cluster_name="chat",
    sku={"name": "Balanced_B0"},
    public_network_access="Disabled",
)
cache_database = redisenterprise.Database(
    "cache-database",
    **in_group,
    cluster_name=cache.name,
    database_name="default",
    clustering_policy="EnterpriseCluster",
    access_keys_authentication="Enabled",
)
keys = redisenterprise.list_database_keys_output(
    **in_group, cluster_name=cache.name, database_name=cache_database.name
)
cache_zone = privatedns.PrivateZone(
    "cache-zone", **in_group, private_zone_name="privatelink.redis.azure.net", location="global"
)
endpoint = network.PrivateEndpoint(
    "endpoint",
    **in_group,
    subnet={"id": for_endpoints.id},
    private_link_service_connections=[
        {"name": "cache", "private_link_service_id": cache.id, "group_ids": ["redisEnterprise"]}
    ],
)
network.PrivateDnsZoneGroup(
    "endpoint-zones",
    **in_group,
    private_endpoint_name=endpoint.name,
    private_dns_zone_configs=[{"name": "cache", "private_dns_zone_id": cache_zone.id}],
)

pulumi.export("kubeconfig", pulumi.Output.secret(credentials.kubeconfigs[0].value))
pulumi.export("cacheKey", pulumi.Output.secret(keys.primary_key))
pulumi.export("host", server.fully_qualified_domain_name)

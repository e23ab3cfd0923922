"""The cluster: AKS with its network and nodes, or one that exists already."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_azure_native import authorization, containerservice, managedidentity, network, resources

from components.kubernetes.objects import POOL_LABEL
from components.roles import assign_role
from components.tags import Tags
from ollamazure.names import CLUSTER, NETWORK_CONTRIBUTOR, GroupNames
from ollamazure.settings.own_cluster import OwnCluster, problems_of
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import MODEL_NODE_PODS, ClusterPlan, Pool

VNET_PREFIX = "10.0.0.0/16"
NODES_PREFIX, DATABASE_PREFIX, ENDPOINTS_PREFIX = "10.0.0.0/22", "10.0.4.0/27", "10.0.4.32/27"
# Of the cluster's own networks, which no other machine reaches.
PODS_PREFIX, SERVICES_PREFIX, DNS_ADDRESS = "10.244.0.0/16", "10.96.0.0/16", "10.96.0.10"
POSTGRESQL = "Microsoft.DBforPostgreSQL/flexibleServers"
ENDED_GRACE = 60  # minutes that a drained node has, as long as the longest answer


@dataclass(frozen=True)
class ClusterArgs:
    """What a cluster is made from.

    Attributes:
        settings: the stack's.
        plan: its nodes.
        groups: names of the resource groups that are created.
        tags: of the Azure resources.
    """

    settings: Settings
    plan: ClusterPlan
    groups: GroupNames
    tags: Tags


@dataclass(frozen=True)
class ClusterNetwork:
    """Where the services that Azure operates are reached.

    Attributes:
        vnet_id: of the virtual network.
        database_subnet_id: delegated to PostgreSQL Flexible Servers.
        endpoint_subnet_id: for private endpoints.
    """

    vnet_id: pulumi.Input[str]
    database_subnet_id: pulumi.Input[str]
    endpoint_subnet_id: pulumi.Input[str]


class Cluster(pulumi.ComponentResource):
    """A cluster in which things can be created.

    Attributes:
        group: the resource group of the cluster.
        data_group: the resource group of what is kept, and of the network that a database is in.
        kept: options of a resource that `keepData` keeps.
        cluster_network: where the services are reached.
        address: the public IPv4 address of the chat; None for a cluster of one's own, or without.
        kubeconfig: secret.
        oidc_issuer: of the tokens of its service accounts.
        provider: creates resources in it.
    """

    group: resources.ResourceGroup
    data_group: resources.ResourceGroup
    kept: pulumi.ResourceOptions
    cluster_network: ClusterNetwork
    address: network.PublicIPAddress | None
    kubeconfig: pulumi.Output[str]
    oidc_issuer: pulumi.Output[str]
    provider: kubernetes.Provider

    def __init__(
        self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:Cluster", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        keep = args.settings.keep_data
        self.kept = pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)
        self.group = self._group("resource-group", args.groups.chat, self._child)
        self.data_group = self._group(
            "data-group",
            args.groups.data,
            pulumi.ResourceOptions.merge(self._child, self.kept),
        )
        given = args.settings.cluster
        if given.kubeconfig:
            self._use(given.kubeconfig)
        else:
            self._create()
        self.provider = kubernetes.Provider(
            "kubernetes",
            kubeconfig=self.kubeconfig,
            context=given.context,
            # Only another cluster replaces what is in it, and not other credentials.
            cluster_identifier=given.oidc_issuer or f"{args.groups.chat}/{CLUSTER}",
            opts=self._child,
        )
        self.register_outputs({})

    def _group(
        self, name: str, group_name: str, opts: pulumi.ResourceOptions
    ) -> resources.ResourceGroup:
        return resources.ResourceGroup(
            name,
            resource_group_name=group_name,
            location=self._args.settings.location,
            tags=self._args.tags.of(resources.get_resource_group, resource_group_name=group_name),
            opts=opts,
        )

    def _use(self, kubeconfig: str) -> None:
        """A cluster that exists already."""
        given = self._args.settings.cluster
        problems = list(
            problems_of(OwnCluster(Path(kubeconfig), given.context), given.storage_class)
        )
        if problems:
            raise pulumi.RunError("\n".join(problems))
        self.kubeconfig = pulumi.Output.secret(Path(kubeconfig).read_text(encoding="utf-8"))
        self.oidc_issuer = pulumi.Output.from_input(str(given.oidc_issuer))
        database, endpoints = str(given.database_subnet_id), str(given.endpoint_subnet_id)
        vnet_id = database.partition("/subnets/")[0]
        self.cluster_network = ClusterNetwork(vnet_id, database, endpoints)
        self.address = None

    def _create(self) -> None:
        """A cluster on AKS."""
        args, settings = self._args, self._args.settings
        vnet = self._vnet()
        self.cluster_network = ClusterNetwork(
            vnet.id,
            pulumi.Output.concat(vnet.id, "/subnets/database"),
            pulumi.Output.concat(vnet.id, "/subnets/endpoints"),
        )
        self.address = self._public_address() if settings.public_address else None
        identity, access = self._identity(vnet)
        subnet_id = pulumi.Output.concat(vnet.id, "/subnets/nodes")
        in_group = {"resource_group_name": args.groups.chat, "resource_name": CLUSTER}
        cluster = containerservice.ManagedCluster(
            "cluster",
            resource_name_=CLUSTER,
            resource_group_name=self.group.name,
            location=settings.location,
            kubernetes_version=settings.cluster.version,
            dns_prefix=args.groups.chat[:54].strip("-_.").replace("_", "-").replace(".", "-"),
            sku={"name": "Base", "tier": args.plan.scale.tier},
            identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
            enable_rbac=True,
            oidc_issuer_profile={"enabled": True},
            security_profile={"workload_identity": {"enabled": True}},
            api_server_access_profile={"authorized_ip_ranges": list(settings.ssh_clients)},
            auto_upgrade_profile={
                "upgrade_channel": "patch",
                "node_os_upgrade_channel": "NodeImage",
            },
            network_profile={
                "network_plugin": "azure",
                "network_plugin_mode": "overlay",
                "network_policy": "cilium",
                "network_dataplane": "cilium",
                "load_balancer_sku": "standard",
                "outbound_type": "loadBalancer",
                "pod_cidr": PODS_PREFIX,
                "service_cidr": SERVICES_PREFIX,
                "dns_service_ip": DNS_ADDRESS,
            },
            agent_pool_profiles=[
                {
                    **_nodes(args.plan.system, subnet_id, settings),
                    "name": args.plan.system.name,
                    "mode": "System",
                }
            ],
            tags=args.tags.of(containerservice.get_managed_cluster, **in_group),
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=access,
                    # Azure lists the other pools here, too, which a refresh would find.
                    ignore_changes=["agentPoolProfiles"],
                ),
            ),
        )
        pools = [self._pool(pool, cluster, subnet_id) for pool in args.plan.models]
        # Read from Azure rather than from the resource: an update of the cluster previews with
        # unknown outputs, and then everything in it would preview as changed too.
        after = pulumi.InvokeOutputOptions(parent=self, depends_on=[cluster, *pools])
        found = containerservice.list_managed_cluster_user_credentials_output(
            **in_group, opts=after
        )
        self.kubeconfig = pulumi.Output.secret(
            found.apply(lambda credentials: _text(credentials.kubeconfigs[0].value))
        )
        issuer = containerservice.get_managed_cluster_output(**in_group, opts=after)
        self.oidc_issuer = issuer.apply(lambda cluster: str(cluster.oidc_issuer_profile.issuer_url))

    def _vnet(self) -> network.VirtualNetwork:
        """The network of nodes and services; it lasts as long as the database in it."""
        args = self._args
        in_group = {"resource_group_name": args.groups.data, "virtual_network_name": "vnet"}
        delegation = {"name": "postgresql", "service_name": POSTGRESQL}
        return network.VirtualNetwork(
            "vnet",
            virtual_network_name="vnet",
            resource_group_name=self.data_group.name,
            address_space={"address_prefixes": [VNET_PREFIX]},
            subnets=[
                {"name": "nodes", "address_prefix": NODES_PREFIX},
                {
                    "name": "database",
                    "address_prefix": DATABASE_PREFIX,
                    "delegations": [delegation],
                },
                {"name": "endpoints", "address_prefix": ENDPOINTS_PREFIX},
            ],
            location=args.settings.location,
            tags=args.tags.of(network.get_virtual_network, **in_group),
            opts=pulumi.ResourceOptions.merge(self._child, self.kept),
        )

    def _public_address(self) -> network.PublicIPAddress:
        args, label = self._args, self._args.settings.dns_label
        in_group = {"resource_group_name": args.groups.chat, "public_ip_address_name": "chat"}
        return network.PublicIPAddress(
            "public-ip",
            public_ip_address_name="chat",
            resource_group_name=self.group.name,
            sku={"name": network.PublicIPAddressSkuName.STANDARD},
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            dns_settings={"domain_name_label": label} if label else None,
            location=args.settings.location,
            tags=args.tags.of(network.get_public_ip_address, **in_group),
            opts=self._child,
        )

    def _identity(
        self, vnet: network.VirtualNetwork
    ) -> tuple[managedidentity.UserAssignedIdentity, list[authorization.RoleAssignment]]:
        """The identity of the control plane, which may use the network and the public address."""
        args = self._args
        in_group = {"resource_group_name": args.groups.chat, "resource_name": CLUSTER}
        identity = managedidentity.UserAssignedIdentity(
            "cluster-identity",
            resource_name_=CLUSTER,
            resource_group_name=self.group.name,
            location=args.settings.location,
            tags=args.tags.of(managedidentity.get_user_assigned_identity, **in_group),
            opts=self._child,
        )
        found = managedidentity.get_user_assigned_identity_output(
            **in_group, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[identity])
        )
        subscription = authorization.get_client_config().subscription_id
        scopes = {"network": vnet.id}
        if self.address:
            scopes["address"] = self.address.id
        access = [
            assign_role(
                f"cluster-{name}-access",
                role=NETWORK_CONTRIBUTOR,
                scope=scope,
                subscription=subscription,
                principal_id=found.principal_id,
                seed=f"{subscription}/{args.groups.chat}/{CLUSTER}/{name}",
                opts=self._child,
            )
            for name, scope in scopes.items()
        ]
        return identity, access

    def _pool(
        self,
        pool: Pool,
        cluster: containerservice.ManagedCluster,
        subnet_id: pulumi.Output[str],
    ) -> containerservice.AgentPool:
        taints = ["sku=gpu:NoSchedule"] if pool.size.gpu else []
        spot = {"scale_set_priority": "Spot", "scale_set_eviction_policy": "Delete"}
        return containerservice.AgentPool(
            f"{pool.name}-pool",
            agent_pool_name=pool.name,
            resource_name_=cluster.name,
            resource_group_name=self.group.name,
            mode="User",
            max_pods=MODEL_NODE_PODS,
            node_taints=taints or None,
            **(spot if pool.spot else {}),
            **_nodes(pool, subnet_id, self._args.settings),
            opts=self._child,
        )


def _nodes(pool: Pool, subnet_id: pulumi.Output[str], settings: Settings) -> dict[str, Any]:
    """What all pools have in common."""
    return {
        "count": pool.nodes,
        "vm_size": pool.size.name,
        "os_type": "Linux",
        "os_sku": "AzureLinux",
        "type": "VirtualMachineScaleSets",
        "vnet_subnet_id": subnet_id,
        "node_labels": {POOL_LABEL: pool.name},
        "upgrade_settings": {
            "max_surge": "1",
            "drain_timeout_in_minutes": ENDED_GRACE,
        },
        "orchestrator_version": settings.cluster.version,
    }


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()

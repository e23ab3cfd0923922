"""The cluster of `engine: kubernetes`: its nodes, its replicas, and what Azure operates beside it.

Whatever is unset follows from `scale` (ollamazure/catalog/scales.yaml).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import refusal
from ollamazure.settings.types import Line, SubnetId, VmSizeName, WebAddress, Whole, matching

Engine = Literal["machine", "kubernetes"]
Scale = Literal["small", "medium", "large"]

# Of AKS: https://learn.microsoft.com/azure/aks/quotas-skus-regions
MOST_NODES = 1000
MOST_REPLICAS = 100

DATABASE_TIERS = (32, 64, 128, 256, 512, 1024, 2048, 4096)


def _database_gib(value: int) -> int:
    if value not in DATABASE_TIERS:
        larger = next((tier for tier in DATABASE_TIERS if tier > value), DATABASE_TIERS[-1])
        raise refusal("Azure has no storage of this size", instead=str(larger))
    return value


KubernetesVersion = Annotated[
    str, matching(r"1\.[1-9][0-9]", "it is not a minor version of Kubernetes")
]
DatabaseSku = Annotated[
    str,
    matching(
        r"Standard_(B[0-9]+m?s|[DE][0-9]+[ad]*s_v[0-9])",
        "it is not a size of a PostgreSQL Flexible Server",
    ),
]
CacheSku = Annotated[
    str,
    matching(
        r"(Balanced_B|MemoryOptimized_M|ComputeOptimized_X)[0-9]+",
        "it is not a size of Azure Managed Redis",
    ),
]
DatabaseGib = Annotated[Whole, AfterValidator(_database_gib)]
Replicas = Annotated[Whole, Field(ge=1, le=MOST_REPLICAS)]
Nodes = Annotated[Whole, Field(ge=1, le=MOST_NODES)]


def _nodes(role: str, example: int) -> Nodes | None:
    found: Nodes | None = setting(
        None,
        description=f"Number of nodes {role}. Unset: it follows from scale.",
        allowed=f"1 to {MOST_NODES}",
        example=example,
    )
    return found


def _size(role: str, example: str) -> VmSizeName | None:
    found: VmSizeName | None = setting(
        None,
        description=f"Size of the nodes {role}. Unset: it follows from scale.",
        allowed="a size of ollamazure/catalog/vm_sizes.yaml",
        example=example,
    )
    return found


class ClusterSettings(Section):
    """The cluster that the chat runs on."""

    kubeconfig: str | None = setting(
        None,
        description="A file with the way to a cluster of your own, instead of a new one on AKS. "
        "Never commit it.",
        allowed="a path; a relative one starts in the project's folder",
        example="secrets/kubeconfig",
    )
    context: Line | None = setting(
        None,
        description="The context of cluster.kubeconfig. Unset: its current one.",
        allowed="a name of a context, and only with cluster.kubeconfig",
        example="team",
    )
    oidc_issuer: WebAddress | None = setting(
        None,
        description="The issuer of the service account tokens of a cluster of your own, which "
        "Azure reads to let the chat use the blobs.",
        allowed="an https:// address, and only with cluster.kubeconfig",
        example="https://oidc.example.com/cluster",
    )
    storage_class: Line | None = setting(
        None,
        description="The storage class for the models of a cluster of your own. Unset: its "
        "default one.",
        allowed="a name of a storage class, and only with cluster.kubeconfig",
        example="fast",
    )
    endpoint_subnet_id: SubnetId | None = setting(
        None,
        description="A subnet that a cluster of your own reaches, for the private endpoints of "
        "cache and blobs.",
        allowed="the ARM id of a subnet, and only with cluster.kubeconfig",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
        "/providers/Microsoft.Network/virtualNetworks/company/subnets/endpoints",
    )
    database_subnet_id: SubnetId | None = setting(
        None,
        description="A subnet that a cluster of your own reaches and that is delegated to "
        "Microsoft.DBforPostgreSQL/flexibleServers, for the database.",
        allowed="the ARM id of a subnet, and only with cluster.kubeconfig",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
        "/providers/Microsoft.Network/virtualNetworks/company/subnets/database",
    )
    # Two behind the latest: https://learn.microsoft.com/azure/aks/supported-kubernetes-versions
    version: KubernetesVersion = setting(
        "1.34",
        description="Minor version of Kubernetes on AKS.",
        allowed="a minor version that AKS supports, one above the present one at most",
        example="1.34",
    )
    system_size: VmSizeName | None = _size("that run everything but models", "Standard_D4as_v5")
    system_nodes: Nodes | None = _nodes("that run everything but models", 3)
    model_size: VmSizeName | None = _size("that run models on processors", "Standard_D8as_v5")
    model_nodes: Nodes | None = _nodes("that run models on processors", 2)
    gpu_size: VmSizeName | None = _size("that run models on GPUs", "Standard_NC4as_T4_v3")
    gpu_nodes: Nodes | None = _nodes("that run models on GPUs", 1)
    gpu_spot: bool = setting(
        False,
        description="Whether the nodes with GPUs are spot ones: cheaper, and Azure may take them "
        "away at any time. Then other nodes answer, if there are any.",
        allowed="true or false",
        example=True,
    )
    webui_replicas: Replicas | None = setting(
        None,
        description="Least number of replicas of Open WebUI. Unset: it follows from scale.",
        allowed=f"1 to {MOST_REPLICAS}",
        example=3,
    )
    most_webui_replicas: Replicas | None = setting(
        None,
        description="Most replicas of Open WebUI, which Kubernetes adds when they are busy. "
        "Unset: it follows from scale.",
        allowed=f"cluster.webuiReplicas to {MOST_REPLICAS}",
        example=6,
    )
    database_size: DatabaseSku | None = setting(
        None,
        description="Size of the PostgreSQL server. Unset: it follows from scale.",
        allowed="a size of a PostgreSQL Flexible Server",
        example="Standard_D2ds_v5",
    )
    database_gib: DatabaseGib | None = setting(
        None,
        description="Storage of the PostgreSQL server; it only grows. Unset: it follows from "
        "scale.",
        allowed="32, 64, 128, 256, 512, 1024, 2048 or 4096 GiB",
        example=128,
    )
    database_standby: bool | None = setting(
        None,
        description="Whether the PostgreSQL server has a standby in another zone, which takes over "
        "when it fails. Unset: it follows from scale.",
        allowed="true or false, and true only with a size that is not burstable",
        example=True,
    )
    cache_size: CacheSku | None = setting(
        None,
        description="Size of the Azure Managed Redis. Unset: it follows from scale.",
        allowed="a size of Azure Managed Redis",
        example="Balanced_B1",
    )
    model_disk_gib: Annotated[Whole, Field(ge=4, le=4095)] | None = setting(
        None,
        description="Size of the disk with the models, of each replica of Ollama; it only grows. "
        "Unset: it follows from the models.",
        allowed="4 to 4095 GiB",
        example=64,
    )

"""What Azure would refuse of a cluster and the services beside it.

The shapes of the answers are those of Azure CLI 2.91's own source; no real answer was seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ollamazure.azure.az import AzureCli
from ollamazure.azure.finding import Finding
from ollamazure.azure.region import Region, belongs_to
from ollamazure.azure.stack_file import StackFile
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan, Pool

AKS = "Microsoft.ContainerService"
POSTGRESQL, REDIS = "Microsoft.DBforPostgreSQL", "Microsoft.Cache"
SPOT = "lowprioritycores"
OTHER_REGION = "another region: pulumi config set ollamazure:location <region>"


def check_cluster(
    az: AzureCli, stack: StackFile, settings: Settings, plan: ClusterPlan
) -> Iterator[Finding]:
    """Azure offers the nodes and their Kubernetes, and has cores left for them. Raises AzError."""
    location = settings.location
    region = Region.query(az, stack, location)
    pools = (plan.system, *plan.models)
    refused = False
    for pool in pools:
        if refusal := region.refusal(pool.size.name):
            refused = True
            key = {"system": "systemSize", "models": "modelSize"}.get(pool.name, "gpuSize")
            fix = f"another size: {command(('cluster', key), '<size>')}"
            yield Finding(
                f"nodes: {pool.size.name} of the pool {pool.name} in {location} is {refusal}",
                (fix, OTHER_REGION),
            )
    if not refused:
        yield from _quotas(az, stack, region, pools)
    known = az.run("aks", "get-versions", "--location", location)["values"]
    versions = [one["version"] for one in known if not one.get("isPreview")]
    wanted = settings.cluster.version
    what = f"Kubernetes: {wanted} in {location}"
    if wanted in versions:
        yield Finding(f"{what} is supported")
    else:
        yield Finding(
            f"{what} is not supported; supported are {', '.join(sorted(versions))}",
            tuple(command(("cluster", "version"), each) for each in sorted(versions)),
        )


def _quotas(
    az: AzureCli, stack: StackFile, region: Region, pools: tuple[Pool, ...]
) -> Iterator[Finding]:
    """The quotas hold the nodes, and another one of each pool while its nodes are replaced."""
    needed: Counter[str] = Counter()
    for pool in pools:
        cores = region.cores(pool.size.name) * (pool.nodes + 1)
        family = region.offers[pool.size.name]["family"].lower()
        for counter in (SPOT,) if pool.spot else (family, "cores"):
            needed[counter] += cores
    present: Counter[str] = Counter()
    for cluster in az.run("aks", "list"):
        for pool in cluster["agentPoolProfiles"] if belongs_to(cluster, stack) else ():
            size = pool["vmSize"]
            if size in region.offers:
                spot = pool.get("scaleSetPriority") == "Spot"
                family = region.offers[size]["family"].lower()
                for counter in (SPOT,) if spot else (family, "cores"):
                    present[counter] += region.cores(size) * pool["count"]
    short = [
        f"{quota.title}: {needed[counter]} are needed, and {quota.used - present[counter]} of"
        f" {quota.limit} are used by others"
        for counter, quota in region.quotas.items()
        if needed[counter] and quota.used - present[counter] + needed[counter] > quota.limit
    ]
    for shortage in short:
        yield Finding(
            f"quota of {shortage}",
            (
                f"request more: Azure portal, Quotas, Compute, region {region.name}",
                f"fewer nodes: {command(('cluster', 'modelNodes'), '<number>')}",
                OTHER_REGION,
            ),
        )
    if not short:
        yield Finding(f"quota: {needed['cores']} cores for the nodes in {region.name} are free")


def check_database(az: AzureCli, settings: Settings, plan: ClusterPlan) -> Iterator[Finding]:
    """Azure offers the PostgreSQL server in the region. Raises AzError."""
    location, size = settings.location, plan.database_size
    offers = az.run("postgres", "flexible-server", "list-skus", "--location", location)
    what = f"database: {size} in {location}"
    usable = [offer for offer in offers or () if offer.get("restricted") != "Enabled"]
    sizes = {
        sku["name"]
        for offer in usable
        for edition in offer["supportedServerEditions"]
        for sku in edition["supportedServerSkus"]
    }
    if not usable:
        fix = "request access: Azure portal, Quotas, PostgreSQL"
        yield Finding(f"{what}: this subscription gets no servers there", (fix, OTHER_REGION))
    elif size not in sizes:
        fix = f"another size: {command(('cluster', 'databaseSize'), '<size>')}"
        yield Finding(f"{what} is not offered", (fix, OTHER_REGION))
    elif plan.database_standby and not any(
        offer.get("zoneRedundantHaSupported") == "Enabled" for offer in usable
    ):
        fix = f"without a standby: {command(('cluster', 'databaseStandby'), 'false')}"
        yield Finding(f"{what} has no second zone for a standby", (OTHER_REGION, fix))
    else:
        yield Finding(f"{what} is offered")


def check_cache(az: AzureCli, settings: Settings) -> Iterator[Finding]:
    """Azure Managed Redis is in the region. Raises AzError."""
    types = az.run("provider", "show", "--namespace", REDIS)["resourceTypes"]
    regions = {
        re.sub(r"\W", "", region).lower()
        for one in types
        if one["resourceType"].lower() == "redisenterprise"
        for region in one["locations"]
    }
    what = f"cache: Azure Managed Redis in {settings.location}"
    if settings.location in regions:
        yield Finding(f"{what} is offered")
    else:
        yield Finding(f"{what} is not offered", (OTHER_REGION,))

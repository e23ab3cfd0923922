"""Everything that follows from the settings of `engine: kubernetes`: nodes, replicas, memory, cost.

A node of AKS keeps memory for itself (kubelet, containerd and what must not run out), which pods
cannot have: 20 MB for each pod that may run there and 50 MB, at most a quarter of the node, and
100 MiB below which pods are evicted
(https://learn.microsoft.com/azure/aks/node-resource-reservations, Kubernetes 1.29 and later). With
AKS' default of 250 pods that is a quarter, so a node for models has few pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ollamazure import catalog
from ollamazure.catalog import Scale, VmSize
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.choice import choose_load, holds_models
from ollamazure.sizing.cost import HOURS_A_MONTH, MonthlyCost, disk_price, monthly_cost
from ollamazure.sizing.disks import models_on_disk
from ollamazure.sizing.memory import (
    SPARE_GIB,
    Load,
    gpu_room,
    largest_needs,
    models_need,
    prompt_caches_gib,
    usable,
)
from ollamazure.sizing.plan import SizingError

MODEL_NODE_PODS = 30
RESERVED_GIB = (20e6 * MODEL_NODE_PODS + 50e6) / 2**30 + 100 / 1024
# Pods of AKS on every node: network, disks, metrics. From memory, to be measured on AKS.
DAEMONS_GIB = 0.5
NODE_GIB = RESERVED_GIB + DAEMONS_GIB + SPARE_GIB
# Beside the models and a second version of each, which a pull keeps until it is complete.
MODEL_DISK_BASE_GIB = 4
# What Open WebUI may open, below the least limit of the server sizes (50 on Standard_B1ms, of which
# the server keeps 15), and the connections of the migration and of the tools.
# https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-limits
CONNECTIONS = {"Standard_B1ms": 35, "Standard_B2s": 414}
MANY_CONNECTIONS = 844
OTHER_CONNECTIONS = 5
POOLS = 2  # open_webui/internal/db.py has a synchronous and an asynchronous engine
PRIVATE_ENDPOINTS = 2  # of the cache and of the blobs


@dataclass(frozen=True)
class Pool:
    """Nodes of one kind.

    Attributes:
        name: of the agent pool, and of what runs there.
        size: of each node.
        nodes: how many there are.
        load: how models are used there; None where none run.
        spot: whether Azure may take them away.
    """

    name: str
    size: VmSize
    nodes: int
    load: Load | None = None
    spot: bool = False


@dataclass(frozen=True)
class ClusterPlan:
    """What follows from the settings of a cluster.

    Attributes:
        scale: the row of the catalog.
        system: the nodes that run everything but models.
        models: the nodes that run models; at least one pool.
        webui_replicas: the least and the most replicas of Open WebUI.
        database_size: of the PostgreSQL server.
        database_gib: its storage.
        database_standby: whether another zone has a second server.
        cache_size: of the Azure Managed Redis.
        model_disk_gib: of the disk of each replica of Ollama.
        database_pool_size: connections of each replica of Open WebUI, in each of its two pools.
        background_generation: whether models also write titles, tags and follow-ups.
    """

    scale: Scale
    system: Pool
    models: tuple[Pool, ...]
    webui_replicas: tuple[int, int]
    database_size: str
    database_gib: int
    database_standby: bool
    cache_size: str
    model_disk_gib: int
    database_pool_size: int
    background_generation: bool


def make_cluster_plan(settings: Settings) -> ClusterPlan:
    """The cluster for these settings and everything that follows from it.

    Raises:
        SizingError: the models do not fit into the memory of a node, or Open WebUI's replicas need
            more connections than the database has.
    """
    scale, given = catalog.scales()[settings.scale], settings.cluster
    system = Pool(
        "system",
        catalog.vm_sizes()[given.system_size or scale.system_size],
        given.system_nodes or scale.system_nodes,
    )
    pools = tuple(_model_pools(settings, scale))
    least = given.webui_replicas or scale.webui_replicas
    most = given.most_webui_replicas or max(least, scale.most_webui_replicas)
    database = given.database_size or scale.database_size
    # While pods are replaced there is one more; each has a pool for each of its two ways to wait.
    connections = (CONNECTIONS.get(database, MANY_CONNECTIONS) - OTHER_CONNECTIONS) // (
        (most + 1) * POOLS
    )
    problems = [*_do_not_fit(settings, pools)]
    if connections < 1:
        problems.append(_too_many_replicas(database, most))
    if problems:
        raise SizingError("\n".join(problems))
    standby = scale.database_standby if given.database_standby is None else given.database_standby
    disk = given.model_disk_gib or _tier_of(MODEL_DISK_BASE_GIB + 2 * models_on_disk(settings))
    return ClusterPlan(
        scale=scale,
        system=system,
        models=pools,
        webui_replicas=(least, most),
        database_size=database,
        database_gib=given.database_gib or scale.database_gib,
        database_standby=standby,
        cache_size=given.cache_size or scale.cache_size,
        model_disk_gib=disk,
        database_pool_size=settings.tuning.database_pool_size or min(20, connections),
        background_generation=(
            any(pool.size.gpu for pool in pools)
            if settings.tuning.background_generation is None
            else settings.tuning.background_generation
        ),
    )


def _model_pools(settings: Settings, scale: Scale) -> Iterator[Pool]:
    """The pools that run models: on processors, and on GPUs if there are any."""
    given = settings.cluster
    size = catalog.vm_sizes()[given.model_size or scale.model_size]
    nodes = given.model_nodes or scale.model_nodes
    yield Pool("models", size, nodes, choose_load(size, settings, fits_on_node))
    gpu = given.gpu_size or scale.gpu_size
    if gpu:
        size = catalog.vm_sizes()[gpu]
        load = choose_load(size, settings, fits_on_node)
        yield Pool("gpu", size, given.gpu_nodes or scale.gpu_nodes or 1, load, given.gpu_spot)


def fits_on_node(size: VmSize, settings: Settings, load: Load) -> bool:
    """Whether a node of this size holds the models under this load."""
    models, rest = models_need(settings, load), NODE_GIB + prompt_caches_gib(settings, load)
    if size.gpu:
        return models <= gpu_room(size) and rest <= usable(size)
    return models + rest <= usable(size)


def ollama_memory_mib(size: VmSize) -> int:
    """MiB of memory that the pod of Ollama may use on a node of this size."""
    return int(1024 * (usable(size) - NODE_GIB))


def _do_not_fit(settings: Settings, pools: tuple[Pool, ...]) -> Iterator[str]:
    for pool in pools:
        load = pool.load
        if load is None or fits_on_node(pool.size, settings, load):
            continue
        needs = largest_needs(settings, load)
        total = sum(need.total for need in needs.values())
        parts = " + ".join(f"{name} {need.total:.1f}" for name, need in needs.items())
        rest = NODE_GIB + prompt_caches_gib(settings, load)
        key = ("cluster", "gpuSize" if pool.size.gpu else "modelSize")
        room = gpu_room(pool.size) if pool.size.gpu else usable(pool.size)
        with_rest = "" if pool.size.gpu else f" + what the node keeps {rest:.1f}"
        need = total if pool.size.gpu else total + rest
        yield (
            f"{', '.join(settings.models)} do not fit on a node of {pool.size.name}; nothing has "
            "been created or changed.\n"
            f"   Need:     {need:.1f} GiB = {parts}{with_rest}\n"
            f"   There is: {room:.1f} GiB usable\n"
            f"{_sizes(settings, pool, key)}"
        )


def _sizes(settings: Settings, pool: Pool, key: tuple[str, str]) -> str:
    """The cheapest sizes of nodes that hold the models, and the command that chooses one."""
    prices = catalog.prices().hourly["eastus"]
    fitting = sorted(
        (
            size
            for size in catalog.vm_sizes().values()
            if bool(size.gpu) == bool(pool.size.gpu)
            and not (size.retires or size.unsupported)
            and size.name in prices
            and holds_models(size, settings, fits_on_node)
        ),
        key=lambda size: (prices[size.name], size.name),
    )[:3]
    if not fitting:
        return "   Fix:      choose a smaller model or a shorter context; no size fits"
    offers = "\n             ".join(
        f"{size.name} ({size.vcpus} vCPU, {size.memory_gib:g} GiB), about "
        f"{prices[size.name] * HOURS_A_MONTH:.0f} {catalog.prices().currency} a month for each node"
        for size in fitting
    )
    return f"   Fits:     {offers}\n   Fix:      {command(key, fitting[0].name)}"


def _too_many_replicas(database: str, most: int) -> str:
    return (
        f"{database} accepts too few connections for {most} replicas of Open WebUI; nothing has "
        "been created or changed.\n"
        f"   Fix:      {command(('cluster', 'databaseSize'), 'Standard_D2ds_v5')}"
    )


def _tier_of(gib: float) -> int:
    tiers = sorted(catalog.prices().monthly.standard_ssd)
    return next((tier for tier in tiers if tier >= gib), tiers[-1])


def cluster_cost(plan: ClusterPlan, settings: Settings) -> MonthlyCost:
    """An estimate, without tax and traffic; of a cluster of one's own, what is beside it.

    A size of a service without a price counts as the largest that has one.
    """
    prices, services = catalog.prices(), catalog.service_prices()
    hourly, pools = prices.hourly["eastus"], (plan.system, *plan.models)
    server = services.databases.get(plan.database_size, max(services.databases.values()))
    amount = (
        (server + plan.database_gib * services.database_gib) * (2 if plan.database_standby else 1)
        + services.caches.get(plan.cache_size, max(services.caches.values()))
        + PRIVATE_ENDPOINTS * services.private_endpoint
        + sum(pool.nodes for pool in plan.models) * disk_price(plan.model_disk_gib)
    )
    if settings.cluster.kubeconfig is None:
        nodes = sum(pool.nodes * hourly.get(pool.size.name, 0) for pool in pools)
        amount += nodes * HOURS_A_MONTH + services.aks[plan.scale.tier]
        amount += services.load_balancer + prices.monthly.public_address
    return MonthlyCost(amount, prices.currency, "eastus", prices.date, verified=False)


def machine_instead(plan: ClusterPlan, settings: Settings) -> str | None:
    """The note that one machine is cheaper; None if it would be too small for the people."""
    size = plan.models[0].size
    if plan.scale.name != "small" or not holds_models(size, settings):
        return None
    machine, cluster = monthly_cost(size, settings), cluster_cost(plan, settings)
    return (
        f"A cluster costs {cluster.short}. For about {plan.scale.people} people one machine is "
        f"cheaper and simpler: engine machine with {size.name}, {machine.short}."
    )

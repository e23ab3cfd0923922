"""What a model needs, what a machine has, which size fits, what it costs: pure functions.

Memory of a model, in bytes. Ollama 0.30 and later run llama.cpp's llama-server, one for each model,
with `-c <context x parallel> -np <parallel> -b 512`; what its log and /proc say was measured
(tests/e2e/test_memory.py) and the formula holds it from above:

    weights    the file, read into memory
    cache      (key + value length) x KV heads x 2 bytes (f16) x tokens, summed over the layers; a
               layer holds context x parallel tokens, one with a sliding window at most
               (window + batch) x parallel
    buffers    4 bytes x batch x (18 x embedding + 2 x context x parallel): activations and
               attention masks of one batch, flash attention on
    runner     llama-server itself: 10 MiB and half a KiB for each word of the vocabulary

llama-server also keeps the caches of former conversations in the machine's memory, up to 8 GiB
unless LLAMA_ARG_CACHE_RAM says less. Here a thirty-second of the memory, for each loaded model.

The machine adds the system, Open WebUI and Nginx, and something to spare. Since 0.30 Ollama no
longer refuses a model that is too large: it swaps or is killed. So it is refused here, at preview.

What Ollama is told follows from the machine's size, and from the models only where they leave no
choice: so a model that comes or goes leaves Ollama's service as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import pulumi

from ollamazure import catalog
from ollamazure.catalog import Model, VmSize
from ollamazure.settings.documents import documents
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings

GIB = 2**30
HOURS_A_MONTH = 730  # as in Azure's own calculator

BATCH = 512  # tokens llama-server works on at once
CACHE_BYTES = 2  # f16, Ollama's default
RUNNER_BYTES = 10 * 2**20
TOKENIZER_BYTES = 512  # for each word of the vocabulary

SYSTEM_GIB = 0.6
# Reports of Open WebUI's issues 2582, 4188 and 16596 lie between 0.65 and 1.6 GiB. Measured at rest
# with the official image's libraries for machine learning: 0.8, whether it embeds or not.
WEBUI_GIB = 1.2
NGINX_GIB = 0.05
# What Open WebUI takes more where it embeds by itself, measured with torch 2.6 on two cores: 0.03
# at rest, 0.12 after some documents. The libraries for it are in memory in any case.
IMAGES_SEARCH_GIB = 0.2
SPARE_GIB = 0.5
MACHINE_GIB = SYSTEM_GIB + WEBUI_GIB + NGINX_GIB + SPARE_GIB

# A machine of 8 GiB shows its system about 7.76: firmware and kernel take the rest.
USABLE_SHARE = 0.97
# A T4 of 16 GiB shows 15: error correction keeps a sixteenth. CUDA's own context needs some more.
GPU_USABLE_SHARE = 0.9

# Images of Open WebUI and Nginx, twice during an upgrade, and room for chats and files.
DATA_DISK_BASE_GIB = 16

# Every token reads all weights once, so memory bandwidth decides: a published measurement of
# llama.cpp on four vCPUs (Xeon 8171M) gives 24.9 tokens/s for 0.67 GB, 8.4 for 1.9 GB and 4.1 for
# 4.1 GB of weights: about 4 GB/s for each vCPU.
GB_PER_SECOND_AND_VCPU = 4.0
SLOW_TOKENS_PER_SECOND = 3.0
BYTES_A_TOKEN = 4  # of prose in English; others take more tokens

OS_DISK_GIB = 32

# Ollama's own number of models side by side on processors.
MOST_LOADED_MODELS = 3
MOST_PROMPT_CACHE_MIB = 8192  # llama-server's own limit


class SizingError(pulumi.RunError):
    """A machine or a disk that is too small for what it shall hold."""


@dataclass(frozen=True)
class Need:
    """Memory, in GiB, of one model at work."""

    weights: float
    cache: float = 0.0
    buffers: float = 0.0
    runner: float = 0.0

    @property
    def total(self) -> float:
        """All of it, in GiB."""
        return self.weights + self.cache + self.buffers + self.runner


@dataclass(frozen=True)
class MonthlyCost:
    """An estimate for machine, disks and public address; without tax and traffic."""

    amount: float
    currency: str
    region: str
    as_of: date
    verified: bool

    def __str__(self) -> str:
        return f"{self.short} ({self.basis})"

    @property
    def short(self) -> str:
        """The amount alone."""
        return f"about {self.amount:.0f} {self.currency} a month"

    @property
    def basis(self) -> str:
        """What the amount rests on."""
        trust = "" if self.verified else ", not verified"
        return f"pay as you go, prices of {self.region} as of {self.as_of}{trust}"


@dataclass(frozen=True)
class Sizing:
    """What follows from the settings and the machine's size.

    Attributes:
        vm_size: the size, chosen where the settings say auto.
        context_length: tokens a model sees, the same everywhere.
        num_parallel: answers a model writes at once.
        max_loaded_models: models kept in memory side by side.
        keep_alive: how long an unused model stays there, as Ollama reads it.
        prompt_cache_mib: MiB that each loaded model may keep of former conversations.
        database_pool_size: Open WebUI's database connections.
        background_generation: whether models write titles, tags and follow-ups as well.
        gpu: whether models run on a GPU.
        memory_need_gib: of models and machine together.
        monthly_cost: estimate.
        warnings: what the operator should know before paying.
    """

    vm_size: VmSize
    context_length: int
    num_parallel: int
    max_loaded_models: int
    keep_alive: str
    prompt_cache_mib: int
    database_pool_size: int
    background_generation: bool
    gpu: bool
    memory_need_gib: float
    monthly_cost: MonthlyCost
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """How the models are used: what decides memory besides the models themselves."""

    context_length: int
    num_parallel: int
    max_loaded_models: int
    prompt_cache_mib: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all answers that are written at once."""
        return self.context_length * self.num_parallel


def plan(settings: Settings, today: date | None = None) -> Sizing:
    """The machine for these settings and all that follows from it.

    Args:
        settings: the stack's.
        today: the day for dated warnings; now unless told.

    Raises:
        SizingError: the machine's memory or the data disk is too small, or the size is one the
            program does not support; says which sizes fit.
    """
    size = chosen(settings)
    problems = [
        data_disk_too_small(settings),
        not_supported(size, settings) or memory_too_small(size, settings),
    ]
    if any(problems):
        raise SizingError("\n".join(filter(None, problems)))
    load = load_on(size, settings)
    tuning = settings.tuning
    return Sizing(
        vm_size=size,
        context_length=load.context_length,
        num_parallel=load.num_parallel,
        max_loaded_models=load.max_loaded_models,
        keep_alive=tuning.keep_alive or "-1",
        prompt_cache_mib=load.prompt_cache_mib,
        database_pool_size=tuning.database_pool_size or database_pool_size(size),
        background_generation=(
            size.gpu is not None
            if tuning.background_generation is None
            else tuning.background_generation
        ),
        gpu=size.gpu is not None,
        memory_need_gib=machine_need(settings, load) + models_need(settings, load),
        monthly_cost=monthly_cost(size, settings.location, settings.data_disk_gib),
        warnings=tuple(_warnings(size, settings, load, today or date.today())),
    )


def chosen(settings: Settings) -> VmSize:
    """The size that is set; for auto the first of the fixed rank that fits, or its last."""
    if settings.vm_size != "auto":
        return catalog.vm_sizes()[settings.vm_size]
    fitting = (size for size in catalog.rank() if fits(size, settings, load_on(size, settings)))
    return next(fitting, catalog.rank()[-1])


def load_on(size: VmSize, settings: Settings) -> Load:
    """How models are used on a machine: what is set, else the most that suits it and fits.

    Long contexts and parallel answers help only where there is speed for them, so the wishes
    follow the processors; memory then decides how much of them comes true.
    """
    for load in _wishes(size, settings):
        if fits(size, settings, load):
            return load
    return load


def _wishes(size: VmSize, settings: Settings) -> Iterable[Load]:
    """Loads from the most wished for to the least."""
    fast = size.gpu is not None
    contexts = [16384, 8192, 4096] if fast else [8192, 4096] if size.vcpus >= 4 else [4096]
    parallels = [4, 2, 1] if fast or size.vcpus >= 8 else [2, 1] if size.vcpus >= 4 else [1]
    together = range(MOST_LOADED_MODELS, 0, -1)
    limit = min((model.context_limit for model in _chat_models(settings)), default=4096)
    tuning = settings.tuning
    told = tuning.prompt_cache_mib
    prompt_cache = prompt_cache_mib(size) if told is None else told
    for context in [settings.context_length] if settings.context_length else contexts:
        for parallel in [tuning.parallel_requests] if tuning.parallel_requests else parallels:
            for loaded in [tuning.loaded_models] if tuning.loaded_models else together:
                yield Load(min(context, limit), parallel, loaded, prompt_cache)


def prompt_cache_mib(size: VmSize) -> int:
    """MiB that each loaded model may keep of former conversations.

    With them, people who take turns need not wait until their whole conversation is read again.
    """
    return min(MOST_PROMPT_CACHE_MIB, int(size.memory_gib * 1024 / 32))


def _chat_models(settings: Settings) -> list[Model]:
    known = [catalog.models().get(name) for name in settings.models]
    return [model for model in known if model and model.kind == "chat"]


def fits(size: VmSize, settings: Settings, load: Load) -> bool:
    """Whether a machine of this size holds the models under this load."""
    models, machine = models_need(settings, load), machine_need(settings, load)
    if size.gpu:
        return models <= gpu_room(size) and machine <= usable(size)
    return models + machine <= usable(size)


def gpu_room(size: VmSize) -> float:
    """Memory of the GPUs that models can have, in GiB."""
    return size.gpu.memory_gib * GPU_USABLE_SHARE if size.gpu else 0.0


def room_for_a_model(size: VmSize) -> float:
    """Memory that a single model can have, in GiB."""
    if size.gpu:
        return gpu_room(size)
    return usable(size) - MACHINE_GIB - prompt_cache_mib(size) / 1024


def usable(size: VmSize) -> float:
    """Memory the system sees, in GiB."""
    return size.memory_gib * USABLE_SHARE


def machine_need(settings: Settings, load: Load) -> float:
    """Memory, in GiB, of all but the models: former conversations are kept outside the GPU too."""
    loaded = min(load.max_loaded_models, len(settings.models))
    search = IMAGES_SEARCH_GIB if settings.document_search == "image" else 0.0
    return MACHINE_GIB + search + loaded * load.prompt_cache_mib / 1024


def models_need(settings: Settings, load: Load) -> float:
    """Memory, in GiB, of the models that are in it at once, the largest taken."""
    needs = sorted((need_of(name, settings, load).total for name in settings.models), reverse=True)
    return sum(needs[: load.max_loaded_models])


def need_of(name: str, settings: Settings, load: Load) -> Need:
    """Memory of one model; what the settings say of it wins over the catalog."""
    told = settings.model_memory_gib.get(name)
    return Need(weights=told) if told else need(catalog.models()[name], load)


def need(model: Model, load: Load) -> Need:
    """Memory of a model of the catalog, by the formula at the head of this file."""
    return Need(
        weights=model.download_gb * 1e9 / GIB,
        cache=cache_bytes(model, load.context_length, load.num_parallel) / GIB,
        buffers=4 * BATCH * (18 * model.embedding + 2 * load.tokens) / GIB,
        runner=(RUNNER_BYTES + TOKENIZER_BYTES * model.vocabulary) / GIB,
    )


def cache_bytes(model: Model, context_length: int, num_parallel: int) -> int:
    """Size of the KV cache, in bytes."""
    context = min(context_length, model.context_limit)
    a_token = (model.key_length + model.value_length) * model.kv_heads * CACHE_BYTES
    sliding = model.sliding.layers if model.sliding else 0
    window = min(context, model.sliding.window + BATCH) if model.sliding else 0
    tokens = (model.layers - sliding) * context + sliding * window
    return a_token * tokens * num_parallel


def data_disk_too_small(settings: Settings) -> str | None:
    """What to say when the models do not fit on the data disk; a kept disk's size is not known."""
    files = sum(
        settings.model_memory_gib.get(name) or catalog.models()[name].download_gb * 1e9 / GIB
        for name in settings.models
    )
    enough = DATA_DISK_BASE_GIB + files
    if settings.data_disk_id or settings.data_disk_gib >= enough:
        return None
    size = next(tier for tier in catalog.prices().monthly.standard_ssd if tier >= enough)
    return (
        f"The data disk is too small; nothing has been created or changed.\n"
        f"   Need:     {enough:.0f} GiB = models {files:.1f} + images, chats and files "
        f"{DATA_DISK_BASE_GIB}\n"
        f"   There is: {settings.data_disk_gib} GiB (ollamazure:dataDiskGiB)\n"
        f"   Fix:      {command(('dataDiskGiB',), str(size))}"
    )


def database_pool_size(size: VmSize) -> int:
    """Open WebUI's connections; SQLite's page cache comes with each, so memory decides."""
    return min(32, max(8, int(size.memory_gib)))


def tokens_per_second(model: Model, size: VmSize) -> float | None:
    """Speed of one answer on the processors, estimated; None on a GPU."""
    if size.gpu:
        return None
    share = (model.active or model.parameters) / model.parameters
    return size.vcpus * GB_PER_SECOND_AND_VCPU / (model.download_gb * share)


def monthly_cost(size: VmSize, location: str, data_disk_gib: int) -> MonthlyCost:
    """Estimate for machine, OS disk, data disk and public address.

    Regions without prices of their own are estimated with those of eastus.
    """
    prices = catalog.prices()
    region = location if size.name in prices.hourly.get(location, {}) else "eastus"
    amount = (
        prices.hourly[region][size.name] * HOURS_A_MONTH
        + disk_price(OS_DISK_GIB)
        + disk_price(data_disk_gib)
        + prices.monthly.public_address
    )
    return MonthlyCost(amount, prices.currency, region, prices.date, prices.verified)


def disk_price(gib: int) -> float:
    """Dollars a month of a Standard SSD, which is billed by the next larger tier."""
    tiers = catalog.prices().monthly.standard_ssd
    return next(price for tier, price in sorted(tiers.items()) if tier >= gib)


def cheapest_that_fit(settings: Settings, *, gpu: bool = False, count: int = 3) -> list[VmSize]:
    """The cheapest sizes that hold the models, or those of them with a GPU.

    Left out are series that retire and sizes the program does not support.
    """
    fitting = [
        size
        for size in catalog.vm_sizes().values()
        if not (size.retires or size.unsupported)
        and (size.gpu or not gpu)
        and fits(size, settings, load_on(size, settings))
    ]
    return sorted(fitting, key=lambda size: (_price(size, settings), size.name))[:count]


def _price(size: VmSize, settings: Settings) -> float:
    return monthly_cost(size, settings.location, settings.data_disk_gib).amount


def memory_too_small(size: VmSize, settings: Settings) -> str | None:
    """What to say when the models do not fit into memory: all that a user needs to choose."""
    load = load_on(size, settings)
    if fits(size, settings, load):
        return None
    names = ", ".join(settings.models)
    verb = "do" if len(settings.models) > 1 else "does"
    where = "any size that vmSize = auto may choose" if settings.vm_size == "auto" else size.name
    return (
        f"{names} {verb} not fit {where}; nothing has been created or changed.\n"
        f"   Need:     {_sum_of_needs(size, settings, load)}\n"
        f"   There is: {_there_is(size)}\n{_way_out(settings, cheapest_that_fit(settings))}"
    )


def not_supported(size: VmSize, settings: Settings) -> str | None:
    """What to say of a size that the program cannot run models on; what it has is offered."""
    if not size.unsupported:
        return None
    alike = cheapest_that_fit(settings, gpu=size.gpu is not None)
    return (
        f"{size.name} is not supported: {size.unsupported}; nothing has been created or changed.\n"
        f"{_way_out(settings, alike)}"
    )


def _there_is(size: VmSize) -> str:
    if size.gpu:
        return f"{gpu_room(size):.1f} GiB usable of {size.gpu.memory_gib:g} GiB GPU memory"
    return f"{usable(size):.1f} GiB usable of {size.memory_gib:g} GiB memory"


def _sum_of_needs(size: VmSize, settings: Settings, load: Load) -> str:
    needs = {name: need_of(name, settings, load) for name in settings.models}
    largest = sorted(needs.items(), key=lambda item: -item[1].total)[: load.max_loaded_models]
    own = 0 if size.gpu else machine_need(settings, load)
    parts = [_need_in_words(name, model, load) for name, model in largest]
    if own:
        parts.append(f"system, Open WebUI, Nginx and former conversations {own:.1f}")
    return f"{sum(model.total for _, model in largest) + own:.1f} GiB = " + " + ".join(parts)


def _need_in_words(name: str, model: Need, load: Load) -> str:
    if not model.cache:
        return f"{name} {model.total:.1f}"
    return (
        f"{name} {model.total:.1f} (file {model.weights:.1f}, "
        f"cache {model.cache:.1f} for {load.num_parallel} x {load.context_length} tokens, "
        f"buffers and runner {model.buffers + model.runner:.1f})"
    )


def _way_out(settings: Settings, sizes: Sequence[VmSize]) -> str:
    if not sizes:
        return "   Fix:      choose a smaller model or a shorter context; no size fits"
    offers = "\n             ".join(_offer(size, settings) for size in sizes)
    basis = monthly_cost(sizes[0], settings.location, settings.data_disk_gib).basis
    fix = command(("vmSize",), sizes[0].name)
    return f"   Fits:     {offers}\n             ({basis})\n   Fix:      {fix}"


def _offer(size: VmSize, settings: Settings) -> str:
    gpu = f", GPU {size.gpu.memory_gib:g} GiB" if size.gpu else ""
    cost = monthly_cost(size, settings.location, settings.data_disk_gib)
    return f"{size.name} ({size.vcpus} vCPU, {size.memory_gib:g} GiB{gpu}), {cost.short}"


def _warnings(size: VmSize, settings: Settings, load: Load, today: date) -> Iterable[str]:
    if size.retires:
        yield (
            f"Microsoft retires {size.name} ({size.series}) on {size.retires}"
            f"{_left(size.retires, today)} and already restricts it for new subscriptions. "
            f"{_successors(size, settings)}"
        )
    for model in _chat_models(settings):
        speed = tokens_per_second(model, size)
        if speed is not None and speed < SLOW_TOKENS_PER_SECOND:
            yield (
                f"{model.name} will write about {speed:.1f} tokens a second on {size.name}, slower "
                "than people read (4 GB/s of memory for each vCPU, divided by the weights read for "
                "a token). A smaller model or a GPU size is faster."
            )
    yield from _longer_than_a_conversation(settings, load.context_length)


def _longer_than_a_conversation(settings: Settings, context_length: int) -> Iterable[str]:
    """Knowledge that is handed over whole and does not fit: its end would be cut off in silence."""
    if settings.document_search == "image" or settings.embedding_model:
        return
    for base in settings.knowledge:
        # How much text a PDF or the like has, only its reader knows.
        texts = [file.content for file in documents(base.files) if b"\0" not in file.content]
        tokens = sum(map(len, texts)) // BYTES_A_TOKEN
        if tokens > context_length:
            search = next(name for name, model in catalog.models().items() if model.kind != "chat")
            yield (
                f"The knowledge base {base.name} has about {tokens} tokens, a conversation "
                f"{context_length}, and the whole of it is handed over with each question: the "
                "model sees a part. A search finds what fits: "
                f"{_command_for_search(settings, search)}"
            )


def _command_for_search(settings: Settings, model: str) -> str:
    if settings.document_search == "whole":
        return command(("documentSearch",), "auto")
    return command(("models", len(settings.models)), model)


def _left(day: date, today: date) -> str:
    return f", {(day - today).days // 30} months from now," if day > today else ""


def _successors(size: VmSize, settings: Settings) -> str:
    alike: Sequence[VmSize] = [
        other
        for other in catalog.rank()
        if other.gpu is None
        and other.vcpus >= size.vcpus
        and other.memory_gib >= size.memory_gib
        and fits(other, settings, load_on(other, settings))
    ][:2]
    names = " or ".join(other.name for other in alike)
    return f"Alike: {names} (a new machine; the data disk is kept)." if names else ""

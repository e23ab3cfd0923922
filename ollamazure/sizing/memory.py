"""How much memory models and the machine need, and how much each size has.

Since Ollama 0.30 every loaded model runs in its own llama-server of llama.cpp, started with
`-c <context x parallel> -np <parallel> -b 512`. Its need in bytes is the sum of four parts. The
formula is an upper bound, checked against the log and /proc of real runs
(tests/e2e/test_memory.py):

    weights    the model's file, read into memory
    cache      (key + value length) x KV heads x 2 bytes (f16) x tokens, summed over the layers; a
               layer holds context x parallel tokens, a layer with a sliding window at most
               (window + batch) x parallel
    buffers    4 bytes x batch x (18 x embedding + 2 x context x parallel): activations and
               attention masks of one batch, with flash attention
    runner     llama-server itself: 10 MiB and half a KiB for each word of the vocabulary

llama-server also keeps the caches of former conversations in main memory, by default up to 8 GiB.
The program limits that (LLAMA_ARG_CACHE_RAM) to 1/32 of the memory for each loaded model.

The machine adds the system, Open WebUI and Nginx, and some memory to spare. Ollama 0.30 and later
load a model that is too large and then swap or get killed, so the program refuses it at preview.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollamazure import catalog
from ollamazure.catalog import Model, VmSize
from ollamazure.settings.stack import Settings

GIB = 2**30

BATCH = 512  # tokens that llama-server processes at once
CACHE_BYTES = 2  # f16, Ollama's default
RUNNER_BYTES = 10 * 2**20
TOKENIZER_BYTES = 512  # for each word of the vocabulary
MOST_PROMPT_CACHE_MIB = 8192  # llama-server's own limit

SYSTEM_GIB = 0.6
# Reports in Open WebUI's issues 2582, 4188 and 16596 are between 0.65 and 1.6 GiB. Measured when
# idle, with the official image's machine-learning libraries: 0.8, whether it embeds or not.
WEBUI_GIB = 1.2
NGINX_GIB = 0.05
# What Open WebUI needs in addition when it embeds documents itself, measured with torch 2.6 on two
# cores: 0.03 when idle, 0.12 after some documents. The libraries are in memory in any case.
IMAGES_SEARCH_GIB = 0.2
SPARE_GIB = 0.5
MACHINE_GIB = SYSTEM_GIB + WEBUI_GIB + NGINX_GIB + SPARE_GIB

# The system of an 8 GiB machine sees about 7.76 GiB: firmware and kernel take the rest.
USABLE_SHARE = 0.97
# A T4 of 16 GiB shows 15 GiB: error correction uses a sixteenth. CUDA's context needs some more.
GPU_USABLE_SHARE = 0.9


@dataclass(frozen=True)
class Need:
    """Memory, in GiB, that one running model needs."""

    weights: float
    cache: float = 0.0
    buffers: float = 0.0
    runner: float = 0.0

    @property
    def total(self) -> float:
        """The sum of all parts, in GiB."""
        return self.weights + self.cache + self.buffers + self.runner


@dataclass(frozen=True)
class Load:
    """How the models are used, which decides their memory together with the models themselves.

    Attributes:
        context_length: tokens of a conversation that a model sees.
        num_parallel: answers that a model writes at once.
        max_loaded_models: models in memory at once.
        prompt_cache_mib: MiB that each loaded model may keep of former conversations.
    """

    context_length: int
    num_parallel: int
    max_loaded_models: int
    prompt_cache_mib: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of all answers that are written at once."""
        return self.context_length * self.num_parallel


def fits(size: VmSize, settings: Settings, load: Load) -> bool:
    """Whether a machine of this size holds the models under this load."""
    models, machine = models_need(settings, load), machine_need(settings, load)
    if size.gpu:
        return models <= gpu_room(size) and machine <= usable(size)
    return models + machine <= usable(size)


def usable(size: VmSize) -> float:
    """Main memory that the system sees, in GiB."""
    return size.memory_gib * USABLE_SHARE


def gpu_room(size: VmSize) -> float:
    """GPU memory that models can use, in GiB."""
    return size.gpu.memory_gib * GPU_USABLE_SHARE if size.gpu else 0.0


def room_for_a_model(size: VmSize) -> float:
    """Memory that a single model can use, in GiB."""
    if size.gpu:
        return gpu_room(size)
    return usable(size) - MACHINE_GIB - prompt_cache_mib(size) / 1024


def prompt_cache_mib(size: VmSize) -> int:
    """MiB that each loaded model may keep of former conversations.

    Users who take turns then need not wait until their whole conversation is read again.
    """
    return min(MOST_PROMPT_CACHE_MIB, int(size.memory_gib * 1024 / 32))


def webui_limit_mib(size: VmSize) -> int:
    """MiB of memory that Open WebUI may use, so that a leak ends it rather than a model.

    It depends on the size only: another model must not restart Open WebUI. Every size leaves at
    least the first number, whatever its models.
    """
    least = WEBUI_GIB + SPARE_GIB
    return int(1024 * max(least, usable(size) / 4))


def ollama_limit_mib(size: VmSize) -> int:
    """MiB of memory that Ollama and its models may use: what `fits` leaves for them.

    A model that needs more is ended at once. Without a limit, the kernel would first drop the pages
    of every program, and read them from the disk again and again.
    """
    return int(1024 * (usable(size) - MACHINE_GIB))


def machine_need(settings: Settings, load: Load) -> float:
    """Main memory, in GiB, of everything but the models.

    It includes former conversations, which llama-server keeps in main memory on a GPU size too.
    """
    search = IMAGES_SEARCH_GIB if settings.document_search == "image" else 0.0
    return MACHINE_GIB + search + prompt_caches_gib(settings, load)


def prompt_caches_gib(settings: Settings, load: Load) -> float:
    """Main memory, in GiB, of the former conversations of all models that are loaded at once."""
    loaded = min(load.max_loaded_models, len(settings.models))
    return loaded * load.prompt_cache_mib / 1024


def models_need(settings: Settings, load: Load) -> float:
    """Memory, in GiB, of the models that are loaded at once: the largest of them."""
    return sum(need.total for need in largest_needs(settings, load).values())


def largest_needs(settings: Settings, load: Load) -> dict[str, Need]:
    """The largest models that can be loaded at once, by name, with what each needs."""
    needs = {name: need_of(name, settings, load) for name in settings.models}
    largest = sorted(needs, key=lambda name: needs[name].total, reverse=True)
    return {name: needs[name] for name in largest[: load.max_loaded_models]}


def need_of(name: str, settings: Settings, load: Load) -> Need:
    """Memory of one model: what the settings state for it, else the formula's result."""
    stated = settings.model_memory_gib.get(name)
    return Need(weights=stated) if stated else need(catalog.models()[name], load)


def need(model: Model, load: Load) -> Need:
    """Memory of a model of the catalog, by the formula at the top of this file."""
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

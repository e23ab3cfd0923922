"""Which size is chosen, and how its models are used.

What Ollama is configured with follows from the machine's size. The models change it only where
memory forces them to, so that Ollama's service usually stays as it is when a model is added or
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cost import monthly_cost
from ollamazure.sizing.memory import Load, fits, prompt_cache_mib

MOST_LOADED_MODELS = 3  # Ollama's own default on processors
Fits = Callable[[VmSize, Settings, Load], bool]
"""Whether a size holds the models under a load."""


@dataclass(frozen=True)
class Preference:
    """Values that are tried in turn, the most useful first, for each speed of machine.

    Attributes:
        on_gpu: the values on a size with a GPU.
        from_vcpus: the values of the other sizes, by the least number of vCPUs, the most first.
    """

    on_gpu: Sequence[int]
    from_vcpus: Mapping[int, Sequence[int]]

    def values_for(self, size: VmSize) -> Sequence[int]:
        """The values to try on this size."""
        if size.gpu:
            return self.on_gpu
        return next(values for least, values in self.from_vcpus.items() if size.vcpus >= least)


# Long contexts and parallel answers help only on a machine that is fast enough for them.
CONTEXT_LENGTH = Preference([16384, 8192, 4096], {4: [8192, 4096], 0: [4096]})
PARALLEL_REQUESTS = Preference([4, 2, 1], {8: [4, 2, 1], 4: [2, 1], 0: [1]})


def choose_size(settings: Settings) -> VmSize:
    """The size that is set. For `auto`, the first of the catalog's rank that fits, or its last."""
    if settings.vm_size != "auto":
        return catalog.vm_sizes()[settings.vm_size]
    fitting = (size for size in catalog.rank() if holds_models(size, settings))
    return next(fitting, catalog.rank()[-1])


def holds_models(size: VmSize, settings: Settings, fit: Fits = fits) -> bool:
    """Whether the models fit under the load that is chosen for this size."""
    return fit(size, settings, choose_load(size, settings, fit))


def choose_load(size: VmSize, settings: Settings, fit: Fits = fits) -> Load:
    """How models are used on this size: the first possible load that fits, else the smallest.

    Args:
        size: of the machine, or of a node.
        settings: the stack's.
        fit: by default, what fits a machine that runs the whole chat.
    """
    for load in _possible_loads(size, settings):
        if fit(size, settings, load):
            return load
    return load


def _possible_loads(size: VmSize, settings: Settings) -> Iterable[Load]:
    """Loads from the most useful to the smallest. A value that the settings set never varies."""
    tuning = settings.tuning
    chat_models = (catalog.models().get(name) for name in settings.chat_models)
    limit = min((model.context_limit for model in chat_models if model), default=4096)
    prompt_cache = tuning.prompt_cache_mib
    if prompt_cache is None:
        prompt_cache = prompt_cache_mib(size)
    for context in _values(settings.context_length, CONTEXT_LENGTH.values_for(size)):
        for parallel in _values(tuning.parallel_requests, PARALLEL_REQUESTS.values_for(size)):
            for loaded in _values(tuning.loaded_models, range(MOST_LOADED_MODELS, 0, -1)):
                yield Load(min(context, limit), parallel, loaded, prompt_cache)


def _values(set_by_hand: int | None, otherwise: Sequence[int]) -> Sequence[int]:
    return [set_by_hand] if set_by_hand else otherwise


def database_pool_size(size: VmSize) -> int:
    """Open WebUI's database connections: more than people who ask at the same moment.

    A step of a question may need a second one while it has one. If all are taken by such steps,
    each waits for another (`get_async_db_context` in open_webui/internal/db.py of 0.12.4). Memory
    limits them: each has SQLite's page cache of at most 2 MiB. Open WebUI's own default is 512.
    """
    return min(256, max(64, int(16 * size.memory_gib)))


def cheapest_that_fit(settings: Settings, *, gpu: bool = False, count: int = 3) -> list[VmSize]:
    """The cheapest sizes that hold the models; with `gpu`, of the sizes that have a GPU.

    Series that retire and sizes that the program does not support are left out.
    """

    def price(size: VmSize) -> float:
        return monthly_cost(size, settings).amount

    fitting = [
        size
        for size in catalog.vm_sizes().values()
        if not (size.retires or size.unsupported)
        and (size.gpu or not gpu)
        and holds_models(size, settings)
    ]
    return sorted(fitting, key=lambda size: (price(size), size.name))[:count]


def successors(size: VmSize, settings: Settings) -> list[VmSize]:
    """The first two sizes of the rank that can replace one that retires."""
    return [
        other
        for other in catalog.rank()
        if other.gpu is None
        and other.vcpus >= size.vcpus
        and other.memory_gib >= size.memory_gib
        and holds_models(other, settings)
    ][:2]

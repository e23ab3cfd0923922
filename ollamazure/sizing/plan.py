"""Everything that follows from the settings and the machine's size, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pulumi

from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing import messages
from ollamazure.sizing.choice import choose_load, choose_size, database_pool_size
from ollamazure.sizing.cost import MonthlyCost, monthly_cost
from ollamazure.sizing.duration import load_seconds
from ollamazure.sizing.memory import machine_need, models_need, ollama_limit_mib, webui_limit_mib


class SizingError(pulumi.RunError):
    """The machine or a disk is too small for what it must hold."""


@dataclass(frozen=True)
class Sizing:
    """What follows from the settings and the machine's size.

    Attributes:
        vm_size: the size that is set, or that was chosen for `auto`.
        context_length: tokens of a conversation that a model sees, the same for every request.
        num_parallel: answers that a model writes at once.
        max_loaded_models: models in memory at once.
        keep_alive: how long an unused model stays in memory, as Ollama reads it.
        load_seconds: how long Ollama waits for a model that is read from the disk.
        prompt_cache_mib: MiB that each loaded model may keep of former conversations.
        database_pool_size: Open WebUI's database connections.
        ollama_limit_mib: MiB of memory that Ollama may use; the kernel ends a model above that.
        webui_limit_mib: MiB of memory that Open WebUI may use; the kernel ends it above that.
        background_generation: whether models also write titles, tags and follow-ups.
        gpu: whether models run on a GPU.
        memory_need_gib: of models and machine together.
        monthly_cost: an estimate.
        warnings: what the operator should know before paying.
    """

    vm_size: VmSize
    context_length: int
    num_parallel: int
    max_loaded_models: int
    keep_alive: str
    load_seconds: int
    prompt_cache_mib: int
    database_pool_size: int
    ollama_limit_mib: int
    webui_limit_mib: int
    background_generation: bool
    gpu: bool
    memory_need_gib: float
    monthly_cost: MonthlyCost
    warnings: tuple[str, ...]


def make_plan(settings: Settings, today: date | None = None) -> Sizing:
    """The machine for these settings and everything that follows from it.

    Args:
        settings: the stack's.
        today: the day for warnings with a date; today's by default.

    Raises:
        SizingError: the models do not fit into the machine's memory or on the data disk, or the
            program does not support the size. The message lists sizes that fit.
    """
    size = choose_size(settings)
    problems = [
        messages.data_disk_too_small(settings),
        messages.not_supported(size, settings) or messages.memory_too_small(size, settings),
    ]
    if any(problems):
        raise SizingError("\n".join(filter(None, problems)))
    load = choose_load(size, settings)
    tuning = settings.tuning
    gpu = size.gpu is not None
    generation = tuning.background_generation
    return Sizing(
        vm_size=size,
        context_length=load.context_length,
        num_parallel=load.num_parallel,
        max_loaded_models=load.max_loaded_models,
        keep_alive=tuning.keep_alive or "-1",
        load_seconds=load_seconds(size),
        prompt_cache_mib=load.prompt_cache_mib,
        database_pool_size=tuning.database_pool_size or database_pool_size(size),
        ollama_limit_mib=ollama_limit_mib(size),
        webui_limit_mib=webui_limit_mib(size),
        background_generation=gpu if generation is None else generation,
        gpu=gpu,
        memory_need_gib=machine_need(settings, load) + models_need(settings, load),
        monthly_cost=monthly_cost(size, settings),
        warnings=tuple(messages.warnings(size, settings, load, today or date.today())),
    )

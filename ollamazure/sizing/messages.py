"""What is printed when models do not fit, and what an operator should know before paying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.settings.documents import documents
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.choice import cheapest_that_fit, choose_load, successors
from ollamazure.sizing.cost import monthly_cost
from ollamazure.sizing.disks import (
    DATA_DISK_BASE_GIB,
    data_disk_fits,
    data_disk_need,
    models_on_disk,
)
from ollamazure.sizing.memory import (
    Load,
    Need,
    fits,
    gpu_room,
    largest_needs,
    machine_need,
    usable,
)
from ollamazure.sizing.speed import SLOW_TOKENS_PER_SECOND, tokens_per_second

BYTES_A_TOKEN = 4  # of English prose; other languages take more tokens


def data_disk_too_small(settings: Settings) -> str | None:
    """The message for a data disk that cannot hold the models."""
    if data_disk_fits(settings):
        return None
    enough = data_disk_need(settings)
    size = next(tier for tier in catalog.prices().monthly.standard_ssd if tier >= enough)
    return (
        f"The data disk is too small; nothing has been created or changed.\n"
        f"   Need:     {enough:.0f} GiB = models {models_on_disk(settings):.1f} + images, "
        f"chats and files {DATA_DISK_BASE_GIB}\n"
        f"   There is: {settings.data_disk_gib} GiB (ollamazure:dataDiskGiB)\n"
        f"   Fix:      {command(('dataDiskGiB',), str(size))}"
    )


def memory_too_small(size: VmSize, settings: Settings) -> str | None:
    """The message for models that do not fit into memory: the need, what there is, what fits."""
    load = choose_load(size, settings)
    if fits(size, settings, load):
        return None
    names = ", ".join(settings.models)
    verb = "do" if len(settings.models) > 1 else "does"
    where = "any size that vmSize = auto may choose" if settings.vm_size == "auto" else size.name
    return (
        f"{names} {verb} not fit {where}; nothing has been created or changed.\n"
        f"   Need:     {_sum_of_needs(size, settings, load)}\n"
        f"   There is: {_what_there_is(size)}\n"
        f"{_sizes_that_fit(settings, cheapest_that_fit(settings))}"
    )


def not_supported(size: VmSize, settings: Settings) -> str | None:
    """The message for a size that cannot run models, with others of its kind."""
    if not size.unsupported:
        return None
    others = cheapest_that_fit(settings, gpu=size.gpu is not None)
    return (
        f"{size.name} is not supported: {size.unsupported}; nothing has been created or changed.\n"
        f"{_sizes_that_fit(settings, others)}"
    )


def _what_there_is(size: VmSize) -> str:
    if size.gpu:
        return f"{gpu_room(size):.1f} GiB usable of {size.gpu.memory_gib:g} GiB GPU memory"
    return f"{usable(size):.1f} GiB usable of {size.memory_gib:g} GiB memory"


def _sum_of_needs(size: VmSize, settings: Settings, load: Load) -> str:
    needs = largest_needs(settings, load)
    total = sum(need.total for need in needs.values())
    parts = [_need_in_words(name, need, load) for name, need in needs.items()]
    if not size.gpu:
        machine = machine_need(settings, load)
        total += machine
        parts.append(f"system, Open WebUI, Nginx and former conversations {machine:.1f}")
    return f"{total:.1f} GiB = " + " + ".join(parts)


def _need_in_words(name: str, need: Need, load: Load) -> str:
    if not need.cache:
        return f"{name} {need.total:.1f}"
    return (
        f"{name} {need.total:.1f} (file {need.weights:.1f}, "
        f"cache {need.cache:.1f} for {load.num_parallel} x {load.context_length} tokens, "
        f"buffers and runner {need.buffers + need.runner:.1f})"
    )


def _sizes_that_fit(settings: Settings, sizes: Sequence[VmSize]) -> str:
    if not sizes:
        return "   Fix:      choose a smaller model or a shorter context; no size fits"
    offers = "\n             ".join(_offer(size, settings) for size in sizes)
    basis = monthly_cost(sizes[0], settings).basis
    fix = command(("vmSize",), sizes[0].name)
    return f"   Fits:     {offers}\n             ({basis})\n   Fix:      {fix}"


def _offer(size: VmSize, settings: Settings) -> str:
    gpu = f", GPU {size.gpu.memory_gib:g} GiB" if size.gpu else ""
    cost = monthly_cost(size, settings)
    return f"{size.name} ({size.vcpus} vCPU, {size.memory_gib:g} GiB{gpu}), {cost.short}"


def warnings(size: VmSize, settings: Settings, load: Load, today: date) -> Iterable[str]:
    """What works but should be known: a series that retires, slow models, knowledge too long."""
    yield from _retires(size, settings, today)
    yield from _slow_models(size, settings)
    yield from _knowledge_too_long(settings, load.context_length)
    yield from _attached_files_too_long(settings, load.context_length)


def _retires(size: VmSize, settings: Settings, today: date) -> Iterable[str]:
    if not size.retires:
        return
    months = (size.retires - today).days // 30
    left = f", {months} months from now," if size.retires > today else ""
    names = " or ".join(other.name for other in successors(size, settings))
    instead = (
        f" {names} can replace it: a change creates a new machine and keeps the data disk."
        if names
        else ""
    )
    yield (
        f"Microsoft retires {size.name} ({size.series}) on {size.retires}{left} and already "
        f"restricts it for new subscriptions.{instead}"
    )


def _slow_models(size: VmSize, settings: Settings) -> Iterable[str]:
    for name in settings.chat_models:
        model = catalog.models().get(name)
        speed = tokens_per_second(model, size) if model else None
        if speed is not None and speed < SLOW_TOKENS_PER_SECOND:
            yield (
                f"{name} will write about {speed:.1f} tokens a second on {size.name}, slower than "
                "people read (estimated from the bandwidth of the memory, which all weights pass "
                "for each token). A smaller model or a faster size helps."
            )


def _knowledge_too_long(settings: Settings, context_length: int) -> Iterable[str]:
    """Knowledge that no search shortens: the end of it would be cut off without a message."""
    if settings.searches_documents:
        return
    for base in settings.knowledge:
        # Only its reader knows how much text a PDF or the like has.
        texts = [file.content for file in documents(base.files) if b"\0" not in file.content]
        tokens = sum(map(len, texts)) // BYTES_A_TOKEN
        if tokens > context_length:
            yield (
                f"The knowledge base {base.name} has about {tokens} tokens and a conversation "
                f"{context_length}. Each question carries the whole of it, so the model sees only "
                f"a part. To search for what fits the question: {_command_for_search(settings)}"
            )


def _attached_files_too_long(settings: Settings, context_length: int) -> Iterable[str]:
    """Users may attach files that no search shortens: Ollama drops their beginning silently."""
    if settings.grants("chat", "file_upload") and not settings.searches_documents:
        yield (
            f"Users may attach files (chat.file_upload), and a conversation has {context_length} "
            f"tokens, about {context_length * BYTES_A_TOKEN // 1000} KB of text. Of a longer file "
            "the model sees only the end, without a message. To search for what fits the "
            f"question: {_command_for_search(settings)}"
        )


def _command_for_search(settings: Settings) -> str:
    if settings.document_search == "whole":
        return command(("documentSearch",), "auto")
    first = catalog.embedding_models()[0]
    return command(("models", len(settings.models)), first)

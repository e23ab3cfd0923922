"""What `bin/ollamazure new` prints, without control characters and in at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.new.proposals import (
    MOST_AT_ONCE_ON_BURSTABLE,
    TOKENS_FOR_EACH_SHOWN,
    Candidate,
    Relaxation,
)
from ollamazure.new.wishes import Wishes
from ollamazure.settings.problems import example_command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.speed import GB_PER_SECOND_AND_VCPU, SLOW_TOKENS_PER_SECOND

WIDTH = 100
LABEL = 14
ABOUT_THE_FIGURES = (
    "No speed was measured on Azure. Speeds are estimated from the bandwidth of the memory: "
    f"{GB_PER_SECOND_AND_VCPU:g} GB/s for each vCPU, 60 percent of the datasheet for a GPU "
    "(ollamazure/sizing/speed.py has the measurements that this follows from). Each proposal "
    f"writes at least {SLOW_TOKENS_PER_SECOND:g} tokens a second, as fast as people read, also "
    "while all of them wait; a model that thinks before it answers "
    f"{TOKENS_FOR_EACH_SHOWN:g} times as many. Memory is calculated with the formula of "
    "ollamazure/sizing/memory.py, which was compared with measurements. Costs are estimated."
)


def lines_of(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    """The text in lines of this width; names and addresses stay whole."""
    return wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def sentence(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


def _number(speed: float) -> str:
    """A speed without digits that an estimate does not have."""
    return f"{speed:.1f}" if speed < 10 else f"{speed:.0f}"


def language_names(codes: Sequence[str]) -> str:
    """The English names of languages: "French and German"."""
    names = [catalog.languages()[code][0] for code in codes]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def describe_wishes(wishes: Wishes) -> str:
    """The wishes in one line, for the middle of a sentence."""
    people = "1 person" if wishes.people == 1 else f"{wishes.people} people"
    documents = ", with a search in documents" if wishes.documents else ""
    gpu = {"yes": ", on a GPU", "no": ", without a GPU", "either": ""}[wishes.gpu]
    return (
        f"a chat for {people}, {wishes.people_at_once} at once, in "
        f"{language_names(wishes.languages)}{documents}{gpu}, "
        f"for at most {wishes.budget} USD a month"
    )


def describe_size(size: VmSize) -> str:
    """What a size has: vCPUs, memory, the GPU's memory."""
    gpu = f", GPU {size.gpu.memory_gib:g} GiB" if size.gpu else ""
    burstable = ", burstable" if size.burstable else ""
    return f"{size.vcpus} vCPU, {size.memory_gib:g} GiB{gpu}{burstable}"


def describe_speed(candidate: Candidate) -> str:
    """How fast answers come to one person, and to each while all wait."""
    alone = f"about {_number(candidate.alone)} tokens/s for one person"
    if candidate.people_at_once == 1:
        return alone
    under_load = _number(candidate.under_load)
    return f"{alone}, {under_load} for each of {candidate.people_at_once} at once"


def format_proposals(wishes: Wishes, candidates: Sequence[Candidate]) -> str:
    """All candidates with their figures, and which of these are measured or estimated."""
    lines = lines_of(f"{sentence(describe_wishes(wishes))} ({wishes.location}):")
    for position, each in enumerate(candidates, 1):
        lines += ["", *_format_candidate(position, each, wishes)]
    return "\n".join([*lines, "", *lines_of(ABOUT_THE_FIGURES), *_about_burstable(candidates)])


def _format_candidate(position: int, each: Candidate, wishes: Wishes) -> Iterator[str]:
    yield f"{position}. {' + '.join(each.settings.models)} on {each.size.name}: {each.why}"
    yield from _row("machine", f"{describe_size(each.size)}{_mark(each.size.verified)}")
    yield from _row("languages", _languages(each, wishes))
    yield from _row("good at", ", ".join(each.model.strengths))
    yield from _row("context", f"{each.load.context_length} tokens of a conversation")
    yield from _row("speed", f"{describe_speed(each)} (estimated)")
    place = "the GPU's memory" if each.size.gpu else "memory"
    yield from _row("memory left", f"{each.memory_left_gib:.1f} GiB of {place} (calculated)")
    yield from _row("cost", f"{each.cost.short} (estimated: {each.cost.basis})")
    for name, licence in each.licences.items():
        yield from _row("licence", f"{name}: {licence}")


def _row(label: str, text: str) -> list[str]:
    return lines_of(f"   {label:<{LABEL}}{text}", indent=" " * (LABEL + 3))


def _mark(verified: bool) -> str:
    return "" if verified else " (not verified)"


def _languages(each: Candidate, wishes: Wishes) -> str:
    named = "not verified: its makers claim many languages and name none"
    if "languages" not in each.model.unverified:
        named = "named by its makers"
    return f"{language_names(wishes.languages)} ({named}: {each.model.card})"


def _about_burstable(candidates: Sequence[Candidate]) -> list[str]:
    if not any(each.size.burstable for each in candidates):
        return []
    return lines_of(
        "A burstable size falls to a share of this speed when it has used up the credits of quiet "
        f"times, so it is not proposed for more than {MOST_AT_ONCE_ON_BURSTABLE} people at once."
    )


def format_nearest(wishes: Wishes, relaxations: Sequence[Relaxation]) -> str:
    """That nothing meets the wishes, and what comes nearest with what it costs."""
    wanted = f"nothing fits, and nothing has been written. Wanted: {describe_wishes(wishes)}."
    lines = lines_of(wanted)
    for relaxation in relaxations:
        lines.append(f"{relaxation.wish}:")
        for each in relaxation.candidates:
            offer = (
                f"   {each.cost.short}: {each.model.name} on {each.size.name} "
                f"({describe_size(each.size)}), {describe_speed(each)}"
            )
            lines += lines_of(offer, indent=" " * 6)
    basis = relaxations[0].candidates[0].cost.basis
    return "\n".join([*lines, *lines_of(f"All of this is estimated: {basis}.")])


def format_next_steps(stack: str, file: str, wishes: Wishes) -> str:
    """What to run after the file is written."""
    lines = [
        f"Wrote {file}. It contains no secret: commit it. Next:",
        f"   pulumi stack init {stack}",
    ]
    if wishes.ssh_client is None:
        lines.append(f"   {example_command(('sshClients', 0), Settings)} --stack {stack}")
    lines += [
        f"   bin/ollamazure preflight --stack {stack}",
        f"   pulumi up --stack {stack}",
        *_about_ssh(wishes),
    ]
    return "\n".join(lines)


def _about_ssh(wishes: Wishes) -> list[str]:
    if wishes.ssh_client:
        return [f"SSH will be open to {wishes.ssh_client} only: run `pulumi up` from there."]
    return lines_of(
        "SSH is open to no address until you set yours, the public IPv4 address that you deploy "
        "from; `pulumi up` sets the machine up over SSH, and stops without it. Users need no SSH."
    )

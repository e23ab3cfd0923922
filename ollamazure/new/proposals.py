"""Which models and machines meet the wishes: pure functions of the wishes and the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ollamazure import catalog
from ollamazure.catalog import Licence, Model, VmSize
from ollamazure.new.wishes import Wishes
from ollamazure.settings.stack import Settings
from ollamazure.sizing.choice import choose_load
from ollamazure.sizing.cost import MonthlyCost, monthly_cost
from ollamazure.sizing.disks import data_disk_need
from ollamazure.sizing.memory import (
    Load,
    fits,
    gpu_room,
    machine_need,
    models_need,
    usable,
)
from ollamazure.sizing.speed import (
    SLOW_TOKENS_PER_SECOND,
    tokens_per_second,
    tokens_per_second_under_load,
)

MOST_PROPOSALS = 3
# Smaller models are for tests.
LEAST_PARAMETERS = 1.0
# A model that thinks first writes several times as much as people see. Estimated.
TOKENS_FOR_EACH_SHOWN = 4.0
# More people use up the credits of a burstable size, which then falls to a share of its speed.
MOST_AT_ONCE_ON_BURSTABLE = 2
# RFC 5737: no machine has it. It stands for the operator's address until that is known.
UNKNOWN_ADDRESS = "192.0.2.1/32"


@dataclass(frozen=True)
class Candidate:
    """A model on a machine, for the wishes.

    Attributes:
        model: that answers questions.
        size: of the machine.
        settings: of the stack.
        load: how the models are used on this size.
        people_at_once: who wait for an answer at the same time.
        why: what distinguishes it from the other proposals.
    """

    model: Model
    size: VmSize
    settings: Settings
    load: Load
    people_at_once: int
    why: str = ""

    @cached_property
    def alone(self) -> float:
        """Tokens a second for one person; estimated."""
        return tokens_per_second(self.model, self.size) or 0.0

    @cached_property
    def under_load(self) -> float:
        """Tokens a second for each person while all of `people_at_once` wait; estimated."""
        return (
            tokens_per_second_under_load(
                self.model, self.size, self.people_at_once, self.load.num_parallel
            )
            or 0.0
        )

    @cached_property
    def cost(self) -> MonthlyCost:
        """What a month costs; estimated."""
        return monthly_cost(self.size, self.settings)

    @property
    def memory_left_gib(self) -> float:
        """GiB that nothing needs: of the GPU's memory, if there is one."""
        need = models_need(self.settings, self.load)
        if self.size.gpu:
            return gpu_room(self.size) - need
        return usable(self.size) - need - machine_need(self.settings, self.load)

    @property
    def licences(self) -> dict[str, Licence]:
        """The licence of each model, by the model's name."""
        known = catalog.models()
        return {name: catalog.licences()[known[name].licence] for name in self.settings.models}

    @property
    def share_of_least_speed(self) -> float:
        """The slower of both speeds; 1 is as fast as people read."""
        return min(self.alone, self.under_load) / least_tokens_per_second(self.model)

    @property
    def is_fast_enough(self) -> bool:
        """Whether answers come as fast as people read, also while all wait for one."""
        return self.share_of_least_speed >= 1


@dataclass(frozen=True)
class Relaxation:
    """What would be possible with another wish.

    Attributes:
        wish: the other wish, which starts a sentence.
        candidates: the nearest ones, best first.
    """

    wish: str
    candidates: tuple[Candidate, ...]


def least_tokens_per_second(model: Model) -> float:
    """The speed below which people wait for a model; for one that thinks first, a higher one."""
    return SLOW_TOKENS_PER_SECOND * (TOKENS_FOR_EACH_SHOWN if model.thinks else 1)


def propose(wishes: Wishes) -> list[Candidate]:
    """Up to three candidates: the largest model that the budget pays for, another, the cheapest.

    Each is a model that knows all the languages, on the cheapest size on which it is fast enough.
    None is dearer than another one with a larger model: larger models answer better, and the
    catalog knows no other measure.
    """
    affordable = [
        each for each in _candidates(wishes) if each.is_fast_enough and _is_affordable(each, wishes)
    ]
    front = _worth_their_price(_cheapest_of_each_model(affordable))
    if len(front) <= 1:
        return [replace(each, why="the only one that fits") for each in front]
    chosen = [replace(front[-1], why="the largest model that the budget pays for")]
    if len(front) > 2:
        chosen.append(replace(front[len(front) // 2], why="in between"))
    # One that costs the same is only there because its makers name the languages.
    same = _price(front[0]) == _price(front[-1])
    why = "as cheap, and its makers name the languages" if same else "the cheapest"
    return [*chosen, replace(front[0], why=why)]


def nearest(wishes: Wishes) -> list[Relaxation]:
    """What comes nearest to wishes that nothing meets, by the wish that would have to change."""
    every = _candidates(wishes)
    fast = [each for each in every if each.is_fast_enough]
    affordable = [each for each in every if _is_affordable(each, wishes)]
    other_gpu = [
        each
        for each in _candidates(wishes.model_copy(update={"gpu": "either"}))
        if each.is_fast_enough and _is_affordable(each, wishes)
    ]
    word = "without" if wishes.gpu == "yes" else "with"
    found = [
        Relaxation("With a larger budget", _cheapest(fast)),
        Relaxation(f"With the same budget, {word} a GPU", _cheapest(other_gpu)),
        Relaxation("With the same budget, and slower answers", _fastest(affordable)),
    ]
    possible = [each for each in found if each.candidates]
    return possible or [Relaxation("With a larger budget, and slower answers", _fastest(every))]


def _cheapest(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(_worth_their_price(_cheapest_of_each_model(candidates))[:MOST_PROPOSALS])


def _fastest(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those that come nearest to the speed at which people read, each with another model."""
    best: dict[str, Candidate] = {}
    for each in sorted(candidates, key=lambda one: (-one.share_of_least_speed, one.cost.amount)):
        best.setdefault(each.model.name, each)
    return tuple(best.values())[:MOST_PROPOSALS]


def _price(candidate: Candidate) -> int:
    return round(candidate.cost.amount)


def _is_affordable(candidate: Candidate, wishes: Wishes) -> bool:
    return candidate.cost.amount <= wishes.budget


def _cheapest_of_each_model(candidates: Iterable[Candidate]) -> list[Candidate]:
    cheapest: dict[str, Candidate] = {}
    for each in sorted(candidates, key=lambda one: (one.cost.amount, one.size.name)):
        cheapest.setdefault(each.model.name, each)
    return list(cheapest.values())


def _worth_their_price(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those than which no cheaper one has a larger model, the cheapest first."""
    front: list[Candidate] = []
    for each in sorted(candidates, key=lambda one: (_price(one), *_rank(one.model))):
        if not front or each.model.parameters > front[-1].model.parameters:
            front.append(each)
    return front


def _rank(model: Model) -> tuple[bool, float]:
    """Smaller for a better model: its makers name the languages, and it is larger."""
    return "languages" in model.unverified, -model.parameters


def _candidates(wishes: Wishes) -> list[Candidate]:
    """Every model that knows the languages, on every size that holds it; whatever it costs."""
    found = []
    for model in _models(wishes.languages):
        settings = settings_for(wishes, model)
        for size in _sizes(wishes):
            load = choose_load(size, settings)
            if fits(size, settings, load):
                own = settings.model_copy(update={"vm_size": size.name})
                found.append(Candidate(model, size, own, load, wishes.people_at_once))
    return found


def _models(languages: Sequence[str]) -> list[Model]:
    """The models for conversations that know all of the languages."""
    return [
        model
        for model in dict.fromkeys(catalog.models().values())
        if "conversation" in model.strengths
        and model.parameters >= LEAST_PARAMETERS
        and {*languages} <= {*model.languages}
    ]


def _sizes(wishes: Wishes) -> list[VmSize]:
    return [
        size
        for size in catalog.vm_sizes().values()
        if not (size.retires or size.unsupported)
        and not (size.burstable and wishes.people_at_once > MOST_AT_ONCE_ON_BURSTABLE)
        and (wishes.gpu == "either" or (size.gpu is not None) == (wishes.gpu == "yes"))
    ]


def embedding_model_for(languages: Sequence[str]) -> Model:
    """The catalog's first model for the search in documents that knows all of the languages."""
    models = (catalog.models()[name] for name in catalog.embedding_models())
    return next(model for model in models if {*languages} <= {*model.languages})


def language_of_interface(languages: Sequence[str]) -> str | None:
    """The only language, if Open WebUI has it; None: each browser has its own."""
    in_open_webui = {locale.partition("-")[0] for locale in catalog.locales()}
    return languages[0] if len(languages) == 1 and languages[0] in in_open_webui else None


def settings_for(wishes: Wishes, model: Model) -> Settings:
    """The settings of a stack for the wishes; the size is still the default."""
    models = [model.name]
    permissions = {}
    if wishes.documents:
        models.append(embedding_model_for(wishes.languages).name)
        permissions = {"chat": {"file_upload": True}}
    settings = Settings(
        location=wishes.location,
        models=tuple(models),
        ssh_clients=(wishes.ssh_client or UNKNOWN_ADDRESS,),
        default_permissions=permissions,
        language=language_of_interface(wishes.languages),
    )
    tiers = catalog.prices().monthly.standard_ssd
    enough = next(tier for tier in sorted(tiers) if tier >= data_disk_need(settings))
    return settings.model_copy(update={"data_disk_gib": max(settings.data_disk_gib, enough)})

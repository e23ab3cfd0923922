"""Which candidates meet the wishes, and what comes nearest if none does."""

from __future__ import annotations

from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.new.proposals import (
    LEAST_PARAMETERS,
    Candidate,
    embedding_model_for,
    least_tokens_per_second,
    nearest,
    propose,
)
from ollamazure.new.wishes import Wishes
from ollamazure.sizing.memory import fits
from ollamazure.sizing.plan import make_plan
from tests.tiers import first_of

pytestmark = pytest.mark.unit

WISHES: list[dict[str, Any]] = [
    {"people": 20, "budget": 300, "languages": ("fr",), "documents": True},
    {"people": 5, "budget": 100},
    {"people": 20, "budget": 500, "at_once": 5, "languages": ("fr", "en")},
    {"people": 50, "budget": 4000, "languages": ("ja", "de"), "documents": True},
    {"people": 1, "budget": 70},
    {"people": 20, "budget": 1000, "gpu": "no"},
    {"people": 20, "budget": 500, "gpu": "yes", "location": "westus"},
    {"people": 10, "budget": 400, "languages": ("cy",), "documents": True},
]


def candidates(**wishes: Any) -> list[Candidate]:
    return propose(Wishes(**wishes))


@pytest.mark.parametrize("given", first_of(WISHES))
def test_each_proposal_meets_every_wish(given: dict[str, Any]) -> None:
    wishes = Wishes(**given)
    found = propose(wishes)
    assert 1 <= len(found) <= 3
    assert len({each.model.name for each in found}) == len(found)
    for each in found:
        assert {*wishes.languages} <= {*each.model.languages}
        assert each.cost.amount <= wishes.budget
        assert min(each.alone, each.under_load) >= least_tokens_per_second(each.model)
        assert each.model.parameters >= LEAST_PARAMETERS and each.model.kind == "chat"
        assert fits(each.size, each.settings, each.load) and each.memory_left_gib >= 0
        assert not (each.size.retires or each.size.unsupported)
        assert wishes.gpu == "either" or (each.size.gpu is not None) == (wishes.gpu == "yes")
        assert bool(each.settings.embedding_model) == wishes.documents
        assert each.licences.keys() == {*each.settings.models}


def test_what_is_proposed_is_what_the_program_makes_of_the_settings() -> None:
    for each in candidates(**WISHES[0]):
        plan = make_plan(each.settings)
        assert plan.vm_size == each.size
        assert (plan.context_length, plan.num_parallel) == (
            each.load.context_length,
            each.load.num_parallel,
        )
        assert plan.monthly_cost == each.cost


def test_the_first_is_the_largest_model_and_the_last_the_cheapest() -> None:
    first, *middle, last = candidates(**WISHES[0])
    sizes = [each.model.parameters for each in (first, *middle, last)]
    prices = [each.cost.amount for each in (first, *middle, last)]
    assert sizes == sorted(sizes, reverse=True) and prices == sorted(prices, reverse=True)
    assert first.why == "the largest model that the budget pays for"
    assert last.why == "the cheapest"
    (only,) = candidates(people=5, budget=80, languages=("fr",))
    assert only.why == "the only one that fits"


def test_of_two_that_cost_the_same_the_smaller_is_named_by_its_languages() -> None:
    """Of the larger one the makers claim the languages, and name none."""
    larger, smaller = candidates(people=500, budget=500)
    assert larger.size == smaller.size
    assert (larger.model.name, smaller.model.name) == ("gemma3:4b", "phi4-mini:3.8b")
    assert smaller.why == "as cheap, and its makers name the languages"


def test_a_model_that_does_not_know_the_language_is_not_proposed() -> None:
    english, french = (
        {each.model.name for each in candidates(people=5, budget=100, languages=(code,))}
        for code in ("en", "fr")
    )
    assert "gemma3:1b" in english and "gemma3:1b" not in french
    # Of two that are as large, the one whose makers name the language.
    (first, *_) = candidates(people=20, at_once=5, budget=500, languages=("fr",), documents=True)
    assert first.model.name == "mistral-nemo:12b"


def test_more_people_at_once_need_a_machine_that_stays_fast() -> None:
    """The credits of a burstable size are for times when few people ask."""
    few, more = (candidates(people=20, at_once=at_once, budget=400) for at_once in (2, 3))
    assert all(each.size.burstable for each in few)
    assert more and not any(each.size.burstable for each in more)
    assert all(each.under_load < each.alone for each in more)


def test_documents_are_searched_by_a_model_for_the_languages() -> None:
    assert embedding_model_for(("en",)).name == "nomic-embed-text:v1.5"
    assert embedding_model_for(("en", "fr")).name == "bge-m3:567m"


def test_the_data_disk_holds_the_models() -> None:
    small, large = (candidates(people=50, budget=budget)[0].settings for budget in (150, 3000))
    assert small.data_disk_gib == 64
    assert large.models == ("llama3.3:70b",) and large.data_disk_gib == 64
    disk = catalog.models()["llama3.3:70b"].download_gb
    assert disk < large.data_disk_gib


def test_a_budget_that_is_too_small_is_answered_with_the_nearest_costs() -> None:
    wishes = Wishes(people=500, budget=10)
    assert propose(wishes) == []
    (relaxation,) = nearest(wishes)
    assert relaxation.wish == "With a larger budget"
    costs = [each.cost.amount for each in relaxation.candidates]
    assert costs == sorted(costs) and costs[0] > 10 and 1 <= len(costs) <= 3
    assert all(each.is_fast_enough for each in relaxation.candidates)
    # It is the least that helps.
    enough = Wishes(people=500, budget=round(costs[0]) + 1)
    assert propose(enough)
    assert propose(Wishes(people=500, budget=int(costs[0]) - 1)) == []


def test_a_gpu_that_the_budget_does_not_pay_for_is_answered_with_one_without() -> None:
    found = nearest(Wishes(people=20, budget=300, gpu="yes"))
    assert [each.wish for each in found] == [
        "With a larger budget",
        "With the same budget, without a GPU",
    ]
    assert all(each.size.gpu for each in found[0].candidates)
    assert not any(each.size.gpu for each in found[1].candidates)
    (with_gpu,) = [
        each
        for each in nearest(Wishes(people=100, at_once=40, budget=450, gpu="no"))
        if each.wish == "With the same budget, with a GPU"
    ]
    assert all(each.size.gpu for each in with_gpu.candidates)


def test_slower_answers_are_named_as_such() -> None:
    found = {each.wish: each for each in nearest(Wishes(people=60, at_once=30, budget=100))}
    slower = found["With the same budget, and slower answers"]
    assert all(each.cost.amount <= 100 for each in slower.candidates)
    assert not any(each.is_fast_enough for each in slower.candidates)
    speeds = [each.share_of_least_speed for each in slower.candidates]
    assert speeds == sorted(speeds, reverse=True)


def test_something_comes_near_even_to_wishes_that_no_machine_meets() -> None:
    (relaxation,) = nearest(Wishes(people=5000, at_once=5000, budget=1))
    assert relaxation.wish == "With a larger budget, and slower answers"
    assert relaxation.candidates

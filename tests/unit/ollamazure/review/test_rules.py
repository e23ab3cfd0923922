"""The table of what changes mean is consistent and covers the whole program."""

from __future__ import annotations

import inspect
import string

import pytest

from ollamazure.review.explain import EXPLANATIONS
from ollamazure.review.rules import ReviewRule, load_table
from tests.unit.components.test_cloud import whole_program
from tests.unit.ollamazure.review.record import BASE, PROJECT

pytestmark = pytest.mark.unit

RULES = [*load_table().always, *(rule for of in load_table().resources for rule in of.changes)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.when} {rule.of} {rule.means[:30]}")
def test_the_sentence_of_a_rule_can_be_filled_in(rule: ReviewRule) -> None:
    names = {name for _, name, _, _ in string.Formatter().parse(rule.means) if name}
    assert names <= {"item", "before", "after", "path"}
    assert rule.explain is None or rule.explain in EXPLANATIONS
    assert not (rule.means and rule.explain)
    for word in rule.why.replace("(", " ").replace(")", " ").split():
        assert "/" not in word or (PROJECT / word).exists(), f"{word} does not exist"


def test_every_explanation_is_used() -> None:
    assert {rule.explain for rule in RULES} - {None} == set(EXPLANATIONS)
    assert all(inspect.isfunction(function) for function in EXPLANATIONS.values())


def test_every_resource_of_the_program_is_in_the_load_table() -> None:
    """The comment would call the effect of another one unknown: add it to the table."""
    restricted = {"smollm2:135m": {"groups": ["research"]}}
    declared = {key: value for key, value in BASE.items() if key != "vmSize"}
    provider = {"clientId": "chat", "issuer": "https://x.example", "allowedDomains": ["x.example"]}
    sign_in = {"signIn": provider, "signInSecret": "a-secret-of-the-provider"}
    backup = {"target": "azure"}
    tested = {"domain": "chat.example.com", "certificate": {"mode": "letsEncrypt"}}
    alerts = {"alerts": {"email": ["alice@example.com"]}, **tested}
    hours = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}
    optional = {**sign_in, **alerts, "workingHours": hours}
    program = whole_program("dev", **declared, modelAccess=restricted, backup=backup, **optional)
    names = {of.name for of in program.resources}
    assert {
        "access-smollm2-135m",
        "user-bob@example.com",
        "open-webui-sign-in-secret",
        "backup-access",
        "availability-test",
        "schedule-access",
    } <= names
    for of in program.resources:
        assert load_table().find_resource(of.type, of.name).title != "{type} {item}", of.name

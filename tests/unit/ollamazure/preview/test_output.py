"""Reading the engine's JSON and the text of `--diff`."""

from __future__ import annotations

import pytest

from ollamazure.preview import output
from ollamazure.preview.output import PreviewError
from tests.unit.ollamazure.review.steps import COMMAND, printed, reviewed, step

pytestmark = pytest.mark.unit

OUTPUTS = """\
Previewing update (dev):
    --outputs:--
  ~ monthlyCost           : {
      ~ amount  : 71.6 => 139
        asOf    : "2026-11-23"
        currency: "USD"
      ~ verified: false => true
    }
  ~ readme                :
        ...
      - | Machine | monthlyCost: { amount: 1 } |
"""


def test_lines_of_a_log_may_come_before_the_json() -> None:
    text = "warning: {not json\n{\n" + printed(step("create", COMMAND, "model-x"))
    (found,) = output.read(text).steps
    assert (found.op, found.type, found.name) == ("create", COMMAND, "model-x")


def test_an_error_about_a_text_that_is_no_preview_shows_its_end() -> None:
    with pytest.raises(PreviewError, match="there is no stack 'x'"):
        output.read("pulumi-local: there is no stack 'x'")


def test_a_program_that_cannot_be_started_is_an_error() -> None:
    failed = {"severity": "info#err", "message": "pulumi-language-python: python: not found\n"}
    read = output.read(printed(diagnostics=[failed]))
    assert read.errors == ("pulumi-language-python: python: not found",)


def test_json_that_was_cut_off_is_no_preview() -> None:
    with pytest.raises(PreviewError):
        output.read(printed(step("create", COMMAND, "model-x"))[:-40])


def test_an_unknown_operation_is_named_in_the_error() -> None:
    with pytest.raises(PreviewError, match=r"'teleport' for command:remote:Command 'model-x'"):
        reviewed(step("teleport", COMMAND, "model-x"))


def test_the_cost_after_the_change_is_in_the_text() -> None:
    read = output.read(printed(), OUTPUTS)
    assert read.cost_after == {
        "amount": 139,
        "asOf": "2026-11-23",
        "currency": "USD",
        "verified": True,
    }


def test_a_cost_that_the_deployment_computes_is_unknown() -> None:
    unknown = "  + monthlyCost           : {\n      + amount  : [unknown]\n    }\n"
    assert output.read(printed(), unknown).cost_after is None


def test_a_cost_that_does_not_change_is_the_one_before() -> None:
    before = {"outputs": {"monthlyCost": {"amount": 72}}}
    stack = step("same", output.STACK_TYPE, "ollamazure-dev", oldState=before)
    assert output.read(printed(stack), "Resources:").cost_after == {"amount": 72}
    assert output.read(printed(stack), "").cost_after is None


def test_a_cost_that_no_output_states_is_unknown() -> None:
    assert reviewed(diff="Resources:").cost.after is None


def test_policy_violations_are_in_the_text() -> None:
    diff = (
        "    ollamazure@v1.0.0 [mandatory]  ssh-closed  (azure-native:network:Group: nsg)No SSH.\n"
        "nsg: it is open.\n   Fix:      close it.\n"
        "            + azure-native:network:NetworkSecurityGroup: (create)\n"
        "    ollamazure@v1.0.0 [advisory]  size-kept\n"
        "    --outputs:--\n"
    )
    failed = {"severity": "error", "message": "error: preview failed\n"}
    read = output.read(printed(diagnostics=[failed]), diff)
    ssh, size = read.violations
    assert (ssh.policy, ssh.mandatory, ssh.resource) == ("ssh-closed", True, "nsg")
    assert ssh.message == "No SSH.\nnsg: it is open.\n   Fix:      close it."
    assert (size.policy, size.mandatory, size.resource) == ("size-kept", False, "")
    assert read.errors == (), "the policy violation is the reason"


def test_the_engines_note_that_it_ended_is_dropped_if_the_program_says_why() -> None:
    words = "error: an unhandled error occurred: Program exited with non-zero exit code: 1\n"
    ended = {"severity": "error", "message": words}
    reason = {"severity": "error", "message": "error: 1 setting to fix\n"}
    assert output.read(printed(diagnostics=[reason, ended])).errors == ("1 setting to fix",)
    assert len(output.read(printed(diagnostics=[ended])).errors) == 1


def test_policies_have_one_order() -> None:
    line = "    ollamazure@v1.0.0 [{}]  {}  (azure-native:network:Group: nsg)No."
    found = [("advisory", "a"), ("mandatory", "c"), ("mandatory", "b")]
    diff = "\n".join(line.format(*one) for one in found)
    violations = output.read(printed(), diff).violations
    assert [violation.policy for violation in violations] == ["b", "c", "a"]

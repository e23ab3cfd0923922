"""What `make drift` says. Cloud: tests/engine/test_workflow_steps.py; machine: tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollamazure.operate import drift
from ollamazure.operate.drift import Look
from tests.unit.ollamazure.operate.pulumi import pulumi

ON_MACHINE = [
    {"resource": "ollama", "what": "ollama.service is not active"},
    {"resource": "nginx", "what": "/etc/nginx/nginx.conf is gone"},
    {"resource": "ollama", "what": "/usr/local/bin/x is gone"},
]
IN_CLOUD = [{"resource": "nsg", "what": "the rule is gone"}]
AGAIN = "2027-01-31T10:15:00Z"


def step(op: str, name: str, old: Any = None, new: Any = None, *changed: str) -> dict[str, Any]:
    return {
        "op": op,
        "urn": f"urn:pulumi:dev::ollamazure::a:b:C$azure:network:Group::{name}",
        "oldState": {"inputs": old or {}},
        "newState": {"inputs": new or {}},
        "detailedDiff": {path: {"kind": "update"} for path in changed},
    }


def test_what_azure_has_otherwise_is_told_by_resource_and_property(tmp_path: Path) -> None:
    old: dict[str, Any] = {"tags": {"stack": "dev"}, "rules": [{"port": "22"}]}
    new = {"tags": {"stack": "x", "by": "hand"}, "rules": [{"port": "*"}]}
    old["location"] = "francecentral"
    changed = ("tags.stack", "tags.by", "rules[0].port", "location", "etag")
    steps = [
        step("same", "vm"),
        step("refresh", "nic"),
        step("update", "nsg", old, new, *changed),
        step("update", "vm"),
        step("delete", "disk"),
    ]
    (tmp_path / "seen").write_text(json.dumps({"steps": steps, "changeSummary": {}}))
    asked = "refresh --preview-only --json --non-interactive --stack dev"
    look = drift.look_at_cloud(
        "dev", pulumi(tmp_path, f'[ "$*" = "{asked}" ] && cat {tmp_path}/seen')
    )
    assert (look.outcome, look.found) == (
        "found",
        [
            {"resource": "nsg", "what": "etag differs"},
            {"resource": "nsg", "what": 'location is gone, declared is "francecentral"'},
            {"resource": "nsg", "what": 'rules[0].port is "*", declared is "22"'},
            {"resource": "nsg", "what": 'tags.by is "hand" and not declared'},
            {"resource": "nsg", "what": 'tags.stack is "x", declared is "dev"'},
            {"resource": "vm", "what": "the azure:network:Group differs"},
            {"resource": "disk", "what": "the azure:network:Group is gone"},
        ],
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "exit 255",
            "refresh --preview-only --json --non-interactive` has failed; Pulumi has said why",
        ),
        ("echo nothing", "not the output of"),
        (
            """echo '{"diagnostics": [{"severity": "error", "message": "no rights"}]}'; exit 1""",
            "the cloud does not say what differs: no rights",
        ),
    ],
)
def test_a_cloud_that_does_not_answer_is_unknown(script: str, said: str, tmp_path: Path) -> None:
    look = drift.look_at_cloud("dev", pulumi(tmp_path, script))
    assert look.outcome == "unknown"
    assert said in look.trouble


def test_names_each_resource_once_and_the_commands_that_end_it() -> None:
    looks = [Look("cloud", IN_CLOUD), Look("machine", ON_MACHINE)]
    assert drift.report("dev", looks, "pulumi", AGAIN) == (
        "Drift of the cloud of the stack dev:\n"
        "\n"
        "nsg\n"
        "  the rule is gone\n"
        "\n"
        "Drift of the machine of the stack dev:\n"
        "\n"
        "nginx\n"
        "  /etc/nginx/nginx.conf is gone\n"
        "\n"
        "ollama\n"
        "  /usr/local/bin/x is gone\n"
        "  ollama.service is not active\n"
        "\n"
        "To have the cloud as declared again:\n"
        "\n"
        "  pulumi up --refresh --stack dev\n"
        "\n"
        "To have the machine as declared again:\n"
        "\n"
        f"  pulumi config set ollamazure:reapply {AGAIN} --stack dev && pulumi up --stack dev"
    )


def test_no_drift_is_one_line_each() -> None:
    assert drift.report("dev", [Look("cloud"), Look("machine")], "pulumi", AGAIN) == (
        "No drift: the cloud of the stack dev is as declared.\n"
        "\n"
        "No drift: the machine of the stack dev is as declared."
    )


@pytest.mark.parametrize(
    ("cloud", "machine", "outcome"),
    [
        (Look("cloud"), Look("machine"), "none"),
        (Look("cloud", IN_CLOUD), Look("machine"), "found"),
        (Look("cloud", trouble="no rights"), Look("machine", ON_MACHINE), "found"),
        (Look("cloud"), Look("machine", trouble="not reached"), "unknown"),
    ],
)
def test_what_one_look_has_found_counts_where_another_could_not(
    cloud: Look, machine: Look, outcome: str
) -> None:
    looks = [cloud, machine]
    assert drift.outcome(looks) == outcome
    written = drift.markdown("dev", looks, "pulumi", AGAIN)
    assert written.startswith(f"<!-- drift: {outcome} -->\n## dev\n")
    for look in looks:
        assert f"\n**The {look.place}**: {look.outcome}\n\n```text\n" in written
        assert look.trouble in written


def test_what_somebody_has_named_stays_in_its_block() -> None:
    found = [{"resource": "a-user", "what": "```\n@everyone"}, *ON_MACHINE * 1000]
    written = drift.markdown("dev", [Look("machine", found)], "pulumi", AGAIN)
    assert written.count("\n````") == 2
    assert len(written) < 25_000


def test_the_report_is_written_whatever_is_found(tmp_path: Path) -> None:
    command = pulumi(tmp_path, "exit 255")
    file = tmp_path / "report" / "dev.md"
    arguments = ["--stack", "dev", "--pulumi", command, "--markdown", str(file)]
    assert drift.main(arguments) == drift.EXIT_CODES["unknown"] == 2
    assert file.read_text().startswith("<!-- drift: unknown -->\n")

"""What `ollamazure drift` prints.

The cloud: tests/engine/test_workflow_steps.py; the machine: tests/e2e.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollamazure.operate import drift
from ollamazure.operate.drift import DriftReport
from tests.unit.ollamazure.operate.fake_pulumi import pulumi

ON_MACHINE = [
    {"resource": "ollama", "what": "ollama.service is not active"},
    {"resource": "nginx", "what": "/etc/nginx/nginx.conf is missing"},
    {"resource": "ollama", "what": "/usr/local/bin/x is missing"},
]
IN_CLOUD = [{"resource": "nsg", "what": "the rule is missing"}]
REAPPLY = "2027-01-31T10:15:00Z"


def step(op: str, name: str, old: Any = None, new: Any = None, *changed: str) -> dict[str, Any]:
    return {
        "op": op,
        "urn": f"urn:pulumi:dev::ollamazure::a:b:C$azure:network:Group::{name}",
        "oldState": {"inputs": old or {}},
        "newState": {"inputs": new or {}},
        "detailedDiff": {path: {"kind": "update"} for path in changed},
    }


def test_each_difference_in_azure_has_its_resource_and_property(tmp_path: Path) -> None:
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
    report = drift.compare_cloud(
        "dev", pulumi(tmp_path, f'[ "$*" = "{asked}" ] && cat {tmp_path}/seen')
    )
    assert (report.outcome, report.differences) == (
        "found",
        [
            {"resource": "nsg", "what": "etag differs"},
            {"resource": "nsg", "what": 'location is missing, declared is "francecentral"'},
            {"resource": "nsg", "what": 'rules[0].port is "*", declared is "22"'},
            {"resource": "nsg", "what": 'tags.by is "hand" and not declared'},
            {"resource": "nsg", "what": 'tags.stack is "x", declared is "dev"'},
            {"resource": "vm", "what": "the azure:network:Group differs"},
            {"resource": "disk", "what": "the azure:network:Group is missing"},
        ],
    )


@pytest.mark.parametrize(
    "value", ['{"objectValue": ["CostCenter", "cost center"]}', '{"value": "costCENTER, cost"}']
)
def test_tags_of_others_are_no_drift(tmp_path: Path, value: str) -> None:
    changed = ["tags.costcenter", "tags.team", "properties.tags.costcenter"]
    if "objectValue" in value:
        changed.append('tags["Cost Center"]')
    steps = [step("update", "vm", {}, {}, *changed), step("update", "nic", {}, {}, changed[0])]
    (tmp_path / "seen").write_text(json.dumps({"steps": steps, "changeSummary": {}}))
    (tmp_path / "config").write_text(f'{{"ollamazure:externalTags": {value}}}')
    command = pulumi(tmp_path, f"cd {tmp_path}; case $1 in config) cat config;; *) cat seen; esac")
    assert drift.compare_cloud("dev", command).differences == [
        {"resource": "vm", "what": "properties.tags.costcenter differs"},
        {"resource": "vm", "what": "tags.team differs"},
    ]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            "exit 255",
            "--json --non-interactive` failed; Pulumi's own message is above",
        ),
        ("echo nothing", "not the output of"),
        (
            """echo '{"diagnostics": [{"severity": "error", "message": "no rights"}]}'; exit 1""",
            "the cloud cannot be compared: no rights",
        ),
    ],
)
def test_a_cloud_that_does_not_answer_is_unknown(script: str, error: str, tmp_path: Path) -> None:
    report = drift.compare_cloud("dev", pulumi(tmp_path, script))
    assert report.outcome == "unknown"
    assert error in report.error


def test_names_each_resource_once_and_the_commands_that_restore_it() -> None:
    reports = [DriftReport("cloud", IN_CLOUD), DriftReport("machine", ON_MACHINE)]
    assert drift.render_text("dev", reports, "pulumi", REAPPLY) == (
        "Drift of the cloud of the stack dev:\n"
        "\n"
        "nsg\n"
        "  the rule is missing\n"
        "\n"
        "Drift of the machine of the stack dev:\n"
        "\n"
        "nginx\n"
        "  /etc/nginx/nginx.conf is missing\n"
        "\n"
        "ollama\n"
        "  /usr/local/bin/x is missing\n"
        "  ollama.service is not active\n"
        "\n"
        "To restore the cloud:\n"
        "\n"
        "  pulumi up --refresh --stack dev\n"
        "\n"
        "To restore the machine:\n"
        "\n"
        f"  pulumi config set ollamazure:reapply {REAPPLY} --stack dev && pulumi up --stack dev"
    )


def test_no_drift_is_one_line_each() -> None:
    reports = [DriftReport("cloud"), DriftReport("machine")]
    assert drift.render_text("dev", reports, "pulumi", REAPPLY) == (
        "No drift: the cloud of the stack dev is as declared.\n"
        "\n"
        "No drift: the machine of the stack dev is as declared."
    )


@pytest.mark.parametrize(
    ("cloud", "machine", "outcome"),
    [
        (DriftReport("cloud"), DriftReport("machine"), "none"),
        (DriftReport("cloud", IN_CLOUD), DriftReport("machine"), "found"),
        (DriftReport("cloud", error="no rights"), DriftReport("machine", ON_MACHINE), "found"),
        (DriftReport("cloud"), DriftReport("machine", error="not reached"), "unknown"),
    ],
)
def test_a_difference_counts_even_if_another_place_is_unknown(
    cloud: DriftReport, machine: DriftReport, outcome: str
) -> None:
    reports = [cloud, machine]
    assert drift.outcome_of(reports) == outcome
    written = drift.render_markdown("dev", reports, "pulumi", REAPPLY)
    assert written.startswith(f"<!-- drift: {outcome} -->\n## dev\n")
    for report in reports:
        assert f"\n**The {report.place}**: {report.outcome}\n\n```text\n" in written
        assert report.error in written


def test_a_name_that_a_user_chose_stays_in_its_block() -> None:
    found = [{"resource": "a-user", "what": "```\n@everyone"}, *ON_MACHINE * 1000]
    written = drift.render_markdown("dev", [DriftReport("machine", found)], "pulumi", REAPPLY)
    assert written.count("\n````") == 2
    assert len(written) < 25_000


def test_the_report_is_written_whatever_is_found(tmp_path: Path) -> None:
    command = pulumi(tmp_path, "exit 255")
    file = tmp_path / "report" / "dev.md"
    assert drift.run("dev", command, file) == drift.EXIT_CODES["unknown"] == 2
    assert file.read_text().startswith("<!-- drift: unknown -->\n")

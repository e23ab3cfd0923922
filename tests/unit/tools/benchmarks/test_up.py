"""Steps of both ways to the first answer, from what they print."""

from __future__ import annotations

import pytest

from tools.benchmarks.up import STEP, image_of, read_progress

pytestmark = pytest.mark.unit

LINES = [
    (1.0, " +  pulumi:pulumi:Stack ollamazure-local creating (0s) \n"),
    (2.0, " +  azure-native:network:PublicIPAddress address created (0.1s) \n"),
    (10.0, "\x1b[32m + \x1b[0m azure-native:compute:VirtualMachine chat created (9s) \n"),
    (11.0, " +  command:remote:Command open-webui creating (0s) It is at: pulling\n"),
    (30.0, " +  command:remote:Command open-webui created (19s) \n"),
    (35.5, " +  command:local:Command chat-answers created (5s) \n"),
    (36.0, "Outputs:\n"),
]


def test_the_clock_of_pulumi_up_starts_with_the_machine() -> None:
    assert read_progress(LINES) == (10.0, ((20.0, "open-webui"), (25.5, "chat-answers")))


def test_without_a_machine_there_is_no_result() -> None:
    with pytest.raises(AssertionError, match="no line about a machine"):
        read_progress(LINES[:2])


def test_the_guides_script_states_its_steps() -> None:
    printed = "some output\nstep 2.1 packages are up to date\nstep 44.6 the first answer\n"
    assert STEP.findall(printed) == [
        ("2.1", "packages are up to date"),
        ("44.6", "the first answer"),
    ]


def test_both_use_the_same_images() -> None:
    assert image_of("open-webui").startswith("ghcr.io/open-webui/open-webui:v")
    assert image_of("nginx").startswith("docker.io/library/nginx:")

"""Reading the kernel's values on the machine. Services and models: tests/e2e."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import status

MEMINFO = """\
MemTotal:        8129836 kB
MemFree:          213160 kB
MemAvailable:    3251232 kB
HugePages_Total:       0
"""


def test_free_memory_is_what_is_available_to_programs() -> None:
    assert status.memory(MEMINFO) == {"total": 8129836 * 1024, "free": 3251232 * 1024}


def test_a_folder_on_the_system_disk_is_no_data_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status.DATA", tmp_path)
    assert status.data_disk() is None
    monkeypatch.setattr("status.DATA", Path("/proc"))
    assert status.data_disk() is not None


KILLED = "ollama.service: A process of this unit has been killed by the OOM killer."
JOURNAL = f"""\
{{"__REALTIME_TIMESTAMP":"1800000000000000","MESSAGE":"Ollama broke off an answer."}}
{{"__REALTIME_TIMESTAMP":"1800000060000000","MESSAGE":"{KILLED}"}}
"""


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("", {"count": 0, "last": 0, "memory": False}),
        (JOURNAL.splitlines()[0], {"count": 1, "last": 1_800_000_000, "memory": False}),
        (JOURNAL, {"count": 2, "last": 1_800_000_060, "memory": True}),
    ],
)
def test_a_model_that_ended_in_the_middle_of_its_work_is_counted(
    monkeypatch: pytest.MonkeyPatch, lines: str, found: dict[str, object]
) -> None:
    """Since Ollama was started again, which is what a new setting does."""
    started = f"@{time.time() - 60:.0f}"
    commands = []

    def output_of(command: list[str]) -> str:
        commands.append(command)
        return started if command[0] == "systemctl" else lines

    monkeypatch.setattr(status, "output_of", output_of)
    assert status.ended_models() == found
    assert f"--since={started}" in commands[-1]

"""Microsoft's SDKs of three years judge the emulated Azure: azure_sdks/judge.py.

`python -m tests.engine.test_azure_sdks` writes their columns of docs/reference/emulator-clients.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from emulator.artifacts.azure_sdks import YEARS, name_of
from emulator.artifacts.python_packages import python_with
from emulator.plugins.azure_types import TYPES
from tests.engine import clients
from tests.unit.emulator.arm.client import served

pytestmark = pytest.mark.engine

JUDGE = Path(__file__).parent / "azure_sdks" / "judge.py"


@pytest.mark.parametrize("year", YEARS)
def test_the_sdks_understand_every_answer(year: int, tmp_path: Path) -> None:
    report = judge(year, tmp_path / "instance")
    assert report["problems"] == []
    clients.check(client_of(year), clients.operations_of(report["requests"]))


def test_the_page_has_what_our_plugin_does() -> None:
    """Every type is deployed and destroyed by another file here, such as test_program.py."""
    clients.check(clients.PLUGIN, done_by_plugin())


def client_of(year: int) -> str:
    """The SDKs' name on the page."""
    return f"SDKs of {year}"


def judge(year: int, home: Path) -> dict[str, Any]:
    """The report of a year's SDKs on a new emulated Azure at `home`, without machines."""
    with served(home) as account:
        environment = os.environ | {
            "AZURE_URL": account.url,
            "CREDENTIALS": str(account.credentials_file),
            "REQUESTS_CA_BUNDLE": str(account.authority),
            "NO_PROXY": "127.0.0.1",
        }
        command = [*python_with(name_of(year)), str(JUDGE)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def done_by_plugin() -> clients.Operations:
    """What our plugin does with each of its types; some exist always, and are never deleted."""
    return {
        (native.arm, method)
        for native in TYPES.values()
        for method in ("PUT", "GET", "DELETE")
        if method != "DELETE" or native.initial is None
    }


def main() -> None:
    """Write the columns of the SDKs and of our plugin."""
    clients.write(clients.PLUGIN, done_by_plugin())
    for year in YEARS:
        with tempfile.TemporaryDirectory(prefix="ollamazure-judge-") as folder:
            report = judge(year, Path(folder) / "instance")
        assert report["problems"] == [], "\n".join(report["problems"])
        clients.write(client_of(year), clients.operations_of(report["requests"]))


if __name__ == "__main__":
    main()

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.emulator.azure.cloud import Cloud


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an Azure in which the program has been deployed; tests copy it."""
    home = tmp_path_factory.mktemp("deployed")
    Cloud(home).fill()
    return home


@pytest.fixture
def cloud(tmp_path: Path, deployed: Path) -> Cloud:
    """An Azure in which the program has been deployed."""
    shutil.copytree(deployed, tmp_path, dirs_exist_ok=True)
    return Cloud(tmp_path)

"""The Azure CLI, which `bin/az-local` runs against the emulated Azure."""

from __future__ import annotations

from emulator.artifacts.python_packages import locked

NAME = "azure-cli"

ARTIFACT = locked(NAME, gib=2)

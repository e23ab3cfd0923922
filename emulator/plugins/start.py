"""Starts a plugin's module in a process of its own; see `install`.

Importing any part of Pulumi's SDK imports all of it, which takes longer than the rest of a plugin.
A plugin needs only the generated protocol, so the two packages around that are left empty.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys


def start(module: str) -> None:
    """Run the plugin `module`; the engine's address is the last argument of the process."""
    for name in ("pulumi", "pulumi.runtime"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"{name} is not installed for {sys.executable}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
    runpy.run_module(module, run_name="__main__", alter_sys=True)

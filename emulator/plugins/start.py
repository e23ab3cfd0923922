"""Starts a plugin's module in a process of its own; see `install`.

The SDK's package imports all of itself with any part of it, which takes longer than the rest of a
plugin. A plugin needs the generated protocol alone, so it gets the two packages around it empty.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys


def start(module: str) -> None:
    """Be the plugin `module`; the engine's address is the last argument of the process."""
    for name in ("pulumi", "pulumi.runtime"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"{name} is not installed for {sys.executable}")
        sys.modules[name] = importlib.util.module_from_spec(spec)
    runpy.run_module(module, run_name="__main__", alter_sys=True)

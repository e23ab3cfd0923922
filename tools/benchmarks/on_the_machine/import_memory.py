"""What the imports of Open WebUI take of memory, in a process of its own in its container.

    podman exec --interactive --env DATA_DIR=/tmp/measured open-webui python3 - <import_memory.py

It prints one line of JSON: MiB of resident memory by package, those that it imports left out. A
package that others import first counts for the first. Only Python's own library is used.
"""

from __future__ import annotations

import builtins
import gc
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")
original = builtins.__import__
found: dict[str, int] = {}
inner = [0]  # bytes of what the present import has imported, one entry for each level


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def measured(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    package = (name if level == 0 else (globals or {}).get("__package__") or name).split(".")[0]
    inner.append(0)
    before = resident()
    try:
        return original(name, globals, locals, fromlist, level)
    finally:
        grown = resident() - before
        found[package] = found.get(package, 0) + grown - inner.pop()
        inner[-1] += grown


Path(os.environ["DATA_DIR"]).mkdir(parents=True, exist_ok=True)
gc.disable()
builtins.__import__ = measured
import open_webui.main  # noqa: E402, F401

builtins.__import__ = original
print(json.dumps({name: size / 2**20 for name, size in found.items() if size > 2**17}))

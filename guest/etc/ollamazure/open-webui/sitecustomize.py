"""Turns off Open WebUI's limit of sign-ins; Nginx limits them instead (see sign_in.js there).

Python imports a module of this name when it starts. Open WebUI 0.12.4 has no setting for its limit:
fifteen attempts in three minutes for one e-mail, right or wrong, from any address
(`signin_rate_limiter` in open_webui/routers/auths.py). If a later version has none of that name,
its own limit stays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE = "open_webui.routers.auths"


class LimitRemover(MetaPathFinder):
    """Finds MODULE as Python does, and turns the limit off once the module is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_without_limit(module: ModuleType) -> None:
            load(module)
            limiter = getattr(module, "signin_rate_limiter", None)
            if limiter is not None:
                limiter.enabled = False

        spec.loader.exec_module = load_without_limit
        return spec


sys.meta_path.insert(0, LimitRemover())

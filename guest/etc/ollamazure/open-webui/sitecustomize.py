"""Changes parts of Open WebUI for which 0.12.4 has no setting.

Python imports a module of this name when it starts. Each change is made when the module in question
has been loaded. If a later version has other names, the change is left out, and Open WebUI is as
strict as without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# The page guest/etc/nginx/second-factor.html sets this cookie for a user who wants a second factor.
WANTED = "second_factor"
# Of the account that Open WebUI checks at the moment, in the request that is being answered.
wants_factor: ContextVar[bool] = ContextVar("wants_factor", default=False)
needs_none: ContextVar[bool] = ContextVar("needs_none", default=False)


def remove_limit(auths: ModuleType) -> None:
    """Turns off the limit of sign-ins; Nginx limits them instead (see sign_in.js there).

    Open WebUI's counts fifteen attempts in three minutes for one e-mail, right or wrong, from any
    address (`signin_rate_limiter` in open_webui/routers/auths.py).
    """
    limiter = getattr(auths, "signin_rate_limiter", None)
    if limiter is not None:
        limiter.enabled = False


def except_users(mfa: ModuleType) -> None:
    """Lets users without a second factor sign in if the setting multiFactor does not demand one.

    Where Open WebUI's own switch is on, all users need one. It loads the account (`get_auth`)
    before each question whether that account needs one (`is_mfa_required`).
    """
    get_auth, is_required = getattr(mfa, "get_auth", None), getattr(mfa, "is_mfa_required", None)
    users = getattr(mfa, "Users", None)
    if get_auth is None or is_required is None or users is None:
        return

    async def get_auth_and_note(user_id: str) -> Any:
        needs_none.set(False)
        auth = await get_auth(user_id)
        has_one = auth.mfa and (auth.mfa.secret or auth.mfa.reset_required)
        if not has_one and not wants_factor.get():
            user = await users.get_user_by_id(user_id)
            offered = os.environ.get("OLLAMAZURE_MULTI_FACTOR") == "offered"
            needs_none.set(offered or (user is not None and user.role != "admin"))
        return auth

    def is_required_of_this_user(*arguments: Any) -> bool:
        return not needs_none.get() and bool(is_required(*arguments))

    vars(mfa).update(get_auth=get_auth_and_note, is_mfa_required=is_required_of_this_user)


def note_sign_ins(auth: ModuleType) -> None:
    """Notes who signs in, for the audit log, and whether the user wants a second factor.

    There, only a request of a session has a user. A sign-in with a wrong password stays without.
    """
    respond = getattr(auth, "create_signin_response", None)
    if respond is None:
        return

    async def note_and_respond(request: Any, user: Any, *arguments: Any, **options: Any) -> Any:
        if request is not None:
            request.state.user = user
            wants_factor.set(WANTED in request.cookies)
        return await respond(request, user, *arguments, **options)

    vars(auth)["create_signin_response"] = note_and_respond


CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "open_webui.routers.auths": remove_limit,
    "open_webui.utils.auth": note_sign_ins,
}
if os.environ.get("OLLAMAZURE_MULTI_FACTOR") in ("offered", "administrators"):
    CHANGES["open_webui.utils.mfa"] = except_users


class Changer(MetaPathFinder):
    """Finds these modules as Python does, and changes each once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        change = CHANGES.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = load_and_change
        return spec


sys.meta_path.insert(0, Changer())

"""Changes parts of Open WebUI and its libraries for which 0.12.4 has no setting.

Python imports a module of this name when it starts. Each change is made when the module in question
has been loaded. If a later version has other names, the change is left out, and Open WebUI is as
strict as without it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

# The page guest/etc/nginx/second-factor.html sets this cookie for a user who wants a second factor.
WANTED = "second_factor"
# Of the account that Open WebUI checks at the moment, in the request that is being answered.
wants_factor: ContextVar[bool] = ContextVar("wants_factor", default=False)
needs_none: ContextVar[bool] = ContextVar("needs_none", default=False)

# Options with another value of which Ollama loads a model again (`Runner` in its api/types.go, and
# its former members).
LOADING = {
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap"),
    *("use_mlock", "low_vram", "f16_kv", "vocab_only", "logits_all", "embedding_only"),
}
# This field of a request decides when it unloads the model.
KEEP_ALIVE = "keep_alive"
# What to look for in a request: the end of each of these names, which no picture contains (it has
# no underscore), and the name of a model in a second field, which Open WebUI has not checked.
NAMED = re.compile(
    b'_(?i:%b)|"(?!model")(?i:model)"'
    % "|".join(name.partition("_")[2] for name in sorted({*LOADING, KEEP_ALIVE})).encode()
)

# A banner, and the key of the configuration that has the checksums of initial passwords' hashes
# (webui/initial_passwords.py).
HINT = Path(__file__).with_name("hint.json")
INITIAL_PASSWORDS = "ollamazure.initial_passwords"

# LangChain imports these, if it finds them, for functions that Open WebUI does not use; PyTorch and
# hundreds of megabytes come with them. Open WebUI itself imports them when it uses an embedding or
# reranking model of its image.
NEEDLESS = ("sentence_transformers", "transformers")
LANGCHAIN = ("langchain_core.language_models.base", "langchain_text_splitters")

BROKEN_OFF = (
    "The model stopped in the middle of this answer. Ask again. If this happens again, an "
    "administrator finds the reason with: bin/ollamazure status"
)


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


def keep_models_loaded(ollama: ModuleType) -> None:
    """Lets only users with the permission chat.params choose how a model is loaded, and how long.

    Open WebUI passes on these options of any user's question. Instead, each that is in a request is
    what administrators declare for the model, or is removed. So is each field with another name
    than Ollama's: it reads names in any case, also with a Kelvin sign for "k".
    """
    send = getattr(ollama, "send_request", None)
    if send is None:
        return

    async def send_declared(*arguments: Any, **request: Any) -> Any:
        payload, user = request.get("payload") or b"", request.get("user")
        raw = payload if isinstance(payload, bytes) else payload.encode()
        if NAMED.search(raw) and getattr(user, "role", None) != "admin":
            fields = {k: v for k, v in json.loads(raw).items() if k == k.casefold()}
            if not await may_load(ollama, user):
                declared = declared_params(ollama, fields.get("model"), request.get("request"))
                set_declared(fields, [each async for each in declared])
            request["payload"] = json.dumps(fields)
        return await send(*arguments, **request)

    vars(ollama)["send_request"] = send_declared


async def may_load(ollama: Any, user: Any) -> bool:
    if user is None or user.role == "admin":
        return user is not None
    # Not before Open WebUI has loaded them itself.
    from open_webui.utils.access_control import has_permission  # noqa: PLC0415

    permissions = await ollama.Config.get("user.permissions")
    return bool(await has_permission(user.id, "chat.params", permissions))


def set_declared(fields: dict[str, Any], declared: list[dict[str, Any]]) -> None:
    """Gives each of these options in a request one of the declared values, or removes it."""
    options = fields.get("options")
    for place in (fields, options if isinstance(options, dict) else {}):
        for name in {KEEP_ALIVE, *(LOADING if place is options else ())} & place.keys():
            given = value_of(place.pop(name))
            values = [value_of(params[name]) for params in declared if params.get(name) is not None]
            if values:
                place[name] = given if given in values else values[0]


async def declared_params(ollama: Any, name: Any, request: Any) -> AsyncIterator[dict[str, Any]]:
    """The parameters that administrators declare for a model, for all, and for tasks."""
    model = await model_of(ollama, name, request)
    params = model.params.model_dump() if model else {}
    controls = (params.get("model_controls") or {}).values()
    yield flat(params)
    for control in controls:
        for option in control["options"].values():
            yield flat({"custom_params": option["params"]})
    for key in ("models.default_params", "task.model.params"):
        yield flat(await ollama.Config.get(key) or {})


async def model_of(ollama: Any, name: Any, request: Any) -> Any:
    """The preset or model of a request, unless its owner may not choose how it is loaded."""
    from open_webui.models.users import Users  # noqa: PLC0415

    asked = getattr(request.state, "model_id", None) if request else None
    model = await ollama.Models.get_model_by_id(asked) if asked else None
    if model is None or name not in (model.id, model.base_model_id):
        model = await ollama.Models.get_model_by_id(name)
    owner = await Users.get_user_by_id(model.user_id) if model else None
    return model if owner is None or await may_load(ollama, owner) else None


def flat(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, **(params.get("custom_params") or {})}


def value_of(given: Any) -> Any:
    """What Open WebUI sends for a value: it also has numbers as text."""
    try:
        return json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return given


def show_broken_answers(response: ModuleType) -> None:
    """Adds the error with which Ollama breaks off an answer, when memory runs out for example.

    Open WebUI reads the line `{"error": …}` as a part of the answer without words, so users would
    see half of an answer as if it were all of it.
    """
    convert = getattr(response, "convert_streaming_response_ollama_to_openai", None)
    if convert is None:
        return

    async def convert_and_show(answer: Any) -> AsyncIterator[str]:
        broken: list[str] = []
        lines = until_error(answer.body_iterator, broken)
        async for event in convert(SimpleNamespace(body_iterator=lines)):
            if broken and event.startswith("data: [DONE]"):
                # status.py looks for this line. Ollama's own words may have a part of the answer.
                print("Ollama broke off an answer.", file=sys.stderr, flush=True)
                yield f"data: {json.dumps({'error': {'message': BROKEN_OFF}})}\n\n"
            yield event

    vars(response)["convert_streaming_response_ollama_to_openai"] = convert_and_show


async def until_error(lines: AsyncIterator[Any], broken: list[str]) -> AsyncIterator[Any]:
    """The lines of an answer before an error, which is added to `broken`."""
    async for line in lines:
        text = line.decode() if isinstance(line, bytes) else line
        error = json.loads(text).get("error") if '"error"' in text else None
        if isinstance(error, str):
            broken.append(error)
            return
        yield line


def sync_uploads(provider: ModuleType) -> None:
    """Writes an uploaded file to the disk before Open WebUI notes it, as it does for its database.

    Else a power cut in the next half minute leaves a file without content. It runs in a thread.
    """
    local = getattr(provider, "LocalStorageProvider", None)
    upload = getattr(local, "upload_file", None)
    if local is None or upload is None:
        return

    def upload_and_sync(*arguments: Any) -> tuple[bytes, str]:
        contents, path = upload(*arguments)
        for name in (path, os.path.dirname(path)):  # noqa: PTH120  Open WebUI has text
            descriptor = os.open(name, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return contents, path

    local.upload_file = staticmethod(upload_and_sync)


def add_hint(configs: ModuleType) -> None:
    """Adds a banner to those of each user who still has the initial password.

    An administrator may store it with other banners: also then no other user gets it.
    """
    auths = getattr(sys.modules.get("open_webui.models.auths"), "Auths", None)
    get_auth, config = getattr(auths, "get_auth_by_id", None), getattr(configs, "Config", None)
    if get_auth is None or config is None or not HINT.exists():
        return

    async def has_initial_password(user: Any) -> bool:
        if not await config.get("ui.enable_password_change_form"):
            return False
        initial = await config.get(INITIAL_PASSWORDS) or []
        auth = await get_auth(user.id)
        return auth is not None and hashlib.sha256(auth.password.encode()).hexdigest() in initial

    def with_hint(get_banners: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(get_banners)  # FastAPI reads the parameters
        async def get_banners_and_hint(**given: Any) -> Any:
            hint = json.loads(HINT.read_text())
            others = [each for each in await get_banners(**given) if each["id"] != hint["id"]]
            return [hint, *others] if await has_initial_password(given["user"]) else others

        return get_banners_and_hint

    for route in getattr(getattr(configs, "router", None), "routes", ()):
        if route.path == "/banners" and "GET" in route.methods:
            route.endpoint = with_hint(route.endpoint)


CHANGES: dict[str, Callable[[ModuleType], None]] = {
    **{name: lambda _: None for name in LANGCHAIN},
    "open_webui.routers.auths": remove_limit,
    "open_webui.routers.configs": add_hint,
    "open_webui.routers.ollama": keep_models_loaded,
    "open_webui.storage.provider": sync_uploads,
    "open_webui.utils.auth": note_sign_ins,
    "open_webui.utils.response": show_broken_answers,
}
if os.environ.get("OLLAMAZURE_MULTI_FACTOR") in ("offered", "administrators"):
    CHANGES["open_webui.utils.mfa"] = except_users


@contextmanager
def without_needless(name: str) -> Iterator[None]:
    """Lets the module `name` of LangChain find none of these modules, unless they are loaded."""
    hidden = {each for each in NEEDLESS if name in LANGCHAIN and each not in sys.modules}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  None means: not found
    try:
        yield
    finally:
        for each in hidden:
            sys.modules.pop(each, None)


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
            with without_needless(fullname):
                load(module)
            change(module)

        spec.loader.exec_module = load_and_change
        return spec


sys.meta_path.insert(0, Changer())

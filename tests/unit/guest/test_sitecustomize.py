"""The code that Python imports in Open WebUI's container, with a package of the same layout."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components import remote_command
from components.open_webui import HINT, hint_banner

FOLDER = remote_command.GUEST / "etc/ollamazure/open-webui"
PRINT = "from open_webui.routers import auths, mfa; print(vars(auths).get('signin_rate_limiter'))"


@pytest.mark.parametrize(
    ("name", "printed"), [("signin_rate_limiter", "off"), ("renamed_limiter", "None")]
)
def test_only_the_limit_of_sign_ins_is_turned_off(tmp_path: Path, name: str, printed: str) -> None:
    routers = tmp_path / "open_webui/routers"
    routers.mkdir(parents=True)
    limiter = "class Limiter:\n    enabled = True\n"
    show = "    def __repr__(self): return 'on' if self.enabled else 'off'\n"
    (routers / "auths.py").write_text(f"{limiter}{show}{name} = Limiter()\nother = Limiter()\n")
    (routers / "mfa.py").write_text("from open_webui.routers.auths import other\n")
    ran = subprocess.run(
        [sys.executable, "-c", f"{PRINT}; print(mfa.other)"],
        env={"PYTHONPATH": f"{FOLDER}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [printed, "on"]


MFA = """
from types import SimpleNamespace as Record
ROLES = {"admin": "admin", "user": "user", "enrolled": "user", "reset": "user"}
class Users:
    async def get_user_by_id(id): return Record(role=ROLES[id])
async def get_auth(id):
    return Record(mfa=Record(secret=id == "enrolled", reset_required=id == "reset"))
def {name}(method, config): return method != "oauth"
"""
AUTH = """
async def create_signin_response(request, user, method="password"):
    from open_webui.utils import mfa
    await mfa.get_auth(user)
    return getattr(mfa, "{name}")(method, None)
"""
ASK = """
import asyncio
from types import SimpleNamespace as Record
from open_webui.utils.auth import create_signin_response
request = Record(cookies={cookies}, state=Record())
print(asyncio.run(create_signin_response(request, "{user}", "{method}")), request.state.user)
"""


@pytest.mark.parametrize(
    ("policy", "user", "cookies", "method", "needs"),
    [
        ("administrators", "admin", {}, "password", True),
        ("administrators", "user", {}, "password", False),
        ("administrators", "user", {"second_factor": "wanted"}, "password", True),
        ("administrators", "enrolled", {}, "password", True),
        ("administrators", "reset", {}, "password", True),
        ("administrators", "admin", {}, "oauth", False),
        ("offered", "admin", {}, "password", False),
        ("offered", "enrolled", {}, "password", True),
        ("everyone", "user", {}, "password", True),
        ("", "user", {}, "password", True),
    ],
)
def test_who_needs_a_second_factor(  # noqa: PLR0917  a row each
    tmp_path: Path, policy: str, user: str, cookies: dict[str, str], method: str, needs: bool
) -> None:
    answer = sign_in(tmp_path, policy, user=user, cookies=cookies, method=method)
    assert answer == [str(needs), user]


def test_all_need_one_if_a_later_version_has_other_names(tmp_path: Path) -> None:
    assert sign_in(tmp_path, "administrators", name="is_needed")[0] == "True"


def sign_in(
    folder: Path, policy: str, *, name: str = "is_mfa_required", **values: Any
) -> list[str]:
    """Whether Open WebUI's own question answers that a second factor is needed, and the user that
    the audit log gets."""
    utils = folder / "open_webui/utils"
    utils.mkdir(parents=True)
    (utils / "mfa.py").write_text(MFA.replace("{name}", name))
    (utils / "auth.py").write_text(AUTH.replace("{name}", name))
    given = {"user": "user", "cookies": {}, "method": "password", **values}
    ran = subprocess.run(
        [sys.executable, "-c", ASK.format(**given)],
        env={
            "PYTHONPATH": f"{FOLDER}:{folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OLLAMAZURE_MULTI_FACTOR": policy,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()


OLLAMA = """
from types import SimpleNamespace as Record
from open_webui.models.users import Users
class Params(dict):
    def model_dump(self): return dict(self)
def preset(owner, **params):
    return Record(id="preset", base_model_id="m", user_id=owner, params=Params(params))
SPEED = {"label": "Speed", "options": {"long": {"params": {"num_ctx": 32768}}}}
CUSTOM = {"num_ctx": "8192", "keep_alive": "1h"}
MODELS = {
    "m": Record(id="m", base_model_id=None, user_id="gone", params=Params(num_gpu=7)),
    "preset": preset("admin", custom_params=CUSTOM, model_controls={"speed": SPEED}),
    "users": preset("user", num_ctx=99),
    "trusted's": preset("trusted", num_ctx=99),
}
class Models:
    async def get_model_by_id(id): return MODELS.get(id)
class Config:
    async def get(key): return {"models.default_params": {"num_batch": 64}}.get(key)
async def {name}(url, method="POST", *, payload=None, user=None, request=None):
    return payload
async def embed(user, payload, model):
    request = Record(state=Record(model_id=model)) if model else None
    return await {name}("http://ollama/api/embed", payload=payload, user=user, request=request)
"""
ROLES = """
from types import SimpleNamespace as Record
class Users:
    async def get_user_by_id(id):
        return Record(id=id, role="admin" if id == "admin" else "user") if id != "gone" else None
"""
PERMITTED = """
async def has_permission(id, permission, default):
    return (id, permission) == ("trusted", "chat.params")
"""
ASK_OLLAMA = """
import asyncio, json, sys
from open_webui.models.users import Users
from open_webui.routers import ollama
async def ask(id, model, fields):
    user = await Users.get_user_by_id(id)
    # Open WebUI sends text or bytes.
    for payload in (json.dumps(fields), json.dumps(fields).encode()):
        yield json.loads(await ollama.embed(user, payload, model))
async def main():
    print(json.dumps([each async for each in ask(*json.load(sys.stdin))]))
asyncio.run(main())
"""
LARGE = {"num_ctx": 131072, "num_gpu": 0, "num_batch": 1, "num_thread": 1, "use_mmap": False}


@pytest.mark.parametrize(
    ("user", "model", "sent", "arrives"),
    [
        # Nothing of it is declared, or only some, for the model or for all models.
        ("user", None, {"options": {"num_thread": 1, "top_k": 3}}, {"options": {"top_k": 3}}),
        ("user", None, {"options": LARGE}, {"options": {"num_gpu": 7, "num_batch": 64}}),
        ("user", None, {"keep_alive": 0, "input": "x"}, {"input": "x"}),
        # A preset's own parameters, and a choice that it offers.
        ("user", "preset", {"options": {"num_ctx": 1}}, {"options": {"num_ctx": 8192}}),
        ("user", "preset", {"options": {"num_ctx": None}}, {"options": {"num_ctx": 8192}}),
        ("user", "preset", {"options": {"num_ctx": "8192"}}, {"options": {"num_ctx": 8192}}),
        ("user", "preset", {"options": {"num_ctx": 32768}}, {"options": {"num_ctx": 32768}}),
        ("user", "preset", {"keep_alive": -1}, {"keep_alive": "1h"}),
        # Another model than the one that the chat has, such as that for titles.
        ("user", "another", {"options": {"num_gpu": 1}}, {"options": {"num_gpu": 7}}),
        # What Ollama reads as the same field.
        ("user", None, {"OPTIONS": {"num_ctx": 1}, "Option\u017f": {"num_ctx": 1}}, {}),
        ("user", None, {"Keep_Alive": 0, "\u212aeep_alive": 0, "KEEP_ALIVE": 0}, {}),
        ("user", "preset", {"keep_alive": 0, "Keep_alive": 0}, {"keep_alive": "1h"}),
        ("user", None, {"MODEL": "hidden", "top_k": 3}, {"top_k": 3}),
        ("trusted", None, {"Model": "hidden", "keep_alive": 0}, {"keep_alive": 0}),
        # A user's own preset declares nothing, unless that user may.
        ("user", "users", {"options": {"num_ctx": 99}}, {"options": {}}),
        ("user", "trusted's", {"options": {"num_ctx": 1}}, {"options": {"num_ctx": 99}}),
        ("gone", None, {"options": {"num_ctx": 1}}, {"options": {}}),
        ("trusted", "preset", {"options": LARGE, "keep_alive": 0}, "the same"),
        ("admin", "preset", {"options": LARGE, "keep_alive": 0}, "the same"),
        ("user", "preset", {"options": {"top_k": 3, "num_predict": 9}}, "the same"),
        ("user", "preset", {"messages": [{"content": "num_ctx, keep_alive"}]}, "the same"),
    ],
)
def test_who_decides_how_a_model_is_loaded(
    tmp_path: Path, user: str, model: str | None, sent: dict[str, Any], arrives: Any
) -> None:
    expected = {"model": "m", **(sent if arrives == "the same" else arrives)}
    assert ask_ollama(tmp_path, user, model, {"model": "m", **sent}) == [expected] * 2


def test_a_later_version_with_other_names_still_asks_ollama(tmp_path: Path) -> None:
    sent = {"model": "m", "options": {"num_ctx": 1}}
    assert ask_ollama(tmp_path, "user", None, sent, name="forward") == [sent] * 2


def ask_ollama(folder: Path, *asked: Any, name: str = "send_request") -> list[dict[str, Any]]:
    """What reaches Ollama of a request, sent as text and as bytes."""
    for path, text in {
        "routers/ollama.py": OLLAMA.replace("{name}", name),
        "models/users.py": ROLES,
        "utils/access_control.py": PERMITTED,
    }.items():
        file = folder / "open_webui" / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    ran = subprocess.run(
        [sys.executable, "-c", ASK_OLLAMA],
        input=json.dumps(asked),
        env={"PYTHONPATH": f"{FOLDER}:{folder}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return answers


RESPONSE = """
import json
async def {name}(answer):
    async for line in answer.body_iterator:
        yield "data: " + json.dumps({{"content": json.loads(line).get("message")}}) + "\\n\\n"
    yield "data: [DONE]\\n\\n"
"""
ANSWER = """
import asyncio
from types import SimpleNamespace as Record
from open_webui.utils import response
async def lines():
    for line in {lines}:
        yield line
async def print_all():
    async for event in getattr(response, "{name}")(Record(body_iterator=lines())):
        print(event.strip())
asyncio.run(print_all())
"""
CONVERT = "convert_streaming_response_ollama_to_openai"
WORD, QUOTE = '{"message": "Once"}', '{"message": "a text with \\"error\\" in it"}'
FAILURE = '{"error": "the model ended: unexpected EOF"}'


@pytest.mark.parametrize(
    ("lines", "name", "printed", "broken"),
    [
        ([WORD, FAILURE], CONVERT, 3, True),
        ([WORD.encode(), FAILURE.encode()], CONVERT, 3, True),
        ([WORD, QUOTE], CONVERT, 3, False),
        ([WORD, FAILURE], "renamed", 3, False),
    ],
)
def test_an_answer_that_ollama_breaks_off_ends_with_an_error(
    tmp_path: Path, lines: list[str], name: str, printed: int, broken: bool
) -> None:
    utils = tmp_path / "open_webui/utils"
    utils.mkdir(parents=True)
    (utils / "response.py").write_text(RESPONSE.format(name=name))
    ran = subprocess.run(
        [sys.executable, "-c", ANSWER.format(lines=lines, name=name)],
        env={"PYTHONPATH": f"{FOLDER}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    events = ran.stdout.splitlines()
    events = [event for event in events if event]
    assert (len(events), events[-1]) == (printed, "data: [DONE]")
    shown = json.loads(events[-2].removeprefix("data: ")).get("error", {}).get("message", "")
    assert broken == shown.startswith("The model stopped in the middle of this answer. Ask again.")
    assert ran.stderr == ("Ollama broke off an answer.\n" if broken else "")
    assert "EOF" not in ran.stdout + ran.stderr, "Ollama's words may have a part of the answer"


PROVIDER = """
import os
class LocalStorageProvider:
    @staticmethod
    def upload_file(file, filename, tags):
        with open(filename, "wb") as uploaded:
            uploaded.write(file)
        return file, filename
Storage = LocalStorageProvider()
"""
UPLOAD = """
import os
synced, sync = [], os.fsync
def note(descriptor):
    synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    sync(descriptor)
os.fsync = note
from open_webui.storage.provider import Storage
print(Storage.upload_file(b"text", "FOLDER/file", {}), synced)
"""


def test_an_upload_is_on_the_disk_before_it_is_noted(tmp_path: Path) -> None:
    storage = tmp_path / "open_webui/storage"
    storage.mkdir(parents=True)
    (storage / "provider.py").write_text(PROVIDER)
    ran = subprocess.run(
        [sys.executable, "-c", UPLOAD.replace("FOLDER", str(tmp_path))],
        env={"PYTHONPATH": f"{FOLDER}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    file = f"{tmp_path}/file"
    assert ran.stdout.strip() == f"{(b'text', file)} {[file, str(tmp_path)]}"


AUTHS = """
from types import SimpleNamespace as Record
class Auths:
    async def {name}(id): return Record(password=f"hash of {{id}}'s password") if id else None
"""
CONFIGS = """
from types import SimpleNamespace as Record
from open_webui.models.auths import Auths
CONFIG = {config}
class Config:
    async def get(key): return CONFIG.get(key)
async def get_banners(request, user): return [{{"id": "initial-password"}}, {{"id": "ours"}}]
async def set_banners(request, user): return []
router = Record(
    routes=[
        Record(path="/", methods={{"GET"}}, endpoint=set_banners),
        Record(path="/banners", methods={{"POST"}}, endpoint=set_banners),
        Record(path="/banners", methods={{"GET"}}, endpoint=get_banners),
    ]
)
"""
SHOWN = """
import asyncio, inspect, json
from types import SimpleNamespace as Record
from open_webui.routers.configs import router
user = Record(id="alice", email="alice@example.com")
for route in router.routes:
    assert [*inspect.signature(route.endpoint).parameters] == ["request", "user"]
print(json.dumps([asyncio.run(each.endpoint(request=1, user=user)) for each in router.routes]))
"""
INITIAL = hashlib.sha256(b"hash of alice's password").hexdigest()
FORM = "ui.enable_password_change_form"


@pytest.mark.parametrize(
    ("initial", "form", "name", "shown"),
    [
        (["another", INITIAL], True, "get_auth_by_id", ["initial-password", "ours"]),
        (["another"], True, "get_auth_by_id", ["ours"]),
        (None, True, "get_auth_by_id", ["ours"]),
        ([INITIAL], False, "get_auth_by_id", ["ours"]),
        # A later version with another name: what is stored is shown.
        ([INITIAL], True, "renamed", ["initial-password", "ours"]),
    ],
)
def test_who_sees_the_hint_to_choose_another_password(
    tmp_path: Path, initial: list[str] | None, form: bool, name: str, shown: list[str]
) -> None:
    for folder in ("routers", "models"):
        (tmp_path / "open_webui" / folder).mkdir(parents=True)
    (tmp_path / "open_webui/models/auths.py").write_text(AUTHS.format(name=name))
    config = {"ollamazure.initial_passwords": initial, FORM: form}
    (tmp_path / "open_webui/routers/configs.py").write_text(CONFIGS.format(config=config))
    shutil.copy(FOLDER / "sitecustomize.py", tmp_path)
    hint = remote_command.render_file(HINT, banner=hint_banner())
    (tmp_path / Path(HINT).name).write_text(hint)
    ran = subprocess.run(
        [sys.executable, "-c", SHOWN],
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    *others, banners = json.loads(ran.stdout)
    assert others == [[], []]
    assert [each["id"] for each in banners] == shown
    if shown[0] == "initial-password" and name == "get_auth_by_id":
        assert banners[0] == hint_banner()


LANGCHAIN = """
try:
    from transformers.tokenization_utils_base import Tokenizer
    from sentence_transformers import SentenceTransformer
    HAS_THEM = True
except ImportError:
    HAS_THEM = False
"""


@pytest.mark.parametrize(
    ("before", "printed"), [("", "False False"), ("transformers, ", "False True")]
)
def test_langchain_loads_no_pytorch_and_open_webui_can(
    tmp_path: Path, before: str, printed: str
) -> None:
    for path, text in {
        "langchain_text_splitters/__init__.py": "from .base import HAS_THEM",
        "langchain_text_splitters/base.py": LANGCHAIN,
        "transformers/__init__.py": "",
        "transformers/tokenization_utils_base.py": "class Tokenizer: pass",
        "sentence_transformers.py": "import transformers\nclass SentenceTransformer: pass",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {before}langchain_text_splitters as splitters\n"
            "print(splitters.HAS_THEM, 'transformers' in sys.modules)\n"
            "from sentence_transformers import SentenceTransformer\n"
            "from transformers.tokenization_utils_base import Tokenizer",
        ],
        env={"PYTHONPATH": f"{FOLDER}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == printed.split()

"""The code that Python imports in Open WebUI's container, with a package of the same layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components import remote_command

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

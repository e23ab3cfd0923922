"""The code that Python imports in Open WebUI's container, with a package of the same layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

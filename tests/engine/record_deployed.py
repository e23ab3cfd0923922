"""`python -m tests.engine.record_deployed COMMIT`: the stack that a former commit deployed, for
test_upgrade.py. See deployed/README.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from emulator.instance import PROJECT, Instance

RECORD = Path(__file__).parent / "deployed"
STACK = "deployed"
_SETTINGS = f"Pulumi.{STACK}.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy the stack with the program of a commit, in plan mode, and keep what is left of it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine.record_deployed",
        description="Record the stack that the program of a former commit deployed.",
    )
    parser.add_argument("commit", help="the last commit before the present issue, such as main~1")
    commit = _git("rev-parse", parser.parse_args(arguments).commit)
    with (
        tempfile.TemporaryDirectory(prefix="ollamazure-record-") as folder,
        check_out(commit) as tree,
    ):
        home = Path(folder) / "emulator"
        shutil.copy(RECORD / "settings.yaml", tree / _SETTINGS)
        _deploy(tree, home)
        keep(home, RECORD, commit)
        Instance.open(home).release()
    return 0


@contextmanager
def check_out(commit: str) -> Iterator[Path]:
    """The project as it was at a commit, with its Python environment, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="ollamazure-record-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            (script,) = tree.glob("*/make-venv.sh")
            subprocess.run([script], check=True)
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _deploy(tree: Path, home: Path) -> None:
    environment = {**os.environ, "OLLAMAZURE_PLAN": "1", "OLLAMAZURE_EMULATOR": str(home)}
    secret = ("config", "set", "--secret", "ollamazure:signInSecret", "a-secret-of-the-provider")
    for command in (secret, ("up", "--yes", "--skip-preview")):
        pulumi = [tree / "bin" / "pulumi-local", "--non-interactive", *command, "--stack", STACK]
        subprocess.run(pulumi, cwd=tree, env=environment, check=True)


def keep(home: Path, record: Path, commit: str) -> None:
    """Write the parts of an emulated Azure that a later program needs to go on with it."""
    (state,) = (home / "backend").glob(f".pulumi/stacks/*/{STACK}.json")
    settings = yaml.safe_load((home / "project" / _SETTINGS).read_text())
    secrets = {
        "commit": commit,
        "passphrase": (home / "passphrase").read_text(),
        "encryptionsalt": settings["encryptionsalt"],
        "signInSecret": settings["config"]["ollamazure:signInSecret"],
    }
    (record / "stack.json.xz").write_bytes(lzma.compress(_json(_without_places(state)), preset=9))
    (record / "azure.json").write_bytes(_json(_without_custom_data(home)))
    (record / "secrets.json").write_bytes(_json(secrets))


def _without_places(state: Path) -> Any:
    """Pulumi's state without the lines of the program that made each resource: paths of a machine
    are among them."""
    stack = json.loads(state.read_text())
    for resource in stack["checkpoint"]["latest"]["resources"]:
        resource.pop("sourcePosition", None)
        resource.pop("stackTrace", None)
    return stack


def _without_custom_data(home: Path) -> Any:
    """Azure's state without the machine's customData, which holds a private key and which Azure
    returns to no one."""
    azure = json.loads((home / "azure" / "state.json").read_text())
    for resource in azure["resources"].values():
        if profile := resource.get("properties", {}).get("osProfile"):
            profile["customData"] = base64.b64encode(b"#cloud-config\n").decode()
    return {"resources": azure["resources"], "operations": {}}


def restore(home: Path, record: Path = RECORD) -> None:
    """Lay out an emulated Azure in which the recorded stack is deployed."""
    secrets = json.loads((record / "secrets.json").read_text())
    settings = yaml.safe_load((record / "settings.yaml").read_text())
    settings["config"]["ollamazure:signInSecret"] = secrets["signInSecret"]
    settings |= {"removed": [], "encryptionsalt": secrets["encryptionsalt"]}
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"]
    for file, content in {
        "passphrase": secrets["passphrase"].encode(),
        f"settings/{STACK}.yaml": yaml.safe_dump(settings).encode(),
        f"backend/.pulumi/stacks/{project}/{STACK}.json": lzma.decompress(
            (record / "stack.json.xz").read_bytes()
        ),
        "azure/state.json": (record / "azure.json").read_bytes(),
    }.items():
        place = home / file
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.write_bytes(content)
        place.chmod(0o600)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

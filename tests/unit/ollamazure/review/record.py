"""Records what the engine prints for changes of the program: real previews of a copy of the tree.

    .venv/bin/python -m tests.unit.ollamazure.review.record [NAME…]

records all changes, or the named ones. It writes `recorded/NAME.json`, the parts of the preview
that ollamazure/review reads, and `recorded/NAME.md`, the comment about it. `--render` only writes
the comments again. Read the comments before you commit them: users will see these words.
tests/engine/test_recorded_changes.py fails if a recording is out of date.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ollamazure import manifest
from ollamazure.manifest import InstalledFile
from ollamazure.preview import output
from ollamazure.review import comment
from ollamazure.review.changes import review_preview
from tests.engine.clone import clone

PROJECT = Path(__file__).resolve().parents[4]
RECORDED = Path(__file__).parent / "recorded"
STACK = "chat"
# A second stack, with keepData.
KEPT = "kept"
ALICE = {"email": "alice@example.com", "name": "Alice", "groups": ["research"]}
BOB = {"email": "bob@example.com", "name": "Bob"}
CAROL = {"email": "carol@example.com", "name": "Carol", "role": "admin"}
RESEARCH = {"name": "research", "permissions": {"chat": {"file_upload": True}}}
COACH = {
    "id": "writing-coach",
    "name": "Writing coach",
    "baseModel": "llama3.2:1b",
    "system": "You are a kind and strict editor.",
}
SUMMARISE = {"command": "summarise", "title": "Summarise", "content": "Summarise: {{CLIPBOARD}}"}
HANDBOOK: dict[str, Any] = {
    "name": "Handbook",
    "files": ["tests/unit/ollamazure/review/handbook.md"],
}
# A value that tries to become markup in a comment.
EVIL = "```\n</details>\n@everyone <img src=x> | a | b"
BASE: dict[str, Any] = {
    "location": "francecentral",
    "vmSize": "Standard_B2as_v2",
    "models": ["llama3.2:1b", "smollm2:135m"],
    "dataDiskGiB": 64,
    "sshClients": ["198.51.100.1/32"],
    "groups": [RESEARCH],
    "users": [ALICE, BOB],
    "presets": [COACH],
    "prompts": [SUMMARISE],
    "knowledge": [HANDBOOK],
}
# The engine's output for a change: the JSON, and the text of the difference.
Printed = tuple[str, str]


@dataclass
class Tree:
    """A copy of the project with stacks of its own, deployed in plan mode.

    Attributes:
        folder: where it is.
        is_kept_deployed: the stack with keepData is deployed as its settings say.
    """

    folder: Path
    is_kept_deployed: bool = False

    def write_settings(self, stack: str = STACK, **changes: Any) -> None:
        """Write a stack's file: the base with these changes; None leaves a setting out."""
        config = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
        named = {f"ollamazure:{key}": value for key, value in config.items()}
        self.file(f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": named}))

    def file(self, name: str) -> Path:
        return self.folder / name

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a text in a file of the program."""
        text = self.file(name).read_text()
        assert old in text, f"{name} does not contain {old!r}"
        self.file(name).write_text(text.replace(old, new))

    def restore(self) -> None:
        """Undo all changes of files."""
        git = ["git", "-C", str(self.folder)]
        subprocess.run([*git, "checkout", "--quiet", "--", "."], check=True)
        subprocess.run([*git, "clean", "--quiet", "--force", "--", "Pulumi.*.yaml"], check=True)
        self.write_settings()

    def up(self, stack: str = STACK) -> None:
        self.pulumi("up", "--yes", "--skip-preview", stack=stack)

    def keep_data(self) -> None:
        """Deploy the stack with keepData, if necessary."""
        self.write_settings(KEPT, keepData=True)
        if not self.is_kept_deployed:
            self.up(KEPT)
            self.is_kept_deployed = True

    def pulumi(self, *arguments: str, stack: str = STACK) -> str:
        """What pulumi-local prints, whether it succeeds or not."""
        home = self.folder.parent / "emulator"
        return subprocess.run(
            [self.file("bin/pulumi-local"), "--non-interactive", *arguments, "--stack", stack],
            cwd=self.folder,
            env={**os.environ, "OLLAMAZURE_PLAN": "1", "OLLAMAZURE_EMULATOR": str(home)},
            capture_output=True,
            check=False,
            text=True,
        ).stdout

    def preview(self, stack: str = STACK, *options: str) -> Printed:
        """Both forms of a preview, because neither has all that a comment needs.

        One after the other: pulumi-local cannot run twice at once on the same emulated Azure.
        """
        as_json = self.pulumi("preview", "--json", "--show-sames", *options, stack=stack)
        return as_json, self.pulumi("preview", "--diff", *options, stack=stack)

    def preview_destroy(self, stack: str = STACK) -> Printed:
        command = ("destroy", "--preview-only")
        as_json = self.pulumi(*command, "--json", stack=stack)
        return as_json, self.pulumi(*command, "--diff", stack=stack)


def with_settings(**changes: Any) -> Callable[[Tree], Printed]:
    """A change of the stack's settings."""

    def preview(tree: Tree) -> Printed:
        tree.write_settings(**changes)
        return tree.preview()

    return preview


def with_file(name: str, old: str, new: str) -> Callable[[Tree], Printed]:
    """A change of the program."""

    def preview(tree: Tree) -> Printed:
        tree.replace(name, old, new)
        return tree.preview()

    return preview


def keep_data_no_more(tree: Tree) -> Printed:
    tree.keep_data()
    tree.write_settings(KEPT, keepData=False)
    return tree.preview(KEPT)


def destroy_protected(tree: Tree) -> Printed:
    tree.keep_data()
    return tree.preview_destroy(KEPT)


def destroy_data_kept(tree: Tree) -> Printed:
    tree.keep_data()
    tree.pulumi("state", "unprotect", "--all", "--yes", stack=KEPT)
    tree.is_kept_deployed = False
    return tree.preview_destroy(KEPT)


def new_environment(tree: Tree) -> Printed:
    tree.write_settings("second")
    return tree.preview("second")


def refused_by_a_policy(tree: Tree) -> Printed:
    tree.write_settings("prod-two", sshClients=["0.0.0.0/0"])
    return tree.preview("prod-two", "--policy-pack", "policy")


def renamed(tree: Tree) -> Printed:
    """`pulumi stack rename`: every name in Azure contains the stack's name."""
    tree.pulumi("stack", "rename", "talk")
    tree.file(f"Pulumi.{STACK}.yaml").rename(tree.file("Pulumi.talk.yaml"))
    printed = tree.preview("talk")
    tree.pulumi("stack", "rename", STACK, stack="talk")
    return printed


CHANGES: dict[str, Callable[[Tree], Printed]] = {
    "nothing": Tree.preview,
    "model-added": with_settings(models=["llama3.2:1b", "smollm2:135m", "qwen3:0.6b"]),
    "model-removed": with_settings(models=["llama3.2:1b"]),
    "ollama-version": with_settings(ollamaVersion="0.34.1"),
    "nginx-version": with_settings(nginxVersion="1.30.9"),
    "nginx-config": with_file(
        "guest/etc/nginx/nginx.conf.j2", "worker_connections 16384;", "worker_connections 9000;"
    ),
    "open-webui-version": with_settings(webuiVersion="v0.12.5"),
    "default-model": with_settings(models=["smollm2:135m", "llama3.2:1b"]),
    "user-added": with_settings(users=[ALICE, BOB, CAROL]),
    "user-removed": with_settings(users=[ALICE]),
    "user-deleted": with_settings(users=[ALICE, {**BOB, "state": "deleted"}]),
    "user-changed": with_settings(users=[{**ALICE, "groups": []}, {**BOB, "role": "admin"}]),
    "group-changed": with_settings(
        groups=[{**RESEARCH, "permissions": {"chat": {"file_upload": False}}}]
    ),
    "preset-changed": with_settings(presets=[{**COACH, "system": "You are a poet."}]),
    "prompt-changed": with_settings(prompts=[{**SUMMARISE, "content": EVIL}]),
    "knowledge-changed": with_file(HANDBOOK["files"][0], "Friday", "Monday"),
    "items-removed": with_settings(
        groups=None, users=[BOB], presets=None, prompts=None, knowledge=None
    ),
    "model-for-a-group": with_settings(modelAccess={"smollm2:135m": {"groups": ["research"]}}),
    "resize-in-place": with_settings(vmSize="Standard_B4as_v2"),
    "resize-across-classes": with_settings(vmSize="Standard_B2ms"),
    "data-disk-size": with_settings(dataDiskGiB=128),
    "image": with_settings(imageVersion="0.20260914.2601"),
    "reapply": with_settings(reapply="once more"),
    "admin-password": with_settings(adminPasswordRotation="2026-12"),
    "ssh-key": with_settings(rotation={"sshKey": "2026-12"}),
    "host-key": with_settings(rotation={"hostKey": "2026-12"}),
    "session-key": with_settings(rotation={"sessionKey": "2026-12"}),
    "initial-passwords": with_settings(rotation={"initialPasswords": "2026-12"}),
    "certificate": with_settings(certificate={"renewAfterDays": 100}),
    "ssh-clients": with_settings(sshClients=["203.0.113.7/32", "203.0.113.9/32"]),
    "ssh-to-everyone": with_settings(sshClients=["0.0.0.0/0"]),
    "dns-label": with_settings(dnsLabel="our-team-chat"),
    "tag": with_settings(tags={"team": "research"}),
    "keep-data": with_settings(keepData=True),
    "keep-data-no-more": keep_data_no_more,
    "bad-settings": with_settings(vmSize="Standard_B3ms", contextLength=7),
    "new-environment": new_environment,
    "refused-by-a-policy": refused_by_a_policy,
    "renamed": renamed,
    "destroy": Tree.preview_destroy,
    "destroy-protected": destroy_protected,
    "destroy-data-kept": destroy_data_kept,
}


def main(names: list[str]) -> None:
    if names == ["--render"]:
        for file in RECORDED.glob("*.json"):
            file.with_suffix(".md").write_text(render(file.stem))
        return
    with deploy_copy() as tree:
        for name in names or CHANGES:
            write(name, record(name, tree))
            print(name, flush=True)


@contextmanager
def deploy_copy() -> Iterator[Tree]:
    """A copy of the current tree, deployed."""
    with tempfile.TemporaryDirectory(prefix="ollamazure-record-") as folder:
        tree = Tree(Path(folder) / "tree")
        clone(tree.folder)
        subprocess.run([tree.file("tools/make-venv.sh")], check=True)
        tree.write_settings()
        tree.up()
        yield tree


def record(name: str, tree: Tree) -> dict[str, Any]:
    """Make a change, preview it and undo it; returns what the recording consists of."""
    try:
        return slim(*CHANGES[name](tree))
    finally:
        tree.restore()


def write(name: str, recorded: dict[str, Any]) -> None:
    RECORDED.mkdir(exist_ok=True)
    text = json.dumps(recorded, indent=1, ensure_ascii=False) + "\n"
    (RECORDED / f"{name}.json").write_text(text)
    (RECORDED / f"{name}.md").write_text(render(name))


def load(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return recorded


def render(name: str) -> str:
    """The comment about a recorded change, without the difference."""
    recorded = load(name)
    preview = output.read(json.dumps(recorded["preview"]), recorded["diff"])
    return comment.format_review(STACK, review_preview(replace(preview, diff="")))


def slim(printed: str, diff: str) -> dict[str, Any]:
    """What ollamazure/review reads of a preview, without what differs in each recording."""
    decoded = json.loads(printed[printed.index("{\n") :])
    slimmed_steps = filter(None, map(slim_step, decoded.get("steps", ())))
    texts = [found[0] for found in output.COST.finditer(diff)]
    texts += sorted(found[0] for found in output.VIOLATION.finditer(diff))
    slimmed = {
        "preview": {
            # The engine's order differs from one run to the next.
            "steps": sorted(slimmed_steps, key=lambda step: step["urn"]),
            "diagnostics": decoded.get("diagnostics", []),
        },
        # An empty difference would mean that the cost is not known.
        "diff": "\n".join(texts) or "Resources:",
    }
    return json.loads(number_identities(json.dumps(slimmed)))  # type: ignore[no-any-return]


def slim_step(step: dict[str, Any]) -> dict[str, Any] | None:
    states = [step.get(key) or {} for key in ("oldState", "newState")]
    shields = [[state.get(key) for key in ("protect", "retainOnDelete")] for state in states]
    of_stack = "pulumi:pulumi:Stack::" in step["urn"]
    if step["op"] == "same" and shields[0] == shields[1] and not of_stack:
        return None
    paths = list(step.get("detailedDiff") or step.get("diffReasons") or ())
    used = {re.split(r"[.\[]", path)[0] for path in paths} | {"delete"}
    if "$command:remote:Command::" in step["urn"] and (step["op"] == "create" or "stdin" in used):
        used |= {"stdin", "environment"}
    texts = [str((state.get("inputs") or {}).get("stdin", "")) for state in states]
    if texts[1] == output.UNKNOWN and texts[0] != output.SECRET:
        texts[0] = ""
    texts = slim_scripts(*texts)
    slim = {"op": step["op"], "urn": step["urn"], "detailedDiff": step.get("detailedDiff")}
    for key, state, text in zip(("oldState", "newState"), states, texts, strict=True):
        inputs = {name: v for name, v in (state.get("inputs") or {}).items() if name in used}
        if "stdin" in inputs:
            inputs["stdin"] = text
        if variables := inputs.pop("environment", None):
            # Another variable has a digest that differs in each recording.
            shown = {key: v for key, v in variables.items() if key == manifest.VARIABLE}
            inputs |= {"environment": shown} if shown else {}
        outputs = {output.COST_OUTPUT: (state.get("outputs") or {}).get(output.COST_OUTPUT)}
        if state:
            slim[key] = {
                **({"inputs": inputs} if inputs else {}),
                **({"outputs": outputs} if of_stack and outputs[output.COST_OUTPUT] else {}),
                **{name: True for name in ("protect", "retainOnDelete") if state.get(name)},
            }
    return slim


def slim_scripts(*scripts: str) -> list[str]:
    """The scripts without their first part and without the files that all of them have."""
    read = [(manifest.read(script).files if is_script(script) else ()) for script in scripts]
    same = {file.path for file in read[0] if all(file in files for files in read)}
    return [slim_script(script, same) if is_script(script) else script for script in scripts]


def is_script(text: str) -> bool:
    return text not in ("", output.SECRET, output.UNKNOWN)


def slim_script(script: str, left_out: set[str]) -> str:
    described = manifest.read(script)
    contents, own = manifest.contents(described, script)
    files, puts = [], ""
    for file in described.files:
        if file.path not in left_out:
            text = fix_address(contents[file.path].decode())
            sha256, lines = manifest.digest(text.encode()), text.count("\n")
            files.append(InstalledFile(path=file.path, mode=file.mode, sha256=sha256, lines=lines))
            puts += f"put\n{text}{manifest.END_OF_FILE}\n\n"
    own = fix_address(own)
    sha256 = manifest.digest(own.encode())
    changes = {"setup": 0, "files": tuple(files), "script": sha256}
    return described.model_copy(update=changes).opening() + puts + own


def number_identities(text: str) -> str:
    """Number the identities in their order and leave keys out, so that two recordings are equal."""
    found = dict.fromkeys(re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", text))
    found.pop(output.UNKNOWN, None)
    for index, identity in enumerate(found):
        text = text.replace(identity, f"00000000-0000-0000-0000-{index:012}")
    text = re.sub(r"(ssh-ed25519 )[\w+/]+", r"\1AAAA", text)
    text = re.sub(r"(-----BEGIN [A-Z ]+-----)(?:\\n|[\w+/=])+", r"\1", text)
    return fix_address(text)


def fix_address(text: str) -> str:
    """Replace the machine's address, which differs from one recording to the next."""
    # In a pattern of Nginx its dots have a backslash.
    return re.sub(r"127(\\*\.)20\1\d+\1\d+", r"127\g<1>20\g<1>0\g<1>4", text)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Records what the engine says of changes: real previews in plan mode, of a copy of the tree.

    python -m tests.unit.review.record [NAME…]

writes `recorded/NAME.json`, of the engine's JSON only what review/ reads, and `recorded/NAME.md`,
the comment about it. With `--render` only the comments are written anew. Read them before
committing them: they are what the tests hold.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ollamazure.preview import output
from ollamazure.preview.script import Script
from ollamazure.review import comment
from ollamazure.review.changes import review
from tests.engine.clone import clone

PROJECT = Path(__file__).resolve().parents[4]
RECORDED = Path(__file__).parent / "recorded"
STACK = "chat"
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
HANDBOOK = {"name": "Handbook", "files": ["SECURITY.md"]}
# What somebody might try, to leave the place that a value has in a comment.
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
# The engine's JSON of a change, and the text of its difference.
Said = tuple[str, str]


@dataclass
class Tree:
    """A copy of the project with one stack of its own, deployed in plan mode."""

    folder: Path

    def settings(self, **changes: Any) -> None:
        """Write the stack's file: the base with these changes; None leaves a setting out."""
        config = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
        named = {f"ollamazure:{key}": value for key, value in config.items()}
        self.file(f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": named}))

    def file(self, name: str) -> Path:
        return self.folder / name

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a text in a file of the program."""
        text = self.file(name).read_text()
        assert old in text, f"{name} does not say {old!r}"
        self.file(name).write_text(text.replace(old, new))

    def restore(self) -> None:
        """Everything as it was deployed."""
        self.git("checkout", "--quiet", "--", ".")
        self.settings()

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout

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

    def preview(self, stack: str = STACK, *more: str) -> Said:
        return (
            self.pulumi("preview", "--json", "--show-sames", *more, stack=stack),
            self.pulumi("preview", "--diff", *more, stack=stack),
        )

    def destroy(self) -> Said:
        return (
            self.pulumi("destroy", "--preview-only", "--json"),
            self.pulumi("destroy", "--preview-only", "--diff"),
        )


def with_settings(**changes: Any) -> Callable[[Tree], Said]:
    """A change of the stack's settings."""

    def made(tree: Tree) -> Said:
        tree.settings(**changes)
        return tree.preview()

    return made


def with_file(name: str, old: str, new: str) -> Callable[[Tree], Said]:
    """A change of the program."""

    def made(tree: Tree) -> Said:
        tree.replace(name, old, new)
        return tree.preview()

    return made


def with_data_kept(change: Callable[[Tree], Said]) -> Callable[[Tree], Said]:
    """A change of a deployment that keeps its data; what was deployed before comes back."""

    def made(tree: Tree) -> Said:
        tree.settings(keepData=True)
        tree.pulumi("up", "--yes", "--skip-preview")
        said = change(tree)
        tree.settings()
        tree.pulumi("up", "--yes", "--skip-preview")
        return said

    return made


def without_protection(tree: Tree) -> Said:
    tree.pulumi("state", "unprotect", "--all", "--yes")
    return tree.destroy()


def new_environment(tree: Tree) -> Said:
    shutil.copy(tree.file(f"Pulumi.{STACK}.yaml"), tree.file("Pulumi.second.yaml"))
    return tree.preview("second")


def refused_by_a_policy(tree: Tree) -> Said:
    tree.settings(sshClients=["0.0.0.0/0"])
    shutil.copy(tree.file(f"Pulumi.{STACK}.yaml"), tree.file("Pulumi.prod-two.yaml"))
    return tree.preview("prod-two", "--policy-pack", "policy")


def renamed(tree: Tree) -> Said:
    """`pulumi stack rename`: every name in Azure holds the stack's."""
    tree.pulumi("stack", "rename", "talk")
    tree.file(f"Pulumi.{STACK}.yaml").rename(tree.file("Pulumi.talk.yaml"))
    said = tree.preview("talk")
    tree.pulumi("stack", "rename", STACK, stack="talk")
    return said


CHANGES: dict[str, Callable[[Tree], Said]] = {
    "nothing": Tree.preview,
    "model-added": with_settings(models=["llama3.2:1b", "smollm2:135m", "qwen3:0.6b"]),
    "model-removed": with_settings(models=["llama3.2:1b"]),
    "ollama-version": with_settings(ollamaVersion="0.34.1"),
    "nginx-version": with_settings(nginxVersion="1.30.9"),
    "nginx-config": with_file(
        "guest/etc/nginx/nginx.conf.j2", "worker_connections 1024;", "worker_connections 2048;"
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
    "knowledge-changed": with_file("SECURITY.md", "# ", "# More: "),
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
    "certificate": with_settings(certificate={"renewAfterDays": 100}),
    "ssh-clients": with_settings(sshClients=["203.0.113.7/32", "203.0.113.9/32"]),
    "ssh-to-everybody": with_settings(sshClients=["0.0.0.0/0"]),
    "dns-label": with_settings(dnsLabel="our-team-chat"),
    "tag": with_settings(tags={"team": "research"}),
    "keep-data": with_settings(keepData=True),
    "keep-data-no-more": with_data_kept(with_settings(keepData=False)),
    "bad-settings": with_settings(vmSize="Standard_B3ms", contextLength=7),
    "new-environment": new_environment,
    "refused-by-a-policy": refused_by_a_policy,
    "renamed": renamed,
    "destroy": Tree.destroy,
    "destroy-protected": with_data_kept(Tree.destroy),
    "destroy-data-kept": with_data_kept(without_protection),
}


def main(names: list[str]) -> None:
    if names == ["--render"]:
        for file in RECORDED.glob("*.json"):
            file.with_suffix(".md").write_text(rendered(file.stem))
        return
    with deployed() as tree:
        for name in names or CHANGES:
            printed, diff = CHANGES[name](tree)
            tree.restore()
            write(name, slim(printed, diff))
            print(name, flush=True)


@contextmanager
def deployed() -> Iterator[Tree]:
    """A copy of the tree as it lies here, deployed."""
    with tempfile.TemporaryDirectory(prefix="ollamazure-record-") as folder:
        tree = Tree(Path(folder) / "tree")
        clone(tree.folder)
        subprocess.run([tree.file("tools/make-venv.sh")], check=True)
        tree.settings()
        tree.pulumi("up", "--yes", "--skip-preview")
        yield tree


def write(name: str, said: dict[str, Any]) -> None:
    RECORDED.mkdir(exist_ok=True)
    text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
    (RECORDED / f"{name}.json").write_text(text)
    (RECORDED / f"{name}.md").write_text(rendered(name))


def rendered(name: str) -> str:
    """The comment about a recorded change."""
    said = json.loads((RECORDED / f"{name}.json").read_text())
    read = output.read(json.dumps(said["preview"]), said["diff"])
    # Folding the difference is another test's.
    return comment.of_review(STACK, review(replace(read, diff="")))


def slim(printed: str, diff: str) -> dict[str, Any]:
    """What review/ reads of a preview, and nothing that differs from one recording to the next."""
    said = json.loads(printed[printed.index("{\n") :])
    steps = [slim_step(step) for step in said.get("steps", ())]
    outputs = [line for line in diff.splitlines() if output.COST_OUTPUT in line[:40]]
    outputs += [found[0] for found in output.VIOLATION.finditer(diff)]
    kept = {
        "preview": {
            "steps": [step for step in steps if step],
            "diagnostics": said.get("diagnostics", []),
        },
        # Something must be there: an empty difference says nothing of the cost.
        "diff": "\n".join(outputs) or "Resources:",
    }
    return json.loads(constant(json.dumps(kept)))  # type: ignore[no-any-return]


def slim_step(step: dict[str, Any]) -> dict[str, Any] | None:
    states = [step.get(key) or {} for key in ("oldState", "newState")]
    shields = [[state.get(key) for key in ("protect", "retainOnDelete")] for state in states]
    of_stack = "pulumi:pulumi:Stack::" in step["urn"]
    if step["op"] == "same" and shields[0] == shields[1] and not of_stack:
        return None
    paths = list(step.get("detailedDiff") or step.get("diffReasons") or ())
    used = {re.split(r"[.\[]", path)[0] for path in paths} | {"delete"}
    if step["op"] == "create" and "ollamazure:index:Workspace$command" in step["urn"]:
        used |= {"create", "stdin"}
    texts = [str((state.get("inputs") or {}).get("stdin", "")) for state in states]
    if texts[1] == output.UNKNOWN:
        texts[0] = ""
    same = same_files(*texts)
    slim = {"op": step["op"], "urn": step["urn"], "detailedDiff": step.get("detailedDiff")}
    for key, state, text in zip(("oldState", "newState"), states, texts, strict=True):
        inputs = {name: v for name, v in (state.get("inputs") or {}).items() if name in used}
        if "stdin" in inputs:
            inputs["stdin"] = without(same, text)
        outputs = {output.COST_OUTPUT: (state.get("outputs") or {}).get(output.COST_OUTPUT)}
        if state:
            slim[key] = {
                **({"inputs": inputs} if inputs else {}),
                **({"outputs": outputs} if of_stack and outputs[output.COST_OUTPUT] else {}),
                **{name: True for name in ("protect", "retainOnDelete") if state.get(name)},
            }
    return slim


def same_files(before: str, after: str) -> set[str]:
    """Contents of files that a script installs before and after."""
    return set(Script.read(before).files.values()) & set(Script.read(after).files.values())


def without(texts: set[str], script: str) -> str:
    for text in texts:
        script = script.replace(text, "")
    return script


def constant(text: str) -> str:
    """Identities in the order they come, so that two recordings are the same."""
    found = dict.fromkeys(re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", text))
    found.pop(output.UNKNOWN, None)
    for index, identity in enumerate(found):
        text = text.replace(identity, f"00000000-0000-0000-0000-{index:012}")
    return re.sub(r"127\.20\.\d+\.\d+", "127.20.0.4", text)


if __name__ == "__main__":
    main(sys.argv[1:])

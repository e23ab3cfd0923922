"""A mirror of our own with another model: of this machine's artifacts, and of weights made here."""

from __future__ import annotations

import json
from pathlib import Path

from emulator.artifacts import pins
from emulator.artifacts.oci import Repository
from tests.e2e.padded_mirror import WEIGHTS, link, read


def make_mirror(root: Path, model: str, weights: Path | None = None) -> None:
    """Fill the folder `root` with a mirror that has `model` (`name:tag`) as well.

    It has the template and the parameters of the small model, and its weights or those of the file
    `weights`, which is moved.
    """
    link(root)
    small = Repository(root, pins.MODEL[0])
    manifest = read(small, pins.MODEL[1])
    kind = (small.folder / "manifests" / f"{pins.MODEL[1]}.type").read_text("utf-8")
    name, tag = model.split(":")
    target = Repository(root, f"library/{name}")
    for part in [manifest["config"], *manifest["layers"]]:
        file = target.blob(part["digest"])
        if not file.exists():
            file.hardlink_to(small.blob(part["digest"]))
    if weights:
        added = target.add_file(weights, WEIGHTS).as_json()
        manifest["layers"] = [
            added if layer["mediaType"] == WEIGHTS else layer for layer in manifest["layers"]
        ]
    target.put_manifest(tag, json.dumps(manifest).encode(), kind)

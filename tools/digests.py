"""Updates ollamazure/catalog/digests.yaml from the registries of the images; prints the changes.

    .venv/bin/python -m tools.digests [IMAGE=VERSION…]      for example nginx=1.30.3

It reads the digests of the versions that the file has, of those that versions.yaml pins, and of the
named ones. A registry can serve other bytes for a tag tomorrow, usually because the image was built
again with newer packages of its system: the new digest is in the file only after this has run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from emulator.artifacts.artifact import registry_url
from emulator.artifacts.registry import digest_of_tag
from emulator.artifacts.work import OfficialUnavailableError
from ollamazure import catalog
from ollamazure.catalog import ContainerImage

FILE = catalog.FOLDER / "digests.yaml"

Digests = dict[str, dict[str, str]]
"""Digests by image and version."""


def main(named: Sequence[str], file: Path = FILE, registry: str | None = None) -> int:
    """Update the file. The exit code is 1 if a digest could not be read; the others are updated.

    `registry` is asked in the place of each image's own.
    """
    images = {"open-webui": catalog.versions().open_webui, "nginx": catalog.versions().nginx}
    added = [re.fullmatch(rf"({'|'.join(images)})=([\w.-]+)", name) for name in named]
    if wrong := [name for name, match in zip(named, added, strict=True) if match is None]:
        names = " and ".join(f"{name}=VERSION" for name in images)
        print(f"{', '.join(wrong)} is no version of an image; use {names}.", file=sys.stderr)
        return 1
    text = file.read_text(encoding="utf-8")
    former: Digests = yaml.safe_load(text)
    current: Digests = {}
    failures: list[str] = []
    for name, image in images.items():
        versions = [*former[name], image.tag, *(m[2] for m in added if m and m[1] == name)]
        current[name] = dict(former[name])
        for version in dict.fromkeys(versions):
            try:
                current[name][version] = _digest(image, version, registry)
            except OfficialUnavailableError as error:
                failures.append(f"{name} {version}: {error}")
    file.write_text(render(text, current), encoding="utf-8")
    print(*changes(former, current), sep="\n")
    for failure in failures:
        print(f"{failure}; its entry in {file.name} is unchanged.", file=sys.stderr)
    return 1 if failures else 0


def _digest(image: ContainerImage, version: str, registry: str | None) -> str:
    return digest_of_tag(registry or registry_url(image.registry), image.repository, version)


def render(former: str, digests: Digests) -> str:
    """The text of digests.yaml, with the comment at the top of its former text."""
    comment = re.match(r"(#.*\n)*", former)
    return (comment[0] if comment else "") + yaml.safe_dump(digests, sort_keys=False, width=200)


def changes(
    former: Mapping[str, Mapping[str, str]], current: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """One line for each version, with its former digest if it has another one now."""
    for name, versions in current.items():
        for version, digest in versions.items():
            before = former[name].get(version, "new")
            yield f"{name} {version}: {digest}" + ("" if before == digest else f" (was {before})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

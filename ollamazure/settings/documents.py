"""The documents of knowledge bases: the files that the settings name, and checks of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ollamazure.settings import team_file
from ollamazure.settings.team_file import within_project

MIB = 1 << 20
FILE_LIMIT_MIB = 4
HIDDEN = "it is hidden or in a hidden folder, which can hold secrets"
KNOWLEDGE_LIMIT_MIB = 16


@dataclass(frozen=True)
class Document:
    """A file of a knowledge base."""

    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """The hash of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def documents(paths: Iterable[str]) -> Iterator[Document]:
    """The named files, and all files in the named folders except hidden ones.

    The name of a file in a folder's subfolder has both: `leave/parents.md` is `leave-parents.md`.
    """
    for path in paths:
        found = within_project(path)
        for file in _files(found) if found else ():
            name = file.name if file == found else "-".join(file.relative_to(str(found)).parts)
            yield Document(name, file.read_bytes())


def fault_of_path(path: str) -> str | None:
    """Why a file or folder cannot be part of a knowledge base; None if it can."""
    found = within_project(path)
    if found is None:
        return "it is outside the project"
    if not found.exists():
        return "there is no such file or folder"
    if is_hidden(found):
        return HIDDEN
    files = _files(found)
    if not files:
        return "the folder holds no file"
    return next(filter(None, (_fault_of_file(file, found) for file in files)), None)


def is_hidden(path: Path) -> bool:
    """Whether a resolved path of the project is a hidden file, or in a hidden folder."""
    return any(part.startswith(".") for part in path.relative_to(team_file.PROJECT).parts)


def _fault_of_file(file: Path, found: Path) -> str | None:
    size, name = file.stat().st_size, "it" if file == found else f"its file {file.name}"
    target = file.resolve()  # of a link
    if not target.is_relative_to(team_file.PROJECT):
        return f"{name} is a link to a file outside the project"
    if is_hidden(target):
        return f"{name} is a link to a hidden file"
    if size == 0:
        return f"{name} is empty"
    if size > FILE_LIMIT_MIB * MIB:
        return f"{name} has {size / MIB:.1f} MiB, and the limit is {FILE_LIMIT_MIB} MiB"
    return None


def fault_of_all(paths: Sequence[str]) -> str | None:
    """Why the files cannot form one knowledge base; None if they can."""
    found = list(documents(paths))
    names = [document.name for document in found]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        return f"two of the files would have the name {repeated}"
    size = sum(len(document.content) for document in found)
    if size > KNOWLEDGE_LIMIT_MIB * MIB:
        return f"they have {size / MIB:.1f} MiB, and the limit is {KNOWLEDGE_LIMIT_MIB} MiB"
    return None


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )

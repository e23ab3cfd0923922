"""The documents of knowledge bases: the files that the settings name, and checks of them.

What Open WebUI's official image reads without a download follows from the loaders of its version
0.12.4 (open_webui/retrieval/loaders/main.py); decision 40 has the reasons.
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
import unicodedata
import zipfile
import zlib
from collections import Counter
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
# Open WebUI refuses a Word file that unpacks to more than the larger of these.
UNPACKED_LIMIT_MIB, UNPACKED_RATIO = 10, 100

# Open WebUI reads these with the package `unstructured`, which first downloads a language model, or
# with programs that the image does not have. The value is a kind that it reads without them.
CONVERT_TO = {
    **dict.fromkeys(("doc", "odt", "epub", "ppt", "pptx"), "PDF or .docx"),
    **dict.fromkeys(("xls", "xlsx"), ".csv"),
    **dict.fromkeys(("rst", "xml", "msg"), ".md or .txt"),
}
# Without such an ending, the type of the file leads to the same loaders.
CONVERT_TYPE_TO = {
    "application/epub+zip": "PDF or .docx",
    "application/msword": "PDF or .docx",
    "application/vnd.ms-powerpoint": "PDF or .docx",
    "application/vnd.ms-excel": ".csv",
}
TYPES = mimetypes.MimeTypes()  # Python's own list, the same on every computer


@dataclass(frozen=True)
class Document:
    """A file of a knowledge base."""

    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """The hash of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def kind(self) -> str:
        """The last part of the name in lower case: Open WebUI reads a file by it."""
        return self.name.rsplit(".", 1)[-1].lower()

    @cached_property
    def text(self) -> str | None:
        """The content as Open WebUI reads a text; None if it is no text in UTF-8.

        Python reads every kind of line end as one, and ftfy, which repairs the text, removes the
        mark of the byte order and control characters, and composes letters.
        """
        try:
            lines = io.StringIO(self.content.decode(), newline=None).read()
        except UnicodeDecodeError:
            return None
        if "\0" in lines:
            return None
        lines = re.sub("[\x85\u2028\u2029]", "\n", lines)
        lines = re.sub("[\x01-\x08\x0b\x0e-\x1f\x7f\ufeff]", "", lines)
        return unicodedata.normalize("NFC", lines)

    @property
    def identity(self) -> tuple[str, str]:
        """Equal for documents with the same text, of which a knowledge base takes only one."""
        if self.text is None or self.kind in ("pdf", "docx"):
            return "content", self.sha256
        return {"csv": "csv", "htm": "html", "html": "html"}.get(self.kind, "text"), self.text


def documents(paths: Iterable[str]) -> Iterator[Document]:
    """The named files, and all files in the named folders except hidden ones; each text once.

    The name of a file in a folder's subfolder has both: `leave/parents.md` is `leave-parents.md`.
    """
    seen = set()
    for document in _read(paths):
        if document.identity not in seen:
            seen.add(document.identity)
            yield document


def _read(paths: Iterable[str]) -> Iterator[Document]:
    for path in paths:
        found = within_project(path)
        for file in _files(found) if found else ():
            yield Document(_name(file, found or file), file.read_bytes())


def faults_of_path(path: str) -> list[str]:
    """Why a file or folder cannot be part of a knowledge base; empty if it can."""
    try:
        found = within_project(path)
        if found is None:
            return ["it is outside the project"]
        if not found.exists():
            return ["there is no such file or folder"]
        if _is_hidden(found, team_file.PROJECT):
            return [HIDDEN]
        files = _files(found)
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a circle of links
        return [f"it cannot be read ({_reason(error)})"]
    if not files:
        return ["the folder holds no file"]
    faults = [(file, fault) for file in files if (fault := _fault_of_file(file, found))]
    return [
        f"it {fault}" if file == found else f"its file {_shown(file.relative_to(found))} {fault}"
        for file, fault in faults
    ]


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether a path in a folder is a hidden file, or in a hidden folder of it."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _fault_of_file(file: Path, found: Path) -> str | None:
    """Why Open WebUI cannot read a file, as the end of a sentence about it; None if it can."""
    try:
        target = file.resolve()  # of a link
        if not target.is_relative_to(team_file.PROJECT):
            return "is a link to a file outside the project"
        if _is_hidden(target, team_file.PROJECT):
            return "is a link to a hidden file"
        if not file.is_file():
            return "is a link to a folder or to nothing, or no regular file"
        size = file.stat().st_size
        if size > FILE_LIMIT_MIB * MIB:
            return f"has {size / MIB:.1f} MiB, and the limit is {FILE_LIMIT_MIB} MiB"
        return _fault_of_document(Document(_name(file, found), file.read_bytes()))
    except (OSError, RuntimeError) as error:
        return f"cannot be read ({_reason(error)})"


def _fault_of_document(document: Document) -> str | None:
    if not document.name.isprintable():
        return "has a name with a line break, another control character or no valid text"
    if document.name.startswith("~$"):
        return "is a lock file of Office: close the document"
    if not document.content:
        return "is empty"
    if document.kind == "pdf":
        return _fault_of_pdf(document.content)
    if document.kind == "docx":
        return _fault_of_docx(document.content)
    return _fault_of_text(document)


def _fault_of_text(document: Document) -> str | None:
    kind, media = document.kind, TYPES.guess_type(document.name)[0] or ""
    better = CONVERT_TO.get(kind) or (kind != "csv" and CONVERT_TYPE_TO.get(media))
    if better:
        return f"is of a kind that Open WebUI cannot read without a download: save it as {better}"
    if document.text is None:
        return _fault_of_bytes(media)
    if media.startswith("audio/") or media == "video/webm":
        return "has the name of a recording, which Open WebUI does not read as text"
    is_html = kind in ("htm", "html")
    text = re.sub(r"(?s)<!--.*?-->|<[^>]*>", "", document.text) if is_html else document.text
    return None if text.strip() else "contains only blanks"


def _fault_of_bytes(media: str) -> str:
    """What is wrong with a file that is no text in UTF-8, and has no kind that may be so."""
    if media.startswith("image/"):
        return "is a picture, and Open WebUI reads only text"
    if media.startswith(("audio/", "video/")):
        return "is a recording, and Open WebUI reads only text"
    return "is no text in UTF-8: save it in this encoding, or as PDF or .docx"


def _fault_of_pdf(content: bytes) -> str | None:
    if b"%PDF-" not in content[:1024]:
        return "is not a PDF, in spite of its name"
    # Text needs a font. An encrypted file is left to Open WebUI, which may be able to read it.
    if b"/Encrypt" in content or b"/Font" in content:
        return None
    streams = re.finditer(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    if any(b"/Font" in _unpacked(stream[1]) for stream in streams):
        return None
    return "has no text, as a scan: recognise its text (OCR) first"


def _unpacked(stream: bytes) -> bytes:
    """The content of a compressed stream, up to 10 MiB; empty if it is compressed otherwise."""
    try:
        return zlib.decompressobj().decompress(stream, UNPACKED_LIMIT_MIB * MIB)
    except zlib.error:
        return b""


def _fault_of_docx(content: bytes) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > max(UNPACKED_LIMIT_MIB * MIB, UNPACKED_RATIO * len(content)):
                return f"unpacks to {size / MIB:.1f} MiB, which Open WebUI refuses"
            parts = [
                archive.read(name)
                for name in archive.namelist()
                if re.fullmatch(r"word/(document|header\d*|footer\d*)\.xml", name)
            ]
            archive.getinfo("word/document.xml")
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error):
        return "is no Word document, in spite of its name, or has a password"
    text = re.findall(rb"<w:t(?:\s[^>]*)?>([^<]*)", b"".join(parts))
    return None if b"".join(text).strip() else "has no text"


def faults_of_all(paths: Sequence[str]) -> list[str]:
    """Why files that can be read cannot form one knowledge base; empty if they can."""
    found = list(_read(paths))
    times = Counter(document.name for document in found)
    faults = [f"two of the files would have the name {name}" for name in times if times[name] > 1]
    size = sum(len(document.content) for document in found)
    if size > KNOWLEDGE_LIMIT_MIB * MIB:
        faults.append(f"they have {size / MIB:.1f} MiB, and the limit is {KNOWLEDGE_LIMIT_MIB} MiB")
    return faults


def _files(path: Path) -> list[Path]:
    """The file, or all that is in the folder and neither hidden nor a folder, also links."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if (file.is_symlink() or not file.is_dir()) and not _is_hidden(file, path)
    )


def _name(file: Path, found: Path) -> str:
    return file.name if file == found else "-".join(file.relative_to(found).parts)


def _shown(path: Path) -> str:
    """The path on one line, also if its name is no valid text."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

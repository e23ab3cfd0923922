"""What Open WebUI reads from a document, as far as this is known before it is sent.

Source: open_webui/retrieval/loaders and open_webui/routers/files.py of 0.12.4. It reads PDF files
with pypdf, Word files with docx2txt, and most others as text. Other formats of offices need
`unstructured`, whose version 0.22.31 downloads a language model from the internet at its first use
(unstructured/nlp/tokenize.py).
"""

from __future__ import annotations

import codecs
import io
import logging
import re
import unicodedata
import zipfile
from pathlib import PurePath
from xml.etree import ElementTree

from pypdf import PdfReader

NEEDS_A_DOWNLOAD = frozenset(
    {".doc", ".epub", ".msg", ".odt", ".ppt", ".pptx", ".rst", ".xls", ".xlsx", ".xml"}
)
# Office keeps such a file beside each document that is open.
LOCK_FILE = "~$"
BYTE_ORDER_MARK = "\ufeff"
# Characters that no text has.
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WORD_TEXT = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

logging.getLogger("pypdf").setLevel(logging.ERROR)  # its warnings are about files that it can read


def fault_of_content(name: str, content: bytes) -> str | None:
    """Why Open WebUI reads no text from a file with this name and content; None if it reads one."""
    suffix = PurePath(name).suffix.lower()
    if name.startswith(LOCK_FILE):
        return "is a lock file of Office, not a document; close the document"
    if suffix in NEEDS_A_DOWNLOAD:
        return (
            f"is a {suffix} file, which Open WebUI reads only after a download from the internet; "
            "save it as .pdf, .docx, .md, .csv or .txt"
        )
    try:
        text = _first_text(suffix, content)
    except _UnreadableError as error:
        return str(error)
    if text.replace(BYTE_ORDER_MARK, "").strip():
        return None
    scanned = "; a scan needs text recognition (OCR) first" if suffix == ".pdf" else ""
    return f"holds no text{scanned}"


def plain_text(name: str, content: bytes) -> str | None:
    """The text of a document as Open WebUI compares it; None if it is no plain text.

    It reads every end of a line as one character, and ftfy brings the characters into one form.
    """
    if PurePath(name).suffix.lower() in (".pdf", ".docx"):
        return None
    try:
        text = _decode(content)
    except _UnreadableError:
        return None
    lines = text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lines)


class _UnreadableError(Exception):
    """The file cannot be read; the message continues "its file x …"."""


def _first_text(suffix: str, content: bytes) -> str:
    """The text, or of a PDF file the text of the first page that has any."""
    if suffix == ".pdf":
        return _pdf_text(content)
    return _word_text(content) if suffix == ".docx" else _decode(content)


def _pdf_text(content: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise _UnreadableError("is protected by a password")
        pages = (page.extract_text() for page in reader.pages)
        return next((text for text in pages if text.strip()), "")
    except _UnreadableError:
        raise
    except Exception as error:  # of many kinds, if the file is broken
        raise _UnreadableError(f"is no PDF file that can be read ({error})") from error


def _word_text(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            document = ElementTree.fromstring(archive.read("word/document.xml"))  # noqa: S314
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, ValueError) as error:
        reason = "is no Word file that can be read; one with a password cannot be"
        raise _UnreadableError(reason) from error
    return "".join(node.text or "" for node in document.iter(_WORD_TEXT))


def _decode(content: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or in one of the older encodings."""
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if _BINARY.search(text):
        raise _UnreadableError("is neither text nor a PDF or Word file")
    return text

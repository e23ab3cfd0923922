"""Which files Open WebUI can read, and which of them have the same text."""

from __future__ import annotations

import io
import zipfile

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from ollamazure.settings.document_text import fault_of_content, plain_text


def pdf(text: str = "", password: str = "") -> bytes:
    """A page with this text; without one it is like a scan."""
    writer = PdfWriter()
    page = writer.add_blank_page(200, 200)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    content = DecodedStreamObject()
    content.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode() if text else b"")
    page[NameObject("/Contents")] = writer._add_object(content)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def word(text: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{space}"><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:document>'
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("word/document.xml", document)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b"# Leave\n"),
        ("a.MD", "Überstunden\r\n".encode()),
        ("utf-16.txt", "Überstunden".encode("utf-16")),
        ("latin.txt", "Überstunden".encode("latin-1")),
        ("table.csv", b"a,b\n1,2\n"),
        ("page.html", b"<p>Text</p>"),
        ("drawing.svg", b"<svg><text>A</text></svg>"),
        ("without-a-suffix", b"Text"),
        ("a.pdf", pdf("Thirty days of leave")),
        ("a.docx", word("Thirty days of leave")),
    ],
)
def test_what_can_be_read(name: str, content: bytes) -> None:
    assert fault_of_content(name, content) is None


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "neither text nor a PDF or Word file"),
        ("photo.txt", b"\xff\xd8\xff\xe0\0\x10JFIF", "neither text nor a PDF or Word file"),
        ("archive.zip", word("inside"), "neither text nor a PDF or Word file"),
        (
            "slides.pptx",
            word("slides"),
            "a .pptx file, which Open WebUI reads only after a download",
        ),
        (
            "old.DOC",
            b"\xd0\xcf\x11\xe0",
            "a .doc file, which Open WebUI reads only after a download",
        ),
        ("table.xlsx", word("table"), "save it as .pdf, .docx, .md, .csv or .txt"),
        ("feed.xml", b"<a>text</a>", "reads only after a download"),
        ("~$report.docx", b"\x05Alice", "a lock file of Office"),
        ("blanks.md", b" \r\n\t\n", "holds no text"),
        ("bom.md", b"\xef\xbb\xbf", "holds no text"),
        ("scan.pdf", pdf(), "a scan needs text recognition"),
        ("locked.pdf", pdf("Secret", "password"), "is protected by a password"),
        ("cut.pdf", pdf("Text")[:60], "is no PDF file that can be read"),
        ("text.pdf", b"only text", "is no PDF file that can be read"),
        ("empty.docx", word(""), "holds no text"),
        ("locked.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is no Word file that can be read"),
        ("other.docx", b"PK\x03\x04 cut", "is no Word file that can be read"),
    ],
)
def test_what_cannot_be_read(name: str, content: bytes, fault: str) -> None:
    found = fault_of_content(name, content)
    assert found is not None and fault in found


def test_the_same_text_in_other_bytes() -> None:
    texts = [b"Caf\xc3\xa9\n", b"Caf\xc3\xa9\r\n", b"\xef\xbb\xbfCaf\xc3\xa9\n", b"Cafe\xcc\x81\n"]
    texts.append("Café\n".encode("utf-16"))
    assert len({plain_text("a.md", text) for text in texts}) == 1
    assert plain_text("a.md", b"Tea\n") != plain_text("a.md", b"Tea \n")
    assert plain_text("a.pdf", pdf("Tea")) is None

"""Documents of knowledge bases: what the preview accepts is what Open WebUI reads."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import pytest

from ollamazure.settings import team_file
from ollamazure.settings.documents import documents, faults_of_path
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"  # Word and Excel before 2007, or with a password
FONT = b"<< /Type /Page /Resources << /Font << /F1 5 0 R >> >> >>"
DOWNLOAD = "is of a kind that Open WebUI cannot read without a download: save it as "


def docx(text: str, **others: bytes) -> bytes:
    parts = {"word/document.xml": f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>".encode(), **others}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            # With a fixed date: the names of the tests contain the bytes.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def pdf(*parts: bytes) -> bytes:
    return b"\n".join([b"%PDF-1.7", *parts, b"%%EOF"])


def stream(content: bytes) -> bytes:
    return b"<< /Filter /FlateDecode >>\nstream\n" + zlib.compress(content) + b"\nendstream"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(team_file, "PROJECT", tmp_path)
    (tmp_path / "docs").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("team.png", PNG, "is a picture, and Open WebUI reads only text"),
        ("talk.mp3", b"ID3\0", "is a recording, and Open WebUI reads only text"),
        (
            "talk.mp3",
            b"text",
            "has the name of a recording, which Open WebUI does not read as text",
        ),
        ("slides.pptx", docx("a"), DOWNLOAD + "PDF or .docx"),
        ("pptx", docx("a"), DOWNLOAD + "PDF or .docx"),
        ("slides.PPS", OLE, DOWNLOAD + "PDF or .docx"),
        ("letter.doc", OLE, DOWNLOAD + "PDF or .docx"),
        ("letter.dot", b"digraph {}", DOWNLOAD + "PDF or .docx"),
        ("sums.xlsx", docx("a"), DOWNLOAD + ".csv"),
        ("manual.rst", b"Title", DOWNLOAD + ".md or .txt"),
        ("data.xml", b"<a>1</a>", DOWNLOAD + ".md or .txt"),
        ("~$lock.docx", b"\x05Alice", "is a lock file of Office: close the document"),
        ("empty.md", b"", "is empty"),
        ("blank.txt", b"\xef\xbb\xbf \r\n\t\n", "contains only blanks"),
        ("blank.html", b"<html><!-- a > b --><body>\n</body></html>", "contains only blanks"),
        ("scan.pdf", pdf(b"<< /Type /Page >>", stream(b"/Im0 Do")), "has no text, as a scan"),
        ("page.pdf", b"<html>Not found</html>", "is not a PDF, in spite of its name"),
        ("image.docx", docx(" "), "has no text"),
        ("secret.docx", OLE, "is no Word document, in spite of its name, or has a password"),
        ("book.docx", docx("a")[:50], "is no Word document"),
        ("bomb.docx", docx("a", bomb=bytes(11 << 20)), "unpacks to 11.0 MiB, which Open WebUI"),
        ("wide.txt", "Grüße".encode("utf-16"), "is no text in UTF-8: save it in this encoding"),
        ("wide.txt", "Text".encode("utf-16-le"), "is no text in UTF-8: save it in this encoding"),
        ("old.txt", "Grüße".encode("latin-1"), "is no text in UTF-8: save it in this encoding"),
        ("program.txt", b"\x7fELF\0\0", "is no text in UTF-8: save it in this encoding"),
        ("a\nb.md", b"text", "has a name with a line break"),
        (os.fsdecode(b"\xff.md"), b"text", "has a name with a line break, another control"),
        ("long.md", bytes(5 << 20), "has 5.0 MiB, and the limit is 4 MiB"),
    ],
)
def test_a_file_that_open_webui_cannot_read(
    project: Path, name: str, content: bytes, fault: str
) -> None:
    (project / "docs" / name).write_bytes(content)
    (project / "docs" / "good.md").write_text("A text.")
    [found] = faults_of_path("docs")
    assert f" {fault}" in found and found.startswith("its file ") and "\n" not in found
    [found] = faults_of_path(f"docs/{name}")
    assert found.startswith(f"it {fault}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.docx", docx("Grüße")),
        ("letter.pdf", pdf(FONT)),
        ("compressed.pdf", pdf(stream(FONT))),
        ("encrypted.pdf", pdf(b"<< /Encrypt 7 0 R >>")),
        ("page.html", "<p>Grüße</p>".encode()),
        ("table.csv", b"name;price\r\nTea;2\r\n"),
        ("marked.txt", "\ufeffGrüße".encode()),
        ("video.ts", b"export const a = 1"),
        ("drawing.svg", b"<svg><text>A</text></svg>"),
        ("LICENSE", b"MIT"),
        ("settings.yaml", b"a: 1"),
    ],
)
def test_a_file_that_open_webui_reads(project: Path, name: str, content: bytes) -> None:
    (project / name).write_bytes(content)
    assert faults_of_path(name) == []


def test_links_and_files_that_are_none(project: Path) -> None:
    docs = project / "docs"
    (project / "elsewhere").mkdir()
    (docs / "to-folder").symlink_to(project / "elsewhere")
    (docs / "to-nothing.md").symlink_to("nothing.md")
    (docs / "outside.md").symlink_to("/etc/hostname")
    (docs / "circle.md").symlink_to("circle.md")
    os.mkfifo(docs / "pipe")
    found = faults_of_path("docs")
    assert [fault.split()[2] for fault in found] == [
        "circle.md", "outside.md", "pipe", "to-folder", "to-nothing.md",
    ]  # fmt: skip
    assert "its file outside.md is a link to a file outside the project" in found
    assert faults_of_path("a" * 300) == ["it cannot be read (File name too long)"]


@pytest.mark.parametrize(
    ("first", "second", "content", "same"),
    [
        ("README.md", "README.txt", b"One\nTwo\n", b"One\nTwo\n"),
        ("a.md", "b.md", b"One\nTwo\n", b"One\r\nTwo\r\n"),
        ("a.md", "b.md", b"One\nTwo\n", b"One\rTwo\r"),
        ("a.md", "b.txt", "é".encode(), b"\xef\xbb\xbfe\xcc\x81"),
        ("a.html", "b.htm", b"<p>One</p>\n", b"<p>One</p>\r\n"),
    ],
)
def test_the_same_text_in_other_bytes_is_one_document(
    project: Path, first: str, second: str, content: bytes, same: bytes
) -> None:
    (project / "docs" / first).write_bytes(content)
    (project / "docs" / second).write_bytes(same)
    (project / "docs" / "other.md").write_text("Another")
    assert {document.name for document in documents(["docs"])} == {first, "other.md"}


def test_texts_that_differ_in_trailing_blanks_or_their_reader_stay(project: Path) -> None:
    for name, text in {"a.md": "a", "b.md": "a ", "c.csv": "a", "d.html": "a"}.items():
        (project / "docs" / name).write_text(text)
    assert [document.name for document in documents(["docs"])] == [
        "a.md", "b.md", "c.csv", "d.html",
    ]  # fmt: skip


def test_all_problems_of_all_knowledge_bases_are_reported_at_once(project: Path) -> None:
    for name, content in {"a.png": PNG, "b.pptx": docx("b"), "c.md": b"", "d.md": b"Text"}.items():
        (project / "docs" / name).write_bytes(content)
    (project / "e.txt").write_bytes(b"\0")
    bases = [
        {"name": "First", "files": ["docs", "nowhere.md", "docs/d.md"]},
        {"name": "Second", "files": ["e.txt", "docs/d.md", "docs/d.md"]},
    ]
    with pytest.raises(SettingsError) as error:
        parse({"sshClients": '["203.0.113.7"]', "knowledge": json.dumps(bases)})
    message = str(error.value)
    for part in (
        "its file a.png is a picture",
        "its file b.pptx is of a kind",
        "its file c.md is empty",
        "Fix:      move these files out of docs, or list its other files one by one",
        "there is no such file or folder",
        "it is no text in UTF-8",
        "two of the files would have the name d.md",
    ):
        assert part in message

"""The audit with the real pip-audit, which asks a server of ours for advisories (osv.dev's API)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tools import audit

ADVISORY = {
    "id": "GHSA-1234-5678-9abc",
    "aliases": ["CVE-2026-0001"],
    "summary": "an example",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


@pytest.fixture
def advisories() -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The advisories that the server has, by package."""
    known: dict[str, list[dict[str, Any]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps({"vulns": known.get(query["package"]["name"], [])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    known["url"] = [{"url": f"http://127.0.0.1:{server.server_port}"}]
    yield known
    server.shutdown()
    server.server_close()


def run(advisories: dict[str, list[dict[str, Any]]], report: Path) -> int:
    url = advisories["url"][0]["url"]
    return audit.main(["--markdown", str(report), "-s", "osv", "--osv-url", url])


def test_packages_without_advisories(advisories: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "report" / "audit.md"
    assert run(advisories, report) == 0
    assert report.read_text().startswith("<!-- audit: none -->\nNone of the ")


def test_an_advisory_is_reported_with_what_to_do(
    advisories: dict[str, Any], tmp_path: Path
) -> None:
    advisories["jinja2"] = [ADVISORY]
    report = tmp_path / "audit.md"
    assert run(advisories, report) == 1
    version = next(pin for pin in audit.pinned() if pin.startswith("jinja2==")).partition("==")[2]
    text = report.read_text()
    assert text.startswith("<!-- audit: found -->\n| package |")
    assert f"| jinja2 {version} | CVE-2026-0001, GHSA-1234-5678-9abc | 99.1 |" in text
    assert "Raise the pin in `requirements.txt`" in text


def test_advisories_that_cannot_be_read_are_no_clean_report(tmp_path: Path) -> None:
    report = tmp_path / "audit.md"
    nothing_listens = {"url": [{"url": "http://127.0.0.1:9"}]}
    assert run(nothing_listens, report) == 2
    assert report.read_text().startswith("<!-- audit: unknown -->\n")


def test_the_packages_of_users_and_of_developers_are_audited() -> None:
    names = {pin.partition("==")[0] for pin in audit.pinned()}
    assert {"pulumi", "pytest", "grpcio", "sslyze"} <= names

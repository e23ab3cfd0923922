"""Reports known vulnerabilities of the pinned Python packages, those of users and of developers.

    .venv/bin/python -m tools.audit [--markdown FILE] [OPTION OF PIP-AUDIT…]

pip-audit reads the advisories of PyPI. The exit code is 1 if there are some, 2 if it could not
check. For the workflow, the first line of FILE is the outcome: found, none or unknown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
LISTS = (*sorted(PROJECT.glob("requirements*.txt")), PROJECT / "constraints.txt")
FIX = (
    "Raise the pin in `requirements.txt` or `requirements-dev.txt`, run `tools/make-venv.sh` and "
    "`tools/lock.sh`, and see that `make test` passes. If no release has a fix, or the product "
    "does not use what is vulnerable, write why into `.github/workflows/audit.yml` and add "
    "`--ignore-vuln ID`."
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Audits the pinned Python packages.")
    parser.add_argument("--markdown", type=Path, help="the report, for the workflow")
    options, more = parser.parse_known_args(arguments)
    found = audit(more)
    outcome = "unknown" if found is None else "found" if any(found.values()) else "none"
    report = "".join(line + "\n" for line in lines_of(found))
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(f"<!-- audit: {outcome} -->\n{report}", encoding="utf-8")
    print(report, end="")
    return {"none": 0, "found": 1, "unknown": 2}[outcome]


def audit(options: Sequence[str]) -> Mapping[str, list[Any]] | None:
    """The vulnerabilities by pinned package; None if pip-audit could not check, as it explains."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write("".join(f"{pin}\n" for pin in pinned()))
        pins.flush()
        # Without pip, and so without a request for any package but the advisories.
        read = ["--requirement", pins.name, "--no-deps", "--disable-pip", "--format", "json"]
        command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", *read, *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    if any("skip_reason" in package for package in packages):
        return None
    return {f"{package['name']} {package['version']}": package["vulns"] for package in packages}


def pinned() -> list[str]:
    """Every exact version of the lists, once."""
    lines = [line for file in LISTS for line in file.read_text().splitlines()]
    return sorted({line for line in lines if "==" in line and not line.startswith("#")})


def lines_of(found: Mapping[str, list[Any]] | None) -> Iterator[str]:
    """The report in Markdown."""
    if found is None:
        yield "pip-audit could not check the pinned packages; its own message is in the log."
    elif not any(found.values()):
        yield f"None of the {len(found)} pinned packages has a known vulnerability."
    else:
        yield from ("| package | advisory | fixed in |", "|---|---|---|")
        for package, advisories in found.items():
            for one in advisories:
                names = ", ".join([one["id"], *one["aliases"]])
                yield f"| {package} | {names} | {', '.join(one['fix_versions']) or 'no release'} |"
        yield from ("", FIX)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

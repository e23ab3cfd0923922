"""The proxy of the settings, for programs that are started with an environment of their own."""

from __future__ import annotations

from pathlib import Path

FILE = Path("/etc/ollamazure/proxy.env")


def environment() -> dict[str, str]:
    """The variables by which programs find the proxy; none without one."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return dict(line.split("=", 1) for line in lines if line[:1] not in ("", "#"))

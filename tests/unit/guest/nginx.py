"""The real Nginx of the pinned image, run by an ordinary user with the machine's configuration."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import remote_command
from components.nginx import NGINX_FILES, OF_A_MACHINE, SECOND_FACTOR_FILES, TEXTS, texts

_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def command(root: Path, folder: Path) -> list[str]:
    """How to run it: by its own loader, whatever this system's C library is."""
    loader = root / _LIBRARIES / "ld-linux-x86-64.so.2"
    program = [str(loader), "--library-path", str(root / _LIBRARIES), str(root / "usr/sbin/nginx")]
    return [*program, "-p", str(folder), "-c", str(folder / "nginx.conf")]


def configure(
    root: Path,
    folder: Path,
    *,
    upstream: str = "127.0.0.1:1",
    http: int = 80,
    https: int = 443,
    ollama: int = 11434,
    instead: Mapping[str, str] | None = None,
    language: str | None = None,
    **values: Any,
) -> str:
    """Write the machine's configuration for `folder`, to be run by the Nginx of the image's tree
    `root`; returns its text as on the machine. `instead` replaces parts of it, such as a limit that
    a test cannot wait for."""
    defaults = {
        "server_name": "127.0.0.1",
        "azure_name": None,
        "upload_limit_mb": 100,
        "microphone": False,
        "frame_origins": (),
        "acme": False,
        "trusted_certificate": False,
        "plugins": False,
        "model_management": False,
        "second_factor": False,
        **OF_A_MACHINE,
    }
    text = remote_command.render_file("/etc/nginx/nginx.conf", **{**defaults, **values})
    _certificate(folder)
    for path in (*NGINX_FILES, *SECOND_FACTOR_FILES):
        static = remote_command.render_file(path)
        static = static.replace("/run/ollamazure/status.txt", f"{folder}/status.txt")
        (folder / Path(path).name).write_text(static.replace('"/etc/nginx"', f'"{folder}"'))
    (folder / Path(TEXTS).name).write_text(remote_command.render_file(TEXTS, texts=texts(language)))
    replaced = {
        "load_module ": f"load_module {root}",
        "user nginx;": f"user {getpass.getuser()};",
        "pid /run/nginx.pid": f"pid {folder}/nginx.pid",
        "/dev/stdout": f"{folder}/access.log",
        "/etc/nginx/cert/server.pem": f"{folder}/server.pem",
        "listen 80 ": f"listen 127.0.0.1:{http} ",
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        "listen 11434;": f"listen 127.0.0.1:{ollama};",
        "http://open-webui:8080": f"http://{upstream}",
        "/var/cache/nginx/": f"{folder}/",
        "/run/ollamazure/upgrading": f"{folder}/upgrading",
        "allow 10.89.0.11;": "allow 127.0.0.11;",
        "http://10.89.0.1:11434": f"http://{upstream}",
        **(instead or {}),
    }
    if values.get("acme"):
        replaced["root /run/ollamazure;"] = f"root {folder}/public;"
    for there, here in replaced.items():
        assert there in text, there
        text = text.replace(there, here)
    text = text.replace("root /etc/nginx;", f"root {folder};")
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(text.replace("http {\n", "http {\n" + temporary))
    return text


def _certificate(folder: Path) -> None:
    """server.pem, for 127.0.0.1, and authority.pem, of which browsers trust it."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    making = ["openssl", "req", "-x509", "-nodes", "-days", "365", *curve]
    authority = ["-subj", "/CN=authority", "-addext", "keyUsage=critical,keyCertSign"]
    _run(folder, [*making, *authority, "-keyout", "authority.key", "-out", "authority.pem"])
    signed = [*making, "-CA", "authority.pem", "-CAkey", "authority.key", "-subj", "/CN=test"]
    for extension in (
        "subjectAltName=IP:127.0.0.1",
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=serverAuth",
    ):
        signed += ["-addext", extension]
    _run(folder, [*signed, "-keyout", "key.pem", "-out", "server.pem"])
    pem = folder / "server.pem"
    pem.write_text(pem.read_text() + (folder / "key.pem").read_text())


def _run(folder: Path, command: list[str]) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)

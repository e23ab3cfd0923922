"""The Nginx image: the official one, else Debian's package, arranged like the official image."""

from __future__ import annotations

from pathlib import Path

from emulator.artifacts import debian, paths, pins, registry
from emulator.artifacts.artifact import Artifact, registry_url
from emulator.artifacts.oci import Repository
from emulator.artifacts.work import Work

_PIN = pins.CATALOG["nginx"]
_NAME: str = _PIN["repository"]
_TAG: str = _PIN["tag"]
_FILES = Path(__file__).parent / "nginx_image"
# The official image also has the njs module; there as here, only the configuration loads it.
_PACKAGES = ("nginx", "libnginx-mod-http-js")
# The official image's user has these numbers; its log files are the container's output.
_HOOKS = (
    "chroot $1 groupadd --system --gid 101 nginx",
    "chroot $1 useradd --system --gid 101 --uid 101 --no-create-home "
    "--home-dir /nonexistent --shell /bin/false nginx",
    "rm -rf $1/etc/nginx/sites-enabled $1/etc/nginx/sites-available",
    f"copy-in {_FILES / 'nginx.conf'} /etc/nginx",
    "ln -sf /dev/stdout $1/var/log/nginx/access.log",
    "ln -sf /dev/stderr $1/var/log/nginx/error.log",
)
_SETTINGS = {
    "Cmd": ["nginx", "-g", "daemon off;"],
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "ExposedPorts": {"80/tcp": {}},
    "StopSignal": "SIGQUIT",
}


def copy_official(work: Work, base: str) -> None:
    digest = pins.DIGESTS["nginx"].get(_TAG, "")
    registry.pull(base, Repository(paths.mirror(), _NAME), _TAG, work.say, digest=digest)


def build(work: Work) -> None:
    tar = debian.root_filesystem(work, "trixie", list(_PACKAGES), _HOOKS)
    work.say("packing the image")
    Repository(paths.mirror(), _NAME).add_image(_TAG, tar, _SETTINGS)


ARTIFACT = Artifact(
    name="nginx",
    lane="network",
    gib=1,
    recipe=(
        _TAG,
        *_PACKAGES,
        # Without the path of this clone: all clones share the image.
        *(hook.replace(str(_FILES), "") for hook in _HOOKS),
        (_FILES / "nginx.conf").read_text(),
    ),
    targets=(paths.manifest(_NAME, _TAG),),
    build=build,
    copy_official=copy_official,
    place=registry_url(_PIN["registry"]),
)

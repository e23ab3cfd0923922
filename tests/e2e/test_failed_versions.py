"""Versions of Ollama and Nginx that do not work: the former one serves again, and `up` fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment, Ran, cut_power, wait_until
from tests.e2e.test_drift import drift

NGINX = "docker.io/library/nginx:9.9.9"
OLLAMA = "0.99.0"
# An image that accepts the configuration and then does not answer, or that refuses it.
ENTRYPOINTS = {
    "mute": 'case "$*" in *-t*) exit 0 ;; esac; exec sleep 600',
    "refuses": "echo unknown directive >&2; exit 1",
}
MODELS = "sudo sh -c 'cd /srv/data/ollama/models && find . -type f | sort | xargs sha256sum'"
RUNS = "sudo podman inspect --format '{{.ImageName}}' nginx"


@pytest.fixture
def restored(deployment: Deployment) -> Iterator[Deployment]:
    """The shared machine, with the former versions in its settings after the test."""
    yield deployment
    for name in ("nginxVersion", "ollamaVersion"):
        deployment.pulumi("config", "rm", f"ollamazure:{name}", check=False)
    deployment.up()
    deployment.pulumi("preview", "--expect-no-changes")
    changed = drift(deployment)
    assert changed.code == 0, changed.output


def up_fails(deployment: Deployment, **settings: str) -> Ran:
    for key, value in settings.items():
        deployment.pulumi("config", "set", f"ollamazure:{key}", value)
    ran = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
    assert ran.code != 0
    return ran


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("mute", "does not answer, and the former one serves again"),
        ("refuses", "refuses the configuration, and the present one goes on"),
    ],
)
def test_the_former_nginx_serves_again(restored: Deployment, kind: str, reason: str) -> None:
    before = restored.ssh(RUNS).output
    entrypoint = ENTRYPOINTS[kind].replace('"', '\\"')
    restored.ssh(
        "sudo bash -eu",
        stdin=f"""image=$(podman inspect --format '{{{{.ImageName}}}}' nginx)
        podman create --name broken "$image" >/dev/null
        cat >/tmp/changes <<'END'
ENTRYPOINT ["sh", "-c", "{entrypoint}", "nginx"]
END
        podman commit --quiet --change "$(cat /tmp/changes)" broken {NGINX}
        podman rm broken >/dev/null""",
    )
    try:
        ran = up_fails(restored, nginxVersion="9.9.9")
        assert f"Nginx of {NGINX} {reason}" in ran.output
        assert restored.ssh(RUNS).output == before
        assert restored.ask("Hello?")
    finally:
        restored.ssh(f"sudo podman rmi {NGINX}")


def test_the_former_ollama_serves_again_and_the_models_are_unchanged(restored: Deployment) -> None:
    """A version whose models do not load: it is a copy without the program that runs them."""
    models = restored.ssh(MODELS).output
    restored.ssh(
        "sudo bash -eu",
        stdin=f"""cd /opt/ollama
        cp --archive "$(readlink current)" {OLLAMA}
        find {OLLAMA} -name 'llama-server*' -exec install -m 0755 /bin/false {{}} \\;""",
    )
    try:
        ran = up_fails(restored, ollamaVersion=OLLAMA)
        assert f"Ollama {OLLAMA} is not used: " in ran.output
        assert "serves again. The log of both: `journalctl --unit ollama --since" in ran.output
        assert restored.ask("Hello?")
        assert restored.ssh(MODELS).output == models
        assert restored.ssh("ls -A /run/systemd/system.control").output == ""
    finally:
        restored.ssh(f"sudo rm -rf /opt/ollama/{OLLAMA}")


@pytest.mark.long
def test_a_restart_in_the_middle_starts_the_former_ollama(restored: Deployment) -> None:
    """While the new version runs on trial, with a unit that a restart of the machine forgets."""
    former = restored.ssh("readlink /opt/ollama/current").output.strip()
    restored.ssh(
        "sudo bash -eu",
        stdin=f""". /usr/local/lib/ollamazure/lib.sh
        cp --archive /opt/ollama/{former} /opt/ollama/{OLLAMA}
        cd /etc/systemd/system
        sed 's,/usr/local/bin/ollama,/opt/ollama/{OLLAMA}/bin/ollama,' ollama.service |
            try_unit ollama.service""",
    )
    running = "sudo readlink /proc/$(systemctl show --property=MainPID --value ollama)/exe"
    try:
        wait_until(lambda: OLLAMA in restored.ssh(running).output, "the version on trial")
        cut_power(restored)
        wait_until(lambda: f"/{former}/" in restored.ssh(running).output, "the former version")
    finally:
        restored.ssh(f"sudo rm -rf /opt/ollama/{OLLAMA}")


CAP_SYS_RESOURCE = 24  # include/uapi/linux/capability.h


@pytest.mark.long
def test_the_data_disk_grows_in_use(restored: Deployment) -> None:
    capabilities = restored.ssh("sudo sed -n 's/^CapBnd:\t//p' /proc/self/status").output
    if not int(capabilities, 16) >> CAP_SYS_RESOURCE & 1:
        pytest.skip("this computer lets no program enlarge a filesystem in use: CAP_SYS_RESOURCE")
    size = "df --output=size --block-size=1G /srv/data | tail -n 1"
    booted, before = restored.ssh("uptime -s").output, int(restored.ssh(size).output)
    disk = int(restored.outputs["dataDiskGiB"])
    restored.up(dataDiskGiB=str(disk + 4))
    assert int(restored.ssh(size).output) >= before + 3
    assert restored.ssh("uptime -s").output == booted
    # The stack keeps this size: a smaller one is refused.
    restored.pulumi("config", "set", "ollamazure:dataDiskGiB", str(disk))
    refused = restored.pulumi("preview", check=False)
    assert refused.code != 0
    assert f"the data disk has {disk + 4} GiB, and Azure never shrinks a disk" in refused.output
    restored.pulumi("config", "set", "ollamazure:dataDiskGiB", str(disk + 4))


@pytest.mark.long
def test_what_is_not_used_is_removed(restored: Deployment) -> None:
    images = set(restored.ssh("sudo podman images --quiet").output.split())
    restored.ssh("sudo touch -d '8 days ago' /opt/ollama/x.tar.zst")
    restored.ssh("sudo systemctl start ollamazure-cleanup")
    assert restored.ssh("ls /opt/ollama/x.tar.zst", check=False).code != 0
    assert set(restored.ssh("sudo podman images --quiet").output.split()) == images
    assert restored.ssh("sudo podman volume exists open-webui").code == 0

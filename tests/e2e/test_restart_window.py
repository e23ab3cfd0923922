"""The machine restarts for updates, and cuts nothing."""

from __future__ import annotations

from tests.e2e.deployment import Deployment, boot, wait_until

# Holds the lock of backups until the restart waits for it, and leaves a file when it is let go.
BACKUP = """
until journalctl --unit ollamazure-restart | grep "a backup is at work"; do sleep 1; done
touch /srv/data/backup/ended
"""


def test_a_restart_for_updates_waits_for_a_backup(deployment: Deployment) -> None:
    assert deployment.token
    assert deployment.ssh("systemctl is-active ollamazure-restart.timer").output == "active\n"
    before = boot(deployment)
    deployment.ssh(
        'sudo systemd-run --quiet flock /srv/data/backup/lock bash -c "$(cat)"', stdin=BACKUP
    )
    deployment.ssh("sudo touch /run/reboot-required")
    deployment.ssh("sudo systemctl start --no-block ollamazure-restart.service")
    # No longer signed in: it would wait for that, too.
    deployment.shell.close()
    wait_until(lambda: not deployment.connects(22), "the restart", patience=300)
    wait_until(lambda: boot(deployment) != before, "SSH after the restart", patience=600)
    deployment.ssh("sudo rm /srv/data/backup/ended")
    assert deployment.ssh("test -e /run/reboot-required", check=False).code == 1
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)

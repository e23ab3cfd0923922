"""Backups and restores of a running chat: no chat, file or account is lost."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import pytest

from tests.e2e.deployment import PROJECT, Deployment, Ran
from tests.e2e.test_operations import command, environment, rows, run

REPOSITORY = "/srv/data/backup/repository"
CONTENT = b"numbers of the quarter\n" * 1000


def write_chat(deployment: Deployment, title: str) -> str:
    """Store a chat as the browser does; returns its id."""
    chat = {"title": title, "models": deployment.outputs["models"], "messages": []}
    with deployment.client(deployment.token) as client:
        stored = client.post("/api/v1/chats/new", json={"chat": chat})
    assert stored.status_code == 200, stored.text
    return str(stored.json()["id"])


def titles(deployment: Deployment) -> set[str]:
    with deployment.client(deployment.token) as client:
        answer = client.get("/api/v1/chats/", params={"page": 1})
    assert answer.status_code == 200, answer.text
    return {chat["title"] for chat in answer.json()}


def upload(deployment: Deployment) -> str:
    files = {"file": ("report.txt", CONTENT, "text/plain")}
    with deployment.client(deployment.token) as client:
        stored = client.post("/api/v1/files/", files=files)
    assert stored.status_code == 200, stored.text
    return str(stored.json()["id"])


def content_of(deployment: Deployment, file: str) -> bytes:
    with deployment.client(deployment.token) as client:
        answer = client.get(f"/api/v1/files/{file}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


def restore(deployment: Deployment, *options: str, key: str = "") -> None:
    """`ollamazure restore`; afterwards everyone signs in again."""
    done = subprocess.run(
        command(deployment, "restore", "--yes", *options),
        cwd=PROJECT,
        env=environment(deployment),
        input=f"{key}\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert key not in done.stdout or not key
    deployment.forget()


def backup(deployment: Deployment, *options: str) -> Ran:
    made = run(deployment, "backup", *options)
    assert made.code == 0, made.output
    return made


def while_people_chat(deployment: Deployment, work: Callable[[], object]) -> str:
    """The answer to a question that is asked while `work` runs."""
    answers: list[str] = []
    asking = threading.Thread(
        target=lambda: answers.append(deployment.ask("Count from one to twenty."))
    )
    asking.start()
    work()
    asking.join()
    return answers[0]


def test_a_restore_brings_back_every_chat_and_the_next_up_changes_nothing(
    deployment: Deployment,
) -> None:
    kept, file = write_chat(deployment, "Kept in the backup"), upload(deployment)
    assert while_people_chat(deployment, lambda: backup(deployment, "--check"))
    assert "checked" in rows(run(deployment, "status").output)["Backup"]
    write_chat(deployment, "After the backup")
    with deployment.client(deployment.token) as client:
        assert client.delete(f"/api/v1/chats/{kept}").status_code == 200
        assert client.delete(f"/api/v1/files/{file}").status_code == 200

    restore(deployment)
    assert "Kept in the backup" in titles(deployment)
    assert "After the backup" not in titles(deployment)
    assert content_of(deployment, file) == CONTENT
    assert run(deployment, "status").code == 0
    deployment.pulumi("preview", "--expect-no-changes")


@pytest.mark.long
def test_an_earlier_backup_is_chosen_by_its_time_and_a_restore_is_undone(
    deployment: Deployment,
) -> None:
    write_chat(deployment, "In both backups")
    backup(deployment)
    first = run(deployment, "backup", "list").output.splitlines()[0].removesuffix(" UTC")
    write_chat(deployment, "In the second backup")
    backup(deployment)
    restore(deployment, "--at", first)
    assert "In both backups" in titles(deployment)
    assert "In the second backup" not in titles(deployment)
    restore(deployment, "--undo")
    assert "In the second backup" in titles(deployment)


@pytest.mark.long
def test_the_timer_starts_a_service_that_makes_a_backup(deployment: Deployment) -> None:
    deployment.ssh("sudo systemctl start ollamazure-backup.service")
    assert rows(run(deployment, "status").output)["Backup"].startswith("0 min ago")
    timer = deployment.ssh("systemctl list-timers --no-pager ollamazure-backup.timer").output
    assert "ollamazure-backup.service" in timer


@pytest.mark.long
def test_the_key_is_in_no_process_and_no_world_readable_file(deployment: Deployment) -> None:
    key = run(deployment, "backup", "key").output.strip()
    assert key == deployment.outputs["backupKey"]
    found = deployment.ssh(
        "sudo grep -rlsF -f - /etc /srv/data/backup /run/ollamazure --exclude-dir=repository",
        stdin=key,
    ).output.split()
    assert sorted(found) == ["/etc/ollamazure/backup-key", "/srv/data/backup/key"]
    modes = deployment.ssh(f"sudo stat --format '%a %U' {' '.join(found)}").output
    assert modes.splitlines() == ["600 root", "600 root"]
    assert key not in deployment.ssh("sudo journalctl --no-pager -o cat").output


@pytest.mark.long
def test_everything_but_the_backup_is_destroyed_and_another_stack_restores_it(
    deployment: Deployment,
) -> None:
    """The repository is copied by hand, as a server elsewhere would have it."""
    write_chat(deployment, "Survives everything")
    file = upload(deployment)
    backup(deployment)
    key = run(deployment, "backup", "key").output.strip()
    former_password = deployment.outputs["adminPassword"]
    saved = deployment.ssh(f"sudo tar -C {REPOSITORY} -c . | base64 --wrap 0").output
    deployment.pulumi("destroy", "--yes", "--skip-preview")

    deployment.up()
    assert deployment.outputs["adminPassword"] != former_password
    assert deployment.outputs["backupKey"] != key
    place = f"sudo rm -rf {REPOSITORY} && sudo mkdir -m 0700 {REPOSITORY}"
    deployment.ssh(f"{place} && base64 --decode | sudo tar -C {REPOSITORY} -x", stdin=saved)
    failed = run(deployment, "backup")
    assert failed.code == 1 and "another key" in failed.output

    restore(deployment, "--other-key", key=key)
    assert "Survives everything" in titles(deployment)
    assert content_of(deployment, file) == CONTENT
    backup(deployment)
    deployment.pulumi("preview", "--expect-no-changes")

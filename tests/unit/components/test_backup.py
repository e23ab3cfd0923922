"""Backups on the machine: what their command writes for each target."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi_command.remote import ConnectionArgs
from pydantic import SecretStr

from components.backup import Backup, BackupArgs
from components.remote_command import Target
from ollamazure.settings.backup import EXAMPLE_HOST_KEY, BackupSettings
from ollamazure.settings.groups import Rotation
from ollamazure.settings.stack import Settings
from tests.unit.components.recorder import Recorder, record
from tests.unit.components.test_cloud import key_pair, whole_program

KEY = "the-key-of-the-backups"
SSH_KEY = key_pair()


def deploy(storage: Any = None, **given: Any) -> Recorder:
    backup = BackupSettings(**given.pop("backup", {}))
    settings = Settings(ssh_clients=("203.0.113.7",), backup=backup, **given)

    def program() -> None:
        vm = pulumi.CustomResource("test:index:Vm", "vm")
        connection = ConnectionArgs(host="203.0.113.9")
        target = Target(connection, pulumi.Output.from_input("a-machine"), vm)
        Backup("backup", BackupArgs(target, settings, storage=storage and storage()))

    outputs = {"backup-key": {"result": KEY}, "backup-ssh-key": SSH_KEY}
    return record(program, outputs=outputs)


def settings_of(recorder: Recorder) -> dict[str, Any]:
    script: str = recorder.named("backup").inputs["stdin"]
    written = script.partition("put /etc/ollamazure/backup.json 0644")[2].partition("\n")[2]
    found: dict[str, Any] = json.loads(written.partition("END_OF_FILE")[0])
    return found


def test_by_default_backups_are_on_the_data_disk_each_night() -> None:
    recorder = deploy()
    assert settings_of(recorder) == {
        "repository": "/srv/data/backup/repository",
        "environment": {},
        "keep": {"daily": 7, "weekly": 5, "monthly": 12},
    }
    assert "OnCalendar=*-*-* 02:30:00 UTC" in recorder.named("backup").inputs["stdin"]


def test_the_key_is_secret_and_in_no_command() -> None:
    recorder = deploy()
    command = recorder.named("backup")
    assert "stdin" in command.secrets
    shown = {name: value for name, value in command.inputs.items() if name != "stdin"}
    assert KEY not in json.dumps(shown)
    assert KEY in command.inputs["stdin"]


def test_azure_needs_no_key_of_the_account() -> None:
    def storage() -> Any:
        access = pulumi.CustomResource("test:index:Access", "access")
        client_id = pulumi.Output.from_input("a-guid")
        return SimpleNamespace(
            access=access, account="backup0123", container="backups", client_id=client_id
        )

    found = settings_of(deploy(storage, backup={"target": "azure"}))
    assert found["repository"] == "rclone:azure:backups"
    assert found["environment"] == {
        "RCLONE_CONFIG_AZURE_TYPE": "azureblob",
        "RCLONE_CONFIG_AZURE_ACCOUNT": "backup0123",
        "RCLONE_CONFIG_AZURE_USE_MSI": "true",
        "RCLONE_CONFIG_AZURE_MSI_CLIENT_ID": "a-guid",
    }


def test_the_secret_key_of_s3_is_in_a_file_of_its_own() -> None:
    backup = {
        "target": "s3",
        "repository": "s3:https://s3.example.com/bucket/chat",
        "access_key_id": "an-id",
    }
    recorder = deploy(backup=backup, backup_secret_key=SecretStr("a-secret-key"))
    assert settings_of(recorder)["environment"] == {"AWS_ACCESS_KEY_ID": "an-id"}
    script = recorder.named("backup").inputs["stdin"]
    assert "put_secret environment /etc/ollamazure/backup-secrets.env 0600" in script
    assert script.count("a-secret-key") == 1


def test_sftp_has_a_key_pair_of_the_stack_and_the_servers_host_key() -> None:
    backup = {
        "target": "sftp",
        "repository": "sftp://chat@backups.example.com:2222//srv/chat",
        "host_key": EXAMPLE_HOST_KEY,
    }
    script = deploy(backup=backup).named("backup").inputs["stdin"]
    assert f"[backups.example.com]:2222 {EXAMPLE_HOST_KEY}\n" in script
    assert "put_secret ssh_key /etc/ollamazure/backup-ssh-key 0600" in script


def test_another_rotation_replaces_the_key() -> None:
    recorder = deploy(rotation=Rotation(backup_key="2027-01"))
    assert recorder.named("backup-key").inputs["keepers"] == {"rotation": "2027-01"}


@pytest.mark.parametrize(("target", "expected"), [("dataDisk", True), ("off", False)])
def test_the_stack_has_backups_unless_they_are_off(target: str, expected: bool) -> None:
    recorder = whole_program("dev", backup={"target": target})
    assert ("backup" in {resource.name for resource in recorder.resources}) is expected

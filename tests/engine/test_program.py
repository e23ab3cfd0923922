"""The whole program under the real engine: what a pull request would show."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from emulator import cli, scratch
from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from ollamazure import catalog
from ollamazure.operate import drift
from ollamazure.operate.backup import declared_commands
from ollamazure.review import compare
from tests.engine.stack import PROJECT, Stack, counted, names
from tests.engine.test_settings import PROGRAM_FAILED

COMMANDS = {
    "machine-ready",
    "ollama",
    "model-smollm2-135m",
    "open-webui",
    "open-webui-admin",
    "open-webui-settings",
    "nginx",
    "nginx-config",
    "nginx-certificate",
    "group-chat-only",
    "backup",
    "chat-answers",
}
SSH_ACCESS = {"ssh-key-authorized", "ssh-key-retirement"}


@pytest.fixture
def stack(planned: Stack) -> Stack:
    """The stack `local`, deployed."""
    return planned


def test_a_refresh_finds_nothing_and_the_preview_after_it_shows_nothing(stack: Stack) -> None:
    stack.run("refresh", "--yes", "--expect-no-changes")
    assert stack.preview() == []


def test_a_restore_finds_the_commands_of_the_database_in_the_state(stack: Stack) -> None:
    """In an order in which they can run again, with the secrets that their scripts read."""
    state = json.loads(stack.run("stack", "export", "--show-secrets"))
    commands = list(declared_commands(state))
    assert [each.name for each in commands] == [
        "open-webui",
        "open-webui-admin",
        "open-webui-settings",
        "group-chat-only",
    ]
    password = stack.run("stack", "output", "adminPassword", "--show-secrets").strip()
    assert password in commands[1].script
    assert all("flock" in each.command and "unless=\n" in each.command for each in commands)


@pytest.mark.long
def test_a_new_model_is_one_new_resource_and_the_last_check(stack: Stack) -> None:
    stack.set("models[1]", "smollm2:360m")
    steps = stack.preview()
    assert names(steps, "create") == {"model-smollm2-360m"}
    assert names(steps, "update") - {"ollamazure-local"} == {"chat-answers"}
    assert set(counted(steps)) <= {"create", "update"}


def test_make_preview_tells_it_in_plain_words(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(stack.home))
    stack.set("models[1]", "smollm2:360m")
    assert compare.run("local", base=None, diff=False, output=None) == 0
    printed = capfd.readouterr().out
    assert "Stack local: 1 added. Users are not interrupted." in printed
    assert "added model smollm2:360m" in printed


@pytest.mark.long
def test_make_preview_shows_what_cannot_be_deployed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(stack.home))
    stack.set("contextLength", "7")
    assert compare.run("local", base=None, diff=True, output=None) == 1
    printed = capfd.readouterr().out
    assert (
        "cannot be deployed" in printed and "pulumi config set ollamazure:contextLength" in printed
    )


@pytest.mark.long
def test_a_new_tag_touches_the_cloud_alone(stack: Stack) -> None:
    stack.set("tags.team", "research")
    steps = [step for step in stack.preview() if step.type != "pulumi:pulumi:Stack"]
    assert "vm" in names(steps, "update")
    assert {step.op for step in steps} == {"update"}
    assert {step.type.partition(":")[0] for step in steps} == {"azure-native"}


@pytest.mark.long
def test_a_new_stack_previews_with_tags_of_others(tmp_path: Path) -> None:
    """No resource exists yet of which the program could read them."""
    stack = Stack(tmp_path / "emulator")
    stack.set("externalTags[0]", "CostCenter")
    assert set(counted(stack.preview())) == {"create"}


@pytest.mark.long
def test_another_image_replaces_the_vm(stack: Stack) -> None:
    stack.set("imageVersion", "0.20260914.2601")
    steps = stack.preview()
    assert names(steps, "replace") == {"vm"}
    assert names(steps, "update") >= COMMANDS


def test_an_upgrade_of_open_webui_is_explained_and_a_downgrade_is_refused(stack: Stack) -> None:
    """From the outputs of the last `pulumi up`."""
    deployed = catalog.versions().open_webui.tag
    stack.set("webuiVersion", "v0.99.0")
    printed = " ".join(stack.run("preview").split())
    assert f"Open WebUI is upgraded from {deployed} to v0.99.0" in printed
    assert "`bin/ollamazure undo-upgrade --stack local`" in printed
    stack.set("webuiVersion", "v0.11.4")
    assert "an earlier version cannot read its database" in stack.run(
        "preview", code=PROGRAM_FAILED
    )


def test_a_new_nginx_version_touches_nginx_alone_and_no_file_of_the_tree(stack: Stack) -> None:
    before = _status()
    stack.set("nginxVersion", "1.30.9")
    steps = stack.preview()
    assert names(steps, "update") <= {"nginx", "chat-answers", "ollamazure-local"}
    assert set(counted(steps)) == {"update"}
    assert _status() == before


@pytest.mark.long
def test_another_renewal_period_renews_the_certificate(stack: Stack) -> None:
    stack.set("certificate.renewAfterDays", "100")
    steps = stack.preview()
    renewed = {"certificate", "certificate-request", "certificate-key"}  # not the authority
    assert names(steps, "replace") == renewed
    assert names(steps, "update") <= {"nginx-certificate", "chat-answers", "ollamazure-local"}


@pytest.mark.long
def test_another_reapply_runs_every_command_again_and_touches_no_cloud(stack: Stack) -> None:
    stack.set("reapply", "2027-01-31")
    steps = stack.preview()
    assert names(steps, "update") - {"ollamazure-local"} == COMMANDS
    assert set(counted(steps)) == {"update"}


@pytest.mark.parametrize(
    ("key", "replaced", "updated"),
    [
        # Each command uses the new key; none runs again (test_ssh_access.py).
        ("rotation.sshKey", {"ssh-key", "ssh-key-retirement"}, {"ssh-key-authorized", *COMMANDS}),
        # A rebuilt machine, with all that pins its key.
        ("rotation.hostKey", {"host-key", "vm"}, {*COMMANDS, *SSH_ACCESS}),
        ("rotation.adminPassword", {"admin-password"}, {"open-webui-admin"}),
        ("adminPasswordRotation", {"admin-password"}, {"open-webui-admin"}),
        ("rotation.sessionKey", set(), {"open-webui", "chat-answers"}),
        (
            "rotation.certificateKey",
            {"certificate", "certificate-key", "certificate-request"},
            {"nginx-certificate", "chat-answers"},
        ),
        ("rotation.initialPasswords", {"initial-passwords"}, set()),
        ("rotation.backupKey", {"backup-key"}, {"backup"}),
    ],
)
def test_a_rotation_replaces_one_secret(
    key: str, replaced: set[str], updated: set[str], stack: Stack
) -> None:
    stack.set(key, "2027-01")
    steps = stack.preview()
    assert names(steps, "replace") == replaced
    assert names(steps, "update") - {"ollamazure-local"} == updated
    assert "create" not in counted(steps)


@pytest.mark.long
def test_a_vm_deleted_behind_pulumis_back_is_seen_and_made_again(stack: Stack) -> None:
    azure = Azure(Instance.open(stack.home), NullFabric())
    azure.delete(_vm_id(stack))
    stack.run("refresh", "--yes")
    steps = stack.preview()
    assert "vm" in names(steps, "create")
    assert names(steps, "update") >= COMMANDS
    stack.up()
    assert stack.preview() == []


def _vm_id(stack: Stack) -> str:
    exported = json.loads(stack.run("stack", "export"))
    return next(
        str(resource["id"])
        for resource in exported["deployment"]["resources"]
        if resource["type"] == "azure-native:compute:VirtualMachine"
    )


def test_no_secret_is_in_the_plain_state(stack: Stack) -> None:
    """No policy sees whether a value is marked as secret, so this is where it is looked after."""
    exported = json.dumps(json.loads(stack.run("stack", "export")))
    shown = json.loads(stack.run("stack", "export", "--show-secrets"))
    generated = [
        value
        for resource in shown["deployment"]["resources"]
        if resource["type"].startswith(("random:", "tls:index/privateKey:"))
        for name, value in resource["outputs"].items()
        if name == "result" or name.startswith("private")
    ]
    assert len(generated) >= 10  # a password, and three keys in three forms each
    for word in ("PRIVATE KEY", 'customData": "I2Ns', *map(_plaintext, generated)):
        assert word not in exported


def _plaintext(secret: dict[str, str]) -> str:
    """What an exported secret means, as it would stand in JSON."""
    return json.dumps(json.loads(secret["plaintext"])).strip('"')


def _status() -> str:
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("variable", ["ARM_CLIENT_ID", "ARM_SUBSCRIPTION_ID"])
def test_credentials_of_the_real_azure_are_refused(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "00000000-0000-0000-0000-000000000000")
    printed = Stack(tmp_path / "emulator").run("preview", code=2)
    assert variable in printed and "Unset it" in printed


@pytest.mark.long
@pytest.mark.parametrize("name", ["dev", "small", "team", "gpu", "prod"])
def test_each_stack_previews(name: str, stack: Stack) -> None:
    """Beside a deployed stack of the same emulated Azure, and holding to the policies."""
    steps = Stack(stack.home, name).preview("--policy-pack", "policy")
    assert {step.op for step in steps} == {"create"}
    assert "vm" in names(steps, "create")


@pytest.mark.long
def test_a_secret_of_another_backend_gets_a_placeholder_that_stays_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tree's stack file holds encrypted cannot be read here, and must not become plain."""
    tree, home = tmp_path / "tree", tmp_path / "emulator"
    tree.mkdir()
    for entry in PROJECT.iterdir():
        (tree / entry.name).symlink_to(entry)
    stack_file = tree / "Pulumi.secret.yaml"
    settings = (PROJECT / "Pulumi.local.yaml").read_text()
    secret = "  ollamazure:adminPassword:\n    secure: v1:AAAA:BBBB\n"
    stack_file.write_text(settings + secret + "encryptionsalt: v1:CCCC:v1:DDDD:EEEE\n")
    monkeypatch.setattr(scratch, "PROJECT", tree)
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(home))

    assert cli.main(["preview", "--non-interactive", "--stack", "secret"]) == 0

    copy = (home / "project" / stack_file.name).read_text()
    assert "secure:" in copy and "AAAA" not in copy
    assert scratch.SECRET_PLACEHOLDER not in copy


def test_another_azure_native_is_refused(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator")
    other = stack.home / "pulumi/plugins/resource-azure-native-v9.9.9"
    other.mkdir(parents=True)
    (other / "pulumi-resource-azure-native").write_text("#!/bin/sh\necho official\n")
    assert "could reach the real Azure" in stack.run("preview", code=2)


@pytest.mark.long
def test_a_stack_is_made_on_first_use_and_again_after_its_removal(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator")
    for _ in range(2):
        assert "Current stack is local" in stack.run("stack")
        stack.run("stack", "rm", "--yes")
    refused = Stack(stack.home, "other").run("stack", code=2)
    assert "there is no stack 'other'" in refused and "Stacks are dev, gpu, local" in refused


@pytest.mark.long
def test_a_state_that_a_kill_cut_off_is_repaired(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator")
    stack.run("stack", "ls")
    beside = [*(stack.home / "backend").rglob("*.attrs")]
    assert beside
    for file in beside:
        file.write_text("")
    assert stack.preview()


class Tagged:
    """The resources of a deployed stack that carry its tags, as Azure has them."""

    def __init__(self, stack: Stack) -> None:
        self._store = Azure(Instance.open(stack.home), NullFabric()).store

    def tag(self, **tags: str) -> None:
        """Tag all of them behind Pulumi's back."""
        with self._store.change() as state:
            for body in state.resources.values():
                if "project" in body.get("tags", {}):
                    body["tags"] |= tags

    def values(self, name: str) -> list[str | None]:
        """The different values of a tag; None stands for resources without it."""
        resources = self._store.read().resources.values()
        tagged = [body["tags"] for body in resources if "project" in body.get("tags", {})]
        assert len(tagged) == 8
        return list({each.get(name) for each in tagged})


def test_tags_of_others_are_kept(stack: Stack) -> None:
    """A policy of the company sets `costcenter`, whatever case the setting has."""
    azure = Tagged(stack)
    azure.tag(costcenter="42", hand="made")
    stack.set("externalTags[0]", "CostCenter")
    stack.set("tags.team", "research")
    stack.up()
    assert azure.values("costcenter") == ["42"]
    assert azure.values("team") == ["research"]
    assert azure.values("hand") == [None]


@pytest.mark.long
def test_tags_of_others_are_no_drift(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(stack.home))
    azure = Tagged(stack)
    stack.set("externalTags[0]", "CostCenter")
    stack.set("tags.team", "research")
    stack.up()
    assert stack.preview() == []

    azure.tag(costcenter="43", hand="made")
    differences = drift.compare_cloud("local", "bin/pulumi-local").differences
    assert {each["what"] for each in differences} == {'tags.hand is "made" and not declared'}
    stack.run("config", "rm", "--path", "ollamazure:tags.team")
    stack.run("up", "--yes", "--skip-preview", "--refresh")
    assert azure.values("costcenter") == ["43"]
    assert azure.values("team") == azure.values("hand") == [None]
    stack.run("config", "rm", "ollamazure:externalTags")
    stack.up()
    assert azure.values("costcenter") == [None]


@pytest.mark.long
def test_destroy_leaves_nothing_in_azure(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator")
    stack.up()
    azure = Azure(Instance.open(stack.home), NullFabric())
    assert azure.list("Microsoft.Compute/virtualMachines")
    stack.run("destroy", "--yes", "--skip-preview")
    for kind in (
        "Microsoft.Resources/resourceGroups",
        "Microsoft.Compute/virtualMachines",
        "Microsoft.Compute/disks",
        "Microsoft.Network/publicIPAddresses",
    ):
        assert azure.list(kind) == [], kind

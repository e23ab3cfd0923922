"""The stand-ins and Pulumi's official plugins go on with each other's state.

official-plugins-state.json has what the official ones store for the resources of PROGRAM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.pulumi_project import Project, emulated_azure
from tests.engine.sshd import running_sshd

OFFICIAL = json.loads(Path(__file__).with_name("official-plugins-state.json").read_text())
SECRET = "4dabf18193072939515e22adb298388d"
DELTA = "__pulumi_raw_state_delta"
"""What a value was in Terraform's form. The official plugin makes it from the value if it is
missing, as for all state that was stored before there was one."""

PROGRAM = """
import pulumi
import pulumi_random as random
import pulumi_tls as tls
from pulumi_command import local, remote

random.RandomPassword("admin-password", length=24, special=False)
tls.PrivateKey("host-key", algorithm="ED25519")
key = tls.PrivateKey("certificate-key", algorithm="RSA")
tls.SelfSignedCert(
    "certificate",
    private_key_pem=key.private_key_pem,
    allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
    validity_period_hours=8760,
    subject=tls.SelfSignedCertSubjectArgs(
        common_name="127.20.15.4",
        country="FR",
        locality="Paris",
        organization="Company",
        province="France",
    ),
    dns_names=[],
    ip_addresses=["127.20.15.4"],
)
remote.Command(
    "machine-ready",
    connection=remote.ConnectionArgs(**CONNECTION),
    create="cat",
    stdin="shown",
    logging=remote.Logging.STDOUT_AND_STDERR,
    add_previous_output_in_env=False,
)
local.Command(
    "chat-answers",
    create="cat >/dev/null",
    stdin=pulumi.Output.secret("hidden"),
    environment={"OLLAMAZURE_ASKS_ABOUT": "1"},
    logging=local.Logging.STDOUT_AND_STDERR,
    add_previous_output_in_env=False,
)
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """PROGRAM, deployed by the stand-ins."""
    folder = tmp_path_factory.mktemp("official")
    (folder / "project").mkdir()
    with emulated_azure(folder / "emulator") as instance, running_sshd(folder / "sshd") as server:
        program = PROGRAM.replace("CONNECTION", repr(server.connection))
        tested = Project(folder / "project", instance, program)
        tested.up().ok()
        yield tested


def shape(value: Any) -> Any:
    """A value's type, part by part; secrets are marked."""
    if isinstance(value, dict):
        if SECRET in value:
            return "secret"
        return {name: shape(part) for name, part in value.items() if name != DELTA}
    return [shape(part) for part in value] if isinstance(value, list) else type(value).__name__


def test_the_stand_ins_store_what_the_official_plugins_store(deployed: Project) -> None:
    stored = deployed.resources()
    for official in OFFICIAL["resources"]:
        ours = stored[official["name"]]
        for part in ("inputs", "outputs"):
            assert shape(ours[part]) == shape(official[part]), (official["name"], part)
        assert ours.get("additionalSecretOutputs") == official["additionalSecretOutputs"]
        plain = {
            name: value
            for name, value in official["outputs"].items()
            if isinstance(value, (bool, int)) or name == "__meta"
        }
        assert {name: ours["outputs"][name] for name in plain} == plain


def test_what_the_official_plugins_stored_previews_without_a_change(deployed: Project) -> None:
    exported = json.loads(deployed.run("stack", "export").ok().text)
    official = {one["type"]: one for one in (*OFFICIAL["providers"], *OFFICIAL["resources"])}
    for resource in exported["deployment"]["resources"]:
        if resource["type"].startswith("pulumi:providers:"):
            resource |= {part: official[resource["type"]][part] for part in ("inputs", "outputs")}
        elif delta := official.get(resource["type"], {}).get("outputs", {}).get(DELTA):
            resource["outputs"][DELTA] = without_secrets(delta)
    file = deployed.folder / "official.json"
    file.write_text(json.dumps(exported))
    deployed.run("stack", "import", "--file", str(file)).ok()
    deployed.run("preview", "--expect-no-changes").ok()


def without_secrets(value: Any) -> Any:
    """The record has no content for them."""
    if not isinstance(value, dict):
        return value
    kept = {name: part for name, part in value.items() if SECRET not in str(part)}
    return {name: without_secrets(part) for name, part in kept.items()}

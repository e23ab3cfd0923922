"""The component package under the real engine, as a program in another language uses it.

The language host for YAML is not available here (docs/explanation/emulator.md). So a few lines of
Python declare the resource and the outputs of provider/example/Pulumi.yaml to the engine as a
remote component, which is what every language does.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.engine.pulumi_project import Project, emulated_azure, processes_in
from tests.engine.stack import PROJECT

PACKAGE = PROJECT / "provider"
EXAMPLE = PROJECT / "provider" / "example"
DECLARED: dict[str, Any] = yaml.safe_load((EXAMPLE / "Pulumi.yaml").read_text())
RIGHT: dict[str, Any] = DECLARED["resources"]["chat"]["properties"]
PROGRAM = """
import json
from pathlib import Path

import pulumi
import pulumi_random as random

inputs = json.loads(Path("inputs.json").read_text())
outputs = {outputs}
{before}

class PrivateChat(pulumi.ComponentResource):
    def __init__(self):
        super().__init__(
            "ollamazure:index:PrivateChat",
            "chat",
            {{**dict.fromkeys(outputs), **inputs}},
            remote=True,
        )

chat = PrivateChat()
for name in outputs:
    pulumi.export(name, getattr(chat, name))
"""


class Consumer(Project):
    """The project of a user of the package."""

    def declare(self, inputs: dict[str, Any], before: str = "") -> None:
        """Makes the program declare a chat with these inputs, after the lines `before`."""
        outputs = [text[len("${chat.") : -1] for text in DECLARED["outputs"].values()]
        (self.folder / "inputs.json").write_text(json.dumps(inputs))
        self.write(PROGRAM.format(outputs=outputs, before=before))


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consumer]:
    folder = tmp_path_factory.mktemp("package")
    project = folder / "project"
    project.mkdir()
    with emulated_azure(folder / "emulator", plan=True) as instance:
        consumer = Consumer(project, instance, "")
        consumer.environment["OLLAMAZURE_PLAN"] = "1"
        with (project / "Pulumi.yaml").open("a") as manifest:
            manifest.write(yaml.safe_dump({"packages": {"ollamazure": str(PACKAGE)}}))
        for file in EXAMPLE.glob("*.md"):
            (project / file.name).write_text(file.read_text())
        yield consumer


@pytest.fixture(scope="module")
def schema(consumer: Consumer) -> dict[str, Any]:
    printed = consumer.run("package", "get-schema", str(PACKAGE)).ok().text
    found: dict[str, Any] = json.loads(printed[printed.index("{\n") :])
    return found


def refused(consumer: Consumer, inputs: dict[str, Any], before: str = "") -> str:
    """The output of a preview that fails, on one line."""
    consumer.declare(inputs, before)
    return " ".join(consumer.run("preview").failed().text.split())


def test_the_schema_has_the_inputs_and_outputs(
    schema: dict[str, Any],
) -> None:
    (component,) = schema["resources"].values()
    assert schema["resources"].keys() == {"ollamazure:index:PrivateChat"}
    assert component["isComponent"] and component["requiredInputs"] == ["sshClients"]
    later = {key for key, value in component["inputProperties"].items() if not value.get("plain")}
    assert later == {"adminPassword"}, "all others must be known at preview"
    assert component["properties"].keys() >= {"url", "adminPassword", "readme"}
    cost = schema["types"]["ollamazure:index:CostInNumbers"]["properties"]
    assert (cost["amount"]["type"], cost["verified"]["type"]) == ("number", "boolean")
    described = [*schema["types"].values(), component]
    for properties in (each.get("inputProperties", each["properties"]) for each in described):
        assert all(value["description"] for value in properties.values())
    assert schema["types"]["ollamazure:index:UserInput"]["required"] == ["email", "name"]


def test_the_page_shows_the_example() -> None:
    page = (PROJECT / "docs/how-to/use-as-a-package.md").read_text()
    shown = yaml.safe_load(page.split("```")[1].removeprefix("yaml"))
    assert shown["packages"] == DECLARED["packages"]
    assert shown["outputs"].items() <= DECLARED["outputs"].items()
    chat = shown["resources"]["chat"]
    assert chat["type"] == DECLARED["resources"]["chat"]["type"]
    assert chat["properties"].items() <= RIGHT.items()


def test_the_example_uses_names_of_the_schema(schema: dict[str, Any]) -> None:
    component = schema["resources"]["ollamazure:index:PrivateChat"]
    assert DECLARED["resources"]["chat"]["type"] == "ollamazure:PrivateChat"
    assert (EXAMPLE / DECLARED["packages"]["ollamazure"]).resolve() == PACKAGE
    assert RIGHT.keys() <= component["inputProperties"].keys()
    for output in DECLARED["outputs"].values():
        assert output.removeprefix("${chat.").removesuffix("}") in component["properties"]


@pytest.fixture(scope="module")
def deployed(consumer: Consumer) -> str:
    """The output of `pulumi up` for the example."""
    consumer.declare(RIGHT)
    return consumer.up().ok().text


def test_the_example_is_deployed_and_has_the_chats_address(
    consumer: Consumer, deployed: str
) -> None:
    assert "Microsoft retires Standard_B2ms" in deployed
    assert "user-alice@example.com" in deployed
    outputs = consumer.outputs()
    assert outputs["url"].startswith("https://127.")
    assert outputs["url"] in outputs["readme"]
    assert outputs["monthlyCost"]["amount"] > 0 and outputs["monthlyCost"]["currency"] == "USD"
    assert len(outputs["adminPassword"]) == 24
    assert outputs["adminPassword"] not in consumer.stored()


@pytest.mark.long
@pytest.mark.usefixtures("deployed")
def test_a_second_preview_shows_nothing_and_leaves_no_process(consumer: Consumer) -> None:
    consumer.declare(RIGHT)
    policies = ("--policy-pack", str(PROJECT / "policy"))
    printed = consumer.run("preview", "--expect-no-changes", *policies).ok().text
    assert "ollamazure@v1" in printed and "[mandatory]" not in printed
    assert not [
        command for command in processes_in(consumer.folder).values() if str(PACKAGE) in command
    ]


@pytest.mark.usefixtures("deployed")
def test_its_commands_are_found_from_the_users_project(consumer: Consumer) -> None:
    command = consumer.resources()["chat-answers"]["inputs"]["create"].split()
    python, questioner = (consumer.folder / part for part in command)
    assert questioner.samefile(PROJECT / "guest/usr/local/lib/ollamazure/chat_answers.py")
    subprocess.run([python, "-c", "import ollamazure.operate.query"], check=True)


def test_files_are_those_of_the_users_project(consumer: Consumer) -> None:
    wrong = [{"name": "House rules", "files": ["README.md"]}]
    printed = refused(consumer, {**RIGHT, "knowledge": wrong})
    assert 'the inputs of chat: knowledge[0].files[0] = "README.md" is not allowed' in printed
    assert "there is no such file" in printed


def test_all_problems_of_the_inputs_are_reported_at_once(consumer: Consumer) -> None:
    wrong = {
        **RIGHT,
        "location": "nowhere",
        "models": ["llama3.2"],
        "dataDiskGiB": 2,
        "certificate": {"country": "France"},
        "adminPassword": "a long pass phrase",
        "adminPasswordRotation": "2027-01",
        "users": [{"email": "alice", "name": "Alice"}],
    }
    del wrong["sshClients"]
    missing = refused(consumer, wrong)
    assert "Missing required input 'sshClients' on 'PrivateChat'" in missing
    printed = refused(consumer, {**wrong, "sshClients": ["office"]})
    assert "7 settings to fix" in printed
    for key in (
        "sshClients[0]",
        "location",
        "dataDiskGiB = 2 ",
        "certificate.country",
        "adminPasswordRotation",
        "users[0].email",
        "models",
    ):
        assert f"the inputs of chat: {key}" in printed


LATER = 'pet = random.RandomString("later", length=8).result\n'


def test_what_is_not_known_at_preview_is_refused(consumer: Consumer) -> None:
    before = """
inputs["dnsLabel"] = pet
inputs["tags"] = {"team": pet}
inputs["certificate"] = pulumi.Output.secret({"organization": "Example"})
inputs["tuning"] = {"keepAlive": pet}
inputs["users"][0]["groups"] = [pet]
"""
    printed = refused(consumer, RIGHT, LATER + before)
    assert "5 settings to fix" in printed
    for key in ("dnsLabel", "tags", "certificate", "tuning", "users"):
        assert f"the inputs of chat: {key} is empty, a secret, or not known at preview" in printed


@pytest.mark.long
def test_the_password_may_be_known_later_and_is_checked_then(consumer: Consumer) -> None:
    consumer.declare(RIGHT, LATER + 'inputs["adminPassword"] = pet')
    consumer.run("preview").ok()
    secret = refused(consumer, RIGHT, 'inputs["adminPassword"] = pulumi.Output.secret("short-pw")')
    assert "the inputs of chat: adminPassword is not allowed" in secret
    assert "short-pw" not in secret
    consumer.declare(RIGHT, LATER.replace("8", "16") + 'inputs["adminPassword"] = pet')
    consumer.up().ok()
    password = consumer.outputs()["adminPassword"]
    assert len(password) == 16
    assert "admin-password" not in consumer.resources()

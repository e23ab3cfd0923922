"""What changes mean that are not among the recorded ones."""

from __future__ import annotations

import json

import pytest

from ollamazure.preview.output import UNKNOWN
from ollamazure.preview.text import plain
from ollamazure.review import comment
from tests.unit.ollamazure.review.steps import (
    COMMAND,
    NSG,
    command,
    new_command,
    reviewed,
    script,
    secret_command,
    step,
    update,
)

pytestmark = pytest.mark.unit

DECLARED = "/etc/ollamazure/declared"


def meanings(*steps: dict[str, object]) -> list[str]:
    return [plain(text) for change in reviewed(*steps).changes for text in change.meaning]


def rule(port: str, *clients: str, access: str = "Allow") -> dict[str, object]:
    return {
        "direction": "Inbound",
        "access": access,
        "destinationPortRange": port,
        "sourceAddressPrefixes": list(clients),
    }


def firewall(old: list[object], new: list[object]) -> dict[str, object]:
    before, after = ({"securityRules": of} for of in (old, new))
    return update(NSG, "nsg", before, after, "securityRules[0].sourceAddressPrefixes[0]")


@pytest.mark.parametrize("client", ["0.0.0.0/0", "128.0.0.0/1", "*", "Internet"])
def test_a_port_that_opens_to_everybody_is_in_the_headline(client: str) -> None:
    opened = firewall([rule("22", "203.0.113.7/32")], [rule("22", "203.0.113.7/32", client)])
    assert meanings(opened) == ["SSH (22) opens to everybody on the internet."]
    assert "A port opens to everybody" in comment.of_review("dev", reviewed(opened))


def test_https_for_everybody_is_no_alarm() -> None:
    opened = firewall([], [rule("443", "*")])
    assert meanings(opened) == ["HTTPS (443) opens to everybody."]
    assert not reviewed(opened).changes[0].alarms


def test_a_port_that_closes() -> None:
    closed = firewall([rule("22", "203.0.113.7/32"), rule("443", "*")], [rule("443", "*")])
    assert meanings(closed) == ["SSH (22) closes to 203.0.113.7/32."]


def test_a_rule_of_another_kind_is_not_guessed() -> None:
    review = reviewed(firewall([], [rule("22", "*", access="Deny")]))
    assert "does not know" in plain(review.changes[0].meaning[0])
    assert review.effect == "unknown"


def test_a_disk_that_shall_shrink_fails() -> None:
    shrunk = update(
        "azure-native:compute:Disk", "data-disk", {"diskSizeGB": 64}, {"diskSizeGB": 32},
        "diskSizeGB",
    )  # fmt: skip
    assert meanings(shrunk) == ["From 64 to 32 GiB: Azure shrinks no disk, so this fails."]


def user(**changes: object) -> str:
    said = {"email": "alice@example.com", "name": "Alice", "role": "user", "groups": []}
    return json.dumps({**said, "state": "active", **changes}, indent=2, sort_keys=True)


def user_step(old: str, new: str) -> dict[str, object]:
    path = f"{DECLARED}/user/alice@example.com.json"
    return command("user-alice@example.com", script({path: old}), script({path: new}))


def test_a_user_who_becomes_an_administrator() -> None:
    promoted = user_step(user(), user(role="admin", name="Alicia"))
    assert meanings(promoted) == [
        "An administrator, who may do everything in the chat.",
        "name: Alice → Alicia.",
    ]
    assert "Somebody becomes an administrator." in comment.of_review("dev", reviewed(promoted))


def test_a_user_who_is_suspended_and_comes_back() -> None:
    assert meanings(user_step(user(), user(state="suspended"))) == [
        "The account is suspended: signed out, no way in. Its chats are kept."
    ]
    back = meanings(user_step(user(state="suspended"), user()))
    assert back == ["The account may sign in again."]


def test_deleting_a_users_chats_is_data_at_risk() -> None:
    review = reviewed(user_step(user(), user(state="deleted")))
    assert review.effect == "data"
    assert "all its chats" in plain(review.changes[0].meaning[0])


def test_a_user_who_goes_keeps_the_chats() -> None:
    review = reviewed(step("delete", COMMAND, "user-alice@example.com", oldState={"inputs": {}}))
    assert (review.effect, plain(review.changes[0].title)) == (
        "none",
        "user alice@example.com",
    )
    assert "chats are kept" in plain(review.changes[0].meaning[0])


def test_many_of_a_kind_are_one_row() -> None:
    people = [new_command(f"user-{n}@example.com") for n in range(110)]
    text = comment.of_review("dev", reviewed(*people))
    assert "110 users: `0@example.com`, " in text and " and 100 more" in text


def test_files_that_a_command_brings_are_told_apart() -> None:
    config = "/etc/nginx/nginx.conf.next"
    old, new = script({config: "a"}, "x"), script({config: "b"}, "x")
    assert meanings(command("nginx-config", old, new)) == [
        "Nginx checks it and takes it up; no connection is cut."
    ]


def test_files_that_one_rule_is_about_are_one_sentence() -> None:
    paths = ("/usr/local/lib/ollamazure/a", "/usr/local/lib/ollamazure/b")
    old, new = (script(dict.fromkeys(paths, text), "x") for text in ("a", "b"))
    assert meanings(command("machine-ready", old, new)) == [
        f"Files of the machine change ({', '.join(paths)})."
    ]


def test_many_differences_are_cut() -> None:
    path = "/etc/ollamazure/open-webui.json"
    old, new = (script({path: json.dumps(dict.fromkeys(map(str, range(30)), n))}) for n in (1, 2))
    said = meanings(command("open-webui-settings", old, new))
    assert len(said) == 9 and said[-1] == "And 22 more, in the difference below."


def test_what_every_script_begins_with_interrupts_nobody() -> None:
    old = script({"/etc/containers/systemd/open-webui.container": "a"}, "start-open-webui x:v1")
    review = reviewed(command("open-webui", old, old.replace("umask 022", "umask 027")))
    assert review.effect == "none"


def test_a_secret_script_says_only_that_it_changes() -> None:
    same = script({}, secrets=True)
    changes = meanings(secret_command("open-webui-admin", same, same))
    assert changes == ["It is brought to the declared address and password. Nobody else notices."]


def test_what_only_the_deployment_knows_is_no_new_machine() -> None:
    review = reviewed(command("nginx-config", script({}), UNKNOWN))
    assert not review.changes[0].again and review.effect == "none"


def test_what_a_refresh_has_seen_is_not_what_is_done() -> None:
    vm = "azure-native:compute:VirtualMachine"
    gone = step("delete", vm, "vm", oldState={"inputs": {}})
    again = step("create", vm, "vm", newState={"inputs": {}})
    drifted = update(NSG, "nsg", {}, {}, "securityRules")
    right = step("same", NSG, "nsg", oldState={}, newState={})
    (change,) = reviewed(gone, drifted, right, again).changes
    assert (change.action, plain(change.title)) == ("added", "the virtual machine")


def test_the_halves_of_a_replacement_are_one() -> None:
    vm = "azure-native:compute:VirtualMachine"
    halves = [step(op, vm, "vm", oldState={}, newState={}) for op in
              ("create-replacement", "replace", "delete-replaced")]  # fmt: skip
    (change,) = reviewed(*halves).changes
    assert change.action == "replaced"


def test_a_resource_that_the_table_does_not_know_is_said_to_be_unknown() -> None:
    review = reviewed(step("create", "azure-native:storage:StorageAccount", "x", newState={}))
    assert review.effect == "unknown"
    assert plain(review.changes[0].title) == "azure-native:storage:StorageAccount x"


def test_what_is_not_known_is_in_the_headline_whatever_else_is_worse() -> None:
    vm = "azure-native:compute:VirtualMachine"
    unknown = step("create", "azure-native:storage:StorageAccount", "x", newState={})
    known = step("delete", vm, "vm", oldState={"inputs": {}})
    assert "Not all of it is known" in comment.of_review("dev", reviewed(unknown, known))


def test_an_update_that_the_table_does_not_know_is_said_to_be_unknown() -> None:
    review = reviewed(
        update("azure-native:compute:VirtualMachine", "vm", {}, {}, "licenseType"),
    )
    assert review.effect == "unknown"

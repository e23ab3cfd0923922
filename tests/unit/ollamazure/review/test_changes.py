"""The meaning of changes that are not recorded."""

from __future__ import annotations

import json

import pytest

from components.workspace import WEBUI
from ollamazure.preview.output import UNKNOWN, PreviewError, PreviewOutput
from ollamazure.preview.text import plain
from ollamazure.review import comment
from ollamazure.review.changes import review_preview
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
def test_a_port_that_opens_to_everyone_is_in_the_headline(client: str) -> None:
    opened = firewall([rule("22", "203.0.113.7/32")], [rule("22", "203.0.113.7/32", client)])
    assert meanings(opened) == ["SSH (22) opens to everyone on the internet."]
    assert "A port opens to everyone" in comment.format_review("dev", reviewed(opened))


def test_https_for_everyone_is_no_alarm() -> None:
    opened = firewall([], [rule("443", "*")])
    assert meanings(opened) == ["HTTPS (443) opens to everyone."]
    assert not reviewed(opened).changes[0].alarms


def test_a_chat_that_opens_to_everyone_is_in_the_headline() -> None:
    opened = firewall([rule("443", "203.0.113.0/24")], [rule("443", "*")])
    assert meanings(opened) == [
        "HTTPS (443) opens to everyone on the internet.",
        "HTTPS (443) closes to 203.0.113.0/24.",
    ]
    assert "The chat opens to everyone" in comment.format_review("dev", reviewed(opened))


def test_a_chat_that_closes_may_shut_users_out() -> None:
    closed = firewall([rule("443", "*")], [rule("443", "203.0.113.0/24")])
    assert meanings(closed) == [
        "HTTPS (443) opens to 203.0.113.0/24.",
        "HTTPS (443) closes to everyone.",
    ]
    assert reviewed(closed).effect == "unknown"


def test_a_port_that_closes() -> None:
    closed = firewall([rule("22", "203.0.113.7/32"), rule("443", "*")], [rule("443", "*")])
    assert meanings(closed) == ["SSH (22) closes to 203.0.113.7/32."]


def test_a_rule_of_another_kind_is_not_guessed() -> None:
    review = reviewed(firewall([], [rule("22", "*", access="Deny")]))
    assert "cannot explain" in plain(review.changes[0].meaning[0])
    assert review.effect == "unknown"


def test_the_rule_that_refuses_everything_else_needs_no_explanation() -> None:
    last = {
        "direction": "Inbound",
        "access": "Deny",
        "priority": 4096,
        "sourceAddressPrefix": "*",
        "destinationPortRange": "*",
    }
    assert meanings(firewall([], [rule("443", "*"), last])) == ["HTTPS (443) opens to everyone."]


def test_shrinking_the_disk_fails() -> None:
    shrunk = update(
        "azure-native:compute:Disk", "data-disk", {"diskSizeGB": 64}, {"diskSizeGB": 32},
        "diskSizeGB",
    )  # fmt: skip
    assert meanings(shrunk) == [
        "Azure cannot shrink a disk, so the change from 64 to 32 GiB fails."
    ]


def user(**changes: object) -> str:
    declaration = {"email": "alice@example.com", "name": "Alice", "role": "user", "groups": []}
    return json.dumps({**declaration, "state": "active", **changes}, indent=2, sort_keys=True)


def user_step(old: str, new: str) -> dict[str, object]:
    path = f"{DECLARED}/user/alice@example.com.json"
    return command("user-alice@example.com", script({path: old}), script({path: new}))


def test_a_user_who_becomes_an_administrator() -> None:
    promoted = user_step(user(), user(role="admin", name="Alicia"))
    assert meanings(promoted) == [
        "The user is now an administrator and may do everything in the chat.",
        "name changes from Alice to Alicia.",
    ]
    assert "A user becomes an administrator." in comment.format_review("dev", reviewed(promoted))


def test_a_user_who_is_suspended_and_comes_back() -> None:
    assert meanings(user_step(user(), user(state="suspended"))) == [
        "The account is suspended: it is signed out and cannot sign in. Its chats are kept."
    ]
    back = meanings(user_step(user(state="suspended"), user()))
    assert back == ["The account can sign in again."]


def test_deleting_a_users_chats_is_data_at_risk() -> None:
    review = reviewed(user_step(user(), user(state="deleted")))
    assert review.effect == "data"
    assert "all its chats" in plain(review.changes[0].meaning[0])


def test_removing_a_user_keeps_the_chats() -> None:
    review = reviewed(step("delete", COMMAND, "user-alice@example.com", oldState={"inputs": {}}))
    assert (review.effect, plain(review.changes[0].title)) == (
        "none",
        "user alice@example.com",
    )
    assert "chats are kept" in plain(review.changes[0].meaning[0])


def test_many_of_a_kind_are_one_row() -> None:
    people = [new_command(f"user-{n}@example.com") for n in range(110)]
    text = comment.format_review("dev", reviewed(*people))
    assert "110 users: `0@example.com`, " in text and " and 100 more" in text


def test_each_file_of_a_command_has_its_rule() -> None:
    config = "/etc/nginx/nginx.conf.next"
    old, new = script({config: "a"}, "x"), script({config: "b"}, "x")
    assert meanings(command("nginx-config", old, new)) == [
        "Nginx checks and loads it. All connections stay open."
    ]


def test_files_with_the_same_rule_share_a_sentence() -> None:
    paths = ("/usr/local/lib/ollamazure/a", "/usr/local/lib/ollamazure/b")
    old, new = (script(dict.fromkeys(paths, text), "x") for text in ("a", "b"))
    assert meanings(command("machine-ready", old, new)) == [
        f"Tools on the machine change ({', '.join(paths)})."
    ]


def test_many_differences_are_cut() -> None:
    path = "/etc/ollamazure/open-webui.json"
    old, new = (script({path: json.dumps(dict.fromkeys(map(str, range(30)), n))}) for n in (1, 2))
    sentences = meanings(command("open-webui-settings", old, new))
    assert len(sentences) == 9 and sentences[-1] == "The difference below shows 22 more."


def test_settings_that_are_new_and_off_may_take_something_from_users() -> None:
    path = "/etc/ollamazure/open-webui.json"
    configs = ({"a": 1}, {"a": 2, "channels.enable": False, "apps.enable": False, "b": "x"})
    old, new = (script({path: json.dumps({"config": config})}) for config in configs)
    assert meanings(command("open-webui-settings", old, new)) == [
        "Off, also if an administrator turned it on: apps.enable, channels.enable.",
        "config.a changes from 1 to 2.",
        "config.b is new: x.",
    ]


def test_the_texts_of_a_new_chat_are_explained_and_not_printed() -> None:
    path = "/etc/ollamazure/open-webui.json"
    texts = {"ui.banners": [{"content": "Welcome!"}], "ui.prompt_suggestions": [{"content": "x"}]}
    configs = ({"a": 1}, {"a": 1, **texts, "ui.default_interface_settings": {"x": False}})
    old, new = (script({path: json.dumps({"config": config})}) for config in configs)
    explained = meanings(command("open-webui-settings", old, new))
    assert explained == [
        "The lines at the top of a new chat change. A user who closed one sees it again if its "
        "text changes.",
        "Administrators find the news of a new version under Settings, About; no dialog shows "
        "them after signing in.",
        "A new chat offers other first questions.",
    ]


@pytest.mark.parametrize(
    ("name", "path", "before", "after", "sentence", "effect"),
    [
        (
            *("open-webui", "/etc/containers/systemd/open-webui.container.next"),
            *("Image=a\n", "Image=a\nEnvironment=DEFAULT_LOCALE=fr-FR\n"),
            "The chat has another language in browsers that open it for the first time",
            "minutes",
        ),
        (
            *("nginx-config", "/etc/nginx/texts.json", '{"default": "en"}', '{"default": "fr"}'),
            "Its own pages are in the language that the browser prefers, else in fr.",
            "none",
        ),
        (
            *("nginx-config", "/etc/nginx/texts.json", '{"default": "en"}', '{"default": "en" }'),
            "The page that users see while the chat starts changes.",
            "none",
        ),
        (
            *("open-webui", "/etc/ollamazure/open-webui/hint.json", "{}", "[]"),
            "The hint that users see until they choose a password of their own changes.",
            "none",
        ),
    ],
)
def test_a_language_and_its_texts(  # noqa: PLR0917  a row each
    name: str, path: str, before: str, after: str, sentence: str, effect: str
) -> None:
    changed = command(name, script({path: before}), script({path: after}))
    (explained,) = meanings(changed)
    assert explained.startswith(sentence)
    assert reviewed(changed).effect == effect


def test_browsers_warn_when_an_authority_signs_the_next_certificate() -> None:
    former = step("delete", "tls:index/selfSignedCert:SelfSignedCert", "certificate", oldState={})
    review = reviewed(former)
    assert "Each browser warns once more" in plain(review.changes[0].meaning[0])
    assert review.effect == "seconds"


def test_other_rules_of_the_firewall_are_no_tools() -> None:
    path = "/etc/ollamazure/firewall.nft"
    old, new = (script({path: text}, "x") for text in ("a", "b"))
    (sentence,) = meanings(command("machine-ready", old, new))
    assert "the machine's own firewall change" in sentence


@pytest.mark.parametrize(
    ("before", "after", "meaning"),
    [
        ("x:1@sha256:a", "x:2@sha256:b", "Version 2 replaces 1. "),
        ("x:1@sha256:a", "x:1@sha256:b", "Another digest pins its image. "),
        ("x:1", "x:1@sha256:b", "Another digest pins its image. "),
    ],
)
def test_a_digest_is_not_the_version(before: str, after: str, meaning: str) -> None:
    unit = "/etc/containers/systemd/nginx.container"
    old, new = (script({unit: f"Image={x}"}, f"start-nginx {x}") for x in (before, after))
    (sentence,) = meanings(command("nginx", old, new))
    assert sentence.startswith(meaning)


def test_changing_the_common_head_of_all_scripts_does_not_interrupt_users() -> None:
    old = script({"/etc/containers/systemd/open-webui.container": "a"}, "start-open-webui x:v1")
    review = reviewed(command("open-webui", old, old.replace("umask 022", "umask 027")))
    assert review.effect == "none"


def test_a_secret_script_shows_only_that_it_changes() -> None:
    same = script({}, secrets=True)
    assert meanings(secret_command("open-webui-admin", same, same)) == [
        "It gets the declared address and password. Other users notice nothing."
    ]


def test_a_value_that_is_unknown_until_the_deployment_is_no_new_machine() -> None:
    review = reviewed(command("nginx-config", script({}), UNKNOWN))
    assert not review.changes[0].rerun and review.effect == "none"


def test_steps_of_a_refresh_are_not_changes() -> None:
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


def test_the_effect_of_a_resource_outside_the_table_is_unknown() -> None:
    review = reviewed(step("create", "azure-native:keyvault:Vault", "x", newState={}))
    assert review.effect == "unknown"
    assert plain(review.changes[0].title) == "azure-native:keyvault:Vault x"


def test_an_unknown_effect_is_in_the_headline_next_to_a_worse_one() -> None:
    vm = "azure-native:compute:VirtualMachine"
    unknown = step("create", "azure-native:keyvault:Vault", "x", newState={})
    known = step("delete", vm, "vm", oldState={"inputs": {}})
    assert "Some effects are not known" in comment.format_review("dev", reviewed(unknown, known))


def test_the_effect_of_a_property_outside_the_table_is_unknown() -> None:
    review = reviewed(
        update("azure-native:compute:VirtualMachine", "vm", {}, {}, "licenseType"),
    )
    assert review.effect == "unknown"


def test_a_preview_without_a_result_is_an_error() -> None:
    """Otherwise the comment would say that nothing changes."""
    with pytest.raises(PreviewError, match="neither resources nor errors"):
        review_preview(PreviewOutput(()))


@pytest.mark.parametrize("program", [WEBUI, "/usr/local/lib/ollamazure/webui.py"])
def test_an_item_has_the_name_that_its_settings_declare(program: str) -> None:
    """Not the part of it that Pulumi's name contains; earlier versions ran webui.py."""
    delete = f"flock x {program} remove knowledge 'Team handbook' && rm x"
    removed = step("delete", COMMAND, "knowledge-team-h", oldState={"inputs": {"delete": delete}})
    assert plain(reviewed(removed).changes[0].title) == "knowledge base Team handbook"


def test_a_command_that_only_signs_in_with_another_key_does_not_run() -> None:
    """With secrets too, whose script a preview hides."""
    same = script({"/etc/x": "x"}, secrets=True)
    secret = secret_command("open-webui-admin", same, same)
    del secret["detailedDiff"]
    inputs = {"stdin": script({"/etc/x": "x"})}
    for name, before in (("nginx", inputs), ("open-webui-admin", secret["newState"]["inputs"])):
        signed_in = update(COMMAND, name, before, before, "connection.privateKey")
        assert meanings(signed_in) == [
            "It signs in with the new key or at the new address. Nothing on the machine changes."
        ]
        assert reviewed(signed_in).effect == "none"


def test_a_new_session_key_signs_all_users_out() -> None:
    rotation = "/etc/ollamazure/session-key-rotation"
    for before in ({}, {rotation: "2027-01"}):
        rotated = command("open-webui", script(before), script({rotation: "2027-02"}))
        [meaning] = meanings(rotated)
        assert "All users sign in again" in meaning
        assert reviewed(rotated).effect == "minutes"

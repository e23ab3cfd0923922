"""The team file: merged with the stack file, and problems with the number of the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.settings import team_file
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import warnings_of

ROOT = Path(__file__).parents[4]
SSH = {"sshClients": '["203.0.113.7"]'}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(team_file, "PROJECT", tmp_path)
    return tmp_path


def settings_of(project: Path, text: str, **given: str) -> Settings:
    (project / "team.yaml").write_text(text)
    return parse({**SSH, "teamFile": "team.yaml", **given})


def problems(project: Path, text: str, **given: str) -> str:
    with pytest.raises(SettingsError) as error:
        settings_of(project, text, **given)
    return str(error.value).partition("\n")[2]


def test_the_shipped_example_is_valid() -> None:
    settings = parse({**SSH, "teamFile": "docs/how-to/team.yaml"})
    assert {user.name for user in settings.users} == {"Alice", "Bob", "Carol", "Dave"}
    assert {preset.id for preset in settings.presets} == {"house-rules", "writing-coach"}
    assert settings.prompts and settings.knowledge and settings.banners and settings.groups
    without_it = warnings_of(parse(SSH))
    assert warnings_of(settings) == without_it


def test_the_lists_of_both_files_are_merged(project: Path) -> None:
    settings = settings_of(
        project,
        "groups: [{name: research}]\n"
        "users: [{email: bob@example.com, name: Bob, groups: [research]}]\n"
        "modelAccess: {llama3.2:1b: {groups: [research]}}\n",
        users='[{"email": "alice@example.com", "name": "Alice", "groups": ["research"]}]',
    )
    assert [user.name for user in settings.users] == ["Alice", "Bob"]
    assert settings.model_access["llama3.2:1b"].groups == ("research",)


def test_an_empty_file_declares_nothing(project: Path) -> None:
    assert settings_of(project, "# no users yet\n").users == ()


def test_a_problem_has_its_file_line_and_entry(project: Path) -> None:
    text = """\
users:
  - email: bob@example.com
    name: Bob
    role: boss
  - email: carol@example.com
    name: Carol
    colour: red
prompts:
  - command: sum
    title: Sum up
"""
    alice = '[{"email": "alice@example.com", "name": "Alice"}]'
    assert problems(project, text, users=alice) == (
        """\
1. team.yaml, line 4: users[0].role = "boss" is not allowed: it is not one of the choices.
   Allowed: user or admin; for example user
   Fix:      in team.yaml, line 4, write role: user
2. team.yaml, line 7: users[1].colour is not a setting.
   Allowed: email, groups, name, role, state
   Fix:      in team.yaml, line 7, remove it
3. team.yaml, line 9: prompts[0].content is not set.
   Allowed: 1 to 32768 characters; for example Summarise in five sentences: {{CLIPBOARD}}
   Fix:      in team.yaml, line 9, write content: Summarise in five sentences: {{CLIPBOARD}}"""
    )


def test_a_name_in_both_files_is_reported_at_its_repetition(project: Path) -> None:
    text = "groups:\n  - {name: chat-only}\nusers:\n  - {email: alice@example.com, name: A}\n"
    alice = '[{"email": "alice@example.com", "name": "Alice", "groups": ["x"]}]'
    assert problems(project, text, users=alice) == (
        """\
1. team.yaml, line 4: users[0].email = "alice@example.com" is not allowed: it is repeated.
   Allowed: an e-mail address of letters, digits and . _ % + ' -; for example alice@example.com
   Fix:      in team.yaml, line 4, remove users[0]
2. ollamazure:users[0].groups[0] = "x" is not allowed: no such group is declared.
   Allowed: names of groups, or chat-only; for example ["research"]
   Fix:      pulumi config rm --path 'ollamazure:users[0].groups[0]'"""
    )


def test_a_model_in_both_files_is_refused(project: Path) -> None:
    text = "modelAccess:\n  llama3.2:1b: {groups: [chat-only]}\n"
    given = '{"llama3.2:1b": {"groups": ["chat-only"]}}'
    assert problems(project, text, modelAccess=given) == (
        """\
1. team.yaml, line 2: modelAccess["llama3.2:1b"] is in the stack file as well.
   Allowed: each model once
   Fix:      in team.yaml, line 2, remove it, or pulumi config rm --path \
'ollamazure:modelAccess["llama3.2:1b"]'"""
    )


def test_a_key_that_belongs_to_the_stack_file_is_refused(project: Path) -> None:
    assert problems(project, "user: []\nvmSize: auto\n") == (
        """\
1. team.yaml, line 1: user cannot be in this file. Did you mean users?
   Allowed: users, groups, presets, prompts, knowledge, banners, suggestions, modelAccess
   Fix:      in team.yaml, line 1, write users
2. team.yaml, line 2: vmSize cannot be in this file.
   Allowed: users, groups, presets, prompts, knowledge, banners, suggestions, modelAccess
   Fix:      in team.yaml, line 2, remove it; other settings belong in the stack file"""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("users: [", "it is not YAML (while parsing a flow node"),
        ("- alice", "it is not a group of settings"),
    ],
)
def test_a_file_that_cannot_be_read(project: Path, text: str, reason: str) -> None:
    assert reason in problems(project, text)


def test_a_name_that_is_a_number_is_no_setting(project: Path) -> None:
    found = problems(project, "users: [{email: a@example.com, name: A, 7: x}]\n2: []\n")
    assert "line 2: 2 cannot be in this file" in found
    assert 'users[0]["7"] is not a setting' in found


def test_without_the_file_references_to_its_items_are_not_checked(project: Path) -> None:
    found = problems(
        project,
        "users: [",
        groups='[{"name": "research", "members": ["alice@example.com"]}]',
        users='[{"email": "carol@example.com", "name": "Carol", "role": "boss"}]',
        signIn='{"tenant": "00000000-0000-0000-0000-000000000001", "clientId": "chat-app",'
        ' "allowedDomains": ["example.com"], "groups": ["sales"]}',
        location="atlantis",
    )
    assert "members" not in found and "sales" not in found
    assert "atlantis" in found and '"boss"' in found and "Entra ID sends no user back" in found


def test_without_a_list_references_to_its_items_are_not_checked(project: Path) -> None:
    found = problems(
        project,
        "users: [{email: a@example.com, name: A, groups: [b]}]\n"
        "presets: [{id: p, name: P, baseModel: nowhere, access: {users: [a@example.com]}}]\n"
        "modelAccess: {llama3.2:1b: {groups: [b]}}\n",
        groups="[{",
    )
    assert "ollamazure:groups = " in found and "presets[0].baseModel" in found
    assert "no such group" not in found and "some users" not in found


def test_files_of_a_knowledge_base(project: Path) -> None:
    (project / "docs" / "leave").mkdir(parents=True)
    (project / "docs" / ".hidden").write_text("x")
    (project / "empty").mkdir()
    (project / "docs" / "leave" / "parents.md").write_text("Twelve weeks.\n")
    text = "knowledge:\n  - name: Handbook\n    files: [docs]\n"
    (base,) = settings_of(project, text).knowledge
    assert base.files == ("docs",)

    assert "the folder holds no file" in problems(project, text.replace("docs", "empty"))
    (project / "docs" / "large.txt").write_bytes(b"x" * (5 << 20))
    assert "its file large.txt has 5.0 MiB, and the limit is 4 MiB" in problems(project, text)
    (project / "docs" / "large.txt").write_bytes(b"")
    assert "its file large.txt is empty" in problems(project, text)
    for number in range(5):
        (project / "docs" / f"large{number}.txt").write_bytes(b"x" * (4 << 20))
    (project / "docs" / "large.txt").unlink()
    assert "they have 20.0 MiB, and the limit is 16 MiB" in problems(project, text)


def test_a_link_to_a_file_outside_the_project_is_refused(project: Path) -> None:
    (project / "key").symlink_to("/etc/hostname")
    text = "knowledge: [{name: Handbook, files: [key]}]\n"
    assert "it is outside the project" in problems(project, text)


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("/etc/hostname", "its file link.md is a link to a file outside the project"),
        ("../.git/config", "its file link.md is a link to a hidden file"),
    ],
)
def test_a_link_in_a_folder_leads_to_no_file_that_cannot_be_named(
    project: Path, target: str, fault: str
) -> None:
    for folder in ("docs", ".git"):
        (project / folder).mkdir()
    (project / ".git" / "config").write_text("secret")
    (project / "docs" / "link.md").symlink_to(target)
    text = "knowledge: [{name: Handbook, files: [docs]}]\n"
    assert fault in problems(project, text)

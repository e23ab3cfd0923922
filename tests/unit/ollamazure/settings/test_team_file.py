"""The file with the longer lists: put together with the stack file, its problems told by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.settings import team_file
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings

ROOT = Path(__file__).parents[4]
SSH = {"sshClients": '["203.0.113.7"]'}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(team_file, "PROJECT", tmp_path)
    return tmp_path


def parsed(project: Path, text: str, **given: str) -> Settings:
    (project / "team.yaml").write_text(text)
    return Settings.parse({**SSH, "teamFile": "team.yaml", **given})


def problems(project: Path, text: str, **given: str) -> str:
    with pytest.raises(SettingsError) as error:
        parsed(project, text, **given)
    return str(error.value).partition("\n")[2]


def test_the_example_that_is_shipped_is_right() -> None:
    settings = Settings.parse({**SSH, "teamFile": "docs/how-to/team.yaml"})
    assert {user.name for user in settings.users} == {"Alice", "Bob", "Carol", "Dave"}
    assert {preset.id for preset in settings.presets} == {"house-rules", "writing-coach"}
    assert settings.prompts and settings.knowledge and settings.banners and settings.groups
    assert settings.warnings() == []


def test_lists_of_both_files_are_put_together(project: Path) -> None:
    settings = parsed(
        project,
        "groups: [{name: research}]\n"
        "users: [{email: bob@example.com, name: Bob, groups: [research]}]\n"
        "modelAccess: {llama3.2:1b: {groups: [research]}}\n",
        users='[{"email": "alice@example.com", "name": "Alice", "groups": ["research"]}]',
    )
    assert [user.name for user in settings.users] == ["Alice", "Bob"]
    assert settings.model_access["llama3.2:1b"].groups == ("research",)


def test_an_empty_file_declares_nothing(project: Path) -> None:
    assert parsed(project, "# nobody yet\n").users == ()


def test_a_problem_is_told_with_its_file_line_and_entry(project: Path) -> None:
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
   Fix:      in team.yaml, line 7, take it away
3. team.yaml, line 9: prompts[0].content is not set.
   Allowed: 1 to 32768 characters; for example Summarise in five sentences: {{CLIPBOARD}}
   Fix:      in team.yaml, line 9, write content: Summarise in five sentences: {{CLIPBOARD}}"""
    )


def test_a_name_in_both_files_is_told_where_it_repeats(project: Path) -> None:
    text = "groups:\n  - {name: chat-only}\nusers:\n  - {email: alice@example.com, name: A}\n"
    alice = '[{"email": "alice@example.com", "name": "Alice", "groups": ["x"]}]'
    assert problems(project, text, users=alice) == (
        """\
1. team.yaml, line 4: users[0].email = "alice@example.com" is not allowed: it is there more than \
once.
   Allowed: an e-mail address of letters, digits and . _ % + ' -; for example alice@example.com
   Fix:      in team.yaml, line 4, take away users[0]
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
   Fix:      in team.yaml, line 2, take it away, or pulumi config rm --path \
'ollamazure:modelAccess["llama3.2:1b"]'"""
    )


def test_a_key_that_belongs_to_the_stack_file_is_refused(project: Path) -> None:
    assert problems(project, "user: []\nvmSize: auto\n") == (
        """\
1. team.yaml, line 1: user is not a list that this file can hold. Did you mean users?
   Allowed: users, groups, presets, prompts, knowledge, banners, modelAccess
   Fix:      in team.yaml, line 1, write users
2. team.yaml, line 2: vmSize is not a list that this file can hold.
   Allowed: users, groups, presets, prompts, knowledge, banners, modelAccess
   Fix:      in team.yaml, line 2, take it away; other settings lie in the stack file"""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("users: [", "it is not YAML (while parsing a flow node"),
        ("- alice", "it holds no settings by name"),
    ],
)
def test_a_file_that_cannot_be_read(project: Path, text: str, reason: str) -> None:
    assert reason in problems(project, text)


def test_without_the_file_nothing_is_said_about_who_is_not_in_it(project: Path) -> None:
    told = problems(
        project,
        "users: [",
        groups='[{"name": "research", "members": ["alice@example.com"]}]',
        users='[{"email": "carol@example.com", "name": "Carol", "role": "boss"}]',
        signIn='{"tenant": "00000000-0000-0000-0000-000000000001", "clientId": "chat-app",'
        ' "allowedDomains": ["example.com"], "groups": ["sales"]}',
        location="atlantis",
    )
    assert "members" not in told and "sales" not in told
    assert "atlantis" in told and '"boss"' in told and "Entra ID sends nobody back" in told


def test_without_a_list_nothing_is_said_about_who_is_not_in_it(project: Path) -> None:
    told = problems(
        project,
        "users: [{email: a@example.com, name: A, groups: [b]}]\n"
        "presets: [{id: p, name: P, baseModel: nowhere, access: {users: [a@example.com]}}]\n"
        "modelAccess: {llama3.2:1b: {groups: [b]}}\n",
        groups="[{",
    )
    assert "ollamazure:groups = " in told and "presets[0].baseModel" in told
    assert "no such group" not in told and "not everybody" not in told


def test_files_of_a_knowledge_base(project: Path) -> None:
    (project / "docs" / "leave").mkdir(parents=True)
    (project / "docs" / ".hidden").write_text("x")
    (project / "empty").mkdir()
    (project / "docs" / "leave" / "parents.md").write_text("Twelve weeks.\n")
    (project / "docs" / "logo.png").write_bytes(b"\x89PNG\r\n")
    text = "knowledge:\n  - name: Handbook\n    files: [docs]\n"
    (base,) = parsed(project, text).knowledge
    assert base.files == ("docs",)

    assert "the folder holds no file" in problems(project, text.replace("docs", "empty"))
    (project / "docs" / "large.txt").write_bytes(b"x" * (5 << 20))
    assert "its file large.txt has 5.0 MiB, 4 MiB is the most" in problems(project, text)
    (project / "docs" / "large.txt").write_bytes(b"")
    assert "its file large.txt is empty" in problems(project, text)
    for number in range(5):
        (project / "docs" / f"large{number}.txt").write_bytes(b"x" * (4 << 20))
    (project / "docs" / "large.txt").unlink()
    assert "they have 20.0 MiB, 16 MiB is the most" in problems(project, text)


def test_a_link_that_leads_out_of_the_project_is_refused(project: Path) -> None:
    (project / "key").symlink_to("/etc/hostname")
    text = "knowledge: [{name: Handbook, files: [key]}]\n"
    assert "it lies outside of the project" in problems(project, text)

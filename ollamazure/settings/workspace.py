"""Open WebUI's workspace as types: users, groups, presets, prompts, knowledge, banners and more.

Names of permissions and parameters are Open WebUI's own. cross_checks.py checks the references
between them; components/workspace.py creates one resource for each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from ollamazure.settings.base import Section, setting
from ollamazure.settings.documents import FILE_LIMIT_MIB, KNOWLEDGE_LIMIT_MIB
from ollamazure.settings.parameters import PARAMETERS, usual_form
from ollamazure.settings.problems import did_you_mean, hint, refusal
from ollamazure.settings.types import EmailAddress, Line, ModelName, matching

# The group that every stack has; its members may chat, and nothing else.
CHAT_ONLY = "chat-only"
# These commands do something else in Open WebUI's own chat input.
COMMANDS_OF_OPEN_WEBUI = frozenset(
    {"compact", "compare", "fork", "model", "settings", "status", "temporary"}
)
# Ollama loads a model again, for all users, when one of these changes.
LOADED_WITH = ("num_batch", "num_ctx", "num_gpu", "num_thread", "use_mlock", "use_mmap")


def _command(value: str) -> str:
    command = value.removeprefix("/")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", command):
        raise refusal("a command is 1 to 64 letters, digits, - and _")
    if command.lower() in COMMANDS_OF_OPEN_WEBUI:
        raise refusal(f"/{command} is a command of Open WebUI itself", instead=f"our-{command}")
    return command


def _parameter(value: str) -> str:
    if value in LOADED_WITH:
        raise refusal("Ollama would load the model again for this preset, and again for the others")
    if value == "system":
        raise refusal("the system prompt is not a parameter; set it as system of the preset")
    if value not in PARAMETERS:
        near = did_you_mean(value, PARAMETERS)
        raise refusal(f"Open WebUI passes no such parameter on to Ollama{hint(near)}")
    return value


TeamAddress = Annotated[
    EmailAddress,
    matching(r"[a-z0-9._%+'-]+@[a-z0-9.-]+", "it has signs other than letters, digits and ._%+'-"),
]
PresetId = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}",
        "an id is 1 to 64 letters, digits, . _ : and -, a letter or digit first",
    ),
]
PromptCommand = Annotated[str, AfterValidator(_command)]
ParameterName = Annotated[str, AfterValidator(_parameter)]
Parameters = Annotated[dict[ParameterName, Any], AfterValidator(usual_form)]
Paragraph = Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32768)]
Permissions = dict[str, dict[str, bool]]


class Access(Section):
    """Who may use something, in addition to the administrators. If it is unset: every user."""

    groups: tuple[str, ...] = setting(
        (),
        description="Groups whose members may use it.",
        allowed="names of groups, or chat-only",
        example=["research"],
    )
    users: tuple[TeamAddress, ...] = setting(
        (),
        description="Users who may use it.",
        allowed="e-mails of users",
        example=["alice@example.com"],
    )


def _access() -> Any:
    return setting(
        None,
        description="Who may use it. Unset: every user.",
        allowed="groups, users or both",
        example={"groups": ["research"]},
    )


class User(Section):
    """A person who signs in. One who is removed from the list is suspended; the chats are kept."""

    email: TeamAddress = setting(
        description="E-mail to sign in with; no mail is sent to it.",
        allowed="an e-mail address of letters, digits and . _ % + ' -",
        example="alice@example.com",
    )
    name: Line = setting(
        description="Name that the chat shows.",
        allowed="1 to 64 characters",
        example="Alice",
    )
    role: Literal["user", "admin"] = setting(
        "user",
        description="Administrators may do everything in the chat.",
        allowed="user or admin",
        example="user",
    )
    groups: tuple[str, ...] = setting(
        (),
        description="Groups that the user belongs to.",
        allowed="names of groups, or chat-only",
        example=["research"],
    )
    state: Literal["active", "suspended", "deleted"] = setting(
        "active",
        description="suspended: the user may do nothing, and the chats are kept; deleted: the "
        "account, its chats and the uploaded files are removed for good.",
        allowed="active, suspended or deleted",
        example="active",
    )


class UserGroup(Section):
    """A group of users: its extra permissions, and what is offered to its members only."""

    name: Line = setting(
        description="Name of the group.",
        allowed="1 to 64 characters",
        example="research",
    )
    description: Paragraph = setting(
        "",
        description="Text about the group, for administrators.",
        allowed="up to 1000 characters",
        example="Reads papers.",
    )
    permissions: Permissions = setting(
        {},
        description="Permissions of the members, in addition to those of every user.",
        allowed="true or false by Open WebUI's names, see "
        "ollamazure/catalog/open-webui-permissions.yaml",
        example={"chat": {"file_upload": True}},
    )
    members: tuple[TeamAddress, ...] = setting(
        (),
        description="Users of the group; the same as naming the group with each user.",
        allowed="e-mails of users",
        example=["alice@example.com"],
    )


class Preset(Section):
    """A model with a task. The list of models shows it next to the model that it is made from."""

    id: PresetId = setting(
        description="Open WebUI's key of the preset; a preset with another id is another preset.",
        allowed="1 to 64 letters, digits, . _ : and -, and not the name of a model",
        example="writing-coach",
    )
    name: Line = setting(
        description="Name in the list of models.",
        allowed="1 to 64 characters",
        example="Writing coach",
    )
    base_model: ModelName = setting(
        description="The model that answers.",
        allowed="one of models",
        example="llama3.2:1b",
    )
    description: Paragraph = setting(
        "",
        description="Text about the preset, for users.",
        allowed="up to 1000 characters",
        example="Makes a text shorter and clearer.",
    )
    system: Annotated[str, StringConstraints(max_length=32768)] = setting(
        "",
        description="System prompt: the model reads it before each conversation.",
        allowed="up to 32768 characters",
        example="You are a kind and strict editor.",
    )
    params: Parameters = setting(
        {},
        description="Parameters of Ollama, by Open WebUI's names.",
        allowed="values by name: "
        + ", ".join(f"{name} ({each.allowed})" for name, each in PARAMETERS.items()),
        example={"temperature": 0.3},
    )
    suggestions: tuple[Line, ...] = setting(
        (),
        description="First questions that a new chat offers.",
        allowed="texts of 1 to 64 characters",
        example=["Shorten this text"],
    )
    knowledge: tuple[str, ...] = setting(
        (),
        description="Knowledge bases that it answers from.",
        allowed="names of knowledge",
        example=["Handbook"],
    )
    access: Access | None = _access()


class Prompt(Section):
    """A text that users insert with a slash and a word."""

    command: PromptCommand = setting(
        description="The word after the slash.",
        allowed="1 to 64 letters, digits, - and _, and no command of Open WebUI's own",
        example="summarise",
    )
    title: Line = setting(
        description="Title in the list of prompts.",
        allowed="1 to 64 characters",
        example="Summarise a text",
    )
    content: Text = setting(
        description="The text; Open WebUI fills in {{CLIPBOARD}} and other variables.",
        allowed="1 to 32768 characters",
        example="Summarise in five sentences: {{CLIPBOARD}}",
    )
    access: Access | None = _access()


class KnowledgeBase(Section):
    """Documents that presets answer from."""

    name: Line = setting(
        description="Name of the knowledge base.",
        allowed="1 to 64 characters",
        example="Handbook",
    )
    description: Paragraph = setting(
        "",
        description="Text about its content.",
        allowed="up to 1000 characters",
        example="How the chat is used.",
    )
    files: Annotated[tuple[str, ...], Field(min_length=1)] = setting(
        description="Files, and folders with all files in them; hidden ones are left out.",
        allowed="paths within the project, relative to its folder, at most "
        f"{FILE_LIMIT_MIB} MiB a file and {KNOWLEDGE_LIMIT_MIB} MiB together",
        example=["README.md"],
    )
    access: Access | None = _access()


class Banner(Section):
    """A line at the top of every page."""

    type: Literal["info", "success", "warning", "error"] = setting(
        "info",
        description="Colour of the line.",
        allowed="info, success, warning or error",
        example="info",
    )
    title: Annotated[str, StringConstraints(max_length=64, strip_whitespace=True)] = setting(
        "",
        description="Title before the text.",
        allowed="up to 64 characters",
        example="Maintenance",
    )
    content: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = setting(
        description="The text, in Markdown.",
        allowed="1 to 1000 characters",
        example="The chat is not available on Friday from 18:00 to 19:00.",
    )
    dismissible: bool = setting(
        True,
        description="Whether a user may close it.",
        allowed="true or false",
        example=True,
    )


class Suggestion(Section):
    """A first question that a new chat offers."""

    title: Line = setting(
        description="First line.",
        allowed="1 to 64 characters",
        example="Explain a text",
    )
    subtitle: Annotated[str, StringConstraints(max_length=64, strip_whitespace=True)] = setting(
        "",
        description="Second line, in a smaller size.",
        allowed="up to 64 characters",
        example="in plain words",
    )
    prompt: Text = setting(
        description="The question that is asked.",
        allowed="1 to 32768 characters",
        example="Explain this text in plain words: ",
    )


def membership(users: Sequence[User], groups: Sequence[UserGroup]) -> dict[str, list[str]]:
    """The groups of each user, whether the user names them or they name the user."""
    return {
        user.email: sorted(
            {*user.groups, *(group.name for group in groups if user.email in group.members)}
        )
        for user in users
    }

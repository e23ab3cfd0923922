"""What a stack declares of its people and of what is offered to them, as types.

Names of permissions and parameters are Open WebUI's own. Who refers to whom is checked in
references.py; people.py makes one resource of each.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import did_you_mean, refusal
from ollamazure.settings.team_file import within_project
from ollamazure.settings.types import EmailAddress, Line, ModelName, matching

# What these do in Open WebUI's own chat input is not to send a prompt.
COMMANDS_OF_OPEN_WEBUI = frozenset(
    {"compact", "compare", "fork", "model", "settings", "status", "temporary"}
)
# What Open WebUI passes on to Ollama with each question (utils/payload.py of 0.12.4).
PARAMETERS = (
    "format", "frequency_penalty", "keep_alive", "max_tokens", "min_p", "mirostat", "mirostat_eta",
    "mirostat_tau", "num_keep", "presence_penalty", "repeat_last_n", "repeat_penalty", "seed",
    "stop", "temperature", "think", "top_k", "top_p",
)  # fmt: skip
# What would load the model anew, for everybody, whenever somebody turns to the preset.
LOADED_WITH = ("num_batch", "num_ctx", "num_gpu", "num_thread", "use_mlock", "use_mmap")
MIB = 1 << 20
FILE_LIMIT_MIB = 4
KNOWLEDGE_LIMIT_MIB = 16


def slug(key: str) -> str:
    """A key as part of a file's and a resource's name: differs where keys differ in more than
    blanks and colons."""
    plain = re.sub(r"[^A-Za-z0-9.@_+-]+", "-", key).strip("-")
    if plain == re.sub("[ :]", "-", key):
        return plain
    return f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:6]}".lstrip("-")


@dataclass(frozen=True)
class Document:
    """A file of a knowledge base."""

    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """Of the content (hex)."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def text(self) -> str | None:
        """The content where it is text that a here-document can hold, else None."""
        try:
            text = self.content.decode()
        except UnicodeDecodeError:
            return None
        return text if text.endswith("\n") and "\0" not in text and "\r" not in text else None


def documents(paths: Iterable[str]) -> Iterator[Document]:
    """The files that are named, and those in the folders that are, hidden ones left out.

    A file in a folder's folder is called by both: `leave/parents.md` is `leave-parents.md`.
    """
    for path in paths:
        found = within_project(path)
        for file in _files(found) if found else ():
            name = file.name if file == found else "-".join(file.relative_to(str(found)).parts)
            yield Document(name, file.read_bytes())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _path(value: str) -> str:
    found = within_project(value)
    if found is None:
        raise refusal("it lies outside of the project")
    if not found.exists():
        raise refusal("there is no such file or folder")
    files = _files(found)
    if not files:
        raise refusal("the folder holds no file")
    for file in files:
        size, which = file.stat().st_size, "it" if file == found else f"its file {file.name}"
        if size == 0:
            raise refusal(f"{which} is empty")
        if size > FILE_LIMIT_MIB * MIB:
            raise refusal(f"{which} has {size / MIB:.1f} MiB, {FILE_LIMIT_MIB} MiB is the most")
    return value


def _paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    found = list(documents(paths))
    names = [document.name for document in found]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise refusal(f"two of the files would be called {repeated}")
    size = sum(len(document.content) for document in found)
    if size > KNOWLEDGE_LIMIT_MIB * MIB:
        raise refusal(f"they have {size / MIB:.1f} MiB, {KNOWLEDGE_LIMIT_MIB} MiB is the most")
    return paths


def _command(value: str) -> str:
    command = value.removeprefix("/")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", command):
        raise refusal("a command is 1 to 64 letters, digits, - and _")
    if command.lower() in COMMANDS_OF_OPEN_WEBUI:
        raise refusal(f"/{command} is a command of Open WebUI itself", instead=f"our-{command}")
    return command


def _parameter(value: str) -> str:
    if value in LOADED_WITH:
        raise refusal("the model would be loaded anew for this preset, and again for the others")
    if value == "system":
        raise refusal("the system prompt stands beside the parameters, under system")
    if value not in PARAMETERS:
        near = did_you_mean(value, PARAMETERS)
        hint = f", did you mean {near}?" if near else ""
        raise refusal(f"Open WebUI passes no such parameter on to Ollama{hint}")
    return value


def _parameter_value(value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, bool | int | float | str) for part in parts):
        raise refusal("it is neither a number, a text, true or false, nor a list of these")
    return [*map(_number, value)] if isinstance(value, list) else _number(value)


def _number(value: Any) -> Any:
    """`pulumi config set` stores fractions as text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


TeamAddress = Annotated[
    EmailAddress,
    matching(
        r"[a-z0-9._%+'-]+@[a-z0-9.-]+", "around its @ it has more than letters, digits, ._%+'-"
    ),
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
ParameterValue = Annotated[Any, AfterValidator(_parameter_value)]
FilePath = Annotated[str, AfterValidator(_path)]
Paragraph = Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32768)]
Permissions = dict[str, dict[str, bool]]


class Access(Section):
    """Who may use something, beside the administrators. Where nobody says so: every user."""

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
    """A person who signs in. Gone from the list means suspended: the chats are kept."""

    email: TeamAddress = setting(
        description="E-mail to sign in with; no mail is sent to it.",
        allowed="an e-mail address of letters, digits and . _ % + ' -",
        example="alice@example.com",
    )
    name: Line = setting(
        description="Name the chat shows.",
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
        description="Groups the user belongs to, of those that are declared.",
        allowed="names of groups, or chat-only",
        example=["research"],
    )
    state: Literal["active", "suspended", "deleted"] = setting(
        "active",
        description="A suspended user may do nothing; deleted takes the account and its chats away "
        "for good.",
        allowed="active, suspended or deleted",
        example="active",
    )


class UserGroup(Section):
    """A group of users: what its members may do besides, and what is offered to them alone."""

    name: Line = setting(
        description="Name of the group.",
        allowed="1 to 64 characters",
        example="research",
    )
    description: Paragraph = setting(
        "",
        description="What administrators read about it.",
        allowed="up to 1000 characters",
        example="Reads papers.",
    )
    permissions: Permissions = setting(
        {},
        description="What members may do besides what every user may.",
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
    """A model with a task: shown in the list of models beside the model it is made from."""

    id: PresetId = setting(
        description="What Open WebUI knows it by; another id is another preset.",
        allowed="1 to 64 letters, digits, . _ : and -, and no name of a model",
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
        description="What users read about it.",
        allowed="up to 1000 characters",
        example="Makes a text shorter and clearer.",
    )
    system: Annotated[str, StringConstraints(max_length=32768)] = setting(
        "",
        description="System prompt: what the model is told before each conversation.",
        allowed="up to 32768 characters",
        example="You are a kind and strict editor.",
    )
    params: dict[ParameterName, ParameterValue] = setting(
        {},
        description="Parameters of Ollama, by Open WebUI's names.",
        allowed="values by name: " + ", ".join(PARAMETERS),
        example={"temperature": 0.3},
    )
    suggestions: tuple[Line, ...] = setting(
        (),
        description="First questions a new chat offers.",
        allowed="texts of 1 to 64 characters",
        example=["Shorten this text"],
    )
    knowledge: tuple[str, ...] = setting(
        (),
        description="Knowledge bases it answers from.",
        allowed="names of knowledge",
        example=["Handbook"],
    )
    access: Access | None = _access()


class Prompt(Section):
    """A text that users call up with a slash and a word."""

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
        description="The text; {{CLIPBOARD}} and other variables are filled in.",
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
        description="What is in it.",
        allowed="up to 1000 characters",
        example="How the chat is used.",
    )
    files: Annotated[tuple[FilePath, ...], Field(min_length=1), AfterValidator(_paths)] = setting(
        description="Files, or folders with all that is in them.",
        allowed="paths within the project, from its folder on, at most "
        f"{FILE_LIMIT_MIB} MiB a file and {KNOWLEDGE_LIMIT_MIB} MiB together",
        example=["README.md"],
    )
    access: Access | None = _access()


class Banner(Section):
    """A line at the top of every page."""

    type: Literal["info", "success", "warning", "error"] = setting(
        "info",
        description="Its colour.",
        allowed="info, success, warning or error",
        example="info",
    )
    title: Annotated[str, StringConstraints(max_length=64, strip_whitespace=True)] = setting(
        "",
        description="What stands before the text.",
        allowed="up to 64 characters",
        example="Maintenance",
    )
    content: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = setting(
        description="The text, in Markdown.",
        allowed="1 to 1000 characters",
        example="The chat is away on Friday from 18:00 to 19:00.",
    )
    dismissible: bool = setting(
        True,
        description="Whether a user may close it.",
        allowed="true or false",
        example=True,
    )


def membership(users: Sequence[User], groups: Sequence[UserGroup]) -> dict[str, list[str]]:
    """Each user's groups, whether the user names them or they name the user."""
    return {
        user.email: sorted(
            {*user.groups, *(group.name for group in groups if user.email in group.members)}
        )
        for user in users
    }

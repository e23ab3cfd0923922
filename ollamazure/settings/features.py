"""Features of Open WebUI that run code, send something out or let something in."""

from __future__ import annotations

from ollamazure.settings.base import Section, setting


def _feature(risk: str) -> bool:
    field: bool = setting(False, description=risk, allowed="true or false", example=True)
    return field


class Features(Section):
    """Features of Open WebUI with a risk. Each is off unless it is set here."""

    plugins: bool = _feature(
        "Functions and tools. They are Python code that administrators add, and users with the "
        "permission workspace.tools; it runs inside Open WebUI and can read its secrets and every "
        "chat."
    )
    model_management: bool = _feature(
        "Administrators may pull, copy, create and delete models in the chat. The machine then "
        "fetches from any registry that they name, a model that is too large takes the memory of "
        "the others, and anyone who takes over Open WebUI can replace or delete all models."
    )
    tool_servers: bool = _feature(
        "Connections to tool servers (OpenAPI, MCP) and terminals. A model sends them what it "
        "likes of a chat, and a text that it reads can mislead it into calling them."
    )
    code_execution: bool = _feature(
        "Running Python of an answer, and of the code interpreter, in the user's browser. A text "
        "that the model reads can mislead it into writing harmful code."
    )
    direct_connections: bool = _feature(
        "Users may connect their browser to other model servers, which then receive their chats."
    )
    community_sharing: bool = _feature(
        "A button that publishes a chat on openwebui.com, outside the organisation."
    )
    api_keys: bool = _feature(
        "Keys for programs. They do not expire and need no second factor, and anyone who has one "
        "acts as its owner."
    )
    webhooks: bool = _feature(
        "Notifications to addresses that users enter. The machine sends them the titles and "
        "answers of chats."
    )
    automations: bool = _feature(
        "Prompts that run on a schedule without their owner, and models that start other models. "
        "They take the machine's time, also at night."
    )
    channels: bool = _feature(
        "Rooms that users share, and their webhooks and apps. Anyone who has the address of a "
        "webhook can post to its channel without signing in."
    )
    external_services: bool = _feature(
        "Administrators may connect services for images, web search, speech and files, such as "
        "Google Drive. These receive what users enter."
    )

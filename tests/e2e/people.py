"""The people of the fixture `team`: users, groups and what they are offered."""

from __future__ import annotations

from typing import Any

MODEL = "smollm2:135m"
TEAM: dict[str, Any] = {
    "welcome": "Welcome! Ask Alice if you need help.",
    "suggestions": [{"title": "Sum up a text", "prompt": "Sum up this text: "}],
    "groups": [
        {
            "name": "research",
            "permissions": {"workspace": {"prompts": True}, "chat": {"file_upload": True}},
        },
        {"name": "guests", "members": ["carol@example.com"]},
    ],
    "users": [
        {"email": "alice@example.com", "name": "Alice", "groups": ["research"]},
        {"email": "bob@example.com", "name": "Bob", "groups": ["chat-only"]},
        {"email": "carol@example.com", "name": "Carol"},
    ],
    "modelAccess": {MODEL: {"groups": ["research", "chat-only"]}},
    "presets": [
        {
            "id": "coach",
            "name": "Coach",
            "baseModel": MODEL,
            "system": "Be kind.",
            "access": {"groups": ["research"]},
        },
        {
            "id": "helper",
            "name": "Helper",
            "baseModel": MODEL,
            "system": "You are the helper of this house.",
            "params": {"temperature": 0.25, "seed": 4711},
            "access": {"groups": ["research"], "users": ["bob@example.com"]},
        },
    ],
    "prompts": [
        {"command": "sum", "title": "Sum up", "content": "Sum up:"},
        {
            "command": "cite",
            "title": "Cite",
            "content": "Cite:",
            "access": {"groups": ["research"]},
        },
    ],
}

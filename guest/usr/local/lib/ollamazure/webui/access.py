"""Access to Open WebUI's models, presets, prompts and knowledge bases: its grants.

Only administrators, and root's session, see an item without grants.
"""

from __future__ import annotations

from urllib.parse import urlencode

from webui.accounts import group_ids, user_ids
from webui.client import WebuiSession, say
from webui.errors import WebuiError
from webui.items import Item

EVERYONE = {"principal_type": "user", "principal_id": "*", "permission": "read"}


class ModelAccess:
    """The users and groups who can use a model that is not for everyone."""

    def key(self, declared: Item) -> str:
        return str(declared["model"])

    def wanted(self, declared: Item) -> Item:
        return {"access": words_of_access(declared)}

    def present(self, webui: WebuiSession, declared: Item) -> Item:
        record = find_model(webui, self.key(declared)) or {}
        return {"access": words_of_grants(webui, record.get("access_grants"))}

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
        grant(webui, self.key(declared), grants(webui, declared))

    def remove(self, webui: WebuiSession, key: str) -> None:
        """Removes the grants, except the one for everyone: the model's own command sets that."""
        given = (find_model(webui, key) or {}).get("access_grants") or []
        kept = [one for one in given if is_for_everyone(one)]
        if kept != given:
            grant(webui, key, kept)


def find_model(webui: WebuiSession, model: str) -> Item | None:
    """The record of a model, or None; a model of Ollama gets one only when it is changed."""
    found: Item | None = webui.get_or_none(f"/api/v1/models/model?{urlencode({'id': model})}")
    return found


def show_to_everyone(webui: WebuiSession, model: str) -> None:
    """Gives every user access to a model. Without a grant only administrators see it."""
    given = (find_model(webui, model) or {}).get("access_grants") or []
    if not any(is_for_everyone(one) for one in given):
        grant(webui, model, [*given, EVERYONE])
        say(f"{model} is available to every user.")


def grant(webui: WebuiSession, model: str, given: list[Item]) -> None:
    webui.post(
        "/api/v1/models/model/access/update",
        {"id": model, "name": model, "access_grants": given},
    )


def grants(webui: WebuiSession, access: Item) -> list[Item]:
    """Open WebUI's grants for a declared access: {"everyone": true}, or groups and users."""
    if access.get("everyone"):
        return [EVERYONE]
    groups, users = group_ids(webui), user_ids(webui)
    missing = [name for name in access["groups"] if name not in groups]
    missing += [email for email in access["users"] if email not in users]
    if missing:
        raise WebuiError(
            f"{', '.join(missing)} cannot be given access, because it does not exist;"
            " declare it in `groups` or `users`."
        )
    return [
        *[reads("group", groups[name]) for name in access["groups"]],
        *[reads("user", users[email]) for email in access["users"]],
    ]


def reads(principal: str, id: str) -> Item:
    return {"principal_type": principal, "principal_id": id, "permission": "read"}


def words_of_access(access: Item) -> list[str]:
    """A declared access in words, sorted."""
    if access.get("everyone"):
        return ["everyone"]
    return sorted(
        [
            *(f"group {name}" for name in access["groups"]),
            *(f"user {one}" for one in access["users"]),
        ]
    )


def words_of_grants(webui: WebuiSession, given: list[Item] | None) -> list[str]:
    """Open WebUI's grants in the same words; a permission other than read is named."""
    names: dict[tuple[str, str], str] = {("user", "*"): "everyone"}
    if any(not is_for_everyone(one) for one in given or []):
        names |= {("group", id): f"group {name}" for name, id in group_ids(webui).items()}
        names |= {("user", id): f"user {email}" for email, id in user_ids(webui).items()}
    words = []
    for one in given or []:
        principal = one["principal_type"], one["principal_id"]
        word = names.get(principal, " ".join(principal))
        words.append(word if one["permission"] == "read" else f"{word} ({one['permission']})")
    return sorted(words)


def is_for_everyone(given: Item) -> bool:
    return all(given.get(field) == value for field, value in EVERYONE.items())

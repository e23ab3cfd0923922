"""Accounts and groups of Open WebUI, as items of the settings."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

from webui_client import OpenWebui, RefusedError, WebuiError
from webui_items import Item, declared_files, only

PENDING = "pending"  # Open WebUI's role of an account that may do nothing


class Users:
    """Accounts. `password` is the initial one, for an account that is not there yet.

    In the declared groups a user is exactly as declared; other groups are the admin's.
    """

    def __init__(self, password: str = "") -> None:
        self.password = password

    def key(self, declared: Item) -> str:
        return str(declared["email"]).lower()

    def wanted(self, declared: Item) -> Item | None:
        if declared["state"] == "deleted":
            return None
        return {
            "name": declared["name"],
            "role": declared["role"],
            "state": declared["state"],
            "groups": sorted(declared["groups"]),
        }

    def present(self, webui: OpenWebui, declared: Item) -> Item | None:
        user = find_user(webui, self.key(declared))
        if user is None:
            return None
        suspended = user["role"] == PENDING
        ours = {*declared["groups"], *names_of_declared_groups()}
        groups = {name for name, id in group_ids(webui).items() if id in user["group_ids"]}
        return {
            "id": user["id"],
            "name": user["name"],
            # Which role a suspended account has when it is let in again, only the settings know.
            "role": declared["role"] if suspended else user["role"],
            "state": "suspended" if suspended else "active",
            "groups": sorted(groups & ours),
        }

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        wanted = self.wanted(declared)
        if wanted is None:
            if present is not None:
                with first_account_stays():
                    webui.delete(f"/api/v1/users/{present['id']}")
            return
        if present is None:
            self._make(webui, declared)
            present = self.present(webui, declared)
        if present is None:
            raise WebuiError("its account was made, and is not there.")
        changes = {}
        if present["name"] != wanted["name"]:
            changes["name"] = wanted["name"]
        if wanted["state"] == "active" and (present["role"], present["state"]) != (
            wanted["role"],
            "active",
        ):
            changes["role"] = wanted["role"]
        if changes:
            with first_account_stays():
                webui.post(f"/api/v1/users/{present['id']}/update", changes)
        if wanted["state"] == "suspended" != present["state"]:
            suspend(webui, present["id"])
        join(webui, present["id"], {*wanted["groups"]} - {*present["groups"]}, "add")
        join(webui, present["id"], {*present["groups"]} - {*wanted["groups"]}, "remove")

    def remove(self, webui: OpenWebui, key: str) -> None:
        """Suspends: chats are kept until the settings say that the account is deleted."""
        user = find_user(webui, key)
        if user is not None and user["role"] != PENDING:
            suspend(webui, user["id"])

    def _make(self, webui: OpenWebui, declared: Item) -> None:
        if not self.password:
            raise WebuiError("a new account needs its initial password on standard input.")
        # The answer holds a session of the new user: nobody is to see it.
        webui.post(
            "/api/v1/auths/add",
            {
                "email": self.key(declared),
                "name": declared["name"],
                "password": self.password,
                "role": PENDING if declared["state"] == "suspended" else declared["role"],
            },
        )


class Groups:
    """Groups. A group grants exactly the permissions that are declared true, beyond the default.

    Who belongs to it, the users say, or a provider when somebody signs in.
    """

    def key(self, declared: Item) -> str:
        return str(declared["name"])

    def wanted(self, declared: Item) -> Item:
        return {
            "description": declared["description"],
            "permissions": granted(declared["permissions"]),
        }

    def present(self, webui: OpenWebui, declared: Item) -> Item | None:
        group = find_group(webui, self.key(declared))
        return group and {
            "id": group["id"],
            "description": group["description"],
            "permissions": granted(group["permissions"] or {}),
        }

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        form = {key: declared[key] for key in ("name", "description")}
        # Open WebUI gives a group without any the default ones when a provider puts somebody in it.
        form["permissions"] = declared["permissions"] or {"chat": {}}
        path = "create" if present is None else f"id/{present['id']}/update"
        webui.post(f"/api/v1/groups/{path}", form)

    def remove(self, webui: OpenWebui, key: str) -> None:
        group = find_group(webui, key)
        if group is not None:
            webui.delete(f"/api/v1/groups/id/{group['id']}/delete")


def suspend(webui: OpenWebui, user_id: str) -> None:
    with first_account_stays():
        webui.post(f"/api/v1/users/{user_id}/update", {"role": PENDING})
    webui.post(f"/api/v1/users/{user_id}/sessions/revoke", {})


@contextmanager
def first_account_stays() -> Iterator[None]:
    """Says why Open WebUI refuses: its message does not."""
    try:
        yield
    except RefusedError as refusal:
        if refusal.status != http.client.FORBIDDEN:
            raise
        raise WebuiError(
            f"{refusal} The first account stays an active admin: leave it out of `users`."
        ) from refusal


def join(webui: OpenWebui, user_id: str, groups: set[str], how: str) -> None:
    """Adds a user to groups, or removes it from them (`how` is add or remove)."""
    for name in sorted(groups):
        group = find_group(webui, name)
        if group is None:
            raise WebuiError(f"there is no group {name}; declare it in `groups`.")
        webui.post(f"/api/v1/groups/id/{group['id']}/users/{how}", {"user_ids": [user_id]})


def granted(permissions: Item, above: str = "") -> dict[str, bool]:
    """The permissions that are true, by dotted name: a false one takes nothing away."""
    found: dict[str, bool] = {}
    for name, value in permissions.items():
        if isinstance(value, dict):
            found |= granted(value, f"{above}{name}.")
        elif value:
            found[above + name] = True
    return found


def find_user(webui: OpenWebui, email: str) -> Item | None:
    # The query matches parts of names, too.
    found = webui.pages("/api/v1/users/", "users", query=email)
    return next((user for user in found if user["email"] == email), None)


def find_group(webui: OpenWebui, name: str) -> Item | None:
    return only(name, [group for group in webui.get("/api/v1/groups/") if group["name"] == name])


def group_ids(webui: OpenWebui) -> dict[str, str]:
    return {group["name"]: group["id"] for group in webui.get("/api/v1/groups/")}


def names_of_declared_groups() -> set[str]:
    """Without those that a provider fills when somebody signs in."""
    declared = [json.loads(path.read_text()) for path in declared_files("group")]
    return {group["name"] for group in declared if not group.get("filled_at_sign_in")}


def user_ids(webui: OpenWebui) -> dict[str, str]:
    return {user["email"]: user["id"] for user in webui.get("/api/v1/users/all")["users"]}

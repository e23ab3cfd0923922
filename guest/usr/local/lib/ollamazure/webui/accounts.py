"""Open WebUI's accounts and groups, as items of the settings."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

from webui.admin import declared_admin
from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.errors import RefusedError, WebuiError
from webui.items import Item, declared_files, only
from webui.uploads import delete_upload, uploads

PENDING = "pending"  # Open WebUI's role of an account without any rights


class Users:
    """Accounts. `password` is the initial password, for a new account.

    A user is a member of exactly the declared groups among all declared groups. Memberships in
    other groups are left to the administrator.
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

    def present(self, webui: WebuiSession, declared: Item) -> Item | None:
        user = find_user(webui, self.key(declared))
        if user is None:
            return None
        suspended = user["role"] == PENDING
        ours = {*declared["groups"], *names_of_declared_groups()}
        groups = {name for name, id in group_ids(webui).items() if id in user["group_ids"]}
        return {
            "id": user["id"],
            "name": user["name"],
            # Only the settings know the role of a suspended account.
            "role": declared["role"] if suspended else user["role"],
            "state": "suspended" if suspended else "active",
            "groups": sorted(groups & ours),
        }

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
        wanted = self.wanted(declared)
        if wanted is None:
            if present is not None:
                delete_account(webui, present["id"])
            return
        if present is None:
            self._create(webui, declared)
            present = self.present(webui, declared)
        if present is None:
            raise WebuiError("its account was created, but does not exist.")
        changes = {}
        if present["name"] != wanted["name"]:
            changes["name"] = wanted["name"]
        if wanted["state"] == "active" and (present["role"], present["state"]) != (
            wanted["role"],
            "active",
        ):
            changes["role"] = wanted["role"]
        if changes:
            with explain_first_account():
                webui.post(f"/api/v1/users/{present['id']}/update", changes)
        if wanted["state"] == "suspended" != present["state"]:
            suspend(webui, present["id"])
        join(webui, present["id"], {*wanted["groups"]} - {*present["groups"]}, "add")
        join(webui, present["id"], {*present["groups"]} - {*wanted["groups"]}, "remove")

    def remove(self, webui: WebuiSession, key: str) -> None:
        """Suspends the account: its chats are kept until the settings declare it deleted.

        The declared administrator has no entry in `users`, so it may have lost one in this `up`.
        """
        if key == declared_admin():
            say(f"{key} is the administrator now, so the account stays active.")
            return
        user = find_user(webui, key)
        if user is not None and user["role"] != PENDING:
            suspend(webui, user["id"])

    def _create(self, webui: WebuiSession, declared: Item) -> None:
        if not self.password:
            raise WebuiError("a new account needs its initial password on standard input.")
        # The answer contains a session of the new user, so it must not be printed.
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
    """Groups. A group grants exactly the declared permissions, in addition to the default ones.

    Its members are declared with the users, or set by a provider when a user signs in.
    """

    def key(self, declared: Item) -> str:
        return str(declared["name"])

    def wanted(self, declared: Item) -> Item:
        return {
            "description": declared["description"],
            "permissions": true_permissions(declared["permissions"]),
        }

    def present(self, webui: WebuiSession, declared: Item) -> Item | None:
        group = find_group(webui, self.key(declared))
        return group and {
            "id": group["id"],
            "description": group["description"],
            "permissions": true_permissions(group["permissions"] or {}),
        }

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
        form = {key: declared[key] for key in ("name", "description")}
        # A group without permissions gets the default ones when a provider adds a member.
        form["permissions"] = declared["permissions"] or {"chat": {}}
        path = "create" if present is None else f"id/{present['id']}/update"
        webui.post(f"/api/v1/groups/{path}", form)

    def remove(self, webui: WebuiSession, key: str) -> None:
        group = find_group(webui, key)
        if group is not None:
            webui.delete(f"/api/v1/groups/id/{group['id']}/delete")


def delete_account(webui: WebuiSession, user_id: str) -> None:
    """Deletes an account with all that only its user uses, most of which Open WebUI would keep."""
    suspend(webui, user_id)  # is refused for the first account, and ends all uploads
    erase = json.dumps({"do": "erase", "user": user_id})
    for base in json.loads(run_in_container("personal_data", erase)):
        webui.delete(f"/api/v1/knowledge/{base}/delete")
    for file in uploads(webui):
        if file["user_id"] == user_id:
            delete_upload(webui, file)
    with explain_first_account():
        webui.delete(f"/api/v1/users/{user_id}")


def suspend(webui: WebuiSession, user_id: str) -> None:
    with explain_first_account():
        webui.post(f"/api/v1/users/{user_id}/update", {"role": PENDING})
    webui.post(f"/api/v1/users/{user_id}/sessions/revoke", {})


@contextmanager
def explain_first_account() -> Iterator[None]:
    """Adds the reason to Open WebUI's refusal to change the first account."""
    try:
        yield
    except RefusedError as refusal:
        if refusal.status != http.client.FORBIDDEN:
            raise
        raise WebuiError(
            f"{refusal} The first account stays an active administrator: remove it from `users`."
        ) from refusal


def join(webui: WebuiSession, user_id: str, groups: set[str], how: str) -> None:
    """Adds a user to groups, or removes it from them (`how` is add or remove)."""
    for name in sorted(groups):
        group = find_group(webui, name)
        if group is None:
            raise WebuiError(f"there is no group {name}; declare it in `groups`.")
        webui.post(f"/api/v1/groups/id/{group['id']}/users/{how}", {"user_ids": [user_id]})


def true_permissions(permissions: Item, above: str = "") -> dict[str, bool]:
    """The permissions that are true, by dotted name: a false one removes nothing."""
    found: dict[str, bool] = {}
    for name, value in permissions.items():
        if isinstance(value, dict):
            found |= true_permissions(value, f"{above}{name}.")
        elif value:
            found[above + name] = True
    return found


def find_user(webui: WebuiSession, email: str) -> Item | None:
    # The query also matches parts of names.
    found = webui.pages("/api/v1/users/", "users", query=email)
    return next((user for user in found if user["email"] == email), None)


def find_group(webui: WebuiSession, name: str) -> Item | None:
    return only(name, [group for group in webui.get("/api/v1/groups/") if group["name"] == name])


def group_ids(webui: WebuiSession) -> dict[str, str]:
    return {group["name"]: group["id"] for group in webui.get("/api/v1/groups/")}


def names_of_declared_groups() -> set[str]:
    """The names of the declared groups, without those whose members a provider sets."""
    declared = [json.loads(path.read_text()) for path in declared_files("group")]
    return {group["name"] for group in declared if not group.get("filled_at_sign_in")}


def user_ids(webui: WebuiSession) -> dict[str, str]:
    return {user["email"]: user["id"] for user in webui.get("/api/v1/users/all")["users"]}


def reset_second_factor(email: str) -> None:
    """Removes the second factor of a user who has lost it, and prints what sets up another."""
    token = json.loads(run_in_container("reset_factor", json.dumps(email)))
    if token is None:
        raise WebuiError(f"no account has the e-mail {email}.")
    print(token)
    say(
        f"{email} is signed out. For 30 minutes, a sign-in with the password takes this token and"
        " then shows the code for another device."
    )

"""The items that the settings declare: how each is found, made, changed and removed.

An item is known by its key (a user by the e-mail address, a group by its name), so one that was
made by hand is adopted. `wanted` is what is declared and `present` what is there, both in the words
of the declaration: what differs between them is what drift tells and what `apply` sets right.
Nothing else is touched.
"""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from webui_client import OpenWebui, RefusedError, WebuiError, say

DECLARED = Path("/etc/ollamazure/declared")
PENDING = "pending"  # Open WebUI's role of an account that may do nothing
# Ends of names whose values nobody is to see.
SECRET = ("_key", "_keys", "_token", "password", "secret")
SHOWN = 60  # characters of a value that still read well in a line

Item = dict[str, Any]


class Kind(Protocol):
    """One kind of item. `wanted` and `present` are None for an item that must not be, or is not."""

    def key(self, declared: Item) -> str: ...
    def wanted(self, declared: Item) -> Item | None: ...
    def present(self, webui: OpenWebui, declared: Item) -> Item | None: ...
    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None: ...
    def remove(self, webui: OpenWebui, key: str) -> None: ...


def apply(webui: OpenWebui, kind: Kind, path: Path) -> None:
    """Makes the item what the file `path` declares.

    Raises:
        WebuiError: what Open WebUI or this machine refuses, with the item's name.
    """
    declared, name = json.loads(path.read_text()), name_of(path)
    with named(name):
        wanted, present = kind.wanted(declared), kind.present(webui, declared)
        found = differences(present, wanted)
        if not found:
            say(f"{name} is as declared.")
            return
        kind.set(webui, declared, present)
        left = differences(kind.present(webui, declared), wanted)
        if left:
            raise WebuiError(f"Open WebUI took what was declared, and still {'; '.join(left)}.")
    say(f"{name}: {'; '.join(found)}. Now as declared.")


def remove(webui: OpenWebui, kind: Kind, folder: str, key: str) -> None:
    """Removes the item with what declares it; one that is gone already is fine."""
    with named(f"{folder} {key}"):
        kind.remove(webui, key)
    for path in declared_files(folder):
        if kind.key(json.loads(path.read_text())) == key:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink()
    say(f"{folder} {key} is removed.")


def drift(webui: OpenWebui) -> list[dict[str, str]]:
    """What of all declared items is otherwise; changes nothing."""
    found = []
    for folder, kind_of in KINDS.items():
        kind = kind_of()
        for path in declared_files(folder):
            declared = json.loads(path.read_text())
            for what in differences(kind.present(webui, declared), kind.wanted(declared)):
                found.append({"resource": name_of(path), "what": what})
    return found


def name_of(path: Path) -> str:
    """The Pulumi resource that a file is the declaration of: KIND/SLUG.json is KIND-SLUG."""
    return f"{path.parent.name}-{path.stem}"


def declared_files(folder: str) -> list[Path]:
    return sorted((DECLARED / folder).glob("*.json"))


@contextmanager
def named(name: str) -> Iterator[None]:
    """Puts the item's name before what went wrong with it."""
    try:
        yield
    except WebuiError as problem:
        raise WebuiError(f"{name}: {problem}") from problem


def differences(present: Item | None, wanted: Item | None) -> list[str]:
    """In words, for a person: "role is admin, declared user"."""
    if wanted is None:
        return [] if present is None else ["it is there, declared deleted"]
    if present is None:
        return ["it is missing"]
    fields = [difference(field, present.get(field), value) for field, value in wanted.items()]
    return [*itertools.chain.from_iterable(fields)]


def difference(field: str, present: Any, wanted: Any) -> list[str]:
    if present == wanted:
        return []
    if isinstance(present, dict) and isinstance(wanted, dict):
        fields = [
            difference(f"{field}.{name}", present.get(name), wanted.get(name))
            for name in sorted({*present, *wanted})
        ]
        return [*itertools.chain.from_iterable(fields)]
    both = shown(present), shown(wanted)
    if field.endswith(SECRET) or max(map(len, both)) > SHOWN:
        return [f"{field} is not what is declared"]
    return [f"{field} is {both[0]}, declared {both[1]}"]


def shown(value: Any) -> str:
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


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

    Who belongs to it, the users say.
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
        form = {key: declared[key] for key in ("name", "description", "permissions")}
        path = "create" if present is None else f"id/{present['id']}/update"
        webui.post(f"/api/v1/groups/{path}", form)

    def remove(self, webui: OpenWebui, key: str) -> None:
        group = find_group(webui, key)
        if group is not None:
            webui.delete(f"/api/v1/groups/id/{group['id']}/delete")


KINDS: dict[str, Callable[[], Kind]] = {"group": Groups, "user": Users}


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
    found = pages(webui, "/api/v1/users/", "users", query=email)
    return next((user for user in found if user["email"] == email), None)


def find_group(webui: OpenWebui, name: str) -> Item | None:
    return only(name, [group for group in webui.get("/api/v1/groups/") if group["name"] == name])


def group_ids(webui: OpenWebui) -> dict[str, str]:
    return {group["name"]: group["id"] for group in webui.get("/api/v1/groups/")}


def names_of_declared_groups() -> set[str]:
    return {json.loads(path.read_text())["name"] for path in declared_files("group")}


def only(name: str, found: list[Item]) -> Item | None:
    """Open WebUI lets several have one name, and nobody could tell which is meant."""
    if len(found) > 1:
        ids = ", ".join(sorted(item["id"] for item in found))
        raise WebuiError(f"{len(found)} have the name {name} ({ids}); rename all but one.")
    return found[0] if found else None


def pages(webui: OpenWebui, path: str, field: str, **query: str) -> Iterator[Item]:
    """What Open WebUI lists in pages of thirty."""
    seen = 0
    for page in itertools.count(1):
        answer = webui.get(f"{path}?{urlencode({**query, 'page': page})}")
        yield from answer[field]
        seen += len(answer[field])
        if not answer[field] or seen >= answer["total"]:
            return

"""What the table cannot say in one sentence: rules' `explain` names a function of this file.

Each takes the resource before and after, with the part that changed, and gives sentences; one that
is worse than its rule says so.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ollamazure.preview.output import ResourceState
from ollamazure.preview.text import Text, Value, fill, join
from ollamazure.review.rules import Effect

_PORTS = {"443": "HTTPS (443)", "80": "HTTP (80)", "22": "SSH (22)"}


@dataclass(frozen=True)
class Change:
    """What an explanation has to go by.

    Attributes:
        old, new: the resource before and after.
        before, after: the part that changed, as text, where it is a part of a script.
    """

    old: ResourceState | None
    new: ResourceState | None
    before: str
    after: str


@dataclass(frozen=True)
class Sentence:
    """One sentence, with its effect when it is not the rule's, and what the headline says of it."""

    text: Text
    effect: Effect | None = None
    alarm: str = ""


def protection(change: Change) -> Iterator[Sentence]:
    """Whether a resource may be deleted, and stays in the cloud when the stack goes."""
    if change.new and (change.new.protect or change.new.retain):
        yield Sentence(("From now on it is protected: `pulumi destroy` keeps it.",))
    else:
        yield Sentence(
            ("**Its protection is lifted: the next `pulumi destroy` deletes it.**",), "data"
        )


def disk_size(change: Change) -> Iterator[Sentence]:
    """A disk that grows, or that cannot shrink."""
    before, after = (
        state.value("diskSizeGB") if state else None for state in (change.old, change.new)
    )
    values = {"before": before, "after": after}
    if isinstance(before, int | float) and isinstance(after, int | float) and after < before:
        refused = "From {before} to {after} GiB: **Azure shrinks no disk, so this fails.**"
        yield Sentence(fill(refused, values), "unknown")
    else:
        yield Sentence(fill("It grows from {before} to {after} GiB while it is in use.", values))


def ports(change: Change) -> Iterator[Sentence]:
    """Which ports open and close, and to whom."""
    before, after = (_allowed(state) for state in (change.old, change.new))
    if before is None or after is None:
        other = "Rules of a kind that this table does not know; read the difference."
        yield Sentence((other,), "unknown")
        return
    told = False
    for port in sorted(before.keys() | after.keys(), key=lambda port: (len(port), port)):
        opened = after.get(port, set()) - before.get(port, set())
        closed = before.get(port, set()) - after.get(port, set())
        yield from _opened(port, opened)
        if closed:
            yield Sentence((_port(port), " closes to ", *_clients(closed), "."))
        told = told or bool(opened or closed)
    if not told:
        yield Sentence(("The same ports stay open to the same addresses.",))


def _opened(port: str, clients: set[str]) -> Iterator[Sentence]:
    if not clients:
        return
    if any(map(_is_everybody, clients)) and port not in ("80", "443"):
        yield Sentence(
            ("**", _port(port), " opens to everybody on the internet.**"),
            alarm="A port opens to everybody on the internet.",
        )
    else:
        yield Sentence((_port(port), " opens to ", *_clients(clients), "."))


def _port(port: str) -> str | Value:
    return _PORTS.get(port) or Value(f"port {port}")


def _clients(clients: set[str]) -> Text:
    if any(map(_is_everybody, clients)):
        return ("everybody",)
    return join(((Value(client),) for client in sorted(clients)), ", ")


def _is_everybody(client: str) -> bool:
    """Whether it is the internet or a large part of it: two halves are the whole."""
    try:
        return ipaddress.ip_network(client, strict=False).prefixlen < 8
    except ValueError:
        return client in ("*", "Internet", "Any")


def _allowed(state: ResourceState | None) -> dict[str, set[str]] | None:
    """Clients by port that may come in; None when a rule is of another kind."""
    found: dict[str, set[str]] = {}
    for rule in (state.inputs.get("securityRules") if state else None) or ():
        if (rule.get("direction"), rule.get("access")) != ("Inbound", "Allow"):
            return None
        ports_of = rule.get("destinationPortRanges") or [rule.get("destinationPortRange")]
        clients = rule.get("sourceAddressPrefixes") or [rule.get("sourceAddressPrefix")]
        for port in ports_of:
            found.setdefault(str(port), set()).update(str(client) for client in clients)
    return found


def settings(change: Change) -> Iterator[Sentence]:
    """What Open WebUI's settings say differently."""
    yield from _differences(_read(change.before), _read(change.after))


def declared(change: Change) -> Iterator[Sentence]:
    """A user, group, preset, prompt or knowledge base: what its declaration says differently."""
    before, after = _read(change.before), _read(change.after)
    former, state = before.pop("state", None), after.pop("state", None)
    if former != state and (former or state != "active") and state in _STATES:
        yield _STATES[state]
    if state == "deleted":
        return
    is_new = not before
    if after.get("role") == "admin" != before.get("role"):
        before.pop("role", None)
        after.pop("role")
        yield Sentence(
            ("**An administrator, who may do everything in the chat.**",),
            alarm="Somebody becomes an administrator.",
        )
    if not is_new:
        yield from _differences(before, after)
    elif "role" in after:
        yield Sentence(fill("A new account, role {role}.", after))
    elif "access" in after or "model" in after:
        yield Sentence(("For ", *_whom(after.get("access", after)), "."))


_STATES = {
    "active": Sentence(("The account may sign in again.",)),
    "suspended": Sentence(
        ("The account is suspended: signed out, no way in. Its chats are kept.",)
    ),
    # Worse than any other change: the chats go with the account.
    "deleted": Sentence(
        ("**The account is deleted with all its chats.** Nothing brings them back.",), "data"
    ),
}


def _whom(access: Mapping[str, Any]) -> Text:
    """Who may use something (`access_json` in components/workspace.py)."""
    if access.get("everyone"):
        return ("everybody",)
    named = [("group ", Value(name)) for name in access.get("groups", ())]
    named += [("user ", Value(email)) for email in access.get("users", ())]
    return join(named, ", ") or ("administrators only",)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Sentence]:
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    for key in sorted(old.keys() | new.keys()):
        values = {"key": key, "before": _shown(old.get(key)), "after": _shown(new.get(key))}
        if key not in old:
            yield Sentence(fill("{key} is new: {after}.", values))
        elif key not in new:
            yield Sentence(fill("{key} is no longer there.", values))
        elif old[key] != new[key]:
            is_digest = bool(re.fullmatch("[0-9a-f]{64}", str(new[key])))
            words = "{key} has another content." if is_digest else "{key}: {before} → {after}."
            yield Sentence(fill(words, values))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a JSON object by their paths; of a list of files, the checksum by the name."""
    if isinstance(value, list) and value and all(_is_file(part) for part in value):
        value = {part["name"]: part["sha256"] for part in value}
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"name", "sha256"}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> dict[str, Any]:
    """A JSON object; an empty one where the text is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


EXPLANATIONS: Mapping[str, Callable[[Change], Iterator[Sentence]]] = {
    function.__name__: function for function in (protection, disk_size, ports, settings, declared)
}

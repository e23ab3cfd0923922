"""Writes what the table cannot say in one sentence: a rule's `explain` is a key of EXPLANATIONS.

Each function gets the resource and the changed part, before and after, and returns sentences. A
sentence that is worse than its rule has an effect of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ollamazure.preview.output import ResourceState
from ollamazure.preview.text import Text, Value, fill, join
from ollamazure.review.rules import Effect
from ollamazure.settings.types import opens_to_everyone

_PORTS = {"443": "HTTPS (443)", "80": "HTTP (80)", "22": "SSH (22)", "9100": "Metrics (9100)"}
# The chat's own ports: everyone may reach them, unless allowedClients names addresses.
_CHAT = "443"
_PUBLIC_PORTS = ("80", _CHAT)


@dataclass(frozen=True)
class Difference:
    """What an explanation is made from.

    Attributes:
        old, new: the resource before and after.
        before, after: the text of the changed part, if it is part of a script.
    """

    old: ResourceState | None
    new: ResourceState | None
    before: str
    after: str


@dataclass(frozen=True)
class Sentence:
    """One sentence of a comment.

    Attributes:
        text: the sentence.
        effect: what users notice, if it is worse than the rule says.
        alarm: a sentence that the headline repeats.
    """

    text: Text
    effect: Effect | None = None
    alarm: str = ""


def explain_protection(difference: Difference) -> Iterator[Sentence]:
    """Whether `pulumi destroy` keeps or deletes the resource from now on."""
    new = difference.new
    if new and (new.protect or new.retain):
        yield Sentence(("From now on, `pulumi destroy` keeps it.",))
    else:
        text = "**It is no longer protected: the next `pulumi destroy` deletes it.**"
        yield Sentence((text,), "data")


def explain_disk_size(difference: Difference) -> Iterator[Sentence]:
    """Whether the disk grows, or the change fails because Azure cannot shrink it."""
    before, after = (
        state.value("diskSizeGB") if state else None for state in (difference.old, difference.new)
    )
    values = {"before": before, "after": after}
    if isinstance(before, int | float) and isinstance(after, int | float) and after < before:
        text = "**Azure cannot shrink a disk, so the change from {before} to {after} GiB fails.**"
        yield Sentence(fill(text, values), "unknown")
    else:
        yield Sentence(fill("It grows from {before} to {after} GiB while it is in use.", values))


def explain_ports(difference: Difference) -> Iterator[Sentence]:
    """Which ports open and close, and for which clients."""
    before, after = _read_open_ports(difference.old), _read_open_ports(difference.new)
    if before is None or after is None:
        text = "This table cannot explain a rule of this kind; read the difference."
        yield Sentence((text,), "unknown")
    elif before == after:
        yield Sentence(("The same ports stay open to the same addresses.",))
    else:
        for port in sorted(before.keys() | after.keys(), key=lambda port: (len(port), port)):
            yield from _explain_port(port, before.get(port, set()), after.get(port, set()))


def _explain_port(port: str, before: set[str], after: set[str]) -> Iterator[Sentence]:
    name = _PORTS.get(port) or Value(f"port {port}")
    opened, closed = after - before, before - after
    if any(map(opens_to_everyone, opened)) and port not in _PUBLIC_PORTS:
        yield Sentence(
            ("**", name, " opens to everyone on the internet.**"),
            alarm="A port opens to everyone on the internet.",
        )
    elif any(map(opens_to_everyone, opened)) and before:
        yield Sentence(
            ("**", name, " opens to everyone on the internet.**"),
            alarm="The chat opens to everyone on the internet.",
        )
    elif opened:
        yield Sentence((name, " opens to ", *_list_clients(opened), "."))
    if closed:
        # Whether these are addresses of users is not known here.
        effect: Effect | None = "unknown" if port == _CHAT else None
        yield Sentence((name, " closes to ", *_list_clients(closed), "."), effect)


def _list_clients(clients: set[str]) -> Text:
    if any(map(opens_to_everyone, clients)):
        return ("everyone",)
    return join(((Value(client),) for client in sorted(clients)), ", ")


def _read_open_ports(state: ResourceState | None) -> dict[str, set[str]] | None:
    """The clients that each port admits; None if a rule is of another kind."""
    clients_of: dict[str, set[str]] = {}
    for rule in (state.inputs.get("securityRules") if state else None) or ():
        if _refuses_everything_else(rule):
            continue
        if (rule.get("direction"), rule.get("access")) != ("Inbound", "Allow"):
            return None
        ports = rule.get("destinationPortRanges") or [rule.get("destinationPortRange")]
        clients = rule.get("sourceAddressPrefixes") or [rule.get("sourceAddressPrefix")]
        for port in ports:
            clients_of.setdefault(str(port), set()).update(map(str, clients))
    return clients_of


def _refuses_everything_else(rule: Mapping[str, Any]) -> bool:
    """Whether it is the last possible rule and opens nothing (components/network.py)."""
    what = (rule.get("access"), rule.get("priority"), rule.get("sourceAddressPrefix"))
    return what == ("Deny", 4096, "*") and rule.get("destinationPortRange") == "*"


# What users notice of these settings of Open WebUI, whose values are long.
_ON_PAGES = {
    "ui.banners": "The lines at the top of a new chat change. A user who closed one sees it again "
    "if its text changes.",
    "ui.default_interface_settings": "Administrators find the news of a new version under "
    "Settings, About; no dialog shows them after signing in.",
    "ui.prompt_suggestions": "A new chat offers other first questions.",
}


def explain_settings(difference: Difference) -> Iterator[Sentence]:
    """Which settings of Open WebUI change. Those that are new and off share a sentence."""
    before, after = _decode(difference.before), _decode(difference.after)
    config, known = after.get("config", {}), before.get("config", {})
    off = sorted(key for key in config.keys() - known.keys() if config[key] is False)
    if before and off:
        names = join(((Value(key),) for key in off), ", ")
        yield Sentence(("Off, also if an administrator turned it on: ", *names, "."))
        after["config"] = {key: value for key, value in config.items() if key not in off}
    for key, text in _ON_PAGES.items():
        if before and config.get(key) != known.get(key):
            yield Sentence((text,))
    yield from _compare(_without_pages(before), _without_pages(after))


def _without_pages(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    config = declared.get("config", {})
    return {**declared, "config": {k: v for k, v in config.items() if k not in _ON_PAGES}}


def explain_declared(difference: Difference) -> Iterator[Sentence]:
    """What changes in the declaration of a user, group, preset, prompt or knowledge base."""
    before, after = _decode(difference.before), _decode(difference.after)
    is_new = not before
    former, state = before.pop("state", None), after.pop("state", None)
    if former != state and (former or state != "active") and state in _STATES:
        yield _STATES[state]
    if state == "deleted":
        return
    if after.get("role") == "admin" != before.get("role"):
        before.pop("role", None)
        after.pop("role")
        yield _PROMOTION
    yield from _explain_new(after) if is_new else _compare(before, after)


def _explain_new(declaration: Mapping[str, Any]) -> Iterator[Sentence]:
    if "role" in declaration:
        yield Sentence(fill("The account is created with the role {role}.", declaration))
    elif "access" in declaration or "model" in declaration:
        users = _list_users(declaration.get("access", declaration))
        yield Sentence(("It is available to ", *users, "."))


_STATES = {
    "active": Sentence(("The account can sign in again.",)),
    "suspended": Sentence(
        ("The account is suspended: it is signed out and cannot sign in. Its chats are kept.",)
    ),
    # Worse than any other change: the chats are deleted with the account.
    "deleted": Sentence(
        ("**The account and all its chats are deleted.** They cannot be restored.",), "data"
    ),
}
_PROMOTION = Sentence(
    ("**The user is now an administrator and may do everything in the chat.**",),
    alarm="A user becomes an administrator.",
)


def _list_users(access: Mapping[str, Any]) -> Text:
    """The users and groups that may use something (`access_json` in components/workspace.py)."""
    if access.get("everyone"):
        return ("everyone",)
    named = [("group ", Value(name)) for name in access.get("groups", ())]
    named += [("user ", Value(email)) for email in access.get("users", ())]
    return join(named, ", ") or ("administrators only",)


def _compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Sentence]:
    old, new = dict(_flatten(before, "")), dict(_flatten(after, ""))
    for key in sorted(old.keys() | new.keys()):
        values = {"key": key, "before": _show(old.get(key)), "after": _show(new.get(key))}
        if key not in old:
            yield Sentence(fill("{key} is new: {after}.", values))
        elif key not in new:
            yield Sentence(fill("{key} is removed.", values))
        elif old[key] != new[key]:
            is_digest = bool(re.fullmatch("[0-9a-f]{64}", str(new[key])))
            text = "{key} changes." if is_digest else "{key} changes from {before} to {after}."
            yield Sentence(fill(text, values))


def _flatten(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a JSON object by their paths; a list of files as checksums by name."""
    if isinstance(value, list) and value and all(map(_is_file, value)):
        value = {part["name"]: part["sha256"] for part in value}
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flatten(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"name", "sha256"}


def _show(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _decode(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if there is none."""
    try:
        decoded = json.loads(text)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


EXPLANATIONS: Mapping[str, Callable[[Difference], Iterator[Sentence]]] = {
    "protection": explain_protection,
    "disk_size": explain_disk_size,
    "ports": explain_ports,
    "settings": explain_settings,
    "declared": explain_declared,
}

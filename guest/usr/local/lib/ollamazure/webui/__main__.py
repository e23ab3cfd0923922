"""Sets up the Open WebUI of this machine as the settings declare it, through its interface.

    webui-cli admin                  {"email": …, "name": …, "password": …} on standard input
    webui-cli apply-settings FILE    the configuration
    webui-cli apply KIND FILE        one item; a user's initial password on standard input
    webui-cli remove KIND KEY        one item with its declaration; a user is suspended
    webui-cli remove-undeclared FOLDER    the items that FOLDER declares and this machine does not
    webui-cli show MODEL             to every user
    webui-cli drift                  prints what differs from the declarations, as JSON; only reads
    webui-cli drift-of-admin         the same for the administrator, given as for `admin`
    webui-cli session                prints the token of a new session, as JSON, for chat_answers.py
    webui-cli people                 {e-mail: initial password, or nothing} on standard input;
                                     prints the declared users, as JSON; only reads
    webui-cli people messages        a list of e-mails on standard input, for whom one was made
    webui-cli people reset           an e-mail on standard input; prints the new password, as JSON
    webui-cli usage                  {"by": "day", "week" or "month", "since": …, "until": …} on
                                     standard input; prints tokens by user and model, as JSON
    webui-cli people summary         an e-mail on standard input; prints what it has, as JSON
    webui-cli people export HOST     an e-mail on standard input; prints all of it, as a ZIP file
    webui-cli people erase           an e-mail on standard input; deletes the account with all of it
    webui-cli expire-chats DAYS      deletes chats that have not changed for so many days
    webui-cli reset-second-factor EMAIL    prints a token for a user who has lost the device
    webui-cli upgrade begin IMAGE    copies the data if they belong to another image
    webui-cli upgrade finish         waits until the new version works; else goes back
    webui-cli upgrade put-back       goes back, when it did not start
    webui-cli upgrade recover [boot] goes back from an upgrade that was cut off
    webui-cli upgrade undo           goes back to the data before the last upgrade
    webui-cli wait                   until Open WebUI is ready, however long it works on its data
    webui-cli sizes                  prints how large the data are, as JSON, for chat_answers.py

KIND is group, user, knowledge, access, preset or prompt. Each run restores what is declared; what
is not declared is left to the administrator. Runs as root, because only root reaches Open WebUI's
port, has its key, and can set the administrator's password when the declared one fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from webui import items, people, personal_data, readiness, settings, upgrade
from webui.access import ModelAccess, show_to_everyone
from webui.accounts import Groups, Users, reset_second_factor
from webui.admin import drift_of_admin, set_admin
from webui.client import WebuiSession, lock, new_session, say, wait_until_ready
from webui.errors import WebuiError
from webui.initial_passwords import renew_initial_password, share_initial_passwords
from webui.items import ItemKind
from webui.knowledge import KnowledgeBases
from webui.usage import read_usage
from webui.workspace import Presets, Prompts

KINDS: dict[str, ItemKind] = {
    "group": Groups(),
    "user": Users(),
    "knowledge": KnowledgeBases(),
    "access": ModelAccess(),
    "preset": Presets(),
    "prompt": Prompts(),
}


def main(arguments: list[str]) -> int:
    webui = WebuiSession()
    try:
        with webui.unexpected_shape_as_error():
            return run(webui, arguments)
    except WebuiError as problem:
        say(f"Open WebUI: {problem}")
        return 1


def run(webui: WebuiSession, arguments: list[str]) -> int:
    match arguments:
        case ["drift"]:
            wait_until_ready(webui)
            found = settings.drift(webui) + items.drift(webui, KINDS)
            print(json.dumps(found, indent=2))
        case ["drift-of-admin"]:
            print(json.dumps(drift_of_admin(sys.stdin.read())))
        case ["people"]:
            wait_until_ready(webui)
            print(json.dumps(people.list_people(webui, json.load(sys.stdin))))
        case ["people", "summary"]:
            print(json.dumps(personal_data.summarize(json.load(sys.stdin))))
        case ["people", "export", host]:
            personal_data.export(json.load(sys.stdin), host, sys.stdout.buffer)
        case ["session"]:
            print(json.dumps(new_session()))
        case ["sizes"]:
            print(json.dumps(upgrade.sizes()))
        case ["usage"]:
            print(json.dumps(read_usage(**json.load(sys.stdin))))
        case ["wait"]:
            readiness.wait_until_ready()
        case ["upgrade", *words]:
            return run_upgrade(words)
        case [
            "admin"
            | "apply"
            | "apply-settings"
            | "expire-chats"
            | "people"
            | "remove"
            | "remove-undeclared"
            | "show"
            | "reset-second-factor",
            *_,
        ]:
            wait_until_ready(webui)
            with lock():
                return change(webui, arguments)
        case _:
            return print_usage()
    return 0


def change(webui: WebuiSession, arguments: list[str]) -> int:
    match arguments:
        case ["admin"]:
            set_admin(json.load(sys.stdin))
        case ["apply-settings", path]:
            settings.apply(webui, json.loads(Path(path).read_text()))
            share_initial_passwords(webui)  # also of users whom an earlier version created
        case ["apply", "user", path]:
            password = sys.stdin.read()
            items.apply(webui, Users(password), Path(path))
            renew_initial_password(webui, Path(path), password)
        case ["apply", kind, path] if kind in KINDS:
            items.apply(webui, KINDS[kind], Path(path))
        case ["remove", kind, key] if kind in KINDS:
            items.remove(webui, KINDS[kind], kind, key)
        case ["remove-undeclared", folder]:
            items.remove_undeclared(webui, KINDS, Path(folder))
        case ["show", model]:
            show_to_everyone(webui, model)
        case ["people", "messages" | "reset" | "erase" as action]:
            change_people(webui, action, json.load(sys.stdin))
        case ["expire-chats", days] if days.isdecimal() and int(days):
            personal_data.expire(webui, int(days))
        case ["reset-second-factor", email]:
            reset_second_factor(email)
        case _:
            return print_usage()
    return 0


def change_people(webui: WebuiSession, action: str, given: Any) -> None:
    match action:
        case "messages":
            people.record_messages(given)
            print("null")
        case "reset":
            print(json.dumps(people.reset_password(webui, given)))
        case "erase":
            personal_data.erase(webui, given)
            print("null")


def run_upgrade(words: list[str]) -> int:
    match words:
        case ["begin", image]:
            upgrade.begin(image)
        case ["finish"]:
            upgrade.finish()
        case ["put-back"]:
            upgrade.put_back_if_begun("it cannot be started; the reason is above.")
        case ["recover"]:
            upgrade.recover_and_start()
        case ["recover", "boot"]:
            upgrade.recover()
        case ["undo"]:
            print(json.dumps(upgrade.undo()))
        case _:
            return print_usage()
    return 0


def print_usage() -> int:
    say(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

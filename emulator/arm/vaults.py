"""The key vaults that Azure keeps after their deletion. There are no managed HSMs."""

from __future__ import annotations

from emulator.arm.calls import Answer, Call, Routes, page
from emulator.azure.names import VAULT
from emulator.azure.shapes import check_version
from emulator.azure.vaults import deleted_vaults, find_deleted_vault, purge


def add_routes(routes: Routes) -> None:
    """Add the paths of deleted vaults, and the lists of managed HSMs."""
    subscription = "/subscriptions/{subscription}"
    provider = f"{subscription}/providers/Microsoft.KeyVault"
    deleted = f"{provider}/locations/{{location}}/deletedVaults/{{name}}"
    routes.add(f"{provider}/deletedVaults", get=_list)
    routes.add(deleted, get=_get)
    routes.add(f"{deleted}/purge", post=_purge)
    in_group = f"{subscription}/resourceGroups/{{group}}/providers/Microsoft.KeyVault/managedHSMs"
    for none in (f"{provider}/managedHSMs", f"{provider}/deletedManagedHSMs", in_group):
        routes.add(none, get=_list_nothing)


def _list(call: Call) -> Answer:
    check_version(VAULT, call.api_version)
    return page(call, deleted_vaults(call.azure.store.read(), call.words["subscription"]))


def _get(call: Call) -> Answer:
    check_version(VAULT, call.api_version)
    words = call.words
    state = call.azure.store.read()
    return Answer(
        200, find_deleted_vault(state, words["subscription"], words["location"], words["name"])
    )


def _purge(call: Call) -> Answer:
    check_version(VAULT, call.api_version)
    words = call.words
    with call.azure.store.change() as state:
        purge(
            state,
            find_deleted_vault(state, words["subscription"], words["location"], words["name"]),
        )
    return Answer(200)


def _list_nothing(call: Call) -> Answer:
    check_version(VAULT, call.api_version)
    return page(call, [])

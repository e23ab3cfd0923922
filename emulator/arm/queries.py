"""What clients ask before they create something: sizes, quotas, free names, roles and rights."""

from __future__ import annotations

from emulator.arm.calls import Answer, Call, Routes, page, read_filter
from emulator.azure.errors import AzureError
from emulator.azure.names import ADDRESS, MACHINE, STORAGE_ACCOUNT, VAULT
from emulator.azure.offers import Size, offers
from emulator.azure.roles import ROLES
from emulator.azure.shapes import check_version
from emulator.azure.storage import check_account_name
from emulator.azure.store import Body
from emulator.azure.vaults import check_vault_name, check_vault_name_free

SKU_VERSIONS = ("2019-04-01", "2021-07-01")
ROLE_VERSIONS = ("2018-01-01-preview", "2022-04-01", "2022-05-01-preview")
CORES = 100
"""The quota of cores, of each family and of all together."""


def add_routes(routes: Routes) -> None:
    """Add the paths of these queries."""
    providers = "/subscriptions/{subscription}/providers"
    location = "locations/{location}"
    routes.add(f"{providers}/Microsoft.Compute/skus", get=_skus)
    routes.add(f"{providers}/Microsoft.Compute/{location}/usages", get=_usages)
    routes.add(
        f"{providers}/Microsoft.Network/{location}/CheckDnsNameAvailability", get=_check_dns_name
    )
    routes.add(f"{providers}/Microsoft.Storage/checkNameAvailability", post=_check_account_name)
    routes.add(f"{providers}/Microsoft.KeyVault/checkNameAvailability", post=_check_vault_name)
    authorization = "{scope*}/providers/Microsoft.Authorization"
    routes.add(f"{authorization}/permissions", get=_permissions)
    routes.add(f"{authorization}/roleDefinitions", get=_role_definitions)
    routes.add(f"{authorization}/roleDefinitions/{{role}}", get=_role_definition)
    routes.add("/providers/Microsoft.Authorization/roleDefinitions/{role}", get=_role_definition)


def _skus(call: Call) -> Answer:
    call.require_version(*SKU_VERSIONS)
    wanted = read_filter(call, ("location",)).get("location")
    regions = [wanted] if wanted else sorted(offers().regions)
    shown = [region for region in regions if region.lower() in offers().regions]
    return Answer(200, {"value": [_show_size(size, shown) for size in _sizes()] if shown else []})


def _sizes() -> list[Size]:
    return sorted(offers().sizes.values(), key=lambda size: size.name)


def _show_size(size: Size, regions: list[str]) -> Body:
    capabilities = {
        "MaxResourceVolumeMB": size.temp_disk_mib,
        "vCPUs": size.vcpus,
        "MemoryGB": f"{size.memory_gib:g}",
        "MaxDataDiskCount": size.max_data_disks,
        "CpuArchitectureType": size.architecture,
        "HyperVGenerations": ",".join(f"V{each}" for each in size.generations),
        "PremiumIO": size.premium_caching,
        "AcceleratedNetworkingEnabled": size.accelerated_networking,
        "MaxNetworkInterfaces": size.max_nics,
    }
    return {
        "resourceType": "virtualMachines",
        "name": size.name,
        "tier": size.name.partition("_")[0],
        "size": size.name.partition("_")[2],
        "family": size.family,
        "locations": regions,
        "locationInfo": [{"location": region, "zones": ["1", "2", "3"]} for region in regions],
        "capabilities": [
            {"name": name, "value": str(value)} for name, value in capabilities.items()
        ],
        "restrictions": [],
    }


def _usages(call: Call) -> Answer:
    check_version(MACHINE, call.api_version)
    location = call.words["location"].lower()
    used: dict[str, int] = {}
    for machine in call.azure.list(MACHINE):
        if machine["location"] == location:
            size = offers().sizes[machine["properties"]["hardwareProfile"]["vmSize"].lower()]
            used[size.family] = used.get(size.family, 0) + size.vcpus
    families = sorted({size.family for size in _sizes()})
    counted = {"cores": sum(used.values()), **{name: used.get(name, 0) for name in families}}
    titles = {"cores": "Total Regional vCPUs"}
    value = [
        {
            "name": {"value": name, "localizedValue": titles.get(name, f"{name} vCPUs")},
            "currentValue": count,
            "limit": CORES,
            "unit": "Count",
        }
        for name, count in counted.items()
    ]
    return page(call, value)


def _check_dns_name(call: Call) -> Answer:
    check_version(ADDRESS, call.api_version)
    label = call.query.get("domainnamelabel", "").lower()
    if not label:
        raise AzureError("InvalidParameter", "The parameter domainNameLabel is required.")
    location = call.words["location"].lower()
    taken = {
        (
            address["location"],
            (address["properties"].get("dnsSettings") or {}).get("domainNameLabel"),
        )
        for address in call.azure.list(ADDRESS)
    }
    return Answer(200, {"available": (location, label) not in taken})


def _check_account_name(call: Call) -> Answer:
    check_version(STORAGE_ACCOUNT, call.api_version)
    name = str(call.body.get("name") or "")
    try:
        check_account_name(name)
    except AzureError as error:
        return _unavailable(error.code, error.message)
    if name in {account["name"] for account in call.azure.list(STORAGE_ACCOUNT)}:
        return _unavailable("AlreadyExists", f"The storage account named {name} is already taken.")
    return Answer(200, {"nameAvailable": True})


def _check_vault_name(call: Call) -> Answer:
    check_version(VAULT, call.api_version)
    name = str(call.body.get("name") or "")
    try:
        check_vault_name(name)
        check_vault_name_free(call.azure.store.read(), name)
    except AzureError as error:
        taken = error.code == "VaultAlreadyExists"
        return _unavailable("AlreadyExists" if taken else "AccountNameInvalid", error.message)
    return Answer(200, {"nameAvailable": True})


def _unavailable(reason: str, message: str) -> Answer:
    return Answer(200, {"nameAvailable": False, "reason": reason, "message": message})


def _permissions(call: Call) -> Answer:
    """The service principal is the owner of everything."""
    call.require_version(*ROLE_VERSIONS)
    owner = {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}
    return page(call, [owner])


def _role_definitions(call: Call) -> Answer:
    call.require_version(*ROLE_VERSIONS)
    wanted = read_filter(call, ("roleName",)).get("roleName")
    roles = [_show_role(call, id_) for id_, name in ROLES.items() if wanted in (None, name)]
    return page(call, roles)


def _role_definition(call: Call) -> Answer:
    call.require_version(*ROLE_VERSIONS)
    role = call.words["role"].lower()
    if role not in ROLES:
        raise AzureError(
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{role}' does not exist.",
            status=404,
        )
    return Answer(200, _show_role(call, role))


def _show_role(call: Call, id_: str) -> Body:
    subscription = call.path.split("/providers/")[0].split("/resource")[0]
    return {
        "id": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{id_}",
        "name": id_,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": ROLES[id_],
            "type": "BuiltInRole",
            "description": "",
            "assignableScopes": ["/"],
            "permissions": [],
        },
    }

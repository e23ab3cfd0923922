"""The subscription, its tenant, its regions, and its resource providers."""

from __future__ import annotations

from emulator.arm.calls import RESOURCES_VERSIONS, Answer, Call, Routes, page
from emulator.azure.errors import AzureError
from emulator.azure.identities import TENANT
from emulator.azure.names import SUBSCRIPTION
from emulator.azure.offers import offers
from emulator.azure.shapes import resource_types
from emulator.azure.store import Body

SUBSCRIPTION_VERSIONS = ("2016-06-01", "2019-11-01", "2021-01-01", "2022-12-01")
NAME = "Emulated Azure"
ALWAYS_REGISTERED = ("Microsoft.Authorization", "Microsoft.Resources")


def add_routes(routes: Routes) -> None:
    """Add the paths of the subscription and its providers."""
    subscription = "/subscriptions/{subscription}"
    provider = f"{subscription}/providers/{{namespace}}"
    routes.add("/tenants", get=_tenants)
    routes.add("/subscriptions", get=_subscriptions)
    routes.add(subscription, get=_subscription)
    routes.add(f"{subscription}/locations", get=_locations)
    routes.add(f"{subscription}/providers", get=_providers)
    routes.add(provider, get=_provider)
    routes.add(f"{provider}/register", post=_register)
    routes.add(f"{provider}/unregister", post=_unregister)


def _tenants(call: Call) -> Answer:
    call.require_version(*SUBSCRIPTION_VERSIONS)
    tenant = {
        "id": f"/tenants/{TENANT}",
        "tenantId": TENANT,
        "tenantCategory": "Home",
        "displayName": NAME,
        "countryCode": "FR",
        "tenantType": "AAD",
    }
    return page(call, [tenant])


def _subscriptions(call: Call) -> Answer:
    call.require_version(*SUBSCRIPTION_VERSIONS)
    return page(call, [_show(SUBSCRIPTION)])


def _subscription(call: Call) -> Answer:
    call.require_version(*SUBSCRIPTION_VERSIONS)
    return Answer(200, _show(_known_subscription(call)))


def _show(subscription: str) -> Body:
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": TENANT,
        "displayName": NAME,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _known_subscription(call: Call) -> str:
    subscription = call.words["subscription"]
    if subscription.lower() != SUBSCRIPTION:
        raise AzureError(
            "SubscriptionNotFound",
            f"The subscription '{subscription}' could not be found.",
            status=404,
        )
    return SUBSCRIPTION


def _locations(call: Call) -> Answer:
    call.require_version(*SUBSCRIPTION_VERSIONS)
    base = f"/subscriptions/{_known_subscription(call)}/locations"
    found = [
        {
            "id": f"{base}/{region}",
            "name": region,
            "type": "Region",
            "displayName": region,
            "regionalDisplayName": region,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for region in sorted(offers().regions)
    ]
    return Answer(200, {"value": found})


def _providers(call: Call) -> Answer:
    call.require_version(*RESOURCES_VERSIONS)
    return page(call, [_show_provider(call, namespace) for namespace in _namespaces()])


def _provider(call: Call) -> Answer:
    call.require_version(*RESOURCES_VERSIONS)
    return Answer(200, _show_provider(call, _namespace(call)))


def _register(call: Call) -> Answer:
    call.require_version(*RESOURCES_VERSIONS)
    namespace = _namespace(call)
    call.azure.register(namespace)
    return Answer(200, _show_provider(call, namespace))


def _unregister(call: Call) -> Answer:
    call.require_version(*RESOURCES_VERSIONS)
    namespace = _namespace(call)
    if namespace in ALWAYS_REGISTERED:
        raise AzureError(
            "CannotUnregisterProvider",
            f"The resource provider '{namespace}' cannot be unregistered.",
            status=409,
        )
    call.azure.register(namespace, registered=False)
    return Answer(200, _show_provider(call, namespace))


def _namespaces() -> list[str]:
    return sorted({type_.namespace for type_ in resource_types().values()})


def _namespace(call: Call) -> str:
    given = call.words["namespace"]
    for namespace in _namespaces():
        if namespace.lower() == given.lower():
            return namespace
    raise AzureError(
        "InvalidResourceNamespace", f"The resource namespace '{given}' is invalid.", status=404
    )


def _show_provider(call: Call, namespace: str) -> Body:
    regions = sorted(offers().regions)
    types = [
        {
            "resourceType": type_.name.partition("/")[2],
            "locations": list(type_.locations or regions),
            "apiVersions": sorted(type_.api_versions, reverse=True),
            "capabilities": "SupportsTags" if "tags" in type_.body else "None",
        }
        for type_ in resource_types().values()
        if type_.namespace == namespace
    ]
    always = namespace in ALWAYS_REGISTERED
    registered = always or call.azure.is_registered(namespace)
    return {
        "id": f"/subscriptions/{call.words['subscription']}/providers/{namespace}",
        "namespace": namespace,
        "registrationPolicy": "RegistrationFree" if always else "RegistrationRequired",
        "registrationState": "Registered" if registered else "NotRegistered",
        "resourceTypes": types,
    }

"""Availability tests, and what they need: Application Insights, and its Log Analytics workspace."""

from __future__ import annotations

import re

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.identities import TENANT
from emulator.azure.kinds import PutRequest, ResourceKind, keep, merge_defaults, new_guid, now
from emulator.azure.names import COMPONENT, WORKSPACE
from emulator.azure.store import Body

# The places of Azure's public cloud that tests run from:
# learn.microsoft.com/azure/azure-monitor/app/availability#location-population-tags
LOCATIONS = frozenset(
    {
        *("apac-hk-hkn-azr", "apac-jp-kaw-edge", "apac-sg-sin-azr", "emea-au-syd-edge"),
        *("emea-ch-zrh-edge", "emea-fr-pra-edge", "emea-gb-db3-azr", "emea-nl-ams-azr"),
        *("emea-ru-msa-edge", "emea-se-sto-edge", "latam-br-gru-edge", "us-ca-sjc-azr"),
        *("us-fl-mia-edge", "us-il-ch1-azr", "us-tx-sn1-azr", "us-va-ash-azr"),
    }
)
FREQUENCIES = (300, 600, 900)


class LogWorkspace(ResourceKind):
    """A Log Analytics workspace. Azure keeps a deleted one for 14 days, which is not emulated."""

    def put(self, request: PutRequest) -> None:
        # learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]", request.id.name):
            raise _bad(f"The workspace name '{request.id.name}' is invalid.")  # not verified
        merge_defaults(
            request.properties,
            {
                "sku": {"name": "PerGB2018"},
                "retentionInDays": 30,
                "features": {"enableLogAccessUsingOnlyResourcePermissions": True},
                "publicNetworkAccessForIngestion": "Enabled",
                "publicNetworkAccessForQuery": "Enabled",
                "workspaceCapping": {"dailyQuotaGb": -1.0},
            },
        )
        if not 30 <= request.properties["retentionInDays"] <= 730:
            raise _bad("The retention must be between 30 and 730 days.")  # not verified
        keep(request, "customerId", new_guid)
        keep(request, "createdDate", now)
        request.properties["modifiedDate"] = now()


class Component(ResourceKind):
    """Application Insights with a workspace, which every new component has."""

    def put(self, request: PutRequest) -> None:
        # learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        if not re.fullmatch(r"[^%&\\?/]{1,260}(?<![ .])", request.id.name):
            raise _bad(f"The name '{request.id.name}' is invalid.")  # not verified
        workspace = request.properties.get("WorkspaceResourceId")
        if workspace is None:
            raise not_emulated("A component without a workspace of one's own")
        found = request.state.resources.get(workspace.lower())
        if found is None or found["type"] != WORKSPACE:
            raise _bad(f"The workspace '{workspace}' was not found.")  # not verified
        merge_defaults(
            request.properties,
            {
                "Flow_Type": "Bluefield",
                "Request_Source": "rest",
                "IngestionMode": "LogAnalytics",
                "DisableIpMasking": False,
                "DisableLocalAuth": False,
                "RetentionInDays": 90,
                "publicNetworkAccessForIngestion": "Enabled",
                "publicNetworkAccessForQuery": "Enabled",
            },
        )
        keep(request, "AppId", new_guid)
        keep(request, "InstrumentationKey", new_guid)
        keep(request, "CreationDate", now)
        key, region = request.properties["InstrumentationKey"], request.region
        request.properties["ConnectionString"] = (
            f"InstrumentationKey={key};IngestionEndpoint=https://{region}-0.in.applicationinsights"
            ".azure.com/"
        )
        request.properties["ApplicationId"] = request.id.name
        request.properties["TenantId"] = TENANT


class WebTest(ResourceKind):
    """A standard test: one request from each of several places."""

    def put(self, request: PutRequest) -> None:
        _check_component(request)
        properties = request.properties
        merge_defaults(properties, {"Enabled": True, "Frequency": 300, "Timeout": 30})
        if properties["Frequency"] not in FREQUENCIES:
            # github.com/Azure/azure-rest-api-specs/issues/29850
            raise _bad("Value cannot be null.\r\nParameter name: format")
        places = [each.get("Id") for each in properties["Locations"]]
        if len(places) != len(set(places)):
            # github.com/Azure/azure-cli-extensions/issues/6258
            raise _bad("'properties.Locations' duplicate entries found")
        strange = [str(place) for place in places if place not in LOCATIONS]
        if strange or not places:
            raise _bad(f"'properties.Locations' is invalid: {', '.join(strange)}")  # not verified
        asked: Body = properties.get("Request") or {}
        if not str(asked.get("RequestUrl", "")).startswith(("http://", "https://")):
            raise _bad("'properties.Request.RequestUrl' is invalid")  # not verified
        merge_defaults(asked, {"HttpVerb": "GET"})


def _check_component(request: PutRequest) -> None:
    """One tag names an existing component: github.com/microsoft/mcp/issues/858."""
    links = [tag for tag in request.body.get("tags") or {} if tag.startswith("hidden-link:")]
    found = [
        resource
        for link in links
        if (resource := request.state.resources.get(link.partition(":")[2].lower()))
        and resource["type"] == COMPONENT
    ]
    if len(found) != 1:
        raise _bad(
            "A single 'hidden-link' tag pointing to an existing AI component is required. Found"
            f" {'none' if not found else len(found)}."
        )


def _bad(message: str) -> AzureError:
    return AzureError("BadRequest", message)

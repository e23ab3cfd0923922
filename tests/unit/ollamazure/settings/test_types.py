"""What the annotated types accept, and the questions about single values."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from ollamazure.settings.types import WebOrigin, opens_to_everyone


@pytest.mark.parametrize(
    "prefix",
    (
        *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "16.0.0.0/7", "::/0", "2000::/3", "2000::/15"),
        *("*", "Internet", "Any", "AzureCloud", "AzureCloud.francecentral"),
    ),
)
def test_a_range_wider_than_any_organisations_is_open_to_everyone(prefix: str) -> None:
    assert opens_to_everyone(prefix)


@pytest.mark.parametrize(
    "prefix",
    ["203.0.113.7", "203.0.113.7/32", "10.0.0.0/8", "2001::/16", "VirtualNetwork", "office"],
)
def test_a_range_of_one_organisation_is_not_open_to_everyone(prefix: str) -> None:
    assert not opens_to_everyone(prefix)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://teams.microsoft.com", "https://teams.microsoft.com"),
        (" https://Portal.Example.com/ ", "https://portal.example.com"),
        ("https://portal.example.com:443", "https://portal.example.com"),
        ("https://portal.example.com:8443", "https://portal.example.com:8443"),
        ("https://*.cloud.microsoft", "https://*.cloud.microsoft"),
        ("https://10.0.0.4", "https://10.0.0.4"),
        ("https://intranet", "https://intranet"),
    ],
)
def test_an_origin_as_browsers_compare_it(given: str, origin: str) -> None:
    assert TypeAdapter(WebOrigin).validate_python(given) == origin

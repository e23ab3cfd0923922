"""Which requests are repeated, as azure-native repeats them."""

from __future__ import annotations

import pytest

from emulator.azure.errors import AzureError
from emulator.plugins.azure_client import retry_delay

pytestmark = pytest.mark.unit


def delays(error: AzureError) -> list[float | None]:
    return [retry_delay(error, tries) for tries in range(4)]


def test_a_throttled_request_is_repeated_three_times_when_azure_permits_it() -> None:
    throttled = AzureError("TooManyRequests", "", status=429, retry_after=17)
    assert delays(throttled) == [17, 17, 17, None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_without_retry_after_the_waits_grow(status: int) -> None:
    assert delays(AzureError("Any", "", status=status)) == [20, 60, 120, None]


def test_a_long_retry_after_is_not_waited_for() -> None:
    assert delays(AzureError("TooManyRequests", "", status=429, retry_after=121)) == [None] * 4


@pytest.mark.parametrize(
    ("code", "status", "is_repeated"),
    [
        ("AnotherOperationInProgress", 409, True),
        ("StorageAccountOperationInProgress", 409, True),
        ("Conflict", 409, False),
        ("AuthorizationFailed", 403, False),
    ],
)
def test_only_conflicts_that_end_by_themselves_are_repeated(
    code: str, status: int, is_repeated: bool
) -> None:
    assert (delays(AzureError(code, "", status=status))[0] is not None) == is_repeated

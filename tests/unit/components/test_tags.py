"""Tags of others; the program under the real engine: tests/engine/test_program.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from components.tags import Tags

TAGS = Tags({"project": "chat"}, ["CostCenter"])


def test_the_tags_of_others_are_sent_with_the_programs_own() -> None:
    found = {"costcenter": "42", "hand": "made", "project": "old"}
    assert TAGS.of(lambda **_: SimpleNamespace(tags=found)) == {"costcenter": "42", **TAGS.own}
    assert TAGS.of(lambda **_: SimpleNamespace(tags=None)) == TAGS.own


def test_an_azure_that_cannot_be_read_is_an_error() -> None:
    """Otherwise the update would remove the tags of others."""

    def get(**_: Any) -> Any:
        raise RuntimeError('Status=403 Code="AuthorizationFailed"')

    with pytest.raises(RuntimeError, match="AuthorizationFailed"):
        TAGS.of(get)

"""The names of resource groups."""

from __future__ import annotations

from ollamazure.names import group_names


def test_the_data_disk_has_a_group_of_its_own() -> None:
    names = group_names("ollamazure", "prod")
    assert names == ("ollamazure-prod", "ollamazure-prod-data")
    assert (names.chat, names.data) == names

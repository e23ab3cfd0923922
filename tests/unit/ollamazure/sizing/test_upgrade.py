"""What a preview states about an upgrade of Open WebUI, and which one it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from components.outputs import refuse_changes
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.sizing import upgrade
from ollamazure.sizing.upgrade import upgrade_warning

GIB = 2**30


def settings(**values: str) -> Settings:
    return parse({"sshClients": '["203.0.113.7"]', **values})


def former(version: str = "v0.11.4", **data: float) -> dict[str, Any]:
    sizes = {"copied": 2.0, "linked": 10.0, "database": 1.0, "free": 20.0, "total": 62.0, **data}
    in_bytes = {f"{name}Bytes": int(size * GIB) for name, size in sizes.items()}
    return {"webuiVersion": version, "webuiData": in_bytes}


@pytest.fixture(autouse=True)
def _in_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.outputs.pulumi.get_stack", lambda: "dev")


def test_an_upgrade_is_announced_with_its_copy_its_time_and_the_way_back() -> None:
    text = upgrade_warning(former(), settings(webuiVersion="v0.12.4"), "dev")
    assert text
    assert "from v0.11.4 to v0.12.4" in text
    assert "about 4 minutes: 2.0 GiB of data are copied (10.0 GiB of uploaded files" in text
    assert "the database of 1.0 GiB" in text
    assert "come back by themselves" in text
    assert "`bin/ollamazure undo-upgrade --stack dev`" in text


def test_without_sizes_it_names_none() -> None:
    """The last `pulumi up` was of a version that reported none."""
    text = upgrade_warning({"webuiVersion": "v0.11.4"}, settings(), "dev")
    assert text
    assert "GiB" not in text
    assert "away for minutes" in text


def test_another_digest_is_an_upgrade_too() -> None:
    digest = f"v0.12.4@sha256:{'0' * 64}"
    text = upgrade_warning(former(digest), settings(webuiVersion="v0.12.4"), "dev")
    assert text
    assert digest in text


def test_a_new_stack_and_the_same_version_say_nothing() -> None:
    same = settings().webui_version_with_digest
    for outputs in ({}, former(same, free=0)):
        assert upgrade_warning(outputs, settings(), "dev") is None
        refuse_changes(outputs, settings())


def test_an_earlier_version_is_refused_with_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    back = settings(webuiVersion="v0.11.4")
    with pytest.raises(SettingsError) as refused:
        refuse_changes(former("v0.12.4@sha256:1"), back)
    text = str(refused.value)
    assert "v0.12.4 is deployed, and an earlier version cannot read its database" in text
    assert "pulumi config set ollamazure:webuiVersion v0.12.4" in text
    assert "bin/ollamazure undo-upgrade --stack dev" in text
    monkeypatch.setenv(upgrade.RESTORED, "v0.10.0")
    with pytest.raises(SettingsError):
        refuse_changes(former("v0.12.4"), back)
    monkeypatch.setenv(upgrade.RESTORED, "v0.11.4")  # which undo-upgrade prints
    refuse_changes(former("v0.12.4"), back)


def test_a_copy_that_does_not_fit_is_refused_unless_the_disk_grows_with_it() -> None:
    small = former(copied=8, database=6, free=10)
    with pytest.raises(SettingsError) as refused:
        refuse_changes(small, settings(dataDiskGiB="64"))
    text = str(refused.value)
    assert "needs 14.5 GiB on the data disk, and 10.0 GiB were free" in text
    assert "pulumi config set ollamazure:dataDiskGiB 69" in text
    refuse_changes(small, settings(dataDiskGiB="128"))
    refuse_changes({**small, "webuiData": {}}, settings(dataDiskGiB="64"))


def test_the_machine_leaves_the_same_space() -> None:
    guest = Path("guest/usr/local/lib/ollamazure/webui/upgrade.py").read_text()
    spare = re.search(r"^SPARE = (\d+) \* 2\*\*20$", guest, re.M)
    assert spare
    assert int(spare[1]) / 1024 == upgrade.SPARE_GIB

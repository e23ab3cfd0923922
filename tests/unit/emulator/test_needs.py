"""What `make up` and `make test` state and refuse before they start."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from emulator import needs
from emulator.artifacts.inventory import ALL
from emulator.instance import PROJECT
from emulator.needs import GIB, NEEDS, TARGETS, Folder, Needs

pytestmark = pytest.mark.unit

TABLE = tomllib.loads(NEEDS.read_text(encoding="utf-8"))
CACHE = Folder(Path("/cache"), "XDG_CACHE_HOME")
INSTANCE = Folder(Path("/here"), "OLLAMAZURE_EMULATOR")
# 19 GiB to make the artifacts, of which 5 stay beside a machine of 6.
FIRST = Needs(40, ("ollama",), ({CACHE: 19}, {CACHE: 5, INSTANCE: 6}))


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; returns the folder of its stamps."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(tmp_path / "emulator"))
    return tmp_path / "cache" / "ollamazure" / "built"


def make(built: Path, *names: str) -> None:
    """Leave the stamps of artifacts, whatever their recipe was."""
    built.mkdir(parents=True, exist_ok=True)
    for name in names:
        (built / f"{name}-0123456789ab").touch()


def test_the_table_has_every_artifact_with_the_space_that_its_build_demands() -> None:
    tables = TABLE["making"].values()
    listed = {name: gib for table in tables for name, gib in table["gib"].items()}
    assert listed == {artifact.name: artifact.gib for artifact in ALL}
    made_by_up = {artifact.name for artifact in ALL if not artifact.optional}
    assert TABLE["making"]["up"]["gib"].keys() == made_by_up
    assert TABLE["run"].keys() == {*TARGETS}


def test_the_first_run_makes_everything(built: Path, tmp_path: Path) -> None:
    first = needs.find_needs("up")
    assert first.minutes == 40 and "pulumi-cli" in first.missing
    assert first.steps == (
        {Folder(built.parent, "XDG_CACHE_HOME"): 19},
        {
            Folder(built.parent, "XDG_CACHE_HOME"): 5,
            Folder(tmp_path / "emulator", "OLLAMAZURE_EMULATOR"): 6,
        },
    )
    assert needs.describe("up", first).startswith(
        f"make up needs up to 40 minutes on two cores, and 19 GiB in {built.parent} and 6 GiB in "
        f"{tmp_path / 'emulator'}.\nMade once, and faster where it can be downloaded: pulumi-cli, "
    )


def test_later_runs_make_only_what_is_missing(built: Path, tmp_path: Path) -> None:
    make(built, *TABLE["making"]["up"]["gib"])
    (tmp_path / "emulator").mkdir()
    again = needs.find_needs("up")
    assert (again.minutes, again.missing) == (3, ())
    assert needs.describe("up", again) == (
        f"make up needs about 3 minutes on two cores, and 2 GiB in {tmp_path / 'emulator'}."
    )
    tests = needs.find_needs("test")
    assert tests.minutes == 28 and "pulumi-cli" not in tests.missing and "dex" in tests.missing
    make(built, *TABLE["making"]["test"]["gib"])
    assert needs.find_needs("test").missing == ()


def test_an_artifact_is_not_taken_for_another_whose_name_starts_alike(built: Path) -> None:
    make(built, "machine-lean", "open-webui-former")
    assert not needs.is_made("machine") and not needs.is_made("open-webui")
    assert needs.is_made("machine-lean")


def test_folders_on_one_disk_need_their_space_together() -> None:
    def problems(gib: float, *, one_disk: bool) -> list[str]:
        return needs.find_problems(
            Needs(3, (), ({CACHE: 5, INSTANCE: 6},)),
            free=lambda _: int(gib * GIB),
            disk=lambda path: 0 if one_disk else hash(path),
        )

    (together,) = problems(10.9, one_disk=True)
    assert together == (
        "the disk of /cache and /here has 10.9 GiB free, and 11 GiB are needed. Nothing has been "
        "started.\n   Fix:      free some space there, or set XDG_CACHE_HOME or "
        "OLLAMAZURE_EMULATOR to a folder on a larger disk"
    )
    assert problems(11, one_disk=True) == problems(6, one_disk=False) == []
    (cache, instance) = problems(4, one_disk=False)
    assert "5 GiB are needed" in cache and "6 GiB are needed" in instance


@pytest.mark.parametrize(("gib", "count"), [(18.9, 1), (19, 0)])
def test_space_that_is_free_again_counts_once(gib: float, count: int) -> None:
    found = needs.find_problems(FIRST, free=lambda _: int(gib * GIB), disk=lambda _: 0)
    assert len(found) == count


def test_a_folder_that_does_not_exist_yet_is_on_the_disk_of_the_one_above(tmp_path: Path) -> None:
    assert needs.nearest(tmp_path / "a" / "b") == tmp_path
    assert needs.nearest(tmp_path) == tmp_path
    free = shutil.disk_usage(tmp_path).free / GIB
    on_this = Folder(tmp_path / "a", "TMPDIR")
    assert needs.find_problems(Needs(1, (), ({on_this: free / 2},))) == []
    (problem,) = needs.find_problems(Needs(1, (), ({on_this: 2 * free},)))
    assert str(tmp_path / "a") in problem and "TMPDIR" in problem


@pytest.mark.parametrize("target", TARGETS)
def test_a_disk_that_is_too_small_stops_the_target(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    larger_than_any = tmp_path / "needs.toml"
    text = NEEDS.read_text(encoding="utf-8")
    larger_than_any.write_text(re.sub(r"^gib = \d+$", "gib = 1000000", text, flags=re.M))
    monkeypatch.setattr(needs, "NEEDS", larger_than_any)
    assert needs.main([target]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"make {target} needs up to ")
    assert f"make {target}: the disk of {tmp_path}" in printed.err and "Fix:" in printed.err


def test_the_systems_python_runs_it_without_a_package() -> None:
    """-S: without site-packages, as before .venv exists."""
    done = subprocess.run(
        ["/usr/bin/python3", "-S", "-m", "emulator.needs", "up"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("make up needs ")

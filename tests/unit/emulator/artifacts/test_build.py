"""Artifacts are made once, resume, are finished in one step, and prefer official sources."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.artifacts.artifact import Artifact, replace_file
from emulator.artifacts.build import Builds, Progress
from emulator.artifacts.work import BuildError, OfficialUnavailableError, Work
from emulator.instance import PROJECT
from tests.unit.emulator.artifacts.loopback import Server, serving

pytestmark = pytest.mark.unit


def artifact(
    target: Path,
    build: Callable[[Work], None],
    *,
    name: str = "thing",
    recipe: str = "1",
    gib: int = 0,
    place: str = "",
    official: Callable[[Work, str], None] | None = None,
) -> Artifact:
    return Artifact(
        name=name,
        lane="processor",
        gib=gib,
        recipe=(recipe,),
        targets=(target,),
        build=build,
        copy_official=official,
        place=place,
    )


def writes(target: Path, content: str) -> Callable[[Work], None]:
    def build(work: Work) -> None:
        made = work.folder / "made"
        made.write_text(content)
        replace_file(made, target)

    return build


def make(*artifacts: Artifact) -> str:
    """Make the artifacts; returns what the user sees."""
    out = io.StringIO()
    Builds(Progress(out)).make(artifacts)
    return out.getvalue()


def test_what_is_finished_is_not_made_again_and_says_nothing(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    first = make(artifact(target, writes(target, "one")))
    assert "[ 0:00] thing: ready (built here" in first
    assert make(artifact(target, writes(target, "two"))) == ""
    assert target.read_text() == "one"


def test_another_recipe_or_a_lost_target_is_made_again(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    make(artifact(target, writes(target, "one")))
    make(artifact(target, writes(target, "two"), recipe="2"))
    assert target.read_text() == "two"
    target.unlink()
    make(artifact(target, writes(target, "three"), recipe="2"))
    assert target.read_text() == "three"


def test_an_interrupted_build_resumes_and_shows_nothing_half_made(
    tmp_path: Path, cache: Path
) -> None:
    target = tmp_path / "thing"

    def build(work: Work) -> None:
        half = work.folder / "half"
        if not half.exists():
            half.write_text("kept")
            raise BuildError("the line was cut")
        replace_file(half, target)

    with pytest.raises(BuildError, match="thing: the line was cut"):
        make(artifact(target, build))
    assert not target.exists()
    make(artifact(target, build))
    assert target.read_text() == "kept"
    assert not [path for path in (cache / "build").iterdir() if path.is_dir()]


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    def build(work: Work) -> None:
        work.run("failing on purpose", ["sh", "-c", "echo the reason; exit 7"])

    other = tmp_path / "other"
    with pytest.raises(BuildError) as failure:
        make(
            artifact(tmp_path / "thing", build),
            artifact(other, writes(other, "made"), name="other"),
        )
    message = str(failure.value)
    assert "thing: failing on purpose: `sh` ended with 7" in message
    assert "the reason" in message
    assert "finished parts are kept" in message
    assert other.read_text() == "made"


def test_a_mistake_in_a_build_is_raised_as_it_is(tmp_path: Path) -> None:
    def build(work: Work) -> None:
        raise KeyError("a mistake")

    with pytest.raises(KeyError, match="a mistake"):
        make(artifact(tmp_path / "thing", build))


def test_two_runs_at_once_make_it_once(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    made = []
    first_is_in, second_waits = threading.Event(), threading.Event()

    def build(work: Work) -> None:
        made.append(work.folder)
        first_is_in.set()
        second_waits.wait(30)
        writes(target, "once")(work)

    thing = artifact(target, build)
    first = threading.Thread(target=make, args=(thing,))
    first.start()
    assert first_is_in.wait(30)
    second = threading.Thread(target=make, args=(thing,))
    second.start()
    second_waits.set()
    first.join(30)
    second.join(30)
    assert len(made) == 1
    assert target.read_text() == "once"


_KILLED = """
import sys
from pathlib import Path
from emulator.artifacts.artifact import Artifact
from emulator.artifacts.build import Builds

def build(work):
    script = "exec 3>FIFO; echo started >&3; sleep 600 & wait"
    work.run("waiting", ["sh", "-c", script])

thing = Artifact("thing", "processor", 0, ("1",), (Path(sys.argv[1]),), build)
Builds().make([thing])
raise SystemExit("not reached")
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_command_and_no_lock(tmp_path: Path, how: signal.Signals) -> None:
    target, fifo = tmp_path / "thing", tmp_path / "fifo"
    os.mkfifo(fifo)
    code = _KILLED.replace("FIFO", str(fifo))
    run = subprocess.Popen([sys.executable, "-c", code, target], cwd=PROJECT)
    with fifo.open() as commands:  # open as long as one of the command's processes lives
        assert commands.readline() == "started\n"
        run.send_signal(how)
        run.wait()
        ended, _, _ = select.select([commands], [], [], 30)
        assert ended, "the command outlived the run that started it"
        assert commands.read() == ""
    make(artifact(target, writes(target, "made")))
    assert target.read_text() == "made"


def test_too_little_space_is_reported_before_anything_is_made(tmp_path: Path, cache: Path) -> None:
    target = tmp_path / "thing"
    with pytest.raises(BuildError) as failure:
        make(artifact(target, writes(target, "made"), gib=10**6))
    assert f"{cache} has " in str(failure.value)
    assert "XDG_CACHE_HOME" in str(failure.value)
    assert not target.exists()


def copy_official(target: Path) -> Callable[[Work, str], None]:
    def official(work: Work, base: str) -> None:
        writes(target, f"from {base}")(work)

    return official


def test_the_official_source_comes_first(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with serving(Server(files={"/": b""})) as server:
        shown = make(
            artifact(
                target,
                writes(target, "built"),
                place=server.url + "/",
                official=copy_official(target),
            )
        )
    assert target.read_text() == f"from {server.url}/"
    assert f"ready (from {server.url}/" in shown


def test_an_unreachable_official_source_is_reported_and_the_artifact_built(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    with serving(Server()) as server:
        gone = server.url
    shown = make(
        artifact(target, writes(target, "built"), place=gone, official=copy_official(target))
    )
    assert target.read_text() == "built"
    assert "thing: the official source cannot be reached; building it here" in shown


def test_when_the_official_source_breaks_off_the_artifact_is_built(tmp_path: Path) -> None:
    target = tmp_path / "thing"

    def official(work: Work, base: str) -> None:
        raise OfficialUnavailableError("connection reset")

    with serving(Server(files={"/": b""})) as server:
        shown = make(artifact(target, writes(target, "built"), place=server.url, official=official))
    assert target.read_text() == "built"
    assert "the official source broke off (connection reset); building it here" in shown

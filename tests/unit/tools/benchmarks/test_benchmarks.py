"""`python -m tools.benchmarks`: what it accepts, and that every benchmark states its conditions."""

from __future__ import annotations

import pytest

from tools.benchmarks.__main__ import parse
from tools.benchmarks.inventory import NAMES, load

pytestmark = pytest.mark.unit


def test_names_and_recording_are_options() -> None:
    options = parse(["--record", "chat", "page"])
    assert (options.names, options.record) == (["chat", "page"], True)
    assert (parse([]).names, parse([]).record) == ([], False)


def test_all_unknown_names_are_refused_at_once_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only the command line is read: not even broken code may start a benchmark here."""
    with pytest.raises(SystemExit) as ended:
        parse(["chat", "chart", "pages"])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "there is no benchmark 'chart', 'pages'. Give one or more of preview," in printed
    assert "`make bench NAME=chat`" in printed


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_states_what_is_constant_and_how_often_it_runs(name: str) -> None:
    benchmark = load(name)
    assert benchmark.name == name
    assert len(benchmark.constant) >= 2
    assert all(sentence.endswith(".") for sentence in benchmark.constant)
    assert 0 < benchmark.minutes <= 60

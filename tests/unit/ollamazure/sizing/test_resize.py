"""A change of size in plain words: what happens to the machine, and how to stay."""

from __future__ import annotations

import pytest

from ollamazure import catalog
from ollamazure.settings.load import parse
from ollamazure.sizing import resize


def warning(former: str | None, size: str, **given: str) -> str | None:
    sizes = catalog.vm_sizes()
    settings = parse({"sshClients": "203.0.113.7", "vmSize": size, **given})
    return resize.warning(sizes[former] if former else None, sizes[size], settings)


def test_a_first_machine_and_one_that_stays_need_no_words() -> None:
    assert warning(None, "Standard_B2ms") is None
    assert warning("Standard_B2ms", "Standard_B2ms") is None


@pytest.mark.parametrize(
    ("former", "size", "words"),
    [
        ("Standard_B2s_v2", "Standard_D8as_v5", "it restarts, and the chat is away for about a"),
        ("Standard_B2ms", "Standard_B2as_v2", "made anew, and the chat is away for about ten"),
        (
            "Standard_D4as_v5",
            "Standard_NC4as_T4_v3",
            "the chat is away for about twenty minutes",
        ),
    ],
)
def test_both_names_and_the_interruption_are_said(former: str, size: str, words: str) -> None:
    said = warning(former, size)
    assert said and f"from {former} to {size}" in said and words in said
    assert "Every chat and model stays" in said
    assert "auto" not in said


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("llama3.2:1b", "To keep the former: pulumi config set ollamazure:vmSize Standard_B2as_v2"),
        ("llama3.1:8b", "the models no longer fit Standard_B2as_v2."),
    ],
)
def test_a_size_that_auto_chose_is_said_to_be(models: str, words: str) -> None:
    said = warning("Standard_B2as_v2", "Standard_B4as_v2", vmSize="auto", models=models)
    assert said and said.endswith(words)


def test_outputs_that_cannot_be_read_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with the file backend, while the same run wrote its first state."""

    def cut_off(*_: object) -> None:
        raise Exception("invoke of readStackOutputs failed: failed to load checkpoint: EOF")

    monkeypatch.setattr(resize, "invoke", cut_off)
    assert resize.former_size() is None

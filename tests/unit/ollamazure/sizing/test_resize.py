"""The warning for a change of size: what happens to the machine, and how to keep the old size."""

from __future__ import annotations

import pytest

from ollamazure import catalog
from ollamazure.settings.load import parse
from ollamazure.sizing.resize import refused_resize_warning, resize_warning


def warning(former: str | None, size: str, **given: str) -> str | None:
    sizes = catalog.vm_sizes()
    settings = parse({"sshClients": "203.0.113.7", "vmSize": size, **given})
    return resize_warning(sizes[former] if former else None, sizes[size], settings)


def test_a_first_machine_and_an_unchanged_size_need_no_warning() -> None:
    assert warning(None, "Standard_B2ms") is None
    assert warning("Standard_B2ms", "Standard_B2ms") is None


@pytest.mark.parametrize(
    ("former", "size", "words"),
    [
        (
            "Standard_B2s_v2",
            "Standard_D8as_v5",
            "It restarts, and the chat is unavailable for about a minute.",
        ),
        (
            "Standard_B2ms",
            "Standard_B2as_v2",
            "it is deleted and created again, and the chat is unavailable for about ten minutes",
        ),
        (
            "Standard_D4as_v5",
            "Standard_NC4as_T4_v3",
            "the chat is unavailable for about twenty minutes",
        ),
    ],
)
def test_the_warning_names_both_sizes_and_the_interruption(
    former: str, size: str, words: str
) -> None:
    text = warning(former, size)
    assert text and f"from {former} to {size}." in text and words in text
    assert "ll chats and models are kept." in text
    assert "auto" not in text


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (
            "llama3.2:1b",
            "To keep the former size: pulumi config set ollamazure:vmSize Standard_B2as_v2",
        ),
        ("llama3.1:8b", "the models no longer fit Standard_B2as_v2."),
    ],
)
def test_the_warning_explains_a_size_that_auto_chose(models: str, words: str) -> None:
    text = warning("Standard_B2as_v2", "Standard_B4as_v2", vmSize="auto", models=models)
    assert text and text.endswith(words)


def test_within_a_class_the_commands_after_a_refusal_are_printed() -> None:
    sizes = catalog.vm_sizes()
    small, large, other = (sizes[f"Standard_{name}"] for name in ("B2as_v2", "B4as_v2", "B2ms"))
    assert refused_resize_warning(None, small, "chat-dev") is None
    assert refused_resize_warning(small, small, "chat-dev") is None
    assert refused_resize_warning(small, other, "chat-dev") is None
    assert (refused_resize_warning(small, large, "chat-dev") or "").endswith(
        ": az vm deallocate --resource-group chat-dev --name vm && pulumi up; "
        "az vm start --resource-group chat-dev --name vm && pulumi up"
    )

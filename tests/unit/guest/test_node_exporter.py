"""The address that the node exporter listens on. The real one: tests/e2e/test_hardening.py."""

from __future__ import annotations

import ipaddress
import os

import node_exporter
import pytest


def test_it_listens_on_one_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(node_exporter, "private_address", lambda: "10.0.0.4")
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    node_exporter.main([])
    [command] = started
    options = ["--web.listen-address=10.0.0.4:9100", "--no-collector.timex"]
    assert command == [node_exporter.PROGRAM, *options]


def test_the_address_is_that_from_which_others_are_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_exporter, "ANYWHERE", ("127.0.0.1", 9))  # without a network, too
    assert ipaddress.IPv4Address(node_exporter.private_address()).is_loopback

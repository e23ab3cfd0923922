"""Which version an executable of a plugin is, as it says itself when it runs."""

from __future__ import annotations

import select
import subprocess
from pathlib import Path

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

_SERVICES = {"resource": "ResourceProvider", "language": "LanguageRuntime"}
_PATIENCE = 10
"""Seconds for the start, and for the answer."""


def version_of(executable: Path, kind: str) -> str | None:
    """The version that a plugin of this kind reports; None if it is no plugin.

    The executable is started, asked and ended.
    """
    try:
        running = subprocess.Popen(
            [executable, "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    with running:
        try:
            return _ask(_port_of(running), _SERVICES[kind])
        except (ValueError, grpc.RpcError):
            return None
        finally:
            running.kill()


def _port_of(plugin: subprocess.Popen[bytes]) -> int:
    """The port that it prints first. Raises ValueError if it prints something else, or nothing."""
    printed = plugin.stdout
    ready = printed and select.select([printed], [], [], _PATIENCE)[0]
    return int(printed.readline() if printed and ready else b"")


def _ask(port: int, service: str) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        get_plugin_info = channel.unary_unary(
            f"/pulumirpc.{service}/GetPluginInfo",
            request_serializer=Empty.SerializeToString,
            # Like pulumirpc.PluginInfo, it has one field, a text. Importing that message would
            # import all of Pulumi's SDK.
            response_deserializer=StringValue.FromString,
        )
        version: str = get_plugin_info(Empty(), timeout=_PATIENCE).value
    return version.removeprefix("v")

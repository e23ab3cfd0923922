"""The options of a project that the stand-in for the language host refuses."""

from __future__ import annotations

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import language_pb2

from emulator.offline.language_python import OptionError, Toolchain

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"toolchain": "uv"}, "runtime.options.toolchain is 'uv'.*supports only `pip`"),
        ({"typechecker": "mypy"}, "runtime.options.typechecker is not supported"),
    ],
)
def test_other_toolchains_and_type_checkers_are_refused(
    options: dict[str, str], message: str
) -> None:
    info = language_pb2.ProgramInfo(
        options=json_format.ParseDict(options, struct_pb2.Struct()), root_directory="/project"
    )
    with pytest.raises(OptionError, match=message):
        Toolchain.of(info)

"""Imports from azure-native only the modules of the classes that the program uses.

Its own namespaces import all of theirs: half of the time that this program takes in a preview.
`network` has 290 modules, for five resources.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pulumi_azure_native

NAMESPACES = (
    *("alertsmanagement", "applicationinsights", "authorization", "compute", "logic"),
    *("managedidentity", "monitor", "network", "operationalinsights", "resources", "storage"),
)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Namespace(ModuleType):
    """A namespace of azure-native that imports the module of a name when the name is used."""

    def __init__(self, name: str, path: list[str]) -> None:
        super().__init__(name)
        self.__path__ = path

    def __getattr__(self, name: str) -> Any:
        for module in _modules_of(name):
            try:
                found = importlib.import_module(f"{self.__name__}.{module}")
            except ModuleNotFoundError:
                continue
            # As `from .module import *`, which the namespace itself has for each of its modules.
            vars(self).update(
                {each: getattr(found, each) for each in getattr(found, "__all__", ())}
            )
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"{self.__name__} has no {name}")


def install() -> None:
    """Make `from pulumi_azure_native import network` find such a namespace, and all others used."""
    [folder] = pulumi_azure_native.__path__
    for name in NAMESPACES:
        full = f"{pulumi_azure_native.__name__}.{name}"
        sys.modules[full] = Namespace(full, [f"{folder}/{name}"])
        setattr(pulumi_azure_native, name, sys.modules[full])


def _modules_of(name: str) -> Iterator[str]:
    """The modules that may have a name: of the resource or function, then those of all types."""
    if not name.startswith("_"):
        yield _WORD.sub("_", re.sub("(_output|Result)$", "", name)).lower()
        yield "_enums"
        yield "_inputs"

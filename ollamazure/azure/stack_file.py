"""A stack as its file describes it, for commands that run without Pulumi."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ollamazure.names import GroupNames, group_names, group_of
from ollamazure.settings.load import parse, problems_of_stack
from ollamazure.settings.problems import NAMESPACE
from ollamazure.settings.stack import Settings


@dataclass(frozen=True)
class StackFile:
    """`Pulumi.<name>.yaml`: `config` maps full keys (`ollamazure:vmSize`) to values."""

    name: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, name: str, folder: Path) -> StackFile:
        """Read the file in `folder`; raises FileNotFoundError when it does not exist."""
        document = yaml.safe_load((folder / f"Pulumi.{name}.yaml").read_text()) or {}
        return cls(name, document.get("config") or {})

    @property
    def groups(self) -> GroupNames:
        """The resource groups of the deployed stack."""
        return group_names(NAMESPACE, self.name)

    def backup_group(self, settings: Settings) -> str | None:
        """The resource group of the backups in Azure; None if they are kept elsewhere."""
        if settings.backup.target != "azure":
            return None
        beside = settings.backup.container_id or settings.data_disk_id
        return group_of(beside) if beside else self.groups.data

    def settings(self) -> Settings:
        """The stack's settings, checked as the program checks them.

        What is encrypted in the file is taken to be valid. Raises SettingsError.
        """
        raw, encrypted = {}, set()
        for key, value in self.config.items():
            namespace, _, name = key.partition(":")
            if namespace != NAMESPACE:
                continue
            if isinstance(value, dict) and set(value) == {"secure"}:
                encrypted.add(name)
            else:
                raw[name] = value if isinstance(value, str) else json.dumps(value)
        problems = problems_of_stack(NAMESPACE, self.name)
        return parse(raw, frozenset(encrypted), problems, encrypted)

    def subscription_arguments(self) -> tuple[str, ...]:
        """The subscription that Pulumi will use, for `az`; empty when it is `az`'s default."""
        wanted = self.config.get("azure-native:subscriptionId")
        wanted = wanted or os.environ.get("ARM_SUBSCRIPTION_ID")
        return ("--subscription", str(wanted)) if wanted else ()

"""The tags of Azure resources: the program's own, and those that others set on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from ollamazure.settings.stack import Settings


@dataclass(frozen=True)
class Tags:
    """The tags of every resource of a stack.

    Attributes:
        own: what the program sets on each resource.
        external: names of tags that others set, such as a company's policy. Azure ignores case in
            names, and so does this class.
    """

    own: Mapping[str, str]
    external: Collection[str] = ()

    @classmethod
    def of_stack(cls, settings: Settings) -> Tags:
        """The tags of the stack that is being deployed."""
        names = {"project": pulumi.get_project(), "stack": pulumi.get_stack()}
        return cls({**settings.tags, **names}, settings.external_tags)

    def of(self, get: Callable[..., Any], **names: str) -> dict[str, str]:
        """The tags to send for a resource: `own`, and the external ones that it has in Azure.

        azure-native sends all tags with each update, and Azure removes those that are missing.
        Pulumi's ignoreChanges sends what the last refresh found, which can be nothing.

        Args:
            get: azure-native's function that reads the resource.
            names: its arguments, the names of the resource and of its resource group.

        Raises:
            Exception: Azure cannot be read; the SDK raises nothing narrower.
        """
        if not self.external:
            return dict(self.own)
        try:
            found: Mapping[str, str] = get(**names).tags or {}
        except Exception as error:
            if "NotFound" not in str(error):  # ResourceNotFound or ResourceGroupNotFound
                raise
            pulumi.log.debug(f"No tags of others on {names}, which is not created yet.")
            found = {}
        external = {name.lower() for name in self.external}
        kept = {name: value for name, value in found.items() if name.lower() in external}
        return {**kept, **self.own}

"""What a stack as a whole must not be: each check yields what is wrong.

A stack is asked about with its resources' outputs: in a preview those that are known, after a
deployment all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pulumi_policy import StackValidationArgs

from ollamazure import catalog
from ollamazure.settings.stack import Settings
from ollamazure.sizing.messages import memory_too_small
from policy.values import at, items, texts

COMMANDS = ("command:remote:Command", "command:local:Command")
_GENERATED = {
    "random:index/randomPassword:RandomPassword": ("result",),
    "tls:index/privateKey:PrivateKey": ("privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"),
}
_SEEN_BY_OTHERS = ("create", "update", "delete", "environment")


def models_too_large(stack: StackValidationArgs) -> Iterator[str]:
    """Models that the machine's memory cannot hold, by the stack's own outputs.

    Models that the catalog does not know are left out: what they need is in the settings only,
    and there the program itself looks.
    """
    outputs = next(it.props for it in stack.resources if it.resource_type == "pulumi:pulumi:Stack")
    size = catalog.vm_sizes().get(str(at(outputs, "vmSize")))
    models = [name for name in items(at(outputs, "models")) if name in catalog.models()]
    if size is None or not models:
        return
    settings = Settings.parse(
        {
            "vmSize": size.name,
            "models": json.dumps(models),
            "sshClients": '["192.0.2.1/32"]',  # has to be there, and changes nothing here
        }
    )
    if too_small := memory_too_small(size, settings):
        yield too_small


def secrets_on_command_lines(stack: StackValidationArgs) -> Iterator[str]:
    """Generated passwords and keys that process lists, previews or error messages would show."""
    secrets = {
        secret: resource.name
        for resource in stack.resources
        for output in _GENERATED.get(resource.resource_type, ())
        for secret in texts(at(resource.props, output))
    }
    for resource in stack.resources:
        if resource.resource_type not in COMMANDS:
            continue
        for name in _SEEN_BY_OTHERS:
            seen = "\n".join(texts(at(resource.props, name)))
            for owner in sorted({owner for secret, owner in secrets.items() if secret in seen}):
                yield f"{resource.name}: the secret of {owner} is in `{name}`."

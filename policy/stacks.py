"""Checks of a stack as a whole: each yields what is wrong with it.

A check sees the outputs of the resources: in a preview those that are known, after a deployment all
of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_policy import StackValidationArgs

from policy.values import at, texts

REMOTE_COMMAND = "command:remote:Command"
LOCAL_COMMAND = "command:local:Command"
_GENERATED = {
    "random:index/randomPassword:RandomPassword": ("result",),
    "tls:index/privateKey:PrivateKey": ("privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"),
}
_SHOWN = ("create", "update", "delete", "environment")


def secrets_on_command_lines(stack: StackValidationArgs) -> Iterator[str]:
    """Generated passwords and keys on a command line, which process lists and previews show."""
    secrets = {
        secret: resource.name
        for resource in stack.resources
        for output in _GENERATED.get(resource.resource_type, ())
        for secret in texts(at(resource.props, output))
    }
    for resource in stack.resources:
        if resource.resource_type not in (REMOTE_COMMAND, LOCAL_COMMAND):
            continue
        for name in _SHOWN:
            shown = "\n".join(texts(at(resource.props, name)))
            for owner in sorted({owner for secret, owner in secrets.items() if secret in shown}):
                yield f"{resource.name}: the secret of {owner} is in `{name}`."

"""The operators' SSH key on the machine: a new one is tried before the former one is removed.

Azure installs the key at the first boot only. After that, two local commands do it from the
operator's side, because only this side has both keys (decision 50):

- `ssh-key-authorized` records the private key that the machine accepts as its output. When the key
  changes, Pulumi runs it with its former output, so with the former key it authorizes the new one.
- `ssh-key-retirement` does nothing until it is deleted: then the machine refuses its key. A new key
  replaces it, and Pulumi deletes last what was replaced, when every command has used the new key.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls
from pulumi_command import local

from components.remote_command import secret_json

PROGRAM = "ollamazure.operate.ssh_key"


@dataclass(frozen=True)
class SshAccessArgs:
    """What signing in to the machine needs.

    Attributes:
        key: the operators' key.
        user: who signs in.
        address: public IPv4 address of the machine.
        host_key: the machine's public key, one line.
        vm: the machine.
    """

    key: tls.PrivateKey
    user: str
    address: pulumi.Input[str]
    host_key: pulumi.Input[str]
    vm: pulumi.Resource


class SshAccess(pulumi.ComponentResource):
    """The right to sign in to the machine.

    Attributes:
        private_key: secret; known when the machine accepts it.
    """

    private_key: pulumi.Output[str]

    def __init__(
        self, name: str, args: SshAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:SshAccess", name, None, opts)
        key: pulumi.Output[str] = pulumi.Output.secret(args.key.private_key_openssh)
        # The fields of MachineConnection (ollamazure/operate/connection.py).
        machine = secret_json(
            {
                "user": args.user,
                "address": args.address,
                "private_key": key,
                "host_key": args.host_key,
            }
        )
        retirement = local.Command(
            "ssh-key-retirement",
            delete=_command("retire"),
            stdin=machine,
            triggers=[args.key.public_key_openssh],
            logging=local.Logging.STDERR,
            opts=self._options(args),
        )
        authorized = local.Command(
            "ssh-key-authorized",
            create=_command("record"),
            update=_command("authorize"),
            stdin=machine,
            logging=local.Logging.STDERR,
            # First the retirement: a key that the machine may accept is always one to retire.
            opts=self._options(args, retirement),
        )
        # A command with this key depends on both, so its own deletion precedes the retirement.
        both = pulumi.Output.all(key, retirement.urn, authorized.urn)
        self.private_key = pulumi.Output.secret(both.apply(lambda known: known[0]))
        self.register_outputs({})

    def _options(self, args: SshAccessArgs, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=[args.vm, *after],
            deleted_with=args.vm,
            additional_secret_outputs=["stdout", "stderr"],
            custom_timeouts=pulumi.CustomTimeouts(update="20m", delete="10m"),
        )


def _command(word: str) -> str:
    """The command line; paths are relative to the project, so the same in every clone."""
    return shlex.join([os.path.relpath(sys.executable), "-m", PROGRAM, word])

"""Prometheus' node exporter on the machine, from Debian's package."""

from __future__ import annotations

import pulumi

from components.remote_command import TOOLS, File, Target, run_on_machine

PORT = 9100
SCRIPT = f"{TOOLS}/node-exporter"


class NodeExporter(pulumi.ComponentResource):
    """Metrics of the machine, for the addresses that the firewall admits."""

    def __init__(
        self, name: str, target: Target, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:NodeExporter", name, None, opts)
        run_on_machine(
            "node-exporter",
            target,
            purpose="offer metrics",
            script=f"{SCRIPT} start",
            files=[
                File(SCRIPT, "0755"),
                File(f"{TOOLS}/node_exporter.py", "0755"),
                File("/etc/systemd/system/ollamazure-node-exporter.service"),
            ],
            delete=f"{SCRIPT} stop",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})

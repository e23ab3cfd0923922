"""Programs of a cluster's pod with the tools, by `kubectl exec`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any

from ollamazure.operate.pulumi import OperateError


@dataclass(frozen=True)
class PodConnection:
    """A pod of a cluster.

    Attributes:
        kubeconfig: the way to the cluster, with credentials.
        namespace: of the pod.
        pod: what `kubectl exec` calls it, such as `deployment/tools`.
    """

    kubeconfig: str = field(repr=False)
    namespace: str
    pod: str

    def query(self, command: str) -> Any:
        """What a command prints as JSON. A pod has no sudo, so `sudo` before it is left out.

        Raises:
            OperateError: kubectl is missing, the cluster cannot be reached, or the command failed.
        """
        with tempfile.NamedTemporaryFile("w", prefix="ollamazure-") as kubeconfig:
            kubeconfig.write(self.kubeconfig)
            kubeconfig.flush()
            exec_ = ["kubectl", "--kubeconfig", kubeconfig.name, "--namespace", self.namespace]
            exec_ += ["exec", self.pod, "--", "sh", "-c", command.removeprefix("sudo ")]
            try:
                done = subprocess.run(exec_, capture_output=True, text=True, check=False)
            except FileNotFoundError as missing:
                raise OperateError(
                    "kubectl is not installed: https://kubernetes.io/docs/tasks/tools"
                ) from missing
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it printed no reason"]
            raise OperateError(f"`{command}` failed in {self.pod}: {lines[-1]}")
        return json.loads(done.stdout)

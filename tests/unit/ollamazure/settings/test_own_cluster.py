"""What a cluster of one's own lacks, with a stand-in for `kubectl`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ollamazure.settings.own_cluster import OwnCluster, problems_of
from tests.unit.stand_in import Program

KUBECONFIG = Path("secrets/kubeconfig")
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


class Kubectl(Program):
    """A cluster that lacks nothing, until a test changes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "kubectl")
        self.raw("/version", {"major": "1", "minor": "36+", "gitVersion": "v1.36.3+k3s1"})
        self.classes({"name": "fast", "annotations": DEFAULT})
        self.raw("/apis", {"groups": [{"name": "apps"}]})
        self.raw("/api/v1/nodes", {"items": [{"spec": {"providerID": "azure:///node"}}]})
        self.raw("/api/v1/services", {"items": []})

    def raw(self, path: str, answer: Any) -> None:
        self.answer(f"--kubeconfig {KUBECONFIG} --request-timeout 15s get --raw {path}", answer)

    def classes(self, *metadata: dict[str, Any]) -> None:
        items = [{"metadata": each} for each in metadata]
        self.raw("/apis/storage.k8s.io/v1/storageclasses", {"items": items})


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Kubectl(tmp_path)


def problems(kubectl: Kubectl, storage_class: str | None = None) -> list[str]:
    kubectl.install()
    return list(problems_of(OwnCluster(KUBECONFIG), storage_class))


def test_a_cluster_that_lacks_nothing(kubectl: Kubectl) -> None:
    assert problems(kubectl) == []
    assert problems(kubectl, "fast") == []


def test_a_cluster_that_cannot_be_reached(kubectl: Kubectl) -> None:
    words = f"--kubeconfig {KUBECONFIG} --request-timeout 15s get --raw /version"
    kubectl.fail(words, "dial tcp 192.0.2.1:6443: i/o timeout")
    (problem,) = problems(kubectl)
    assert "cannot be reached: ERROR: dial tcp 192.0.2.1:6443: i/o timeout" in problem
    assert "Fix: try `kubectl --kubeconfig secrets/kubeconfig get nodes`" in problem


def test_without_kubectl(kubectl: Kubectl) -> None:
    (problem,) = problems_of(OwnCluster(KUBECONFIG), None)
    assert "kubectl is not installed" in problem


def test_all_problems_at_once(kubectl: Kubectl) -> None:
    kubectl.raw("/version", {"major": "1", "minor": "33", "gitVersion": "v1.33.9"})
    kubectl.classes({"name": "slow"})
    kubectl.raw("/api/v1/nodes", {"items": [{"spec": {}}]})
    old, storage, balancer = problems(kubectl)
    assert "has Kubernetes v1.33.9, and the chat needs 1.34 or later." in old
    assert "has no default storage class." in storage
    assert "pulumi config set --path ollamazure:cluster.storageClass slow" in storage
    assert "has no load balancer" in balancer and "MetalLB" in balancer


def test_a_storage_class_that_does_not_exist(kubectl: Kubectl) -> None:
    (problem,) = problems(kubectl, "fsat")
    assert "has no storage class fsat." in problem
    assert "ollamazure:cluster.storageClass fast" in problem


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/apis", {"groups": [{"name": "metallb.io"}]}),
        (
            "/api/v1/services",
            {
                "items": [
                    {
                        "spec": {"type": "LoadBalancer"},
                        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
                    }
                ]
            },
        ),
    ],
    ids=["a known program", "a service that has an address"],
)
def test_a_load_balancer_is_found(kubectl: Kubectl, path: str, answer: Any) -> None:
    kubectl.raw("/api/v1/nodes", {"items": [{"spec": {}}]})
    kubectl.raw(path, answer)
    assert problems(kubectl) == []

"""Secrets drawn anew: the former ones are of no use any more."""

from __future__ import annotations

import time

from tests.e2e.deployment import Deployment


def test_a_rotated_password_replaces_the_former(deployment: Deployment) -> None:
    former = deployment.outputs["adminPassword"]
    # Digits alone: Pulumi takes other random text for a secret that is about to be stored in plain.
    deployment.up(adminPasswordRotation=str(int(time.time())))

    assert deployment.outputs["adminPassword"] != former
    assert deployment.token
    credentials = {"email": deployment.outputs["adminEmail"], "password": former}
    with deployment.client() as client:
        refused = client.post("/api/v1/auths/signin", json=credentials)
    assert refused.status_code == 400, refused.status_code

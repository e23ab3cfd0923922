"""Changes by hand on a machine: `ollamazure drift` names them, another `reapply` undoes them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess

import asyncssh
import pytest

from ollamazure.operate.drift import query_machine
from ollamazure.operate.pulumi import OperateError
from tests.e2e.deployment import PROJECT, Deployment, Ran
from tests.e2e.test_application import models_of_a_new_user, started

# Changed and started again: the file alone, put right, would leave Ollama with the change.
OLLAMA_BY_HAND = """
sudo sed -i s/OLLAMA_KEEP_ALIVE=.*/OLLAMA_KEEP_ALIVE=1m/ /etc/systemd/system/ollama.service
sudo systemctl daemon-reload
sudo systemctl restart ollama
until sudo curl --fail --silent http://127.0.0.1:11434/api/version; do sleep 0.2; done
sudo curl --fail -X DELETE http://127.0.0.1:11434/api/delete -d '{"model": "smollm2:135m"}'
"""
OTHERS_BY_HAND = """
echo '# by hand' | sudo tee -a /etc/nginx/nginx.conf
sudo rm /etc/nginx/preparing.html
sudo chmod 0666 /usr/local/lib/ollamazure/lib.sh
sudo nft add rule inet ollamazure input tcp dport 3000 accept
sudo systemctl disable ollamazure-firewall
echo 'no setting declares this' | sudo tee /etc/nginx/other.conf
"""
FOUND = {
    "machine-ready": [
        r"/usr/local/lib/ollamazure/lib.sh has mode 0666 and owner 0, declared are 0644 and 0",
        r"ollamazure-firewall.service does not start with the machine",
        r"the active firewall differs from /etc/ollamazure/firewall.nft",
    ],
    "model-smollm2-135m": [r"the model smollm2:135m is missing"],
    "nginx-config": [
        r"/etc/nginx/nginx.conf was changed \(.* UTC\)",
        r"/etc/nginx/preparing.html is missing",
    ],
    "ollama": [r"/etc/systemd/system/ollama.service was changed \(.* UTC\)"],
    "open-webui-admin": [r"the declared administrator cannot sign in with the declared password"],
    "open-webui-settings": [r".*ui.enable_signup.*"],
}


def drift(deployment: Deployment) -> Ran:
    done = subprocess.run(
        ["bin/ollamazure", "drift", "--stack", deployment.stack],
        cwd=PROJECT,
        env={**os.environ, "OLLAMAZURE_EMULATOR": str(deployment.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def by_resource(report: str) -> dict[str, list[str]]:
    paragraphs = [lines.splitlines() for lines in report.split("\n\n")]
    return {
        lines[0]: [line.strip() for line in lines[1:]] for lines in paragraphs if len(lines) > 1
    }


def test_what_was_changed_by_hand_is_named_and_set_right(deployment: Deployment) -> None:
    deployment.ssh(OLLAMA_BY_HAND)
    deployment.ssh(OTHERS_BY_HAND)
    with deployment.client(deployment.token) as client:
        body = {"config": {"ui.enable_signup": True}}
        assert client.post("/api/v1/configs/import", json=body).status_code == 200
        passwords = {
            "password": deployment.outputs["adminPassword"],
            "new_password": "set in the browser",
        }
        changed_to = client.post("/api/v1/auths/update/password", json=passwords)
        assert changed_to.status_code == 200
    before = started(deployment)

    changed = drift(deployment)

    assert changed.code == 1, changed.output
    found = by_resource(changed.output)
    assert found.keys() == FOUND.keys(), changed.output
    for resource, patterns in FOUND.items():
        whole = zip(patterns, found[resource], strict=True)
        assert all(re.fullmatch(*pair) for pair in whole), found[resource]
    advised = re.search(r"config set ollamazure:reapply (\S+)", changed.output)
    assert advised

    deployment.up(reapply=advised[1])

    again = drift(deployment)
    assert (again.code, again.output.partition(":")[0]) == (0, "No drift"), again.output
    running = "sudo cat /proc/$(systemctl show --property=MainPID --value ollama)/environ"
    assert "OLLAMA_KEEP_ALIVE=1m" not in deployment.ssh(running).output.split("\0")
    after = started(deployment)
    assert {unit for unit in after if after[unit] != before[unit]} == {"ollama"}
    deployment.ssh("sudo rm /etc/nginx/other.conf")  # still there


@pytest.mark.long
def test_what_podman_pruned_is_named_and_brought_back(deployment: Deployment) -> None:
    deployment.ssh("sudo systemctl stop nginx open-webui && sudo podman system prune --all --force")

    pruned = drift(deployment)

    assert pruned.code == 1, pruned.output
    found = by_resource(pruned.output)
    assert found["machine-ready"] == ["the network mynet is missing"]
    for name in ("nginx", "open-webui"):
        inactive, missing = found[name]
        assert re.fullmatch(rf"the image \S+/{name}:\S+ is missing", missing)
        assert inactive == f"{name}.service is not active"
    advised = re.search(r"config set ollamazure:reapply (\S+)", pruned.output)
    assert advised

    deployment.up(reapply=advised[1])

    again = drift(deployment)
    assert again.code == 0, again.output
    assert deployment.ask("Say hello.")


@pytest.mark.long
def test_undeclared_items_are_no_drift(deployment: Deployment) -> None:
    models_of_a_new_user(deployment)
    copy = '{"source": "smollm2:135m", "destination": "mine"}'
    deployment.ssh(f"sudo curl --fail http://127.0.0.1:11434/api/copy -d '{copy}'")

    assert drift(deployment).code == 0
    deployment.ssh('sudo curl -X DELETE http://127.0.0.1:11434/api/delete -d \'{"model": "mine"}\'')


def test_another_machine_at_the_address_is_not_believed(deployment: Deployment) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(OperateError, match="Host key is not trusted"):
        asyncio.run(query_machine({**deployment.outputs, "hostKey": other}))


def test_a_machine_that_is_not_reached_is_trouble(deployment: Deployment) -> None:
    nowhere = "ssh -i chat.key ollamazure@127.20.255.253"
    with pytest.raises(OperateError, match=r"SSH to the machine at .* failed"):
        asyncio.run(query_machine({**deployment.outputs, "sshCommand": nowhere}))

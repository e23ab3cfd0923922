"""Which pods reach which: nothing but what is listed here."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import core, networking

from components.kubernetes.objects import (
    NGINX,
    OLLAMA,
    OLLAMA_PORT,
    TOOLS,
    WEBUI,
    WEBUI_PORT,
    Object,
    labels,
    metadata,
)

# Each part's callers within the chat, with the port.
CALLERS = {
    (WEBUI, WEBUI_PORT): (NGINX, TOOLS),
    (NGINX, OLLAMA_PORT): (WEBUI,),
    (OLLAMA, OLLAMA_PORT): (NGINX, TOOLS),
}
# Parts that reach the services that Azure operates, and sign-in providers.
OUTWARD = (WEBUI, TOOLS, "migration")
# Of Azure's metadata service, which no pod needs: identities come as tokens of service accounts.
METADATA_SERVICE = "169.254.169.254/32"
EVERYWHERE = {"ip_block": {"cidr": "0.0.0.0/0", "except_": [METADATA_SERVICE]}}


def restrict_network(namespace: core.v1.Namespace, opts: pulumi.ResourceOptions) -> None:
    """Deny everything in the namespace by default, and allow what the chat needs."""
    child = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[namespace]))
    _allow("deny-all", {}, [], [], child)
    # Names, by the cluster's own service in another namespace.
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    _allow("dns", {}, None, [{"to": [{"namespace_selector": {}}], "ports": dns}], child)
    for (part, port), callers in CALLERS.items():
        ports = [{"protocol": "TCP", "port": port}]
        peers = [{"pod_selector": {"match_labels": labels(each)}} for each in callers]
        _allow(f"to-{part}-{port}", labels(part), [{"from_": peers, "ports": ports}], None, child)
    for part in (NGINX, WEBUI, TOOLS):
        reached = [
            {
                "to": [{"pod_selector": {"match_labels": labels(called)}}],
                "ports": [{"protocol": "TCP", "port": port}],
            }
            for (called, port), callers in CALLERS.items()
            if part in callers
        ]
        _allow(f"from-{part}", labels(part), None, reached, child)
    for part in OUTWARD:
        _allow(f"outward-{part}", labels(part), None, [{"to": [EVERYWHERE]}], child)
    # Ollama pulls models from its registry, and nothing else.
    web = [{"protocol": "TCP", "port": port} for port in (443, 80)]
    _allow("models", labels(OLLAMA), None, [{"to": [EVERYWHERE], "ports": web}], child)
    _allow("to-nginx", labels(NGINX), [{"ports": web}], None, child)


def _allow(
    name: str,
    selected: Object,
    ingress: list[Object] | None,
    egress: list[Object] | None,
    opts: pulumi.ResourceOptions,
) -> networking.v1.NetworkPolicy:
    types = [
        kind for kind, rules in (("Ingress", ingress), ("Egress", egress)) if rules is not None
    ]
    return networking.v1.NetworkPolicy(
        f"policy-{name}",
        metadata=metadata(name, "network"),
        spec={
            "pod_selector": {"match_labels": selected} if selected else {},
            "policy_types": types,
            "ingress": ingress,
            "egress": egress,
        },
        opts=opts,
    )

"""The files that k3s and RKE2 read, rendered from one model. Pure. YAML that is JSON: nothing in it needs quoting.

https://docs.k3s.io/cli/server and /cli/agent: each key is a flag, and one that the program does not know keeps it from
starting. https://docs.k3s.io/installation/private-registry for registries.yaml.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address

from appliance.kubernetes.flavour import Flavour
from appliance.model.cluster import ClusterSpec, NodeRole
from appliance.model.ids import MachineName
from appliance.model.secret import Secret

AUTHORITY = "registry-ca.crt"
"""Beside registries.yaml: who has signed the registry's certificate."""
_DNS = 10
"""Which of the services' addresses the cluster's name service has, as everywhere in Kubernetes."""
_UNIT = """\
[Unit]
Description={program} ({verb})
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart={binary} {verb}

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of one node, in one cluster."""

    cluster: ClusterSpec
    name: MachineName
    address: IPv4Address


def founder(flavour: Flavour, place: Place, token: Secret) -> Secret:
    """config.yaml of the first server, and of one that a backup is restored on."""
    return _text({**_server(flavour, place, token), **flavour.founder})


def server(flavour: Flavour, place: Place, token: Secret) -> Secret:
    """Of every further one: `token` begins with `pinned`."""
    return _text({**_server(flavour, place, token), "server": _url(flavour, place.cluster)})


def agent(flavour: Flavour, place: Place, token: Secret) -> Secret:
    return _text({**_node(place), "token": token.reveal(), "server": _url(flavour, place.cluster)})


def pinned(authority: str, credentials: Secret) -> Secret:
    """A token that is told to nobody but the cluster of this authority (PEM): https://docs.k3s.io/cli/token."""
    return Secret(f"K10{sha256(authority.encode()).hexdigest()}::{credentials.reveal()}")


def registries(flavour: Flavour, registry: str, authority: str) -> str:
    """Images that name no registry, or ours, come from ours."""
    document: dict[str, object] = {
        "mirrors": {name: {"endpoint": [f"https://{registry}"]} for name in ("docker.io", registry)}
    }
    if authority:
        document["configs"] = {registry: {"tls": {"ca_file": f"{flavour.etc}/{AUTHORITY}"}}}
    return json.dumps(document, indent=1) + "\n"


def unit(flavour: Flavour, role: NodeRole) -> str:
    verb = "server" if role is NodeRole.CONTROL_PLANE else "agent"
    return _UNIT.format(program=flavour.program, verb=verb, binary=flavour.binary)


def _server(flavour: Flavour, place: Place, token: Secret) -> Mapping[str, object]:
    cluster = place.cluster
    left_out = {"disable": list(flavour.left_out)} if flavour.left_out else {}
    return {
        **_node(place),
        "token": token.reveal(),
        "tls-san": sorted({str(cluster.endpoint), *cluster.names}),
        "cluster-cidr": str(cluster.pods),
        "service-cidr": str(cluster.services),
        "cluster-dns": str(cluster.services[_DNS]),
        "write-kubeconfig-mode": "0600",
        # As kubeadm has it: who asks /readyz without a name is a balancer. RBAC shows such a one health and version.
        "kube-apiserver-arg": ["anonymous-auth=true"],
        **left_out,
    }


def _node(place: Place) -> Mapping[str, object]:
    return {"node-name": place.name, "node-ip": str(place.address)}


def _url(flavour: Flavour, cluster: ClusterSpec) -> str:
    return f"https://{cluster.endpoint}:{flavour.join_port}"


def _text(document: Mapping[str, object]) -> Secret:
    return Secret(json.dumps(document, indent=1, sort_keys=True) + "\n")

"""The documents that kubeadm reads, in the form that its version wants. YAML that is JSON: nothing in it needs quoting.

| kubeadm | form | what differs here |
|---|---|---|
| 1.20, 1.21 | v1beta2 | phases are skipped on the command line |
| 1.22 to 1.30 | v1beta3 | phases are skipped in the document |
| 1.31 to 1.35 | v1beta4 | arguments are lists; deadlines have a place of their own |

https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

from appliance.errors import SiteError
from appliance.kubernetes.cluster import Cluster, Member, Ticket
from appliance.kubernetes.version import ConfigApi, KubernetesVersion
from appliance.model.cluster import API_PORT, NodeRole

SOCKET = "/run/containerd/containerd.sock"
DISCOVERY = "/etc/kubernetes/discovery.conf"
NO_NAMES = "addon/coredns"
PATIENCE = "20m0s"
"""How long a control plane may take to answer for the first time: machines may be slow, and images large."""
_TOKEN_TTL = "2h0m0s"  # noqa: S105  a duration
_SCHEMED_SINCE = 24
"""The minor that began to ask for unix:// before a socket's path."""

Document: TypeAlias = Mapping[str, object]


def first(cluster: Cluster, member: Member, ticket: Ticket | None) -> str:
    """For `kubeadm init --config` on the first control plane. It holds the ticket's secrets; without one nobody can
    join until a token is made."""
    _expect(member, NodeRole.CONTROL_PLANE)
    documents = (_init(cluster, member, ticket), _cluster(cluster), _kubelet(), _proxy())
    return _text(documents)


def further(cluster: Cluster, member: Member, ticket: Ticket) -> str:
    """For `kubeadm join --config` on every other member, beside `discovery`. It holds the ticket's secrets.

    Raises SiteError for a control plane without the certificate key."""
    api = cluster.version.config_api
    document: dict[str, object] = {
        "apiVersion": api,
        "kind": "JoinConfiguration",
        "discovery": {"file": {"kubeConfigPath": DISCOVERY}, "tlsBootstrapToken": ticket.token.reveal()},
        "nodeRegistration": _registration(cluster.version, member),
    }
    if member.role is NodeRole.CONTROL_PLANE:
        document["controlPlane"] = _joining_plane(member, ticket)
    if api is ConfigApi.V1BETA4:
        document["timeouts"] = {"controlPlaneComponentHealthCheck": PATIENCE}
    return _text((document,))


def discovery(cluster: Cluster, ticket: Ticket) -> str:
    """What `DISCOVERY` is to hold: where the API is, and the certificate that it must show. Nothing in it is secret.
    In the form of the cluster's own ConfigMap `cluster-info`: one cluster without a name, and no user.

    The whole certificate, not its hash: kubeadm gives it the serial number 0, which libraries begin to refuse.

    Raises SiteError for a ticket without it."""
    if not ticket.authority:
        raise SiteError(
            f"nobody can join {cluster.name}: its certificate is not known",
            next_action="begin it first, and read the certificate from its first control plane",
        )
    encoded = b64encode(ticket.authority.encode()).decode()
    place = {"certificate-authority-data": encoded, "server": f"https://{cluster.endpoint}"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": place}],
        "contexts": [],
        "users": [],
        "current-context": "",
    }
    return _text((document,))


def skipped(cluster: Cluster) -> tuple[str, ...]:
    """Phases that `kubeadm init` leaves out."""
    return () if cluster.has_names else (NO_NAMES,)


def _init(cluster: Cluster, member: Member, ticket: Ticket | None) -> Document:
    api = cluster.version.config_api
    document: dict[str, object] = {
        "apiVersion": api,
        "kind": "InitConfiguration",
        "bootstrapTokens": [_token(ticket)],
        "localAPIEndpoint": _local(member),
        "nodeRegistration": _registration(cluster.version, member),
    }
    if ticket is not None and ticket.certificate_key is not None:
        document["certificateKey"] = ticket.certificate_key.reveal()
    match api:
        case ConfigApi.V1BETA2:
            pass
        case ConfigApi.V1BETA3:
            document["skipPhases"] = list(skipped(cluster))
        case ConfigApi.V1BETA4:
            document["skipPhases"] = list(skipped(cluster))
            document["timeouts"] = {"controlPlaneComponentHealthCheck": PATIENCE}
        case _:
            assert_never(api)
    return document


def _token(ticket: Ticket | None) -> Document:
    """kubeadm makes one in any case: without a ticket, one that nobody knows and that is gone soon."""
    if ticket is None:
        return {"ttl": "1m0s"}
    return {"token": ticket.token.reveal(), "ttl": _TOKEN_TTL}


def _cluster(cluster: Cluster) -> Document:
    api = cluster.version.config_api
    server: dict[str, object] = {"certSANs": _names(cluster)}
    if api is not ConfigApi.V1BETA4:
        server["timeoutForControlPlane"] = PATIENCE
    dns = {"dns": {"imageTag": cluster.tags["coredns"]}} if cluster.has_names else {}
    return {
        "apiVersion": api,
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": str(cluster.version),
        "controlPlaneEndpoint": str(cluster.endpoint),
        "imageRepository": cluster.registry.prefix,
        "apiServer": server,
        "etcd": {"local": {"imageTag": cluster.tags["etcd"]}},
        "networking": {"podSubnet": str(cluster.pods), "serviceSubnet": str(cluster.services)},
        **dns,
    }


def _kubelet() -> Document:
    """The image has no swap; where a machine has some, that is no reason not to start."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "failSwapOn": False,
        "serverTLSBootstrap": True,  # so that whoever speaks to a kubelet can know it, and somebody approves
    }


def _proxy() -> Document:
    """The kernel's own number of connections is left alone: a node may not be allowed to change it."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0},
    }


def _registration(version: KubernetesVersion, member: Member) -> Document:
    socket = f"unix://{SOCKET}" if version.minor >= _SCHEMED_SINCE else SOCKET
    arguments = _arguments(version.config_api, {"node-ip": str(member.address)})
    return {"name": member.name, "criSocket": socket, "kubeletExtraArgs": arguments}


def _joining_plane(member: Member, ticket: Ticket) -> Document:
    if ticket.certificate_key is None:
        raise SiteError("a control plane cannot join without the certificate key", next_action="make a new ticket")
    return {"certificateKey": ticket.certificate_key.reveal(), "localAPIEndpoint": _local(member)}


def _local(member: Member) -> Document:
    return {"advertiseAddress": str(member.address), "bindPort": API_PORT}


def _names(cluster: Cluster) -> Sequence[str]:
    planes = (member for member in cluster.members if member.role is NodeRole.CONTROL_PLANE)
    return sorted({cluster.endpoint.host, *cluster.names, *(str(member.address) for member in planes)})


def _arguments(api: ConfigApi, arguments: Mapping[str, str]) -> object:
    if api is ConfigApi.V1BETA4:
        return [{"name": name, "value": value} for name, value in sorted(arguments.items())]
    return dict(arguments)


def _expect(member: Member, role: NodeRole) -> None:
    if member.role is not role:
        raise SiteError(f"{member.name} is to be a {member.role.value}", next_action=f"begin with a {role.value}")


def _text(documents: Sequence[Document]) -> str:
    return "---\n".join(json.dumps(document, indent=1, sort_keys=True) + "\n" for document in documents)

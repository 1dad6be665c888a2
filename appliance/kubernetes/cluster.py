"""One cluster as it is wanted: what all of its documents, files and commands are rendered from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from appliance.errors import SiteError
from appliance.kubernetes.version import KubernetesVersion
from appliance.model.cluster import API_PORT, NodeRole
from appliance.model.secret import Secret

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*")
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_KEY = re.compile(r"[0-9a-f]{64}")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{1,16384}-----END CERTIFICATE-----\n?")
POD_PREFIX = 24
"""Of each node's share of the pod network: 254 pods, which is more than the 110 that a kubelet starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`host` is a name or an address."""

    host: str
    port: int = API_PORT

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host) or not 0 < self.port < 1 << 16:
            raise _refused("an endpoint", repr(str(self)))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    name: str
    address: IPv4Address
    role: NodeRole

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _refused("a member", repr(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where nodes get images: `scheme` is `https`, or `http` on a network that is trusted; `authority` is a certificate
    in PEM, of which nodes get a copy, empty where they know the registry's own."""

    endpoint: Endpoint
    repository: str
    scheme: str = "https"
    authority: str = ""

    def __post_init__(self) -> None:
        if self.scheme not in {"http", "https"} or not _REPOSITORY.fullmatch(self.repository):
            raise _refused("a registry", repr((self.scheme, self.repository)))

    @property
    def prefix(self) -> str:
        return f"{self.endpoint}/{self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`endpoint` is where every node finds the API: the balancer's, or of the only control plane; `names` are others
    that its certificate shall hold.

    `tags` are those of the images that the artifact set has, by name (`etcd`, `pause`): without `coredns` among them
    there is no name service inside the cluster."""

    name: str
    version: KubernetesVersion
    endpoint: Endpoint
    registry: Registry
    members: tuple[Member, ...]
    tags: Mapping[str, str]
    pods: IPv4Network = field(default=IPv4Network("10.200.0.0/16"))
    services: IPv4Network = field(default=IPv4Network("10.96.0.0/16"))
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(_HOST.fullmatch, self.names)):
            raise _refused("a name of a cluster", repr(self.names)[:200])
        if not _NAME.fullmatch(self.name) or not all(_TAG.fullmatch(tag) for tag in self.tags.values()):
            raise _refused("a cluster", repr((self.name, dict(self.tags)))[:200])
        if lacking := {"etcd", "pause"} - self.tags.keys():
            raise _refused("a set's list of images", f"no image {', '.join(sorted(lacking))}")
        if self.pods.overlaps(self.services):
            raise _refused("a network", f"pods {self.pods} and services {self.services} overlap")
        self._check_members()

    @property
    def has_names(self) -> bool:
        return "coredns" in self.tags

    def _check_members(self) -> None:
        shares = 1 << max(0, POD_PREFIX - self.pods.prefixlen)
        if self.pods.prefixlen > POD_PREFIX or len(self.members) > shares:
            raise _refused("a network", f"{self.pods} has no share of /{POD_PREFIX} for every member")
        for what in ("name", "address"):
            values = [getattr(member, what) for member in self.members]
            if len(set(values)) != len(values):
                raise _refused("the list of members", f"two have the same {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Lets a machine join: `token` as in `abcdef.0123456789abcdef`; `authority` is the cluster's certificate in PEM,
    known as soon as the first control plane is there.

    `certificate_key` (32 bytes in hex) opens what a further control plane needs of the first one's keys."""

    token: Secret
    authority: str = ""
    certificate_key: Secret | None = None

    def __post_init__(self) -> None:
        key = self.certificate_key
        known = not self.authority or _CERTIFICATE.fullmatch(self.authority)
        if not (_TOKEN.fullmatch(self.token.reveal()) and known) or (key and not _KEY.fullmatch(key.reveal())):
            raise _refused("a ticket", "its token, its certificate or its key")


def _refused(what: str, evidence: str) -> SiteError:
    return SiteError(
        f"{what} of a Kubernetes cluster is malformed",
        evidence=evidence,
        next_action="correct the site program; nothing was touched",
    )

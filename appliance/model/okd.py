"""OKD clusters: what is wanted of one, host by host. Hosts are told by what cannot move: MAC, serial number, WWN."""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from appliance.errors import SiteError
from appliance.model.cluster import ClusterSpec, NodeRole
from appliance.model.ids import MachineName
from appliance.model.links import MachineNetwork
from pxe.client import Mac

_DOMAIN = re.compile(r"(?=.{1,190}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_DEVICE = re.compile(r"/dev/disk/by-id/[A-Za-z0-9._:+=-]{1,200}")
MACHINE_CONFIG_PORT = 22623
"""At which machines get the rest of their Ignition, from inside the site only."""
OKD_JOINER = "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper"
"""In whose name every machine asks for its first certificate (openshift/machine-config-operator)."""
PLANES = (1, 3, 4, 5)


class OkdRole(Enum):
    """In the installer's own words but the first: that machine is none of the cluster's nodes."""

    BOOTSTRAP = "bootstrap"
    MASTER = "master"
    WORKER = "worker"


class OkdWay(Enum):
    UPI = "upi"
    """User-provisioned infrastructure: each machine is told what it is to be."""
    AGENT = "agent"
    """Agent-based installer: all machines boot the same, and one of them leads."""


class OkdShape(Enum):
    SINGLE = "single node"
    COMPACT = "compact"
    """Three control planes that take pods, too."""
    FULL = "highly available"


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdHost:
    """`device` names its disk below /dev/disk/by-id; `wwn` and `serial` are what it was seen to have. `network` is
    stated; None: DHCP."""

    name: MachineName
    role: OkdRole
    address: IPv4Address
    mac: Mac
    device: str
    wwn: str = ""
    serial: str = ""
    network: MachineNetwork | None = None

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise SiteError(
                f"{self.name}: {self.device[:80]!r} names no disk",
                next_action="give the disk by its link below /dev/disk/by-id",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdSpec:
    """`domain` is the base domain: the API is api.NAME.DOMAIN. `machines` is the network of the hosts, `prefix` is that
    of each node's share of the pods' network. `founded`: it holds itself already, and needs nobody to start it. `keys`
    are OpenSSH public key lines for the user `core`."""

    cluster: ClusterSpec
    domain: str
    machines: IPv4Network
    hosts: tuple[OkdHost, ...]
    way: OkdWay = OkdWay.UPI
    founded: bool = False
    prefix: int = 23
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain):
            raise _refused(self, f"{self.domain[:80]!r} cannot be its domain", "give a domain of lower-case labels")
        if strange := [host.name for host in self.hosts if host.address not in self.machines]:
            raise _refused(self, f"{', '.join(strange)} is outside {self.machines}", "give hosts addresses inside it")
        planes, starters = len(self.planes), len(self._of(OkdRole.BOOTSTRAP))
        if planes not in PLANES:
            choice = ", ".join(map(str, PLANES))
            raise _refused(self, f"{planes} control planes cannot be", f"give it one of {choice}")
        if (starters == 1) is not self.needs_bootstrap or starters > 1:
            wants = "exactly one" if self.needs_bootstrap else "none"
            raise _refused(self, f"{starters} bootstrap machines", f"this way and size need {wants}")
        if self.shape is OkdShape.SINGLE and self.workers:
            raise _refused(self, "a single node with workers", "add them when the node is there, or name three")

    @property
    def needs_bootstrap(self) -> bool:
        """A single node, and whoever leads the agents, start the cluster by themselves."""
        return self.way is OkdWay.UPI and self.shape is not OkdShape.SINGLE and not self.founded

    @property
    def shape(self) -> OkdShape:
        if len(self.planes) == 1:
            return OkdShape.SINGLE
        return OkdShape.FULL if self.workers else OkdShape.COMPACT

    @property
    def planes(self) -> tuple[OkdHost, ...]:
        return self._of(OkdRole.MASTER)

    @property
    def workers(self) -> tuple[OkdHost, ...]:
        return self._of(OkdRole.WORKER)

    @property
    def bootstrap(self) -> OkdHost | None:
        return next(iter(self._of(OkdRole.BOOTSTRAP)), None)

    @property
    def nodes(self) -> tuple[OkdHost, ...]:
        return (*self.planes, *self.workers)

    @property
    def ingress(self) -> tuple[OkdHost, ...]:
        """Who takes what comes for applications."""
        return self.workers or self.planes

    @property
    def rendezvous(self) -> OkdHost:
        """Who leads the agents."""
        return self.planes[0]

    @property
    def zone(self) -> str:
        """Below which the cluster's own names are."""
        return f"{self.cluster.name}.{self.domain}"

    @property
    def api(self) -> str:
        return f"api.{self.zone}"

    @property
    def api_inside(self) -> str:
        return f"api-int.{self.zone}"

    @property
    def apps(self) -> str:
        return f"*.apps.{self.zone}"

    def host(self, name: MachineName) -> OkdHost:
        return next(host for host in self.hosts if host.name == name)

    def _of(self, role: OkdRole) -> tuple[OkdHost, ...]:
        return tuple(host for host in self.hosts if host.role is role)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOkd:
    """Everything that can be known beforehand is so: files, versions, images, the time."""

    spec: OkdSpec
    action: Literal["check-okd"] = "check-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOkd:
    """The cluster's names resolve, and its address leads to its machines. `starting`: the bootstrap machine stands in
    for control planes that are not there yet."""

    spec: OkdSpec
    starting: bool
    action: Literal["serve-okd"] = "serve-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOkd:
    """The installer has made the machines' Ignition, and the appliance's access to the cluster with it."""

    spec: OkdSpec
    action: Literal["make-okd"] = "make-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOkd:
    """The control planes hold the cluster by themselves."""

    spec: OkdSpec
    action: Literal["start-okd"] = "start-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadOkd:
    """The cluster's address leads to its nodes alone. It is the bootstrap machine's step, and its last one."""

    spec: OkdSpec
    action: Literal["lead-okd"] = "lead-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinOkd:
    """The cluster lists the machine, and says that it is ready."""

    spec: OkdSpec
    role: NodeRole
    action: Literal["join-okd"] = "join-okd"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmOkd:
    """Version, operators, machine configs and nodes: the cluster's own word on each, and no request is pending."""

    spec: OkdSpec
    action: Literal["confirm-okd"] = "confirm-okd"


OkdAction = CheckOkd | ServeOkd | MakeOkd | StartOkd | LeadOkd | JoinOkd | ConfirmOkd


def _refused(spec: OkdSpec, what: str, action: str) -> SiteError:
    return SiteError(f"{spec.cluster.name}: {what}", next_action=action)

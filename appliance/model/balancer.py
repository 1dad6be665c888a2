"""What a load balancer is asked for: ports that it listens on, and who answers behind each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from appliance.errors import SiteError

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PATH = re.compile(r"/[A-Za-z0-9/_.-]{0,127}")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
_PORTS = range(1, 65536)
INSIDE_ONLY = frozenset({22623})
"""Ports behind which secrets are given out to whoever asks: OKD's machine configs, with its Ignition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """A backend is well that takes a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsCheck:
    """A backend is well that answers 200 to a GET of `path` over TLS. Whose certificate it shows is not looked at:
    clients do, the balancer opens nothing of theirs."""

    path: str = "/readyz"

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise _wrong(f"the path {self.path[:100]!r} of a health check", "give one like /readyz")


HealthCheck = TcpCheck | HttpsCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A `backup` serves while no other backend is well: the bootstrap machine of a cluster."""

    name: str
    address: IPv4Address
    port: int
    backup: bool = False

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name) or self.port not in _PORTS:
            raise _wrong(f"the backend {self.name[:70]!r}, port {self.port}", "give a DNS label and a port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """TCP, passed on as it comes. `sources`: who may connect; empty for everybody. `affinity`: a client stays with its
    backend, as far as backends stay."""

    name: str
    port: int
    backends: tuple[Backend, ...]
    check: HealthCheck = TcpCheck()
    affinity: bool = False
    sources: tuple[IPv4Network, ...] = ()

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name) or self.port not in _PORTS:
            raise _wrong(f"the listener {self.name[:70]!r}, port {self.port}", "give a DNS label and a port")
        _once(f"the listener {self.name}", (backend.name for backend in self.backends))
        if self.port in INSIDE_ONLY and not self.sources:
            raise _wrong(
                f"the listener {self.name} on port {self.port} for everybody",
                "name the networks of the machines in `sources`: whoever reaches this port gets secrets",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancing:
    """All listeners of one balancer, at `address`. `alive` is a port of the loopback address that answers while the
    balancer does; None for none."""

    address: IPv4Address
    listeners: tuple[Listener, ...]
    alive: int | None = None

    def __post_init__(self) -> None:
        _once("the balancer", (listener.name for listener in self.listeners))
        ports = [listener.port for listener in self.listeners]
        _once("the balancer", (str(port) for port in (*ports, *((self.alive,) if self.alive is not None else ()))))


class BalancerPlace(Enum):
    """`APPLIANCE`: one balancer, which is there when the appliance is: for small sites. `CONTROL_PLANES`: one on each
    control plane, and an address that moves between them."""

    APPLIANCE = "appliance"
    CONTROL_PLANES = "control-planes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """Of a site, as its program states it. `address`: what clusters are reached at; on the appliance None means its own
    on the boot network. `router` is the VRRP virtual router id, one for each address on a segment."""

    place: BalancerPlace = BalancerPlace.APPLIANCE
    address: IPv4Address | None = None
    router: int = 51

    def __post_init__(self) -> None:
        if self.place is BalancerPlace.CONTROL_PLANES and self.address is None:
            raise _wrong("a balancer on the control planes without an address", "give it a free one of their network")
        if not 1 <= self.router <= 255:
            raise _wrong(f"the virtual router id {self.router}", "give one from 1 to 255")


@dataclass(frozen=True, slots=True, kw_only=True)
class VipMember:
    """One of the machines that a shared address moves between. Where several are well and nobody has it, it goes to the
    highest `priority`; whoever has it keeps it."""

    name: str
    address: IPv4Address
    priority: int

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name) or not 1 <= self.priority <= 254:
            raise _wrong(f"{self.name[:70]!r} with priority {self.priority}", "give a DNS label, and 1 to 254")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vip:
    """An address that one of its members has. `device` is the members' own. `alive` as in `Balancing`."""

    name: str
    address: IPv4Interface
    device: str
    router: int
    members: tuple[VipMember, ...]
    alive: int

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name) or not _DEVICE.fullmatch(self.device) or not 1 <= self.router <= 255:
            raise _wrong(f"the address {self.name[:70]!r} on {self.device[:20]!r}", "give a DNS label and a device")
        for what in ("name", "address", "priority"):
            _once(f"the address {self.name}", (str(getattr(member, what)) for member in self.members))
        if self.address.ip in {member.address for member in self.members}:
            raise _wrong(f"{self.address.ip}, which a member has", "give an address that nobody has")


def _once(where: str, names: Iterable[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise _wrong(f"{where}: {name} stands there twice, and", "give each its own")
        seen.add(name)


def _wrong(what: str, action: str) -> SiteError:
    return SiteError(f"{what} cannot be balanced", next_action=action)

"""The boot networks and their addresses: what the site program states, beside what DHCP gave out. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from math import isinf
from typing import assert_never

from appliance.model.ids import MachineName
from appliance.model.network_views import AddressState, LeaseView, NetworkView
from appliance.model.site import Server
from appliance.topology import Rack
from pxe.boot import Mode
from pxe.client import Mac
from pxe.dhcp.leases import Lease, LeaseState


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`owners` are the machines behind hardware addresses (6 bytes), as far as anybody knows. `without` are those that
    have no reservation any more."""

    leases: Sequence[Lease] = ()
    owners: Mapping[bytes, MachineName] = field(default_factory=dict)
    without: frozenset[MachineName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    router: IPv4Address | None
    domain: str
    seconds: int


def boot_networks(rack: Rack, known: Known, now: float) -> tuple[NetworkView, ...]:
    """The boot network first, then those behind relays."""
    here = rack.boot_network
    if here.mode is not Mode.FULL:
        return (
            NetworkView(
                network=str(here.network),
                mode=here.mode.value,
                device=here.device,
                address=str(here.address),
                domain=here.domain,
            ),
        )
    return tuple(_network(rack, one, known, now) for one in _ranges(rack))


def used(rack: Rack, leases: Sequence[Lease], now: float) -> dict[str, int]:
    """Pool addresses that nobody else can have, by network."""
    return {one.network: one.used for one in boot_networks(rack, Known(leases=leases), now) if one.size}


def addresses(rack: Rack, known: Known, now: float) -> tuple[LeaseView, ...]:
    """Every one that is leased, was, or is reserved, in their order."""
    if rack.boot_network.mode is not Mode.FULL:
        return ()
    reserved = {address: server for one in _ranges(rack) for address, server in _reserved(rack, one.network, known)}
    leased = {IPv4Address(lease.address): lease for lease in known.leases}
    return tuple(
        _leased(rack, address, leased[address], reserved.get(address), known, now)
        if address in leased
        else _promised(rack, address, reserved[address])
        for address in sorted({*leased, *reserved})
    )


def _ranges(rack: Rack) -> Iterator[_Range]:
    here = rack.boot_network
    yield _Range(
        network=here.network,
        first=here.first,
        last=here.last,
        router=here.router,
        domain=here.domain,
        seconds=here.lease_seconds,
    )
    for one in here.relayed:
        yield _Range(
            network=one.network,
            first=one.first,
            last=one.last,
            router=one.router,
            domain=one.domain or here.domain,
            seconds=one.lease_seconds,
        )


def _network(rack: Rack, one: _Range, known: Known, now: float) -> NetworkView:
    here = rack.boot_network
    held = [lease for lease in known.leases if one.first <= IPv4Address(lease.address) <= one.last]
    states = [lease.state for lease in held if lease.expires > now]
    return NetworkView(
        network=str(one.network),
        mode=here.mode.value,
        device=here.device if one.network == here.network else "",
        address=str(here.address),
        router=str(one.router or ""),
        domain=one.domain,
        first=str(one.first),
        last=str(one.last),
        lease_seconds=one.seconds,
        size=int(one.last) - int(one.first) + 1,
        used=sum(state is not LeaseState.RELEASED for state in states),
        declined=states.count(LeaseState.DECLINED),
        reserved=sum(1 for _ in _reserved(rack, one.network, known)),
    )


def _reserved(rack: Rack, network: IPv4Network, known: Known) -> Iterator[tuple[IPv4Address, Server]]:
    """As `appliance.services.segment` gives them to the DHCP server."""
    for server in rack.servers:
        address = server.address_in(network)
        if address is not None and server.mac is not None and server.name not in known.without:
            yield address, server


def _leased(
    rack: Rack, address: IPv4Address, lease: Lease, promised: Server | None, known: Known, now: float
) -> LeaseView:
    return LeaseView(
        address=str(address),
        network=_network_of(rack, address),
        state=_state(lease, now),
        mac=str(Mac.from_bytes(lease.mac)),
        machine=known.owners.get(bytes(lease.mac), ""),
        hostname=lease.hostname,
        reserved=promised is not None,
        until=None if isinf(lease.expires) else lease.expires,
    )


def _promised(rack: Rack, address: IPv4Address, server: Server) -> LeaseView:
    return LeaseView(
        address=str(address),
        network=_network_of(rack, address),
        state=AddressState.RESERVED,
        mac=str(server.mac),
        machine=server.name,
        reserved=True,
    )


def _network_of(rack: Rack, address: IPv4Address) -> str:
    return next((str(one) for one in rack.boot_network.networks if address in one), "")


def _state(lease: Lease, now: float) -> AddressState:
    match lease.state:
        case LeaseState.BOUND:
            return AddressState.BOUND if lease.expires > now else AddressState.EXPIRED
        case LeaseState.DECLINED:
            return AddressState.DECLINED if lease.expires > now else AddressState.EXPIRED
        case LeaseState.RELEASED:
            return AddressState.RELEASED
        case _:
            assert_never(lease.state)

"""The configuration in the form in which packets are decided: packed addresses, prepared options, look-ups.

What is remembered between packets follows from the configuration alone, and is bounded: whoever varies what he
sends makes us build again, not grow.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import chain
from typing import Final, NamedTuple, TypeVar

from pxe.boot import BootAnswer, Chain
from pxe.client import Client, Mac, Stage
from pxe.dhcp.address import Address, Hardware, packed
from pxe.dhcp.leases import Lease, LeaseTable
from pxe.dhcp.options import options_of
from pxe.dhcp.packet import DhcpPacket, Traits, client_of
from pxe.dhcp.subnet import ClientClass, DhcpConfig, Subnet

_K = TypeVar("_K")
_V = TypeVar("_V")

_REMEMBERED = 1024
_IPXE: Final = Stage.IPXE


class Boot(NamedTuple):
    """A boot answer in the bytes of a reply."""

    next_server: Address
    filename: bytes
    http_boot: bool


class Template(NamedTuple):
    """The options that machines asking alike are told alike, as a mapping and packed.

    The host name, if `named`, goes between `head` and `tail`; what else differs goes behind.
    """

    options: dict[int, bytes]
    head: bytes
    tail: bytes
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segment:
    """One subnet. `pool` is the number of its pool in the table of its `link`; `kept` of it are for known machines."""

    network: IPv4Network
    link: int
    pool: int
    pool_size: int
    kept: int
    first: Address
    last: Address
    server: Address
    lease_seconds: int
    options: Mapping[int, bytes]

    def __contains__(self, address: Address) -> bool:
        return self.first <= address <= self.last


class Reserved(NamedTuple):
    address: Address
    hostname: str


class Policy:
    """Everything that does not change from packet to packet. Links are numbered; the served interface's is 0."""

    def __init__(
        self,
        config: DhcpConfig,
        boot: Callable[[Client, Chain], BootAnswer | None],
        chain_of: Callable[[Hardware], Chain] = lambda _: Chain.IPXE,
    ) -> None:
        """`boot` goes by stage, architecture and chain, and only for iPXE by the machine: answers are remembered so.

        `chain_of` is asked for each packet.
        """
        self.config = config
        self.server = packed(config.local[0].server)
        self._boot = boot
        self._chain_of = chain_of
        self._subnets = (config.local, *config.relayed)
        self.links = tuple(
            tuple(_segment(config, subnet, link, pool) for pool, subnet in enumerate(subnets))
            for link, subnets in enumerate(self._subnets)
        )
        self.segments = tuple(sorted(chain.from_iterable(self.links), key=lambda segment: segment.first))
        self._starts = [segment.first for segment in self.segments]
        self.reservations = tuple(map(_reservations, self._subnets))
        self._known = frozenset(Hardware(bytes(mac)) for mac in config.known)
        self._classes = config.classes
        self._boots: dict[tuple[Traits, str, Chain], Boot | None] = {}
        self._templates: dict[tuple[object, ...], Template] = {}

    def segment_of(self, address: Address) -> Segment | None:
        index = bisect_right(self._starts, address) - 1
        return self.segments[index] if index >= 0 and address in self.segments[index] else None

    def names(self, mac: Hardware) -> bool:
        """The site knows this machine by name."""
        return mac in self._known

    def class_of(self, traits: Traits, mac: Hardware) -> ClientClass | None:
        return next((each for each in self._classes if _matches(each, traits, mac)), None) if self._classes else None

    def boot_of(self, packet: DhcpPacket, traits: Traits, group: ClientClass | None) -> Boot | None:
        chain = self._chain_of(Hardware(packet.chaddr))
        if traits.stage is _IPXE:
            return _boot(self._boot(client_of(packet), chain), group)
        key = (traits, "" if group is None else group.name, chain)
        try:
            return self._boots[key]
        except KeyError:
            return _remember(self._boots, key, _boot(self._boot(client_of(packet), chain), group))

    def template(self, key: tuple[object, ...]) -> Template | None:
        """`key` names all that the template follows from."""
        return self._templates.get(key)

    def remember(self, key: tuple[object, ...], template: Template) -> Template:
        return _remember(self._templates, key, template)

    def tables(self, leases: Iterable[Lease]) -> tuple[tuple[LeaseTable, ...], tuple[Lease, ...]]:
        """One table a link, and the leases of no subnet of ours: they wait for their subnet to come back."""
        of_link: list[list[Lease]] = [[] for _ in self.links]
        homeless: list[Lease] = []
        for lease in leases:
            segment = self.segment_of(lease.address)
            (homeless if segment is None else of_link[segment.link]).append(lease)
        return tuple(map(self._table, range(len(self.links)), of_link)), tuple(homeless)

    def _table(self, link: int, leases: list[Lease]) -> LeaseTable:
        reserved = {reservation.address for reservation in self.reservations[link].values()}
        pools = [(address for address in _pool(subnet) if address not in reserved) for subnet in self._subnets[link]]
        return LeaseTable(pools, leases)


def _pool(subnet: Subnet) -> Iterable[Address]:
    return (Address(number.to_bytes(4)) for number in range(int(subnet.pool_first), int(subnet.pool_last) + 1))


def _segment(config: DhcpConfig, subnet: Subnet, link: int, pool: int) -> Segment:
    reserved = {reservation.address for reservation in subnet.reservations.values()}
    size = int(subnet.pool_last) - int(subnet.pool_first) + 1
    size -= sum(subnet.pool_first <= address <= subnet.pool_last for address in reserved)
    return Segment(
        network=subnet.network,
        link=link,
        pool=pool,
        pool_size=size,
        kept=size * config.kept_percent // 100,
        first=packed(subnet.network.network_address),
        last=packed(subnet.network.broadcast_address),
        server=packed(subnet.server),
        lease_seconds=subnet.lease_seconds,
        options=options_of(subnet),
    )


def _reservations(subnets: tuple[Subnet, ...]) -> dict[Hardware, Reserved]:
    """Of one link; where two subnets reserve an address for one machine, the first subnet's counts."""
    found: dict[Mac, Reserved] = {}
    for subnet in subnets:
        for mac, reservation in subnet.reservations.items():
            found.setdefault(mac, Reserved(packed(reservation.address), reservation.hostname))
    return {Hardware(bytes(mac)): reserved for mac, reserved in found.items()}


def _matches(group: ClientClass, traits: Traits, mac: Hardware) -> bool:
    return (
        (not group.archs or traits.arch in group.archs)
        and traits.vendor_class.startswith(group.vendor_class)
        and traits.user_class.startswith(group.user_class)
        and mac.startswith(group.mac_prefix)
    )


def _boot(answer: BootAnswer | None, group: ClientClass | None) -> Boot | None:
    """A class may name another file or server, also where we would name none."""
    if group is not None and group.boot_file is not None and group.next_server is not None:
        http = answer is not None and answer.http_boot
        return Boot(packed(group.next_server), group.boot_file.encode(), http)
    if answer is None:
        return None
    server = (group and group.next_server) or answer.next_server
    return Boot(packed(server), ((group and group.boot_file) or answer.filename).encode(), answer.http_boot)


def _remember(memory: dict[_K, _V], key: _K, value: _V) -> _V:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value

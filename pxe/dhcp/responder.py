"""What a DHCP server answers: pure decisions over the packet, the policy, the lease tables and the time.

A machine is its hardware address. Its firmware, iPXE, ramdisk and operating system send different client
identifiers and must still keep one address, so the identifier is echoed (RFC 6842) and otherwise ignored.

    DISCOVER               OFFER     reservation, last lease, requested if free, least recently used free one
    REQUEST  selecting     ACK | NAK; silence, and our offer withdrawn, when it names another server
             init-reboot   ACK | NAK; silence for a machine without a record, NAK on the wrong network
             renew, rebind ACK | NAK; silence for a machine without a record
    DECLINE                quarantine of an hour, while half of the pool remains
    RELEASE                free at once, and remembered for the machine
    INFORM                 ACK without a lease

An ACK carries the lease that must be on disk before the packet leaves.

The link is the one that the relay names (option 82 sub-option 5, else giaddr), else the one of ciaddr (a renewal
that was routed to us), else that of the served interface. Option 118 is not read: a client would choose its network.

A machine is known by a reservation, by a lease that it has or had, or by name. Strangers get nothing of the share
of each pool that is kept for known machines. A lease whose address the configuration no longer gives away ends
when it was to end: it is acknowledged for the rest of its time.
"""

import math
import re
from typing import Final, assert_never

from pxe.dhcp.address import UNSPECIFIED, Address
from pxe.dhcp.exchange import Accept, Ignore, Kind, Outcome, Request
from pxe.dhcp.leases import Lease, LeaseState, LeaseTable, Offer, Withdrawal
from pxe.dhcp.packet import BOOTREQUEST, DhcpPacket, MessageType, Option, hardware_of, traits_of
from pxe.dhcp.policy import Policy, Segment
from pxe.dhcp.relay import LINK_SELECTION, SERVER_IDENTIFIER_OVERRIDE, relay_address
from pxe.dhcp.reply import Asked, grant, identifier, refuse
from pxe.dhcp.subnet import INFINITE_LEASE
from pxe.errors import PacketError

OFFER_SECONDS = 30
QUARANTINE_SECONDS = 3600

_REQUESTED: Final = int(Option.REQUESTED_ADDRESS)
_SERVER: Final = int(Option.SERVER_IDENTIFIER)
_NAME: Final = int(Option.HOST_NAME)
_FQDN: Final = int(Option.CLIENT_FQDN)
# Python 3.11 is slow to look up the members of an enum.
_DISCOVER: Final = MessageType.DISCOVER
_OFFER: Final = MessageType.OFFER
_REQUEST: Final = MessageType.REQUEST
_ACK: Final = MessageType.ACK
_INFORM: Final = MessageType.INFORM
_BOUND: Final = LeaseState.BOUND
_NOT_IN_HOSTNAME = re.compile(r"[^A-Za-z0-9-]+")


def respond(request: Request, policy: Policy, tables: tuple[LeaseTable, ...]) -> Outcome:
    """`tables` as `policy.tables` made them, and with what has expired by now removed."""
    packet, source, now, avoid = request
    if packet.op != BOOTREQUEST or source == policy.server:
        return Ignore("not from a client")
    try:
        mac = hardware_of(packet)
        segment = _segment(packet, source, policy)
        if isinstance(segment, Ignore):
            return segment
        traits, link = traits_of(packet), segment.link
        group, reserved = policy.class_of(traits, mac), policy.reservations[link].get(mac)
        if group is not None and group.ignore:
            return Ignore(f"machines of class {group.name} are not served")
        server, segments, table = relay_address(packet, SERVER_IDENTIFIER_OVERRIDE), policy.links[link], tables[link]
        return _decide(
            Asked(packet, mac, traits, group, link, segments, server, reserved, source, now, avoid, policy, table)
        )
    except PacketError as error:
        return Ignore(str(error))


def _segment(packet: DhcpPacket, source: Address, policy: Policy) -> Segment | Ignore:
    """Any one of the client's link."""
    link = relay_address(packet, LINK_SELECTION) or packet.giaddr
    if link != UNSPECIFIED:
        return policy.segment_of(link) or Ignore(f"relayed for {_text(link)}, which is no network of ours")
    local = policy.links[0][0]
    kind = packet.message_type
    if kind is _INFORM:
        address = packet.ciaddr if packet.ciaddr != UNSPECIFIED else source
        return policy.segment_of(address) or Ignore(f"INFORM from {_text(address)}, which is on no network of ours")
    if packet.ciaddr == UNSPECIFIED or kind is _DISCOVER:
        return local
    return policy.segment_of(packet.ciaddr) or local


def _decide(asked: Asked) -> Outcome:
    kind = asked.packet.message_type
    # The frequent ones first: `match` looks up each member on its way.
    if kind is _DISCOVER:
        return _discover(asked)
    if kind is _REQUEST:
        return _request(asked)
    if kind is None:
        return Ignore("BOOTP without a DHCP message type")
    match kind:
        case MessageType.DECLINE:
            return _decline(asked)
        case MessageType.RELEASE:
            return _release(asked)
        case MessageType.INFORM:
            return _inform(asked)
        case MessageType.OFFER | MessageType.ACK | MessageType.NAK:
            return Ignore("a server's message in a request")
        case _:
            assert_never(kind)


def _discover(asked: Asked) -> Outcome:
    mac, now, table = asked.mac, asked.now, asked.table
    lease = table.lease_of(mac)
    if asked.group is not None and asked.group.known_only and not _known(asked, lease):
        return Ignore(f"a stranger of class {asked.group.name}, which is for known machines only")
    address = _choose(asked, lease)
    if address is None:
        return Ignore("no free address in the pool")
    proven = lease is not None and lease.address == address and _holds(lease, now)
    segment = _home(asked, address)
    offer = Offer(address, mac, now + OFFER_SECONDS)
    seconds = _seconds(asked, segment)
    return grant(asked, segment, _OFFER, seconds=seconds, change=offer, unproven=not proven)


def _choose(asked: Asked, lease: Lease | None) -> Address | None:
    mac, now, table, avoid, reserved = asked.mac, asked.now, asked.table, asked.avoid, asked.reserved
    if reserved is not None and reserved.address not in avoid and table.available(reserved.address, mac, now):
        return reserved.address
    offer, requested = table.offer_of(mac, now), asked.packet.address(_REQUESTED)
    for address in (lease and lease.address, offer and offer.address, requested):
        if address is not None and address not in avoid and _dynamic(asked, address, lease):
            return address
    for segment in asked.segments:
        if _open(asked, segment, lease):
            found = table.least_recently_used(segment.pool, avoid)
            if found is not None:
                return found
    return None


def _dynamic(asked: Asked, address: Address, lease: Lease | None) -> bool:
    """Of a pool, free for this machine, and not in the share that is kept from it."""
    table, mac, now = asked.table, asked.mac, asked.now
    pool = table.pool_of(address)
    if pool is None or not table.available(address, mac, now):
        return False
    offer = table.offer_of(mac, now)
    return (offer is not None and offer.address == address) or _open(asked, asked.segments[pool], lease)


def _open(asked: Asked, segment: Segment, lease: Lease | None) -> bool:
    return asked.table.free(segment.pool) > segment.kept or _known(asked, lease)


def _known(asked: Asked, lease: Lease | None) -> bool:
    return asked.reserved is not None or lease is not None or asked.policy.names(asked.mac)


def _holds(lease: Lease, now: float) -> bool:
    return lease.state is _BOUND and lease.expires > now


def _home(asked: Asked, address: Address) -> Segment:
    segments = asked.segments
    return segments[0] if len(segments) == 1 else next((each for each in segments if address in each), segments[0])


def _seconds(asked: Asked, segment: Segment) -> int:
    own = None if asked.group is None else asked.group.lease_seconds
    return segment.lease_seconds if own is None else own


def _request(asked: Asked) -> Outcome:
    packet = asked.packet
    requested, server = packet.address(_REQUESTED), packet.address(_SERVER)
    if server is not None:
        return _selecting(asked, server, requested or packet.ciaddr)
    if packet.ciaddr != UNSPECIFIED:
        return _keeping(asked, packet.ciaddr)
    if requested is None:
        return Ignore("REQUEST without an address")
    if not any(requested in segment for segment in asked.segments):
        return refuse(asked, f"{_text(requested)} is not on this network")
    return _keeping(asked, requested)


def _selecting(asked: Asked, server: Address, address: Address) -> Outcome:
    if server != identifier(asked, _home(asked, address)):
        return Accept(Kind.ELSEWHERE, asked.link, Withdrawal(asked.mac), f"took the offer of {_text(server)}")
    lease = asked.table.lease_of(asked.mac)
    if asked.group is not None and asked.group.known_only and not _known(asked, lease):
        return refuse(asked, f"a stranger of class {asked.group.name}")
    return _ack(asked, address, lease) or refuse(asked, f"{_text(address)} is not available")


def _keeping(asked: Asked, address: Address) -> Outcome:
    """INIT-REBOOT, RENEWING and REBINDING (RFC 2131 section 4.3.2): silent about machines without a record."""
    reserved, lease = asked.reserved, asked.table.lease_of(asked.mac)
    if reserved is None and lease is None:
        return Ignore("no record of this machine")
    own = {reserved and reserved.address, lease and lease.address}
    granted = _ack(asked, address, lease) if address in own else None
    return granted or refuse(asked, f"{_text(address)} is not the address of this machine")


def _ack(asked: Asked, address: Address, lease: Lease | None) -> Outcome | None:
    """None when this machine may not have the address."""
    segment = _home(asked, address)
    seconds = _term(asked, segment, address, lease)
    if not seconds:
        return None
    expires = math.inf if seconds == INFINITE_LEASE else asked.now + seconds
    change = Lease(address, asked.mac, _BOUND, expires, _hostname(asked))
    return grant(asked, segment, _ACK, seconds=seconds, change=change)


def _term(asked: Asked, segment: Segment, address: Address, lease: Lease | None) -> int:
    """For how many seconds; 0 for not at all.

    A reservation excludes other addresses, but not while somebody else holds the reserved one.
    """
    table, mac, now, reserved = asked.table, asked.mac, asked.now, asked.reserved
    if reserved is not None and table.available(reserved.address, mac, now):
        return _seconds(asked, segment) if address == reserved.address else 0
    if _dynamic(asked, address, lease):
        return _seconds(asked, segment)
    if lease is None or lease.address != address or not _holds(lease, now):
        return 0
    return _seconds(asked, segment) if math.isinf(lease.expires) else int(lease.expires - now)


def _decline(asked: Asked) -> Outcome:
    packet, mac, table, now = asked.packet, asked.mac, asked.table, asked.now
    address = packet.address(_REQUESTED)
    lease, offer = table.lease_of(mac), table.offer_of(mac, now)
    if address is None or address not in {lease and lease.address, offer and offer.address}:
        return Ignore("DECLINE of an address that this machine does not hold")
    segment = _home(asked, address)
    if packet.address(_SERVER) not in (None, identifier(asked, segment)):
        return Ignore("DECLINE to another server")
    seconds, reason = QUARANTINE_SECONDS, f"{_text(address)} is in use by somebody else"
    if table.pool_of(address) is not None and 2 * (table.quarantined(segment.pool) + 1) > segment.pool_size:
        seconds, reason = 0, f"{reason}; not put in quarantine, where half of the pool is already"
    change = Lease(address, mac, LeaseState.DECLINED, now + seconds)
    return Accept(Kind.DECLINE, asked.link, change, reason)


def _release(asked: Asked) -> Outcome:
    lease, packet, now = asked.table.lease_of(asked.mac), asked.packet, asked.now
    if lease is None or lease.address != packet.ciaddr or lease.state is not LeaseState.BOUND:
        return Ignore("RELEASE of an address that this machine does not hold")
    if packet.address(_SERVER) not in (None, identifier(asked, _home(asked, lease.address))):
        return Ignore("RELEASE to another server")
    return Accept(Kind.RELEASE, asked.link, lease._replace(state=LeaseState.RELEASED, expires=now))


def _inform(asked: Asked) -> Outcome:
    packet = asked.packet
    segment = _home(asked, packet.ciaddr if packet.ciaddr != UNSPECIFIED else asked.source)
    return grant(asked, segment, _ACK, seconds=0, change=None)


def _hostname(asked: Asked) -> str:
    """The reserved name, else what the client calls itself (options 81, 12) made into one DNS label."""
    if asked.reserved is not None and asked.reserved.hostname:
        return asked.reserved.hostname
    options = asked.packet.options
    name = options.get(_FQDN, b"")[3:] or options.get(_NAME, b"")
    if not name:
        return ""
    label = name.partition(b"\0")[0].decode("ascii", "replace").partition(".")[0]
    return _NOT_IN_HOSTNAME.sub("-", label)[:63].strip("-")


def _text(address: bytes) -> str:
    return ".".join(map(str, address))

"""What a DHCP server answers: pure decisions over the packet, the segment, the lease table and the time.

A machine is its hardware address. Its firmware, iPXE, ramdisk and operating system send different client
identifiers and must still keep one address, so the identifier is echoed (RFC 6842) and otherwise ignored.

    DISCOVER               OFFER     reservation, last lease, requested if free, least recently used free one
    REQUEST  selecting     ACK | NAK; silence, and our offer withdrawn, when it names another server
             init-reboot   ACK | NAK; silence for a machine without a record, NAK on the wrong network
             renew, rebind ACK | NAK; silence for a machine without a record
    DECLINE                quarantine of an hour
    RELEASE                free at once, and remembered for the machine
    INFORM                 ACK without a lease

An ACK carries the lease that must be on disk before the packet leaves.
"""

import math
import re
from dataclasses import replace
from ipaddress import IPv4Address
from typing import assert_never

from pxe.dhcp.exchange import Accept, Destination, Ignore, Kind, Outcome, Request, Route
from pxe.dhcp.leases import Lease, LeaseState, LeaseTable, Offer, Withdrawal
from pxe.dhcp.packet import BOOTREQUEST, UNSPECIFIED, MessageType, Option
from pxe.dhcp.reply import LINK_SELECTION, fit, grant, identifier, refuse, relay_address
from pxe.dhcp.subnet import INFINITE_LEASE, Subnet
from pxe.errors import PacketError

OFFER_SECONDS = 30
QUARANTINE_SECONDS = 3600

_NOT_IN_HOSTNAME = re.compile(r"[^A-Za-z0-9-]+")


def respond(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    try:
        return _refusal(request, subnet) or _decide(request, subnet, leases)
    except PacketError as error:
        return Ignore(reason=str(error))


def _refusal(request: Request, subnet: Subnet) -> Ignore | None:
    packet = request.packet
    if packet.op != BOOTREQUEST or request.arrival.address == subnet.server:
        return Ignore(reason="not from a client")
    link = relay_address(packet, LINK_SELECTION) or packet.giaddr
    if link != UNSPECIFIED and link not in subnet.network:
        return Ignore(reason=f"relayed for {link}, which is not our network")
    return None


def _decide(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    match request.packet.message_type:
        case MessageType.DISCOVER:
            return _discover(request, subnet, leases)
        case MessageType.REQUEST:
            return _request(request, subnet, leases)
        case MessageType.DECLINE:
            return _decline(request, subnet, leases)
        case MessageType.RELEASE:
            return _release(request, subnet, leases)
        case MessageType.INFORM:
            return _inform(request, subnet)
        case MessageType.OFFER | MessageType.ACK | MessageType.NAK:
            return Ignore(reason="a server's message in a request")
        case None:
            return Ignore(reason="BOOTP without a DHCP message type")
        case _ as never:
            assert_never(never)


def _discover(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    address = _choose(request, subnet, leases)
    if address is None:
        return Ignore(reason="no free address in the pool")
    offer = Offer(address=address, mac=request.client.mac, expires=request.now + OFFER_SECONDS)
    return fit(request, grant(request, subnet, MessageType.OFFER, address), offer)


def _choose(request: Request, subnet: Subnet, leases: LeaseTable) -> IPv4Address | None:
    mac, now = request.client.mac, request.now
    reservation, lease, offer = subnet.reservations.get(mac), leases.lease_of(mac), leases.offer_of(mac, now)
    wanted = (
        None if lease is None else lease.address,
        None if offer is None else offer.address,
        request.packet.address(Option.REQUESTED_ADDRESS),
    )
    candidates = [reservation.address] if reservation else []
    candidates += [address for address in wanted if address is not None and subnet.dynamic(address)]
    for address in candidates:
        if leases.available(address, mac, now):
            return address
    return leases.least_recently_used()


def _request(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    packet = request.packet
    requested = packet.address(Option.REQUESTED_ADDRESS)
    server = packet.address(Option.SERVER_IDENTIFIER)
    if server is not None:
        return _selecting(request, subnet, leases, server, requested or packet.ciaddr)
    if packet.ciaddr != UNSPECIFIED:
        return _keeping(request, subnet, leases, packet.ciaddr)
    if requested is None:
        return Ignore(reason="REQUEST without an address")
    if requested not in subnet.network:
        return refuse(request, subnet, f"{requested} is not on this network")
    return _keeping(request, subnet, leases, requested)


def _selecting(
    request: Request, subnet: Subnet, leases: LeaseTable, server: IPv4Address, address: IPv4Address
) -> Outcome:
    mac = request.client.mac
    if server != identifier(request.packet, subnet):
        return Accept(kind=Kind.IGNORED, change=Withdrawal(mac=mac), reason=f"took the offer of {server}")
    if not _may_have(request, subnet, leases, address):
        return refuse(request, subnet, f"{address} is not available")
    return _ack(request, subnet, address)


def _keeping(request: Request, subnet: Subnet, leases: LeaseTable, address: IPv4Address) -> Outcome:
    """INIT-REBOOT, RENEWING and REBINDING (RFC 2131 section 4.3.2): silent about machines without a record."""
    mac = request.client.mac
    reservation, lease = subnet.reservations.get(mac), leases.lease_of(mac)
    if reservation is None and lease is None:
        return Ignore(reason="no record of this machine")
    own = {reservation and reservation.address, lease and lease.address}
    if address not in own or not _may_have(request, subnet, leases, address):
        return refuse(request, subnet, f"{address} is not the address of this machine")
    return _ack(request, subnet, address)


def _may_have(request: Request, subnet: Subnet, leases: LeaseTable, address: IPv4Address) -> bool:
    """A reservation excludes other addresses, but not while somebody else holds the reserved one."""
    mac, now = request.client.mac, request.now
    reservation = subnet.reservations.get(mac)
    if reservation is not None and leases.available(reservation.address, mac, now):
        return address == reservation.address
    return subnet.dynamic(address) and leases.available(address, mac, now)


def _decline(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    mac, address = request.client.mac, request.packet.address(Option.REQUESTED_ADDRESS)
    lease, offer = leases.lease_of(mac), leases.offer_of(mac, request.now)
    own = {lease and lease.address, offer and offer.address}
    if request.packet.address(Option.SERVER_IDENTIFIER) not in (None, identifier(request.packet, subnet)):
        return Ignore(reason="DECLINE to another server")
    if address is None or address not in own:
        return Ignore(reason="DECLINE of an address that this machine does not hold")
    change = Lease(address=address, mac=mac, state=LeaseState.DECLINED, expires=request.now + QUARANTINE_SECONDS)
    return Accept(kind=Kind.DECLINE, change=change, reason=f"{address} is in use by somebody else")


def _release(request: Request, subnet: Subnet, leases: LeaseTable) -> Outcome:
    lease, packet = leases.lease_of(request.client.mac), request.packet
    if packet.address(Option.SERVER_IDENTIFIER) not in (None, identifier(packet, subnet)):
        return Ignore(reason="RELEASE to another server")
    if lease is None or lease.address != packet.ciaddr or lease.state is not LeaseState.BOUND:
        return Ignore(reason="RELEASE of an address that this machine does not hold")
    return Accept(kind=Kind.RELEASE, change=replace(lease, state=LeaseState.RELEASED, expires=request.now))


def _inform(request: Request, subnet: Subnet) -> Outcome:
    packet = request.packet
    # Some clients leave ciaddr empty and only use the address as their source.
    address = packet.ciaddr if packet.ciaddr != UNSPECIFIED else request.arrival.address
    if packet.giaddr == UNSPECIFIED and address not in subnet.network:
        return Ignore(reason=f"INFORM from {address}, which is not on our network")
    reply = grant(request, subnet, MessageType.ACK, None)
    outcome = fit(request, reply, None)
    if isinstance(outcome, Ignore) or packet.giaddr != UNSPECIFIED:
        return outcome
    return replace(outcome, destination=Destination(route=Route.UNICAST, address=address))


def _ack(request: Request, subnet: Subnet, address: IPv4Address) -> Outcome:
    infinite = subnet.lease_seconds == INFINITE_LEASE
    lease = Lease(
        address=address,
        mac=request.client.mac,
        state=LeaseState.BOUND,
        expires=math.inf if infinite else request.now + subnet.lease_seconds,
        hostname=_hostname(request, subnet),
    )
    return fit(request, grant(request, subnet, MessageType.ACK, address), lease)


def _hostname(request: Request, subnet: Subnet) -> str:
    """The reserved name, else what the client calls itself (options 81, 12) made into one DNS label."""
    reservation = subnet.reservations.get(request.client.mac)
    if reservation is not None and reservation.hostname:
        return reservation.hostname
    options = request.packet.options
    name = options.get(Option.CLIENT_FQDN, b"")[3:] or options.get(Option.HOST_NAME, b"")
    label = name.partition(b"\0")[0].decode("ascii", "replace").partition(".")[0]
    return _NOT_IN_HOSTNAME.sub("-", label)[:63].strip("-")

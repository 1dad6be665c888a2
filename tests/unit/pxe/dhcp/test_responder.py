"""Conversations: what machines say, what they hear, while time passes.

>> DISCOVER m=1 ip=10.0.0.50      machine 1 asks; ip is option 50, sid option 54, ci and gi header fields
<< OFFER 10.0.0.10 hardware       the answer, its yiaddr, and how it travels
<< -                              silence
++ 40                             seconds
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from pxe.client import Mac
from pxe.dhcp.exchange import Accept, Arrival, Ignore, Kind, Outcome, Reply, Request
from pxe.dhcp.leases import Lease, LeaseState, LeaseTable
from pxe.dhcp.packet import DhcpPacket, MessageType, client_of
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import INFINITE_LEASE, Reservation, Subnet

SERVER = IPv4Address("10.0.0.1")
NOWHERE = IPv4Address(0)
SUBNET = Subnet(
    network=IPv4Network("10.0.0.0/24"),
    server=SERVER,
    pool_first=IPv4Address("10.0.0.10"),
    pool_last=IPv4Address("10.0.0.12"),
    router=IPv4Address("10.0.0.254"),
    lease_seconds=600,
    reservations={
        Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.0.0.11"), hostname="node8"),
        Mac("52:54:00:00:00:09"): Reservation(address=IPv4Address("10.0.0.99"), hostname="node9"),
    },
)


def said(line: str) -> DhcpPacket:
    kind, *words = line.split()
    fields = dict(word.split("=") for word in words)
    options = {53: bytes((MessageType[kind],))}
    for name, code in (("ip", 50), ("sid", 54)):
        if name in fields:
            options[code] = IPv4Address(fields[name]).packed
    return DhcpPacket(
        op=1,
        xid=1,
        chaddr=bytes.fromhex("5254000000") + bytes((int(fields.get("m", 1)),)),
        ciaddr=IPv4Address(fields.get("ci", "0.0.0.0")),
        giaddr=IPv4Address(fields.get("gi", "0.0.0.0")),
        flags=int(fields.get("flags", "0"), 16),
        options=options,
    )


def decide(packet: DhcpPacket, table: LeaseTable, now: float, subnet: Subnet = SUBNET) -> Outcome:
    table.expire(now)
    arrival = Arrival(address=packet.ciaddr, port=68)
    request = Request(packet=packet, client=client_of(packet), arrival=arrival, answer=None, now=now)
    outcome = respond(request, subnet, table)
    if not isinstance(outcome, Ignore) and outcome.change is not None:
        table.apply(outcome.change)
    return outcome


def heard(outcome: Outcome) -> str:
    if not isinstance(outcome, Reply):
        return "-"
    assert outcome.packet.message_type is not None
    yiaddr = "" if outcome.packet.yiaddr == NOWHERE else f" {outcome.packet.yiaddr}"
    port = "" if outcome.destination.port == 68 else f":{outcome.destination.port}"
    to = f" to {outcome.destination.address}{port}" if outcome.destination.route.value == "unicast" else ""
    return f"{outcome.packet.message_type.name}{yiaddr} {outcome.destination.route.value}{to}"


def play(conversation: str) -> None:
    table, now, answers = LeaseTable(SUBNET.dynamic_addresses()), 1000.0, iter([""])
    for line in filter(None, map(str.strip, conversation.splitlines())):
        mark, text = line.split(maxsplit=1)
        if mark == "++":
            now += float(text)
        elif mark == ">>":
            answers = iter([heard(decide(said(text), table, now))])
        else:
            assert next(answers) == text, f"at {line!r}"


CONVERSATIONS = {
    "the whole exchange": """
        >> DISCOVER
        << OFFER 10.0.0.10 hardware
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
    """,
    "a repeated DISCOVER gets the same offer": """
        >> DISCOVER
        << OFFER 10.0.0.10 hardware
        >> DISCOVER
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
    """,
    "firmware, iPXE and system keep one address": """
        >> REQUEST ip=10.0.0.12 sid=10.0.0.1
        << ACK 10.0.0.12 hardware
        >> DISCOVER
        << OFFER 10.0.0.12 hardware
        >> DISCOVER ip=10.0.0.10
        << OFFER 10.0.0.12 hardware
    """,
    "a requested address is given when it is free": """
        >> DISCOVER ip=10.0.0.12
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=2 ip=10.0.0.12
        << OFFER 10.0.0.10 hardware
    """,
    "a requested address outside of the pool is not": """
        >> DISCOVER ip=10.0.0.200
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2 ip=10.0.0.99
        << OFFER 10.0.0.12 hardware
    """,
    "reserved addresses are for their machine alone": """
        >> DISCOVER m=1 ip=10.0.0.11
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=3
        << -
        >> DISCOVER m=8
        << OFFER 10.0.0.11 hardware
        >> DISCOVER m=9 ip=10.0.0.10
        << OFFER 10.0.0.99 hardware
        >> REQUEST m=9 ip=10.0.0.99 sid=10.0.0.1
        << ACK 10.0.0.99 hardware
        >> REQUEST m=9 ip=10.0.0.12 sid=10.0.0.1
        << NAK broadcast
    """,
    "offers run out": """
        >> DISCOVER m=1
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=3
        << -
        ++ 30
        >> DISCOVER m=3
        << OFFER 10.0.0.10 hardware
        >> REQUEST m=1 ip=10.0.0.10 sid=10.0.0.1
        << NAK broadcast
        >> REQUEST m=2 ip=10.0.0.12 sid=10.0.0.1
        << ACK 10.0.0.12 hardware
    """,
    "a REQUEST for another server frees our offer silently": """
        >> DISCOVER m=1
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
        >> REQUEST m=1 ip=10.0.0.77 sid=10.0.0.2
        << -
        >> DISCOVER m=3
        << OFFER 10.0.0.10 hardware
    """,
    "selecting what another machine was offered": """
        >> DISCOVER m=1
        << OFFER 10.0.0.10 hardware
        >> REQUEST m=2 ip=10.0.0.10 sid=10.0.0.1
        << NAK broadcast
    """,
    "selecting after a restart that lost the offers": """
        >> REQUEST ip=10.0.0.12 sid=10.0.0.1
        << ACK 10.0.0.12 hardware
    """,
    "init-reboot": """
        >> REQUEST ip=10.0.0.10
        << -
        >> REQUEST ip=192.168.7.7
        << NAK broadcast
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> REQUEST ip=10.0.0.10
        << ACK 10.0.0.10 hardware
        >> REQUEST ip=10.0.0.12
        << NAK broadcast
        >> REQUEST m=9 ip=10.0.0.99
        << ACK 10.0.0.99 hardware
        >> REQUEST
        << -
    """,
    "init-reboot long after the lease has run out": """
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        ++ 100000
        >> REQUEST ip=10.0.0.10
        << ACK 10.0.0.10 hardware
    """,
    "renewing and rebinding": """
        >> REQUEST ci=10.0.0.10
        << -
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> REQUEST ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
        >> REQUEST ci=10.0.0.10 flags=8000
        << ACK 10.0.0.10 unicast to 10.0.0.10
        >> REQUEST ci=10.0.0.12
        << NAK broadcast
        >> REQUEST m=2 ci=10.0.0.10
        << -
    """,
    "renewal keeps a lease alive": """
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        ++ 500
        >> REQUEST ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
        ++ 500
        >> DISCOVER m=2 ip=10.0.0.10
        << OFFER 10.0.0.12 hardware
    """,
    "a renewal from a network that is not ours": """
        >> REQUEST ci=172.16.0.4
        << -
    """,
    "the least recently used address is taken over": """
        >> REQUEST m=1 ip=10.0.0.12 sid=10.0.0.1
        << ACK 10.0.0.12 hardware
        ++ 1
        >> REQUEST m=2 ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        ++ 700
        >> DISCOVER m=3
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=1
        << -
    """,
    "decline": """
        >> DECLINE ip=10.0.0.10 sid=10.0.0.1
        << -
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> DECLINE m=2 ip=10.0.0.10 sid=10.0.0.1
        << -
        >> REQUEST ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
        >> DECLINE ip=10.0.0.10 sid=10.0.0.2
        << -
        >> REQUEST ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
        >> DECLINE ip=10.0.0.10 sid=10.0.0.1
        << -
        >> DISCOVER
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=2
        << -
        ++ 3599
        >> DISCOVER m=2 ip=10.0.0.10
        << OFFER 10.0.0.12 hardware
        ++ 1
        >> DISCOVER m=3 ip=10.0.0.10
        << OFFER 10.0.0.10 hardware
    """,
    "a reserved address in quarantine is replaced until it is back": """
        >> REQUEST m=9 ip=10.0.0.99 sid=10.0.0.1
        << ACK 10.0.0.99 hardware
        >> DECLINE m=9 ip=10.0.0.99 sid=10.0.0.1
        << -
        >> DISCOVER m=9
        << OFFER 10.0.0.10 hardware
        >> REQUEST m=9 ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        ++ 3599
        >> REQUEST m=9 ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
        ++ 1
        >> REQUEST m=9 ci=10.0.0.10
        << NAK broadcast
        >> DISCOVER m=9
        << OFFER 10.0.0.99 hardware
    """,
    "release": """
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> RELEASE m=2 ci=10.0.0.10 sid=10.0.0.1
        << -
        >> DISCOVER m=2 ip=10.0.0.10
        << OFFER 10.0.0.12 hardware
        >> RELEASE ci=10.0.0.10 sid=10.0.0.1
        << -
        >> RELEASE ci=10.0.0.10 sid=10.0.0.1
        << -
        >> DISCOVER m=3
        << OFFER 10.0.0.10 hardware
    """,
    "a released address is kept for its machine while others are free": """
        >> REQUEST ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> RELEASE ci=10.0.0.10 sid=10.0.0.1
        << -
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
        >> DISCOVER
        << OFFER 10.0.0.10 hardware
    """,
    "inform": """
        >> INFORM ci=10.0.0.77
        << ACK unicast to 10.0.0.77
        >> INFORM ci=172.16.0.4
        << -
    """,
    "broadcast flag": """
        >> DISCOVER flags=8000
        << OFFER 10.0.0.10 broadcast
    """,
    "relayed": """
        >> DISCOVER gi=10.0.0.2
        << OFFER 10.0.0.10 unicast to 10.0.0.2:67
        >> REQUEST gi=10.0.0.2 ip=192.168.7.7
        << NAK unicast to 10.0.0.2:67
        >> DISCOVER gi=172.16.0.1
        << -
    """,
    "a server's messages are not requests": """
        >> OFFER
        << -
        >> ACK
        << -
        >> NAK
        << -
    """,
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str) -> None:
    play(CONVERSATIONS[name])


def test_ack_carries_the_lease_to_make_durable() -> None:
    outcome = decide(said("REQUEST m=9 ip=10.0.0.99 sid=10.0.0.1"), LeaseTable([]), 1000)
    assert isinstance(outcome, Reply)
    assert outcome.kind is Kind.ACK
    assert outcome.change == Lease(
        address=IPv4Address("10.0.0.99"),
        mac=Mac("52:54:00:00:00:09"),
        state=LeaseState.BOUND,
        expires=1600,
        hostname="node9",
    )


def test_infinite_lease_never_ends() -> None:
    subnet = replace(SUBNET, lease_seconds=INFINITE_LEASE)
    table = LeaseTable(subnet.dynamic_addresses())
    outcome = decide(said("REQUEST ip=10.0.0.10 sid=10.0.0.1"), table, 1000, subnet)
    assert isinstance(outcome, Reply)
    assert outcome.packet.options[51] == b"\xff\xff\xff\xff"
    assert not {58, 59} & outcome.packet.options.keys()
    assert not table.available(IPv4Address("10.0.0.10"), Mac("52:54:00:00:00:02"), 1e12)


def test_what_is_ignored_has_a_reason() -> None:
    for line in ("DISCOVER gi=172.16.0.1", "REQUEST ci=10.0.0.10", "RELEASE ci=10.0.0.10", "DECLINE ip=10.0.0.10"):
        outcome = decide(said(line), LeaseTable([]), 0)
        assert isinstance(outcome, Ignore)
        assert outcome.reason


def test_decline_and_release_are_events_with_a_durable_change() -> None:
    table = LeaseTable(SUBNET.dynamic_addresses())
    decide(said("REQUEST ip=10.0.0.10 sid=10.0.0.1"), table, 0)
    released = decide(said("RELEASE ci=10.0.0.10 sid=10.0.0.1"), table, 5)
    assert isinstance(released, Accept)
    assert released.kind is Kind.RELEASE
    assert isinstance(released.change, Lease)
    assert released.change.state is LeaseState.RELEASED


def test_malformed_address_option_is_ignored_with_a_reason() -> None:
    packet = replace(said("REQUEST sid=10.0.0.1"), options={53: b"\3", 50: b"abc"})
    assert decide(packet, LeaseTable([]), 0) == Ignore(reason="option 50 is not an address")


def test_our_own_packets_come_back_unanswered() -> None:
    packet = said("DISCOVER")
    arrival = Arrival(address=SERVER, port=67)
    request = Request(packet=packet, client=client_of(packet), arrival=arrival, answer=None, now=0)
    assert isinstance(respond(request, SUBNET, LeaseTable(SUBNET.dynamic_addresses())), Ignore)

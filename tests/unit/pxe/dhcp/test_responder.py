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
from pxe.dhcp.address import UNSPECIFIED, Address, Hardware, packed
from pxe.dhcp.exchange import Accept, Ignore, Kind, Outcome, Reply, Request
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.packet import DhcpPacket, MessageType, parse
from pxe.dhcp.policy import Policy
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import INFINITE_LEASE, DhcpConfig, Reservation, Subnet

SERVER = IPv4Address("10.0.0.1")
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
        ciaddr=packed(IPv4Address(fields.get("ci", "0.0.0.0"))),
        giaddr=packed(IPv4Address(fields.get("gi", "0.0.0.0"))),
        flags=int(fields.get("flags", "0"), 16),
        options=options,
    )


class Server:
    """The decisions over lease tables that they change, as the server makes them."""

    def __init__(self, config: DhcpConfig | Subnet = SUBNET) -> None:
        self.policy = Policy(config if isinstance(config, DhcpConfig) else DhcpConfig(local=(config,)), lambda *_: None)
        self.tables, self.homeless = self.policy.tables(())

    def reload(self, config: DhcpConfig) -> None:
        leases = [lease for table in self.tables for lease in table.leases()]
        self.policy = Policy(config, lambda *_: None)
        self.tables, self.homeless = self.policy.tables([*self.homeless, *leases])

    def decide(self, packet: DhcpPacket, now: float, avoid: frozenset[Address] = frozenset()) -> Outcome:
        for table in self.tables:
            table.expire(now)
        outcome = respond(Request(packet, packet.ciaddr, now, avoid), self.policy, self.tables)
        if not isinstance(outcome, Ignore) and outcome.change is not None:
            self.tables[outcome.link].apply(outcome.change)
        return outcome


def heard(outcome: Outcome) -> str:
    if not isinstance(outcome, Reply):
        return "-"
    packet = parse(outcome.data)
    assert packet.message_type is not None
    yiaddr = "" if packet.yiaddr == UNSPECIFIED else f" {IPv4Address(packet.yiaddr)}"
    route, address, port = outcome.destination
    to = f" to {IPv4Address(address)}{'' if port == 68 else f':{port}'}" if route.value == "unicast" else ""
    return f"{packet.message_type.name}{yiaddr} {route.value}{to}"


def play(conversation: str, server: Server) -> None:
    now, answers = 1000.0, iter([""])
    for line in filter(None, map(str.strip, conversation.splitlines())):
        mark, text = line.split(maxsplit=1)
        if mark == "++":
            now += float(text)
        elif mark == ">>":
            answers = iter([heard(server.decide(said(text), now))])
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
    play(CONVERSATIONS[name], Server())


def test_ack_carries_the_lease_to_make_durable() -> None:
    outcome = Server().decide(said("REQUEST m=9 ip=10.0.0.99 sid=10.0.0.1"), 1000)
    assert isinstance(outcome, Reply)
    assert outcome.kind is Kind.ACK
    assert outcome.change == Lease(
        address=packed(IPv4Address("10.0.0.99")),
        mac=Hardware(bytes(Mac("52:54:00:00:00:09"))),
        state=LeaseState.BOUND,
        expires=1600,
        hostname="node9",
    )


def test_infinite_lease_never_ends() -> None:
    server = Server(replace(SUBNET, lease_seconds=INFINITE_LEASE))
    outcome = server.decide(said("REQUEST ip=10.0.0.10 sid=10.0.0.1"), 1000)
    assert isinstance(outcome, Reply)
    options = parse(outcome.data).options
    assert options[51] == b"\xff\xff\xff\xff"
    assert not {58, 59} & options.keys()
    assert heard(server.decide(said("DISCOVER m=2 ip=10.0.0.10"), 1e12)) == "OFFER 10.0.0.12 hardware"


def test_what_is_ignored_has_a_reason() -> None:
    for line in ("DISCOVER gi=172.16.0.1", "REQUEST ci=10.0.0.10", "RELEASE ci=10.0.0.10", "DECLINE ip=10.0.0.10"):
        outcome = Server().decide(said(line), 0)
        assert isinstance(outcome, Ignore)
        assert outcome.reason


def test_decline_and_release_are_events_with_a_durable_change() -> None:
    server = Server()
    server.decide(said("REQUEST ip=10.0.0.10 sid=10.0.0.1"), 0)
    released = server.decide(said("RELEASE ci=10.0.0.10 sid=10.0.0.1"), 5)
    assert isinstance(released, Accept)
    assert released.kind is Kind.RELEASE
    assert isinstance(released.change, Lease)
    assert released.change.state is LeaseState.RELEASED


def test_malformed_address_option_is_ignored_with_a_reason() -> None:
    packet = said("REQUEST sid=10.0.0.1")._replace(options={53: b"\3", 50: b"abc"})
    assert Server().decide(packet, 0) == Ignore("option 50 is not an address")


def test_our_own_packets_come_back_unanswered() -> None:
    server = Server()
    request = Request(said("DISCOVER"), packed(SERVER), 0)
    assert isinstance(respond(request, server.policy, server.tables), Ignore)


def at(text: str) -> Address:
    return packed(IPv4Address(text))


def offer_of(outcome: Outcome) -> tuple[str, bool]:
    assert isinstance(outcome, Reply)
    return heard(outcome), outcome.unproven


def test_offer_is_unproven_until_the_machine_holds_a_lease_of_the_address() -> None:
    server = Server()
    assert offer_of(server.decide(said("DISCOVER"), 0)) == ("OFFER 10.0.0.10 hardware", True)
    assert offer_of(server.decide(said("DISCOVER"), 1)) == ("OFFER 10.0.0.10 hardware", True)
    server.decide(said("REQUEST ip=10.0.0.10 sid=10.0.0.1"), 2)
    assert offer_of(server.decide(said("DISCOVER"), 3)) == ("OFFER 10.0.0.10 hardware", False)
    assert offer_of(server.decide(said("DISCOVER"), 700)) == ("OFFER 10.0.0.10 hardware", True)


def test_address_found_in_use_is_offered_to_nobody() -> None:
    server = Server()
    assert offer_of(server.decide(said("DISCOVER"), 0, frozenset({at("10.0.0.10")})))[0] == "OFFER 10.0.0.12 hardware"
    wanted = said("DISCOVER m=2 ip=10.0.0.10")
    assert isinstance(server.decide(wanted, 1, frozenset({at("10.0.0.10")})), Ignore)
    reserved = server.decide(said("DISCOVER m=9"), 2, frozenset({at("10.0.0.99")}))
    assert offer_of(reserved)[0] == "OFFER 10.0.0.10 hardware"


LARGE = replace(SUBNET, pool_first=IPv4Address("10.0.0.100"), pool_last=IPv4Address("10.0.0.199"), reservations={})


def stranger(number: int, line: str = "DISCOVER") -> DhcpPacket:
    return said(line)._replace(chaddr=b"\x02\xee" + number.to_bytes(4))


def test_flood_of_strangers_leaves_known_machines_their_share() -> None:
    named = frozenset(Mac(f"52:54:00:00:00:{number:02x}") for number in range(11, 21))
    server = Server(DhcpConfig(local=(LARGE,), known=named))
    offers = [server.decide(stranger(number), 0) for number in range(10_000)]
    assert sum(isinstance(outcome, Reply) for outcome in offers) == 90
    assert all(heard(server.decide(said(f"DISCOVER m={m}"), 1)).startswith("OFFER") for m in range(11, 21))
    taken = server.decide(stranger(20_000, "REQUEST ip=10.0.0.199 sid=10.0.0.1"), 31)
    assert heard(taken).startswith("ACK"), "offers have run out"


def test_stranger_cannot_take_of_the_kept_share_without_an_offer() -> None:
    server = Server(DhcpConfig(local=(LARGE,)))
    for number in range(90):
        address = f"10.0.0.{100 + number}"
        assert heard(server.decide(stranger(number, f"REQUEST ip={address} sid=10.0.0.1"), 0)).startswith("ACK")
    assert heard(server.decide(stranger(500, "REQUEST ip=10.0.0.199 sid=10.0.0.1"), 1)) == "NAK broadcast"
    assert heard(server.decide(stranger(3, "REQUEST ci=10.0.0.103"), 2)).startswith("ACK"), "renewals always work"
    assert heard(server.decide(stranger(3, "DISCOVER"), 700)).startswith("OFFER"), "it has held a lease"


def test_decline_flood_leaves_half_of_the_pool() -> None:
    server, reasons = Server(DhcpConfig(local=(LARGE,))), list[str]()
    for number in range(500):
        offer = server.decide(stranger(number), 1000)
        assert isinstance(offer, Reply)
        address = IPv4Address(parse(offer.data).yiaddr)
        done = server.decide(stranger(number, f"DECLINE ip={address} sid=10.0.0.1"), 1000)
        assert isinstance(done, Accept)
        reasons.append(done.reason)
    assert heard(server.decide(said("DISCOVER"), 1000)).startswith("OFFER")
    assert server.tables[0].quarantined(0) == 50
    assert "half of the pool" in reasons[50]
    assert "half of the pool" not in reasons[49]


SECOND = Subnet(
    network=IPv4Network("10.0.1.0/24"),
    server=SERVER,
    pool_first=IPv4Address("10.0.1.10"),
    pool_last=IPv4Address("10.0.1.99"),
    router=IPv4Address("10.0.1.254"),
)
FAR = Subnet(
    network=IPv4Network("10.9.0.0/24"),
    server=SERVER,
    pool_first=IPv4Address("10.9.0.10"),
    pool_last=IPv4Address("10.9.0.99"),
    router=IPv4Address("10.9.0.254"),
    reservations={Mac("52:54:00:00:00:09"): Reservation(address=IPv4Address("10.9.0.200"), hostname="node9")},
)

SITE_CONVERSATIONS = {
    "the second subnet of the link when the first is full": """
        >> DISCOVER m=1
        << OFFER 10.0.0.10 hardware
        >> DISCOVER m=2
        << OFFER 10.0.0.12 hardware
        >> DISCOVER m=3
        << OFFER 10.0.1.10 hardware
        >> REQUEST m=3 ip=10.0.1.10 sid=10.0.0.1
        << ACK 10.0.1.10 hardware
        >> REQUEST m=3 ip=10.0.1.10
        << ACK 10.0.1.10 hardware
    """,
    "each link has its own addresses and reservations": """
        >> DISCOVER m=9
        << OFFER 10.0.0.99 hardware
        >> DISCOVER m=9 gi=10.9.0.254
        << OFFER 10.9.0.200 unicast to 10.9.0.254:67
        >> REQUEST m=1 ip=10.0.0.10 sid=10.0.0.1
        << ACK 10.0.0.10 hardware
        >> REQUEST m=1 ip=10.9.0.10 sid=10.0.0.1 gi=10.9.0.254
        << ACK 10.9.0.10 unicast to 10.9.0.254:67
        >> REQUEST m=1 ci=10.0.0.10
        << ACK 10.0.0.10 unicast to 10.0.0.10
    """,
    "a renewal that was routed to us": """
        >> REQUEST m=1 ip=10.9.0.10 sid=10.0.0.1 gi=10.9.0.254
        << ACK 10.9.0.10 unicast to 10.9.0.254:67
        >> REQUEST m=1 ci=10.9.0.10
        << ACK 10.9.0.10 unicast to 10.9.0.10
        >> RELEASE m=1 ci=10.9.0.10 sid=10.0.0.1
        << -
        >> INFORM ci=10.9.0.77
        << ACK unicast to 10.9.0.77
    """,
    "a machine that was moved to another link": """
        >> REQUEST m=1 ip=10.9.0.10 sid=10.0.0.1 gi=10.9.0.254
        << ACK 10.9.0.10 unicast to 10.9.0.254:67
        >> REQUEST m=1 ip=10.9.0.10
        << NAK broadcast
        >> REQUEST m=1 ip=10.0.0.10 gi=10.9.0.254
        << NAK unicast to 10.9.0.254:67
    """,
}


@pytest.mark.parametrize("name", SITE_CONVERSATIONS)
def test_conversation_with_several_links(name: str) -> None:
    play(SITE_CONVERSATIONS[name], Server(DhcpConfig(local=(SUBNET, SECOND), relayed=((FAR,),))))


def test_reload_drops_no_lease() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    server.decide(said("REQUEST m=1 ip=10.0.0.10 sid=10.0.0.1"), 1000)
    server.decide(said("REQUEST m=2 ip=10.9.0.10 sid=10.0.0.1 gi=10.9.0.254"), 1000)
    server.reload(DhcpConfig(local=(replace(SUBNET, pool_first=IPv4Address("10.0.0.12")),)))
    assert [lease.address for lease in server.homeless] == [at("10.9.0.10")]

    renewed = server.decide(said("REQUEST m=1 ci=10.0.0.10"), 1200)
    assert isinstance(renewed, Reply)
    assert parse(renewed.data).options[51] == (400).to_bytes(4), "for the rest of its time"
    assert heard(server.decide(said("REQUEST m=1 ci=10.0.0.10"), 1600)) == "NAK broadcast"
    assert heard(server.decide(said("DISCOVER m=1"), 1601)) == "OFFER 10.0.0.12 hardware"

    server.reload(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    assert heard(server.decide(said("REQUEST m=2 ci=10.9.0.10"), 1500)) == "ACK 10.9.0.10 unicast to 10.9.0.10"


def test_reload_gives_a_new_reservation_at_the_next_renewal() -> None:
    server = Server()
    server.decide(said("REQUEST m=1 ip=10.0.0.10 sid=10.0.0.1"), 1000)
    server.decide(said("REQUEST m=2 ip=10.0.0.12 sid=10.0.0.1"), 1000)
    reserved = {Mac("52:54:00:00:00:01"): Reservation(address=IPv4Address("10.0.0.12"))}
    server.reload(DhcpConfig(local=(replace(SUBNET, reservations=reserved),)))
    kept = "ACK 10.0.0.10 unicast to 10.0.0.10"
    assert heard(server.decide(said("REQUEST m=1 ci=10.0.0.10"), 1100)) == kept, "the other one still holds it"
    assert heard(server.decide(said("REQUEST m=2 ci=10.0.0.12"), 1100)) == "ACK 10.0.0.12 unicast to 10.0.0.12"
    assert heard(server.decide(said("REQUEST m=2 ci=10.0.0.12"), 1600)) == "NAK broadcast"
    assert heard(server.decide(said("REQUEST m=1 ci=10.0.0.10"), 1600)) == "NAK broadcast"
    assert heard(server.decide(said("DISCOVER m=1"), 1601)) == "OFFER 10.0.0.12 hardware"


def test_what_is_remembered_between_packets_is_bounded() -> None:
    server = Server()
    for number in range(3000):
        packet = said("DISCOVER")
        hostile = {60: b"PXEClient:%d" % number, 55: number.to_bytes(2), 77: bytes(number % 999), 61: b"x"}
        server.decide(packet._replace(options={**packet.options, **hostile}), 0)
    assert len(server.policy._templates) <= 1024
    assert len(server.policy._boots) <= 1024

"""The points of RFC 2131, 2132, 3046, 3396, 4578, 5107, 6842 that servers usually get wrong, by number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from pxe.boot import Endpoints, answer
from pxe.client import Mac
from pxe.dhcp.exchange import Arrival, Destination, Ignore, Outcome, Reply, Request, Route
from pxe.dhcp.leases import Lease, LeaseTable
from pxe.dhcp.packet import DhcpPacket, client_of, pack, parse
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import Reservation, Subnet
from pxe.errors import ConfigError

MAC = bytes.fromhex("525400000001")
SUBNET = Subnet(
    network=IPv4Network("10.0.0.0/24"),
    server=IPv4Address("10.0.0.1"),
    pool_first=IPv4Address("10.0.0.10"),
    pool_last=IPv4Address("10.0.0.99"),
    router=IPv4Address("10.0.0.254"),
    dns_servers=(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
    domain="rack.example",
    lease_seconds=3600,
    reservations={Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.0.0.108"), hostname="node8")},
)
PXE = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 97: b"\0" + bytes(range(16))}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10", 97: b"\0" + bytes(range(16))}
IPXE = PXE | {175: b"\x13\1\1", 77: b"iPXE"}
RELAY = b"\1\4eth1\2\3abc"


def discover(options: Mapping[int, bytes] = {}, **fields: Any) -> DhcpPacket:
    base = DhcpPacket(op=1, xid=0x1234, chaddr=MAC, hops=3, secs=9, options={53: b"\1"} | dict(options))
    return replace(base, **fields)


def request(options: Mapping[int, bytes] = {}, **fields: Any) -> DhcpPacket:
    wanted = {53: b"\3", 54: b"\x0a\0\0\1", 50: b"\x0a\0\0\x0a"}
    return discover(wanted | dict(options), **fields)


def respond_to(packet: DhcpPacket, source: str = "0.0.0.0", subnet: Subnet = SUBNET) -> Outcome:
    client = client_of(packet)
    wanted = answer(client, Endpoints(address=subnet.server))
    arrival = Arrival(address=IPv4Address(source), port=68)
    asked = Request(packet=packet, client=client, arrival=arrival, answer=wanted, now=1000)
    return respond(asked, subnet, LeaseTable(subnet.dynamic_addresses()))


def reply_to(packet: DhcpPacket, source: str = "0.0.0.0") -> Reply:
    outcome = respond_to(packet, source)
    assert isinstance(outcome, Reply), outcome
    # Through the bytes: what counts is what arrives.
    return replace(outcome, packet=parse(pack(outcome.packet, maximum=outcome.maximum)))


def options_of(packet: DhcpPacket) -> dict[int, bytes]:
    return dict(reply_to(packet).packet.options)


@dataclass(frozen=True)
class Point:
    number: str
    what: str
    holds: Callable[[], bool]


def destination(packet: DhcpPacket) -> Destination:
    return reply_to(packet).destination


def to(route: Route, address: str, port: int = 68) -> Destination:
    return Destination(route=route, address=IPv4Address(address), port=port)


NAKED = {50: b"\xc0\0\2\1"}  # an address of another network


def copied() -> bool:
    packet = discover(flags=0x8000, giaddr=IPv4Address("10.0.0.5"))
    got = reply_to(packet).packet
    same = all(getattr(got, name) == getattr(packet, name) for name in ("xid", "flags", "giaddr", "chaddr", "htype"))
    return same and got.hops == 0 and got.secs == 0 and got.op == 2


def nak() -> DhcpPacket:
    return discover({53: b"\3"} | NAKED)


def short_reply(size: int) -> int:
    packet = discover(IPXE | {57: size.to_bytes(2), 61: bytes(60), 12: bytes(100)}, chaddr=MAC)
    outcome = respond_to(packet)
    assert isinstance(outcome, Reply)
    return len(pack(outcome.packet, maximum=outcome.maximum)) + 28


def hostname(options: Mapping[int, bytes]) -> str:
    change = reply_to(request(options)).change
    assert isinstance(change, Lease)
    return change.hostname


OPTION_82_LAST = list(options_of(discover(PXE | {61: b"\xffid", 82: RELAY}, giaddr=IPv4Address("10.0.0.5"))))

POINTS = [
    Point(
        "C-DHCP-04",
        "relayed: to giaddr, port 67",
        lambda: (
            destination(discover(giaddr=IPv4Address("10.0.0.5"), flags=0x8000)) == to(Route.UNICAST, "10.0.0.5", 67)
        ),
    ),
    Point(
        "C-DHCP-04",
        "broadcast flag",
        lambda: destination(discover(flags=0x8000)) == to(Route.BROADCAST, "255.255.255.255"),
    ),
    Point(
        "C-DHCP-04",
        "else to yiaddr by hardware address",
        lambda: destination(discover()) == to(Route.HARDWARE, "10.0.0.10"),
    ),
    Point("C-DHCP-05", "NAK is broadcast", lambda: destination(nak()) == to(Route.BROADCAST, "255.255.255.255")),
    Point(
        "C-DHCP-05",
        "NAK to a relay sets the broadcast flag",
        lambda: reply_to(replace(nak(), giaddr=IPv4Address("10.0.0.5"))).packet.flags == 0x8000,
    ),
    Point(
        "C-DHCP-05",
        "NAK carries no addresses and no lease time",
        lambda: reply_to(nak()).packet.yiaddr == IPv4Address(0) and 51 not in options_of(nak()),
    ),
    Point("C-DHCP-06", "header copied, hops and secs zero", copied),
    Point(
        "C-DHCP-07",
        "server identifier in OFFER, ACK and NAK",
        lambda: all(options_of(p)[54] == b"\x0a\0\0\1" for p in (discover(), request(), nak())),
    ),
    Point(
        "C-DHCP-09",
        "INFORM: no yiaddr, no lease time, to ciaddr",
        lambda: (
            (got := reply_to(discover({53: b"\x08"}, ciaddr=IPv4Address("10.0.0.7")))).packet.yiaddr == IPv4Address(0)
            and not {51, 58, 59} & got.packet.options.keys()
            and got.change is None
            and got.destination == to(Route.UNICAST, "10.0.0.7")
        ),
    ),
    Point(
        "C-DHCP-09",
        "INFORM without ciaddr: to its source",
        lambda: reply_to(discover({53: b"\x08"}), "10.0.0.7").destination == to(Route.UNICAST, "10.0.0.7"),
    ),
    Point(
        "C-DHCP-12",
        "client identifier echoed in OFFER, ACK and NAK",
        lambda: all(
            options_of(replace(p, options={**p.options, 61: b"\xffduid"}))[61] == b"\xffduid"
            for p in (discover(), request(), nak())
        ),
    ),
    Point("C-DHCP-12", "no client identifier out of nothing", lambda: 61 not in options_of(discover())),
    Point(
        "C-DHCP-13",
        "relay information verbatim",
        lambda: options_of(discover({82: RELAY}, giaddr=IPv4Address("10.0.0.5")))[82] == RELAY,
    ),
    Point("C-DHCP-13", "relay information last", lambda: OPTION_82_LAST[-1] == 82),
    Point("C-DHCP-13", "no relay information out of nothing", lambda: 82 not in options_of(discover())),
    Point(
        "C-DHCP-13",
        "link selection beats giaddr",
        lambda: (
            isinstance(respond_to(discover({82: b"\5\4\x0a\0\0\0"}, giaddr=IPv4Address("172.16.0.1"))), Reply)
            and isinstance(respond_to(discover({82: b"\5\4\xac\x10\0\0"}, giaddr=IPv4Address("10.0.0.5"))), Ignore)
        ),
    ),
    Point(
        "C-DHCP-13",
        "server identifier override",
        lambda: options_of(discover({82: b"\x0b\4\x0a\0\0\5"}, giaddr=IPv4Address("10.0.0.5")))[54] == b"\x0a\0\0\5",
    ),
    Point(
        "C-DHCP-13",
        "malformed relay information is echoed all the same",
        lambda: options_of(discover({82: b"\x0b\x09\x0a"}, giaddr=IPv4Address("10.0.0.5")))[82] == b"\x0b\x09\x0a",
    ),
    Point(
        "C-DHCP-14", "never longer than option 57", lambda: all(short_reply(size) <= size for size in (576, 1024, 1260))
    ),
    Point("C-DHCP-14", "576 is the least", lambda: short_reply(0) <= 576),
    Point("C-DHCP-15", "300 bytes at least", lambda: len(pack(reply_to(discover({55: b"\1"})).packet)) == 300),
    Point(
        "C-DHCP-16",
        "requested options in the order of the request",
        lambda: (
            list(options_of(discover({55: bytes((28, 15, 6, 3, 1, 99))})))[:8] == [53, 54, 51, 58, 59, 1, 3, 28]
            and list(options_of(discover({55: bytes((28, 15, 6, 3, 1, 99))})))[8:] == [15, 6]
        ),
    ),
    Point(
        "C-DHCP-16",
        "mask and router also unasked",
        lambda: {1, 3, 51, 53, 54} <= options_of(discover({55: b"\x06"})).keys(),
    ),
    Point("C-DHCP-16", "nothing else unasked", lambda: not {6, 15, 28} & options_of(discover({55: b"\1\3"})).keys()),
    Point(
        "C-DHCP-16",
        "PXE options also unasked",
        lambda: {43, 60, 66, 67, 97} <= options_of(discover(PXE | {55: b"\1"})).keys(),
    ),
    Point(
        "C-DHCP-16",
        "mask before router (RFC 2132 3.3)",
        lambda: (codes := list(options_of(discover({55: b"\3\1"})))).index(1) < codes.index(3),
    ),
    Point(
        "C-DHCP-17",
        "T1 and T2",
        lambda: (got := options_of(discover()))[58] == (1800).to_bytes(4) and got[59] == (3150).to_bytes(4),
    ),
    Point(
        "C-DHCP-18",
        "host name made into a label",
        lambda: (
            hostname({12: b"web_01.example\0"}) == "web-01"
            and len(hostname({12: b"x" * 200})) == 63
            and hostname({12: b"\xff\n -"}) == ""
            and hostname({81: b"\0\0\0srv.example", 12: b"x"}) == "srv"
        ),
    ),
    Point("C-DHCP-21", "no answer to BOOTP", lambda: isinstance(respond_to(replace(discover(), options={})), Ignore)),
    Point(
        "C-DHCP-24",
        "iPXE gets the script, not itself",
        lambda: options_of(discover(IPXE))[67].startswith(b"http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01&uuid="),
    ),
    Point(
        "C-DHCP-24", "iPXE is told not to wait for proxyDHCP", lambda: options_of(discover(IPXE))[175] == b"\xb0\1\1"
    ),
    Point(
        "C-DHCP-25",
        "boot file in the header and in options",
        lambda: (
            (got := reply_to(discover(PXE)).packet).file == got.options[67] == b"snponly.efi"
            and got.siaddr == IPv4Address("10.0.0.1")
            and got.options[66] == b"10.0.0.1"
        ),
    ),
    Point("C-DHCP-25", "in the ACK as well", lambda: reply_to(request(PXE)).packet.file == b"snponly.efi"),
    Point(
        "C-DHCP-26", "108 and 114 never sent", lambda: not {108, 114} & options_of(discover({55: b"\x6c\x72"})).keys()
    ),
    Point("C-DHCP-28", "a reply is not a request", lambda: isinstance(respond_to(replace(discover(), op=2)), Ignore)),
    Point(
        "C-DHCP-29",
        "unicast REQUEST from no network of ours",
        lambda: isinstance(respond_to(discover({53: b"\3"}, ciaddr=IPv4Address("192.0.2.1")), "192.0.2.1"), Ignore),
    ),
    Point(
        "C-PXE-01",
        "PXE client: 60, no discovery, 97 echoed",
        lambda: (
            (got := options_of(discover(PXE)))[60] == b"PXEClient" and got[43] == b"\6\1\x08\xff" and got[97] == PXE[97]
        ),
    ),
    Point(
        "C-PXE-06",
        "no boot options for a system",
        lambda: not {43, 60, 66, 67, 97, 175} & options_of(discover({60: b"udhcp 1.35.0"})).keys(),
    ),
    Point(
        "C-HTTP-01",
        "HTTP boot: 60 is HTTPClient, 67 and file are the URL, nothing of PXE",
        lambda: (
            (got := reply_to(discover(HTTP)).packet).options[60] == b"HTTPClient"
            and got.options[67] == got.file == b"http://10.0.0.1/nbp/snponly.efi"
            and 43 not in got.options
        ),
    ),
]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.number} {point.what}")
def test_point(point: Point) -> None:
    assert point.holds()


def test_reserved_host_name_is_sent_when_asked_for() -> None:
    node = bytes.fromhex("525400000008")
    assert options_of(discover({55: b"\x0c"}, chaddr=node))[12] == b"node8"
    assert 12 not in options_of(discover({55: b"\x0c"}))


def test_a_reply_that_cannot_fit_is_not_sent() -> None:
    outcome = respond_to(discover(IPXE | {61: bytes(250), 82: bytes(250)}, giaddr=IPv4Address("10.0.0.5")))
    assert isinstance(outcome, Ignore)
    assert "does not fit" in outcome.reason


def test_what_is_left_out_first_is_what_the_client_can_do_without() -> None:
    got = reply_to(discover(IPXE | {61: bytes(120)}))
    assert {53, 54, 51, 1, 3, 60, 43, 61} <= got.packet.options.keys()
    assert b"boot.ipxe" in got.packet.file


WRONG: list[dict[str, object]] = [
    {"lease_seconds": 0},
    {"lease_seconds": 2**32},
    {"server": IPv4Address("10.0.1.1")},
    {"server": IPv4Address("10.0.0.10")},
    {"router": IPv4Address("10.0.0.50")},
    {"pool_first": IPv4Address("10.0.0.0")},
    {"pool_last": IPv4Address("10.0.0.255")},
    {"pool_last": IPv4Address("10.0.0.9")},
    {"domain": "a..b"},
    {"domain": "x" * 64},
    {"dns_servers": (IPv4Address("10.0.0.1"),) * 9},
    {"reservations": {Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.9.0.1"))}},
    {"reservations": {Mac(f"52:54:00:00:00:0{i}"): Reservation(address=IPv4Address("10.0.0.5")) for i in (1, 2)}},
    {"reservations": {Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.0.0.254"))}},
]


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_senseless_subnet_is_refused(fields: dict[str, Any]) -> None:
    values = {
        name: getattr(SUBNET, name)
        for name in SUBNET.__dataclass_fields__
        if name not in ("fixed_options", "_reserved")
    }
    with pytest.raises(ConfigError):
        Subnet(**values | fields)


@pytest.mark.parametrize("name", ["a.b", "-a", "a-", "x" * 64, "a b", "a\n"])
def test_senseless_host_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        Reservation(address=IPv4Address("10.0.0.5"), hostname=name)

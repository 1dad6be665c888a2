"""Mutated packets against each protocol's decisions, with debug logging on.

Ten thousand packets of each in the usual run, a million under --all: nothing but the error that the decoder announces
may come out, nothing may be kept, and no packet may cost more than 10 ms of processor time.
"""

import gc
import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType

import pytest

from pxe.boot import Endpoints, answer
from pxe.client import Mac
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.address import Address
from pxe.dhcp.arp import parse as parse_arp
from pxe.dhcp.exchange import Request
from pxe.dhcp.packet import DhcpPacket, MessageType, Option, client_of, pack
from pxe.dhcp.packet import parse as parse_dhcp
from pxe.dhcp.policy import Policy
from pxe.dhcp.responder import respond as respond_dhcp
from pxe.dhcp.subnet import DhcpConfig, Reservation, Subnet
from pxe.dns.responder import Zone, table_of
from pxe.dns.responder import respond as respond_dns
from pxe.errors import PacketError
from pxe.http.packet import parse_head
from pxe.http.responder import respond as respond_http
from pxe.tftp.packet import Ack, ReadRequest, candidates
from pxe.tftp.packet import pack as pack_tftp
from pxe.tftp.packet import parse as parse_tftp
from pxe.tftp.responder import Limits, begin, step

SERVER = IPv4Address("10.9.0.1")
ENDPOINTS = Endpoints(address=SERVER)
SLOWEST = 0.010
GROWTH = 8 << 20
HOSTILE = (
    b"\0",
    b"\xff",
    b"\xff" * 16,
    b"\xc0\x0c",
    b"\xc0" * 64,
    b"%s%n",
    b"../" * 40,
    b"\r\n\r\n",
    b"\r\n ",
    b"A" * 300,
)

Feed = Callable[[bytes, random.Random], None]


def _addresses() -> DhcpConfig:
    subnet = Subnet(
        network=IPv4Network("10.9.0.0/24"),
        server=SERVER,
        pool_first=IPv4Address("10.9.0.100"),
        pool_last=IPv4Address("10.9.0.199"),
        router=SERVER,
        dns_servers=(SERVER,),
        domain="rack.example",
        reservations=MappingProxyType({Mac("52:54:00:00:00:01"): Reservation(address=IPv4Address("10.9.0.20"))}),
    )
    return DhcpConfig(local=(subnet,))


def _dhcp() -> tuple[list[bytes], Feed]:
    policy = Policy(_addresses(), lambda client, chain: answer(client, ENDPOINTS, chain))
    tables, _ = policy.tables(())
    log = logging.getLogger("pxe.dhcp.fuzz")

    def feed(raw: bytes, rng: random.Random) -> None:
        now = 1e9 + rng.random() * 1e6
        for table in tables:
            table.expire(now)
        try:
            packet = parse_dhcp(raw)
            log.debug("%r", packet)
            outcome = respond_dhcp(Request(packet, Address(rng.randbytes(4)), now), policy, tables)
            log.debug("%r", outcome)
            if outcome.change is not None:
                tables[getattr(outcome, "link", 0)].apply(outcome.change)
            client_of(packet)
        except PacketError as error:
            log.debug("%s %s", error, error.evidence)

    return list(_dhcp_corpus()), feed


def _dhcp_corpus() -> Iterator[bytes]:
    firmware = {
        Option.PARAMETER_REQUEST_LIST: bytes((1, 2, 3, 6, 12, 15, 43, 54, 60, 66, 67, 97, 119, 121)),
        Option.MAXIMUM_SIZE: b"\x05\xc0",
        Option.CLIENT_UUID: b"\0" + bytes(range(16)),
        Option.CLIENT_ARCH: b"\0\7",
        Option.VENDOR_CLASS: b"PXEClient:Arch:00007:UNDI:003000",
        Option.CLIENT_IDENTIFIER: b"\xff\0\0\0\1\0\4" + bytes(16),
        Option.HOST_NAME: b"node-1",
        Option.RELAY_INFORMATION: bytes((1, 4)) + b"swp7" + bytes((5, 4)) + SERVER.packed + bytes((11, 4, 10, 9, 0, 1)),
    }
    for kind in MessageType:
        options = {Option.MESSAGE_TYPE: bytes((kind,)), Option.REQUESTED_ADDRESS: bytes((10, 9, 0, 100)), **firmware}
        yield pack(DhcpPacket(op=1, xid=7, chaddr=bytes.fromhex("525400000001"), options=options))
        options[Option.SERVER_IDENTIFIER] = SERVER.packed
        relay, held = Address(SERVER.packed), Address(bytes((10, 9, 0, 100)))
        yield pack(DhcpPacket(op=1, xid=8, chaddr=b"\2\0\0\0\0\1", giaddr=relay, ciaddr=held, options=options))


def _tftp() -> tuple[list[bytes], Feed]:
    options = (("blksize", "1428"), ("windowsize", "16"), ("tsize", "0"), ("timeout", "3"))
    names = ContentTable({"snponly.efi": BytesContent(data=bytes(50))})
    corpus = [
        pack_tftp(ReadRequest(name="/snponly.efi", mode="octet", options=options)),
        pack_tftp(ReadRequest(name="snponly.efi", mode="netascii")),
        pack_tftp(Ack(block=0)),
        pack_tftp(Ack(block=3)),
        b"\0\2upload\0octet\0",
        b"\0\5\0\10no\0",
    ]
    log = logging.getLogger("pxe.tftp.fuzz")
    transfer, _ = begin(ReadRequest(name="x", mode="octet", options=options), 60_000, Limits(), 0.0)

    def feed(raw: bytes, rng: random.Random) -> None:
        try:
            packet = parse_tftp(raw)
        except PacketError as error:
            log.debug("%s %s", error, error.evidence)
            return
        log.debug("%r", packet)
        if isinstance(packet, ReadRequest):
            log.debug("%r", [names.content(name) for name in candidates(packet.name)])
            log.debug("%r", begin(packet, 5000, Limits(), 0.0))
        log.debug("%r", step(transfer, packet, rng.random()))

    return corpus, feed


def _dns() -> tuple[list[bytes], Feed]:
    hosts = {f"node-{n}": IPv4Address(int(SERVER) + 10 + n) for n in range(20)}
    table = table_of(Zone(domain="rack.example", server=SERVER, hosts=hosts, networks=(IPv4Network("10.9.0.0/24"),)))
    names = (b"\6node-1\4rack\7example\0", b"\4none\4rack\7example\0", b"\0013\0010\0019\00210\7in-addr\4arpa\0", b"\0")
    edns = b"\0\0)\x04\xd0\0\0\0\0\0\0"
    corpus = [
        b"\x12\x34\1\0\0\1\0\0\0\0" + (b"\0\1" if extra else b"\0\0") + name + kind.to_bytes(2) + b"\0\1" + extra
        for name in names
        for kind in (1, 2, 6, 12, 28, 33, 252, 255)
        for extra in (b"", edns)
    ]

    def feed(raw: bytes, rng: random.Random) -> None:
        reply = respond_dns(table, raw, tcp=rng.random() < 0.2)
        logging.getLogger("pxe.dns.fuzz").debug("%r", reply)

    return corpus, feed


def _http() -> tuple[list[bytes], Feed]:
    corpus = [
        b"GET /nbp/snponly.efi HTTP/1.1\r\nHost: 10.9.0.1\r\nRange: bytes=0-99\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n",
        b"GET http://10.9.0.1/boot.ipxe?mac=52-54-00-00-00-01&uuid= HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST /report HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
        b'HEAD //x HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/"a", "b"\r\nIf-Range: "a"\r\n\r\n',
    ]
    content = BytesContent(data=bytes(1000), digest="ab")
    log = logging.getLogger("pxe.http.fuzz")

    def feed(raw: bytes, rng: random.Random) -> None:
        try:
            found = parse_head(bytearray(raw))
        except PacketError as error:
            log.debug("%s", error)
            return
        if found is not None:
            log.debug("%r", respond_http(found[0], content if rng.random() < 0.8 else None))

    return corpus, feed


def _arp() -> tuple[list[bytes], Feed]:
    corpus = [bytes.fromhex("ffffffffffff525400000001080600010800060400015254000000010a0900010000000000000a090064")]

    def feed(raw: bytes, rng: random.Random) -> None:
        del rng
        with suppress(PacketError):
            parse_arp(raw)

    return corpus, feed


def mutated(rng: random.Random, corpus: list[bytes]) -> bytes:
    raw = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(raw) + 1)
        match rng.randrange(7):
            case 0:
                raw[at : at + 1] = rng.randbytes(1)
            case 1:
                del raw[at:]
            case 2:
                del raw[at : at + rng.randrange(1, 20)]
            case 3:
                raw[at:at] = rng.choice(HOSTILE)
            case 4:
                raw[at : at + 1] = rng.choice((b"\0", b"\1", b"\x3f", b"\x7f", b"\x80", b"\xff"))
            case 5:
                raw[at:at] = raw[at : at + rng.randrange(1, 40)] * rng.randrange(1, 5)
            case _:
                other = rng.choice(corpus)
                raw[at:] = other[rng.randrange(len(other) + 1) :]
    return bytes(raw[:9000])


class _Formatting(logging.Handler):
    """Formats as a real one would, and keeps nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


@contextmanager
def debugging() -> Iterator[None]:
    """Out of the sight of pytest, which keeps every record of the loggers that it knows when a test begins."""
    log = logging.getLogger("pxe")
    handler, before = _Formatting(), (log.level, log.propagate)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


@pytest.mark.parametrize(
    "count", [10_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
@pytest.mark.parametrize("protocol", [_dhcp, _tftp, _dns, _http, _arp], ids=lambda make: make.__name__[1:])
def test_mutated_packets(protocol: Callable[[], tuple[list[bytes], Feed]], count: int) -> None:
    corpus, feed = protocol()
    rng = random.Random(20261123)
    slowest, worst, settled = 0.0, b"", 0
    with debugging():
        for number in range(count):
            raw = mutated(rng, corpus)
            took = _timed(feed, raw, rng)
            if took > SLOWEST:  # once may be the garbage collector; what is slow is slow again
                took = min(_timed(feed, raw, rng) for _ in range(3))
            if took > slowest:
                slowest, worst = took, raw
            if number == count // 4:
                settled = _resident()
    assert slowest < SLOWEST, worst.hex()[:2000]
    assert _resident() - settled < GROWTH


def _timed(feed: Feed, raw: bytes, rng: random.Random) -> float:
    begun = time.thread_time()
    feed(raw, rng)
    return time.thread_time() - begun


def _resident() -> int:
    """Bytes of memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

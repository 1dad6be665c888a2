"""Clients nobody here wrote against our server: dnslib, dig, kdig, dnsperf, busybox; malformed queries by hand."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from dnslib import DNSRecord

from pxe.dns.responder import Zone
from pxe.dns.server import DnsServer

ADDRESS = IPv4Address("127.53.0.1")
DEADLINE = 10.0


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def zone(**hosts: str) -> Zone:
    found = {name.replace("_", "-"): IPv4Address(address) for name, address in hosts.items()}
    return Zone(domain="rack.test", server=ADDRESS, hosts=found)


@pytest.fixture
def server() -> Iterator[DnsServer]:
    many = {f"host_{n:03}": "10.0.0.5" for n in range(80)}
    server = DnsServer(address=ADDRESS, port=0, zone=zone(node_1="10.0.0.11", **many), clock=SystemClock())
    server.start()
    yield server
    server.stop()


def ask(server: DnsServer, name: str, kind: str = "A", *, tcp: bool = False) -> DNSRecord:
    query = DNSRecord.question(name, kind)
    reply = DNSRecord.parse(query.send(str(ADDRESS), server.port, tcp=tcp, timeout=DEADLINE))
    assert reply.header.id == query.header.id
    return reply


@pytest.mark.parametrize("tcp", [False, True])
def test_dnslib(server: DnsServer, tcp: bool) -> None:
    for _ in range(2):
        reply = ask(server, "node-1.rack.test", tcp=tcp)
        assert [str(rr.rdata) for rr in reply.rr] == ["10.0.0.11"]
    assert ask(server, "11.0.0.10.in-addr.arpa", "PTR", tcp=tcp).rr[0].rdata.label == "node-1.rack.test"
    assert ask(server, "other.rack.test", tcp=tcp).header.rcode == 3
    assert ask(server, "example.com", tcp=tcp).header.rcode == 5


def dig(server: DnsServer, *words: str) -> str:
    tool = shutil.which("dig")
    if tool is None:
        pytest.skip("dig is not installed")
    argv = [tool, f"@{ADDRESS}", "-p", str(server.port), "+tries=1", "+time=5", *words]
    return subprocess.run(argv, check=True, capture_output=True, timeout=30, text=True).stdout


def test_dig_flags(server: DnsServer) -> None:
    text = dig(server, "node-1.rack.test", "A")
    assert "status: NOERROR" in text
    assert "flags: qr aa rd;" in text
    assert "EDNS: version: 0, flags:; udp: 1232" in text
    assert "WARNING: Message parser" not in text


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("nothing.rack.test",), "NXDOMAIN"),
        (("node-1.rack.test", "TYPE65280"), "NOERROR"),
        (("rack.test", "ANY", "+notcp"), "NOERROR"),
        (("example.com",), "REFUSED"),
        (("node-1.rack.test", "+edns=1", "+noednsnegotiation"), "BADVERS"),
        (("node-1.rack.test", "+opcode=notify"), "NOTIMP"),
        (("version.bind", "CH", "TXT"), "REFUSED"),
    ],
)
def test_dig_status(server: DnsServer, words: tuple[str, ...], status: str) -> None:
    assert f"status: {status}" in dig(server, *words)


def test_dig_zone_transfer_is_refused(server: DnsServer) -> None:
    assert "Transfer failed" in dig(server, "rack.test", "AXFR")


def test_dig_comes_back_over_tcp(server: DnsServer) -> None:
    text = dig(server, "-x", "10.0.0.5")
    assert "ANSWER: 80" in text
    assert "(TCP)" in text
    assert "flags: qr aa tc rd" in dig(server, "-x", "10.0.0.5", "+ignore")


def test_zone_is_swapped_whole(server: DnsServer) -> None:
    assert ask(server, "node-1.rack.test").rr
    server.set_zone(zone(node_2="10.0.0.12"))
    assert ask(server, "node-1.rack.test").header.rcode == 3
    assert ask(server, "node-2.rack.test").rr


def test_tcp_pipelining_and_pieces(server: DnsServer) -> None:
    queries = [DNSRecord.question(f"host-{n:03}.rack.test").pack() for n in range(20)]
    stream = b"".join(len(query).to_bytes(2) + query for query in queries)
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(stream[:33])
        sock.sendall(stream[33:])
        with sock.makefile("rb") as file:
            for query in queries:
                reply = file.read(int.from_bytes(file.read(2)))
                assert reply[:2] == query[:2]
                assert DNSRecord.parse(reply).rr


def test_rubbish_does_not_stop_the_server(server: DnsServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for junk in (b"", b"\0", b"\xff" * 600, b"\0\0\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"):
            sock.sendto(junk, (str(ADDRESS), server.port))
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(b"\0\0\0\3abc\xff\xff")
    assert ask(server, "node-1.rack.test").rr


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, timeout=60, text=True).stdout


def kdig(server: DnsServer, *words: str) -> str:
    return said(tool("kdig"), f"@{ADDRESS}", "-p", str(server.port), "+retry=0", "+timeout=5", *words)


@pytest.mark.parametrize("words", [(), ("+tcp",), ("+tcp", "+keepopen"), ("+bufsize=4096", "+cookie"), ("+padding",)])
def test_kdig(server: DnsServer, words: tuple[str, ...]) -> None:
    text = kdig(server, *words, "NODE-1.rack.test", "A", "NODE-1.rack.test", "AAAA")
    assert text.count("status: NOERROR") == 2
    assert "10.0.0.11" in text
    assert "WARNING" not in text


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("nothing.rack.test",), "NXDOMAIN"),
        (("example.com",), "REFUSED"),
        (("node-1.rack.test", "TYPE65280"), "NOERROR"),
        (("+edns=3", "node-1.rack.test"), "BADVERS"),
    ],
)
def test_kdig_status(server: DnsServer, words: tuple[str, ...], status: str) -> None:
    assert f"status: {status}" in kdig(server, *words)


@pytest.mark.parametrize("mode", ["udp", "tcp"])
def test_dnsperf(server: DnsServer, mode: str, tmp_path: Path) -> None:
    """Nothing is lost and each answer is what it must be: two of three names exist."""
    names = tmp_path / "names"
    names.write_text("node-1.rack.test A\nHost-001.rack.TEST A\nnothing.rack.test A\n")
    where = ("-s", str(ADDRESS), "-p", str(server.port), "-m", mode)
    text = said(tool("dnsperf"), *where, "-d", str(names), "-n", "200", "-c", "4", "-q", "20", "-e")
    assert re.search(r"Queries sent: +600\b", text)
    assert re.search(r"Queries completed: +600 \(100\.00%\)", text)
    assert re.search(r"NOERROR 400 .*NXDOMAIN 200 ", text)


def test_busybox_nslookup(server: DnsServer) -> None:
    text = said(tool("busybox"), "nslookup", "-type=a", "node-1.rack.test", f"{ADDRESS}:{server.port}")
    assert "Address: 10.0.0.11" in text
    text = said(tool("busybox"), "nslookup", "10.0.0.11", f"{ADDRESS}:{server.port}")
    assert "name = node-1.rack.test" in text

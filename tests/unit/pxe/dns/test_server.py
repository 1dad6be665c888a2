"""The server's sockets: forwarding, rate limit, and what TCP clients may not do."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
from dnslib import RR, DNSRecord

from pxe import native
from pxe.dns import limit, server, streams
from pxe.dns.forward import Forwarding
from pxe.dns.responder import Zone
from pxe.dns.server import DnsServer
from pxe.ports import Clock

ADDRESS = IPv4Address("127.53.0.2")
UPSTREAM = IPv4Address("127.53.0.4")
DEADLINE = 10.0
ZONE = Zone(domain="rack.test", server=ADDRESS, hosts={"node-1": IPv4Address("10.0.0.11")})


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class OneMoment(SystemClock):
    def monotonic(self) -> float:
        return 1.0


@contextmanager
def running(
    *, forwarding: Forwarding | None = None, rate: int = 200, clock: Clock | None = None
) -> Iterator[DnsServer]:
    ours = DnsServer(address=ADDRESS, port=0, zone=ZONE, clock=clock or SystemClock(), forwarding=forwarding, rate=rate)
    ours.start()
    try:
        yield ours
    finally:
        ours.stop()


def ask(ours: DnsServer, name: str = "node-1.rack.test", *, tcp: bool = False) -> DNSRecord:
    query = DNSRecord.question(name)
    reply = DNSRecord.parse(query.send(str(ADDRESS), ours.port, tcp=tcp, timeout=DEADLINE))
    assert reply.header.id == query.header.id
    return reply


Said = Callable[[DNSRecord], list[bytes]]


Handler = type[socketserver.BaseRequestHandler]


def handlers(said: Said) -> tuple[Handler, Handler]:
    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for reply in said(DNSRecord.parse(self.request[0])):
                self.request[1].sendto(reply, self.client_address)

    class Connection(socketserver.StreamRequestHandler):
        """One that has nothing to say waits until the client goes."""

        def handle(self) -> None:
            replies = said(DNSRecord.parse(self.rfile.read(int.from_bytes(self.rfile.read(2)))))
            self.wfile.write(b"".join(len(reply).to_bytes(2) + reply for reply in replies))
            self.rfile.read()

    return Datagram, Connection


class TcpUpstream(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


@contextmanager
def upstream(said: Said) -> Iterator[tuple[IPv4Address, int]]:
    datagram, connection = handlers(said)
    with (
        socketserver.ThreadingUDPServer((str(UPSTREAM), 0), datagram) as udp,
        TcpUpstream((str(UPSTREAM), udp.server_address[1]), connection) as tcp,
    ):
        threads = [threading.Thread(target=one.serve_forever, args=(0.01,)) for one in (udp, tcp)]
        for thread in threads:
            thread.start()
        try:
            yield UPSTREAM, udp.server_address[1]
        finally:
            udp.shutdown()
            tcp.shutdown()
            for thread in threads:
                thread.join()


def good(asked: DNSRecord) -> list[bytes]:
    reply = asked.reply()
    reply.add_answer(*RR.fromZone(f"{asked.q.qname} 60 A 192.0.2.7"))
    return [bytes(reply.pack())]


def forged_first(asked: DNSRecord) -> list[bytes]:
    (right,) = good(asked)
    return [bytes((right[0] ^ 1,)) + right[1:], b"", right[:20], right]


def silent(asked: DNSRecord) -> list[bytes]:
    return []


def addresses(reply: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("answer", [good, forged_first])
def test_forwarded(tcp: bool, answer: Said) -> None:
    with upstream(answer) as where, running(forwarding=Forwarding(upstreams=(where,))) as ours:
        reply = ask(ours, "www.example.com", tcp=tcp)
        assert (reply.header.rcode, reply.header.ra, addresses(reply)) == (0, 1, ["192.0.2.7"])
        assert addresses(ask(ours, tcp=tcp)) == ["10.0.0.11"]


def test_without_forwarding_others_are_refused() -> None:
    with running() as ours:
        reply = ask(ours, "www.example.com")
        assert (reply.header.rcode, reply.header.ra) == (5, 0)


def test_strangers_get_no_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "own_networks", lambda networks: ())
    with upstream(good) as where, running(forwarding=Forwarding(upstreams=(where,))) as ours:
        assert ask(ours, "www.example.com").header.rcode == 5


@pytest.mark.parametrize("tcp", [False, True])
def test_the_next_upstream_is_asked(tcp: bool) -> None:
    """One port is closed, one server silent, the third answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((str(UPSTREAM), 0))
        closed = (UPSTREAM, sock.getsockname()[1])
    with upstream(silent) as dead, upstream(good) as alive:
        forwarding = Forwarding(upstreams=(closed, dead, alive), timeout=0.05)
        with running(forwarding=forwarding) as ours:
            assert addresses(ask(ours, "www.example.com", tcp=tcp)) == ["192.0.2.7"]


def long(asked: DNSRecord) -> list[bytes]:
    """As an upstream would over UDP: TC when it does not fit; dnslib's client asks for 512 bytes."""
    reply = asked.reply()
    reply.add_answer(*RR.fromZone("\n".join(f"{asked.q.qname} 60 A 192.0.2.{n}" for n in range(1, 90))))
    return [bytes(reply.pack())]


def test_long_answers_come_over_tcp() -> None:
    with upstream(long) as where, running(forwarding=Forwarding(upstreams=(where,))) as ours:
        assert len(ask(ours, "www.example.com", tcp=True).rr) == 89


def test_a_dead_upstream_delays_nobody_else() -> None:
    with (
        upstream(silent) as dead,
        running(forwarding=Forwarding(upstreams=(dead,), timeout=0.3)) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(DEADLINE)
        sock.sendto(bytes(DNSRecord.question("www.example.com").pack()), (str(ADDRESS), ours.port))
        assert addresses(ask(ours)) == ["10.0.0.11"]
        assert DNSRecord.parse(sock.recv(2000)).header.rcode == 2


def test_questions_under_way_are_bounded() -> None:
    with (
        upstream(silent) as dead,
        running(forwarding=Forwarding(upstreams=(dead,), in_flight=1, timeout=60)) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.sendto(bytes(DNSRecord.question("www.example.com").pack()), (str(ADDRESS), ours.port))
        assert ask(ours, "www.example.org").header.rcode == 2


def test_rate_limit_lets_real_clients_come_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "PRIVATE", ())
    with running(rate=1, clock=OneMoment()) as ours:
        replies = [ask(ours) for _ in range(2)]
        assert [(reply.header.tc, len(reply.rr)) for reply in replies] == [(0, 1), (1, 0)]
        assert str(replies[1].q.qname) == "node-1.rack.test."
        assert addresses(ask(ours, tcp=True)) == ["10.0.0.11"]


def test_our_own_networks_are_not_limited() -> None:
    with running(rate=1, clock=OneMoment()) as ours:
        assert all(ask(ours).rr for _ in range(20))


def connected(ours: DnsServer) -> socket.socket:
    return socket.create_connection((str(ADDRESS), ours.port), DEADLINE)


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single bytes do not count as life."""
    monkeypatch.setattr(streams, "_IDLE", 0.0)
    with running() as ours, connected(ours) as sock:
        sock.sendall(b"\0")
        assert sock.recv(1) == b""


def test_connections_of_one_client_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_PER_CLIENT", 1)
    with running() as ours, connected(ours), connected(ours) as second:
        assert second.recv(1) == b""


def test_a_client_that_takes_no_answers_is_asked_no_more() -> None:
    """Two megabytes of questions in one go: all are answered, in order, and no more than a few are held."""
    query = bytes(DNSRecord.question("node-1.rack.test").pack())
    count = 50_000
    with running() as ours, connected(ours) as sock:
        sender = threading.Thread(target=sock.sendall, args=((len(query).to_bytes(2) + query) * count,))
        sender.start()
        with sock.makefile("rb") as file:
            for _ in range(count):
                reply = file.read(int.from_bytes(file.read(2)))
                assert reply[:2] == query[:2]
        sender.join()


def test_without_the_batch_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "load", lambda: None)
    with running() as ours:
        assert addresses(ask(ours)) == ["10.0.0.11"]


def test_random_names_and_spellings_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_KNOWN", 2)
    with running() as ours:
        for name in ("node-1.rack.test", "NODE-1.rack.test", "no.rack.test", "example.com"):
            for _ in range(2):
                assert ask(ours, name).rr or name != "node-1.rack.test"
        assert len(ours._snapshot.known) == 1
        for kind in ("A", "AAAA", "TXT", "SRV", "MX"):
            DNSRecord.question("node-1.rack.test", kind).send(str(ADDRESS), ours.port, timeout=DEADLINE)
        assert len(ours._snapshot.known) <= 2

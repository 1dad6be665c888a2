"""The same table for both ways of sending and receiving by the batch."""

import errno
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from pxe import native
from pxe.batch import BATCH, Datagrams, NativeDatagrams, Peer, PortableDatagrams, datagrams, host, peer, port

SIZE = 600
HERE = IPv4Address("127.0.0.1")
NOWHERE = peer(IPv4Address("255.255.255.255"), 9)

Make = Callable[..., Datagrams]


def portable(sock: socket.socket, *, source: IPv4Address | None = None) -> Datagrams:
    return PortableDatagrams(sock, size=SIZE, source=source)


def by_native(sock: socket.socket, *, source: IPv4Address | None = None) -> Datagrams:
    calls = native.load()
    assert calls is not None
    return NativeDatagrams(sock, calls, size=SIZE, source=source)


@pytest.fixture(params=[portable, by_native])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with opened() as ours, opened() as theirs:
        yield ours, theirs


def opened(address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind((address, 0))
    return sock


def named(sock: socket.socket) -> Peer:
    return peer(HERE, sock.getsockname()[1])


def received(sock: socket.socket, receiver: Datagrams) -> list[tuple[bytes, Peer]]:
    assert select.select([sock], [], [], 5)[0]
    return receiver.receive()


def test_peer_is_a_sockaddr_in() -> None:
    packed = peer(IPv4Address("10.1.2.3"), 0x1234)
    assert packed == socket.AF_INET.to_bytes(2, "little") + bytes.fromhex("1234 0a010203") + bytes(8)
    assert (host(packed), port(packed)) == (IPv4Address("10.1.2.3"), 0x1234)


def test_nothing_waits(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    assert make(sockets[0]).receive() == []


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * SIZE])
def test_there_and_back(make: Make, sockets: tuple[socket.socket, socket.socket], payload: bytes) -> None:
    ours, theirs = sockets
    sender, receiver = make(ours), make(theirs)
    assert sender.send([(payload, named(theirs))]) == 1
    ((raw, source),) = received(theirs, receiver)
    assert (raw, source) == (payload, named(ours))
    assert receiver.send([(raw[::-1], source)]) == 1
    assert received(ours, sender) == [(payload[::-1], named(theirs))]


def test_more_than_a_batch(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    messages = [(b"%d" % number * (1 + number % 7), named(theirs)) for number in range(BATCH + 5)]
    assert make(ours).send(messages) == BATCH + 5
    receiver = make(theirs)
    first, second = receiver.receive(), receiver.receive()
    assert (len(first), len(second)) == (BATCH, 5)
    assert [raw for raw, _ in first + second] == [raw for raw, _ in messages]
    assert receiver.receive() == []


def test_what_is_too_long_is_dropped(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    sender, receiver = make(ours), make(theirs)
    to = named(theirs)
    assert sender.send([(b"a", to), (b"b" * (SIZE + 1), to), (b"c" * 9000, to), (b"d", to)]) == 4
    assert [raw for raw, _ in received(theirs, receiver)] == [b"a", b"d"]


def test_one_failure_costs_only_itself(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    """Broadcast without SO_BROADCAST and 70,000 bytes are refused by the kernel, wherever they stand."""
    ours, theirs = sockets
    to = named(theirs)
    messages = [(b"0", NOWHERE), (b"1", to), (b"2", NOWHERE), (bytes(70_000), to), (b"3", to), (b"4", NOWHERE)]
    assert make(ours).send(messages) == 2
    assert [raw for raw, _ in received(theirs, make(theirs))] == [b"1", b"3"]


def test_nothing_to_send(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    assert make(sockets[0]).send([]) == 0


def test_fixed_source_address(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    _, theirs = sockets
    chosen = IPv4Address("127.9.8.7")
    with opened("0.0.0.0") as anywhere:
        sender = make(anywhere, source=chosen)
        assert sender.send([(b"1", named(theirs)), (b"2", named(theirs))]) == 2
        assert received(theirs, make(theirs)) == [
            (raw, peer(chosen, anywhere.getsockname()[1])) for raw in (b"1", b"2")
        ]


def test_full_send_buffer_stops() -> None:
    """Loopback never fills a send buffer, so the call is played: what it says is what the kernel would."""
    calls = native.load()
    assert calls is not None
    said = iter([2, -1])

    def sendmmsg(fd: int, messages: object, count: int, flags: int) -> int:
        calls.ffi.errno = errno.EAGAIN
        return next(said)

    with opened() as sock:
        sender = NativeDatagrams(sock, replace(calls, sendmmsg=sendmmsg), size=SIZE, source=None)
        assert sender.send([(b"x", NOWHERE)] * 200) == 2


@pytest.mark.parametrize(("missing", "kind"), [(False, NativeDatagrams), (True, PortableDatagrams)])
def test_the_way_is_chosen(missing: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing:
        monkeypatch.setattr(native, "load", lambda: None)
    with opened() as sock:
        assert isinstance(datagrams(sock, size=SIZE), kind)


@pytest.mark.parametrize("fault", [ImportError, OSError, AttributeError])
def test_without_cffi_there_is_another_way(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise fault

    monkeypatch.setattr("cffi.FFI", broken)
    native.load.cache_clear()
    assert native.load() is None
    native.load.cache_clear()


def test_closed_socket_is_an_error(make: Make, sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = sockets
    receiver = make(ours)
    ours.close()
    with pytest.raises(OSError, match=r"Bad file descriptor|recvmmsg"):
        receiver.receive()

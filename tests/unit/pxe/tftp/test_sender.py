"""The ways of sending do the same; the kernel's refusals are told by a fake."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from pxe import native
from pxe.batch import Peer, peer
from pxe.tftp.packet import pack_blocks
from pxe.tftp.sender import NativeSender, PortableSender, Run, Sender, divided

SIZE = 100


@dataclass
class Line:
    out: socket.socket
    into: socket.socket
    to: Peer


@pytest.fixture
def line() -> Iterator[Line]:
    out, into = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for end in (out, into):
        end.bind(("127.0.0.1", 0))
    out.setblocking(False)
    into.settimeout(5)
    yield Line(out=out, into=into, to=peer(IPv4Address("127.0.0.1"), into.getsockname()[1]))
    out.close()
    into.close()


def calls() -> native.Native:
    found = native.load()
    if found is None:
        pytest.skip("no sendmmsg here")
    return found


def make(way: str, sock: socket.socket) -> Sender:
    if way == "portable":
        return PortableSender(sock)
    return NativeSender(sock, calls(), segment=way == "segments")


def blocks(sender: Sender, to: Peer, count: int, last: int) -> tuple[bytes, Run]:
    packets = pack_blocks(1, bytes(range(256))[:SIZE] * (count - 1) + b"z" * last, SIZE, count)
    return packets, (sender.hold(packets), 0, len(packets), SIZE + 4, to)


@pytest.mark.parametrize("way", ["portable", "messages", "segments"])
@pytest.mark.parametrize(("count", "last"), [(1, 5), (1, 100), (3, 0), (16, 7), (70, 100), (130, 1)])
def test_each_block_is_a_datagram(line: Line, way: str, count: int, last: int) -> None:
    sender = make(way, line.out)
    packets, run = blocks(sender, line.to, count, last)
    single, _ = blocks(sender, line.to, 1, 3)
    assert sender.send([run, (sender.hold(single), 0, len(single), SIZE + 4, line.to)]) == []
    got = [line.into.recv(65536) for _ in range(count + 1)]
    assert b"".join(got[:-1]) == packets
    assert [len(datagram) for datagram in got[:-1]] == [SIZE + 4] * (count - 1) + [last + 4]
    assert got[-1] == single


def test_divided(line: Line) -> None:
    _, run = blocks(PortableSender(line.out), line.to, 5, 1)
    assert [(start, length) for _, start, length, _, _ in divided([run], 2)] == [(0, 208), (208, 208), (416, 5)]


@dataclass
class Refusing:
    """Stands for sendmmsg: the given errors first, then success."""

    errors: list[int]
    counts: list[int] = field(default_factory=list)

    def native(self) -> native.Native:
        real = calls()

        class Errno:
            def __getattr__(fake, name: str) -> object:  # noqa: N805
                return self.errors.pop(0) if name == "errno" else getattr(real.ffi, name)

        return native.Native(ffi=Errno(), recvmmsg=real.recvmmsg, sendmmsg=self.send)  # type: ignore[arg-type]

    def send(self, fd: int, messages: object, count: int, flags: int) -> int:
        self.counts.append(count)
        return -1 if self.errors else count


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOBUFS])
def test_full_buffer_leaves_the_rest(line: Line, error: int) -> None:
    refusing = Refusing([error])
    sender = NativeSender(line.out, refusing.native(), segment=False)
    _, run = blocks(sender, line.to, 3, 1)
    assert len(sender.send([run])) == 3
    assert sender.send([run]) == []


@pytest.mark.parametrize("error", [errno.EIO, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_device_that_cannot_cut_gets_single_blocks(line: Line, error: int) -> None:
    refusing = Refusing([error])
    sender = NativeSender(line.out, refusing.native())
    _, run = blocks(sender, line.to, 3, 1)
    assert sender.send([run]) == []
    assert sender.send([run]) == []
    assert refusing.counts == [1, 3, 3]


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOBUFS])
def test_trouble_with_one_peer_does_not_end_cutting(line: Line, error: int) -> None:
    refusing = Refusing([error])
    sender = NativeSender(line.out, refusing.native())
    _, run = blocks(sender, line.to, 3, 1)
    sender.send([run, run])
    sender.send([run])
    assert refusing.counts[-1] == 1


def test_one_refused_datagram_costs_no_other(line: Line) -> None:
    refusing = Refusing([errno.EPERM])
    sender = NativeSender(line.out, refusing.native(), segment=False)
    _, run = blocks(sender, line.to, 3, 1)
    assert sender.send([run]) == []
    assert refusing.counts == [3, 2]

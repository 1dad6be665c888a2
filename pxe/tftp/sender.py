"""DATA packets to the kernel: runs of blocks of many transfers, from one socket.

A `Run` is memory that already holds whole packets, header and block by turns (`packet.pack_blocks`). So nothing is
copied: a run leaves as one message that the kernel cuts into datagrams of `stride` bytes (UDP_SEGMENT, udp(7)), and all
runs of a moment leave in one sendmmsg. Where the kernel or the device cannot cut, each block is a message; where there
is no sendmmsg, each is a call.
"""

import errno
import logging
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pxe import native
from pxe.batch import BATCH, Peer, host, port

if TYPE_CHECKING:
    from cffi import FFI

log = logging.getLogger(__name__)

# Linux numbers; Python does not name UDP_SEGMENT. One message holds at most 64 datagrams and 65507 bytes.
_SOL_UDP = 17
_UDP_SEGMENT = 103
_SEGMENTS = 64
_LONGEST = 65507
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)
_CANNOT_CUT = (errno.EIO, errno.EINVAL, errno.EOPNOTSUPP)

# One slot: struct iovec, struct sockaddr_in, then struct cmsghdr with the segment size behind it.
_SLOT = 64
_SLOTS = range(0, BATCH * _SLOT, _SLOT)
_PLAIN = struct.Struct("=QQ16s")
_CONTROL = struct.Struct("=QiiH6x")
_CONTROL_LENGTH = 18


class Memory(NamedTuple):
    """Packets in a row, and the address of the first (0 where nobody needs it)."""

    packets: bytes
    address: int


# Memory, start, length, stride, peer: `length` bytes of packets from `start` on; each takes `stride` bytes, only the
# last one may be shorter. A bare tuple, because one is made for each block of a lockstep transfer.
Run = tuple[Memory, int, int, int, Peer]


def divided(runs: Iterable[Run], datagrams: int) -> Iterator[Run]:
    """The same packets in runs of at most so many datagrams."""
    for memory, start, length, stride, peer in runs:
        size = stride * datagrams
        for at in range(0, length, size):
            yield memory, start + at, min(size, length - at), stride, peer


class Sender(Protocol):
    """One thread at a time."""

    def hold(self, packets: bytes) -> Memory: ...

    def send(self, runs: Sequence[Run]) -> list[Run]:
        """What is left when the send buffer is full; [] when all was taken. A datagram that cannot be sent for another
        reason (no route, a firewall) is as good as lost, which TFTP repairs by itself."""
        ...


def sender(sock: socket.socket) -> Sender:
    """`sock` is a non-blocking IPv4 UDP socket that the caller owns and closes."""
    found = native.load()
    return PortableSender(sock) if found is None else NativeSender(sock, found)


class PortableSender:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def hold(self, packets: bytes) -> Memory:
        return Memory(packets, 0)

    def send(self, runs: Sequence[Run]) -> list[Run]:
        waiting = list(divided(runs, 1))
        for index, (memory, start, length, _, peer) in enumerate(waiting):
            try:
                view = memoryview(memory.packets)[start : start + length]
                self._sock.sendto(view, (str(host(peer)), port(peer)))
            except OSError as cause:
                if cause.errno in _FULL:
                    return waiting[index:]
        return []


class NativeSender:
    """`segment` False: the kernel is not asked to cut."""

    def __init__(self, sock: socket.socket, calls: native.Native, *, segment: bool = True) -> None:
        self._fd = sock.fileno()
        self._calls = calls
        self._segment = segment
        self._slots = calls.ffi.new("uint8_t[]", BATCH * _SLOT)
        self._room = calls.ffi.buffer(self._slots)
        self._plain = self._headers(0)
        self._cut = self._headers(_CONTROL.size)

    def _headers(self, control: int) -> "FFI.CData":
        ffi = self._calls.ffi
        headers = ffi.new("struct mmsghdr[]", BATCH)
        for index in range(BATCH):
            slot, header = self._slots + index * _SLOT, headers[index].msg_hdr
            header.msg_iov, header.msg_iovlen = ffi.cast("struct iovec *", slot), 1
            header.msg_name, header.msg_namelen = slot + 16, 16
            if control:
                header.msg_control, header.msg_controllen = slot + _PLAIN.size, control
        return headers

    def hold(self, packets: bytes) -> Memory:
        ffi = self._calls.ffi
        return Memory(packets, int(ffi.cast("uintptr_t", ffi.from_buffer(packets))))

    def send(self, runs: Sequence[Run]) -> list[Run]:
        single = max([run[2] - run[3] for run in runs], default=0) <= 0
        plain = single or not self._segment
        todo = list(runs) if single else self._messages(runs, plain=plain)
        at = 0
        while at < len(todo):
            done, error = self._send_batch(todo[at : at + BATCH], plain=plain)
            at += done
            if error in _FULL:
                return todo[at:]
            if error in _CANNOT_CUT and not plain:
                self._segment, plain = False, True
                todo, at = self._messages(todo[at:], plain=True), 0
                log.info(
                    "no UDP segmentation here: blocks leave one by one errno=%s", errno.errorcode.get(error, error)
                )
            elif error and error != errno.EINTR:
                at += 1
        return []

    def _messages(self, runs: Sequence[Run], *, plain: bool) -> list[Run]:
        if plain:
            return list(divided(runs, 1))
        return [part for run in runs for part in divided((run,), min(_SEGMENTS, _LONGEST // run[3]))]

    def _send_batch(self, runs: Sequence[Run], *, plain: bool) -> tuple[int, int]:
        """How many left, and the error number of the next one (0: none)."""
        room, pack = self._room, _PLAIN.pack_into
        for at, (memory, start, length, _, peer) in zip(_SLOTS, runs, strict=False):
            pack(room, at, memory[1] + start, length, peer)
        if not plain:
            for at, (_, _, _, stride, _) in zip(_SLOTS, runs, strict=False):
                _CONTROL.pack_into(room, at + _PLAIN.size, _CONTROL_LENGTH, _SOL_UDP, _UDP_SEGMENT, stride)
        calls, headers, done, count = self._calls, self._plain if plain else self._cut, 0, len(runs)
        while done < count:
            more = calls.sendmmsg(self._fd, headers + done, count - done, socket.MSG_DONTWAIT)
            if more < 0:
                return done, calls.ffi.errno
            done += more
        return done, 0

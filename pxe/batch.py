"""Datagrams by the batch: one system call for many where Linux offers it, one by one elsewhere.

Both ways do the same; `datagrams` chooses. Sending is as lossy as UDP: what the kernel does not take is gone, but an
error of one message (no route, refused by a firewall) costs none of the others.
"""

import errno
import logging
import socket
import struct
from array import array
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NewType, Protocol

from pxe import native

if TYPE_CHECKING:
    from cffi import FFI

log = logging.getLogger(__name__)

Peer = NewType("Peer", bytes)
"""An IPv4 address and a port as `struct sockaddr_in`, 16 bytes: comparable, hashable, never parsed on the hot way."""

BATCH = 64

_SOCKADDR = struct.Struct("=H2s4s8x")
_PKTINFO = struct.Struct("=i4s4s")
# Linux numbers; Python 3.11 does not name IP_PKTINFO.
_IP_PKTINFO = 8
_PEERS = 4096
# As plain numbers: arithmetic on enum members costs more than a system call.
_DONTWAIT = int(socket.MSG_DONTWAIT)
_TRUNC = int(socket.MSG_TRUNC)
_FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


def peer(address: IPv4Address, port: int) -> Peer:
    return _peer(str(address), port)


@lru_cache(_PEERS)
def _peer(address: str, port: int) -> Peer:
    return Peer(_SOCKADDR.pack(socket.AF_INET, port.to_bytes(2), socket.inet_aton(address)))


@lru_cache(_PEERS)
def host(peer: Peer) -> IPv4Address:
    return IPv4Address(peer[4:8])


def port(peer: Peer) -> int:
    return int.from_bytes(peer[2:4])


@lru_cache(_PEERS)
def _name(peer: Peer) -> tuple[str, int]:
    return socket.inet_ntoa(peer[4:8]), port(peer)


class Datagrams(Protocol):
    """Over one non-blocking IPv4 UDP socket that the caller owns and closes. One thread at a time."""

    def receive(self) -> list[tuple[bytes, Peer]]:
        """What waits, at most a batch of it; [] when nothing does. Datagrams longer than the size agreed on are
        dropped, so [] does not prove an empty socket. OSError when the socket itself is broken."""
        ...

    def send(self, messages: Sequence[tuple[bytes, Peer]]) -> int:
        """How many the kernel took. It stops at a full send buffer."""
        ...


def datagrams(sock: socket.socket, *, size: int, source: IPv4Address | None = None) -> Datagrams:
    """`size` in bytes is the longest datagram received. `source` is the sender's address of every message: a socket
    bound to no address would otherwise take the one of the route, which is not the one that was asked."""
    found = native.load()
    if found is None:
        log.warning("recvmmsg and sendmmsg are missing: datagrams go one by one")
        return PortableDatagrams(sock, size=size, source=source)
    return NativeDatagrams(sock, found, size=size, source=source)


def _pktinfo(source: IPv4Address) -> bytes:
    """RFC 3542's idea for IPv4, ip(7): `ipi_spec_dst` is the address to send from."""
    return _PKTINFO.pack(0, source.packed, bytes(4))


class PortableDatagrams:
    def __init__(self, sock: socket.socket, *, size: int, source: IPv4Address | None) -> None:
        self._sock = sock
        self._size = size
        self._ancillary = [] if source is None else [(socket.IPPROTO_IP, _IP_PKTINFO, _pktinfo(source))]

    def receive(self) -> list[tuple[bytes, Peer]]:
        found: list[tuple[bytes, Peer]] = []
        for _ in range(BATCH):
            try:
                raw, (address, number) = self._sock.recvfrom(self._size + 1)
            except BlockingIOError:
                break
            if len(raw) <= self._size:
                found.append((raw, _peer(address, number)))
        return found

    def send(self, messages: Sequence[tuple[bytes, Peer]]) -> int:
        taken = 0
        for raw, to in messages:
            try:
                if self._ancillary:
                    self._sock.sendmsg((raw,), self._ancillary, 0, _name(to))
                else:
                    self._sock.sendto(raw, _name(to))
                taken += 1
            except OSError as cause:
                if cause.errno in _FULL:
                    break
        return taken


class _Slots:
    """The message headers of one direction, and the views of the fields that change from batch to batch."""

    def __init__(self, calls: native.Native) -> None:
        ffi = calls.ffi
        self.headers = ffi.new("struct mmsghdr[]", BATCH)
        self.names = ffi.new("struct sockaddr_in[]", BATCH)
        self.vectors = ffi.new("struct iovec[]", BATCH)
        for index in range(BATCH):
            header = self.headers[index].msg_hdr
            header.msg_name = ffi.addressof(self.names, index)
            header.msg_namelen = ffi.sizeof("struct sockaddr_in")
            header.msg_iov = ffi.addressof(self.vectors, index)
            header.msg_iovlen = 1
        self.peers = ffi.buffer(self.names)

    def field(self, ffi: "FFI", offset: int) -> memoryview:
        """One 32-bit field of all headers."""
        words = memoryview(ffi.buffer(self.headers)).cast("B").cast("I")
        return words[offset // 4 :: ffi.sizeof("struct mmsghdr") // 4]


class NativeDatagrams:
    """The buffers of both directions are made once: a batch costs two calls, and a slice for each datagram."""

    def __init__(self, sock: socket.socket, calls: native.Native, *, size: int, source: IPv4Address | None) -> None:
        ffi = calls.ffi
        self._sock = sock
        self._calls = calls
        self._inbound = _Slots(calls)
        self._memory = ffi.new("uint8_t[]", BATCH * size)
        self._bytes = ffi.buffer(self._memory)
        for index in range(BATCH):
            self._inbound.vectors[index].iov_base = self._memory + index * size
            self._inbound.vectors[index].iov_len = size
        self._lengths = self._inbound.field(ffi, ffi.offsetof("struct mmsghdr", "msg_len"))
        self._flags = self._inbound.field(ffi, ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_flags"))
        self._places = [(index * size, index * 16) for index in range(BATCH)]
        self._outbound = _Slots(calls)
        self._vectors = memoryview(ffi.buffer(self._outbound.vectors)).cast("B").cast("L")
        if source is not None:
            self._send_from(source)

    def _send_from(self, source: IPv4Address) -> None:
        """One control message serves all: the kernel only reads it."""
        ffi, info = self._calls.ffi, _pktinfo(source)
        head = ffi.sizeof("struct cmsghdr")
        self._control = ffi.new("uint8_t[]", socket.CMSG_SPACE(len(info)))
        level = (socket.CMSG_LEN(len(info)), socket.IPPROTO_IP, _IP_PKTINFO)
        ffi.cast("struct cmsghdr *", self._control)[0] = level
        ffi.buffer(self._control)[head : head + len(info)] = info
        for index in range(BATCH):
            header = self._outbound.headers[index].msg_hdr
            header.msg_control, header.msg_controllen = self._control, len(self._control)

    def receive(self) -> list[tuple[bytes, Peer]]:
        calls, slots = self._calls, self._inbound
        count = calls.recvmmsg(self._sock.fileno(), slots.headers, BATCH, _DONTWAIT, calls.ffi.NULL)
        if count < 0:
            if calls.ffi.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
                return []
            raise OSError(calls.ffi.errno, "recvmmsg")
        raw, peers = self._bytes, slots.peers
        return [
            (raw[at : at + length], peers[name : name + 16])
            for (at, name), length, flags in zip(
                self._places, self._lengths[:count].tolist(), self._flags[:count].tolist(), strict=False
            )
            if not flags & _TRUNC
        ]

    def send(self, messages: Sequence[tuple[bytes, Peer]]) -> int:
        taken = 0
        for first in range(0, len(messages), BATCH):
            batch = messages[first : first + BATCH]
            done, full = self._send_batch(batch)
            taken += done
            if full:
                break
        return taken

    def _send_batch(self, messages: Sequence[tuple[bytes, Peer]]) -> tuple[int, bool]:
        ffi, count = self._calls.ffi, len(messages)
        raws, peers = zip(*messages, strict=True)
        whole = ffi.from_buffer(b"".join(raws))
        lengths = [len(raw) for raw in raws]
        starts = accumulate(lengths, initial=int(ffi.cast("uintptr_t", whole)))
        self._vectors[: 2 * count] = array("L", chain.from_iterable(zip(starts, lengths, strict=False)))
        self._outbound.peers[: 16 * count] = b"".join(peers)
        return self._send_slots(count)

    def _send_slots(self, count: int) -> tuple[int, bool]:
        """The kernel stops at a message that fails and says so only when it is the first: that one is passed over."""
        calls, headers = self._calls, self._outbound.headers
        at = taken = 0
        while at < count:
            done = calls.sendmmsg(self._sock.fileno(), headers + at, count - at, _DONTWAIT)
            if done >= 0:
                at += done
                taken += done
            elif calls.ffi.errno in _FULL:
                return taken, True
            elif calls.ffi.errno != errno.EINTR:
                at += 1
        return taken, False

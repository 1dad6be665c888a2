"""The UDP socket under IPMI sessions: one for every command session of every BMC."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from appliance.bmc.ipmi import packet
from appliance.errors import BmcError
from pxe.errors import PacketError
from pxe.sockets import deepen

Address = tuple[str, int]
_BATCH = 64


class Wire:
    """Hands each datagram to whom its address and session id name; others are dropped unseen."""

    def __init__(self) -> None:
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}
        self._takers: dict[tuple[Address, int], Callable[[bytes], None]] = {}

    async def resolve(self, host: str, port: int) -> Address:
        """The first address of `host`, and a socket of its family made ready."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            action = "check the BMC's address"
            raise BmcError(f"{host} has no address", evidence=str(error)[:200], next_action=action) from error
        family, _, _, _, sockaddr = found[0]
        if family not in self._sockets:
            self._sockets[family] = self._open(family)
        return str(sockaddr[0]), port

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        deepen(opened, both=True)
        asyncio.get_running_loop().add_reader(opened, self._read, opened)
        return opened

    def listen(self, address: Address, session: int, taker: Callable[[bytes], None]) -> None:
        self._takers[address, session] = taker

    def forget(self, address: Address, session: int) -> None:
        self._takers.pop((address, session), None)

    def send(self, address: Address, datagram: bytes) -> None:
        """A datagram that does not leave is a datagram lost: whoever waits for an answer sends again."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with contextlib.suppress(OSError):
            self._sockets[family].sendto(datagram, address)

    def _read(self, ready: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                datagram, source = ready.recvfrom(packet.MAX_DATAGRAM + 1)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier datagram: its sender will miss the answer
                continue
            self.deliver((source[0], source[1]), datagram)

    def deliver(self, source: Address, datagram: bytes) -> None:
        with contextlib.suppress(PacketError):
            taker = self._takers.get((source, packet.console_session(datagram)))
            if taker is not None:
                taker(datagram)

    def close(self) -> None:
        for opened in self._sockets.values():
            asyncio.get_running_loop().remove_reader(opened)
            opened.close()
        self._sockets.clear()
        self._takers.clear()

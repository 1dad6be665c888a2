"""The sockets of the probe ledger: ARP on our own segment, ICMP echo through a relay's router.

Both are non-blocking and are drained by the server's loop: `answers` whenever `fileno` is readable, and before the
ledger is asked for verdicts.
"""

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import Protocol

from pxe.dhcp import arp, icmp
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.frame import ETH_P_ARP
from pxe.dhcp.packet_socket import PacketSocket
from pxe.errors import PacketError, ServiceError
from pxe.sockets import deepen

_SOL_RAW = 255
_ICMP_FILTER = 1
_ALL_BUT_ECHO_REPLY = 0xFFFFFFFE
_LARGEST = 2048
_MOST_ANSWERS = 8192
"""In one go: more than can be open at once, so that no answer waits unread while its question ends in silence."""

# Accept when the ARP operation (at byte 20 of the frame) is a reply.
_REPLIES_ONLY = ((0x28, 0, 0, 20), (0x15, 0, 1, arp.REPLY), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))


class Prober(Protocol):
    def fileno(self) -> int: ...

    def ask(self, addresses: Iterable[Address]) -> None:
        """One question for each."""
        ...

    def answers(self) -> Iterator[tuple[Address, Hardware]]:
        """As `ProbeLedger.answered` takes them."""
        ...

    def close(self) -> None: ...


class ArpProber:
    """Raises ServiceError without the privilege or the device."""

    def __init__(self, device: str) -> None:
        self._socket = PacketSocket(device, ETH_P_ARP, _REPLIES_ONLY)

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, addresses: Iterable[Address]) -> None:
        for address in addresses:
            self._socket.send(arp.pack_probe(self._socket.mac, address))

    def answers(self) -> Iterator[tuple[Address, Hardware]]:
        for frame in self._socket.drain(_MOST_ANSWERS):
            with contextlib.suppress(PacketError):
                reply = arp.parse(frame)
                yield Address(reply.sender), Hardware(reply.sender_mac)

    def close(self) -> None:
        self._socket.close()


class EchoProber:
    """`identifier`: 16 bits that tell our questions from those of other programs. Raises ServiceError."""

    def __init__(self, identifier: int) -> None:
        self._identifier = identifier
        self._sequence = 0
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
            self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", _ALL_BUT_ECHO_REPLY))
            deepen(self._socket)
        except OSError as cause:
            raise ServiceError(
                "cannot open an ICMP socket", evidence=str(cause), next_action="run as root or with CAP_NET_RAW"
            ) from cause

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, addresses: Iterable[Address]) -> None:
        """A router that says "unreachable" has answered, and so has no route: both are silence."""
        for address in addresses:
            self._sequence = (self._sequence + 1) & 0xFFFF
            with contextlib.suppress(OSError):
                question = icmp.pack_echo(self._identifier, self._sequence)
                self._socket.sendto(question, (str(IPv4Address(address)), 0))

    def answers(self) -> Iterator[tuple[Address, Hardware]]:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_ANSWERS):
                packet = self._socket.recv(_LARGEST)
                with contextlib.suppress(PacketError):
                    reply = icmp.parse_reply(packet)
                    if reply.identifier == self._identifier:
                        yield Address(reply.source), Hardware(b"")

    def close(self) -> None:
        self._socket.close()

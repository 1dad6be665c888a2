"""Listens for what the switches say of themselves (IEEE 802.1AB). The frames are hostile and are not read here."""

import socket
import struct
import threading
from collections.abc import Iterator
from typing import NamedTuple

_LLDP = 0x88CC
_MAX_FRAMES, _MAX_FRAME = 64, 1500
_NEAREST_BRIDGE = bytes.fromhex("0180c200000e")
# linux/if_packet.h
_SOL_PACKET, _ADD_MEMBERSHIP, _MULTICAST = 263, 1, 0


class Heard(NamedTuple):
    """An Ethernet frame, and the interface that it came in by."""

    nic: str
    frame: bytes


class Listener:
    """Collects distinct frames from every interface; LLDP is sent every 30 s, so many arrive late."""

    def __init__(self) -> None:
        self._frames: dict[Heard, None] = {}
        self._lock = threading.Lock()

    def frames(self) -> tuple[Heard, ...]:
        with self._lock:
            return tuple(self._frames)

    def heard(self, nic: str, frame: bytes) -> bool:
        """Whether there is room for more."""
        with self._lock:
            if len(frame) <= _MAX_FRAME:
                self._frames[Heard(nic, frame)] = None
            return len(self._frames) < _MAX_FRAMES

    def run(self) -> None:
        with _open() as receiver:
            while True:
                frame, sender = receiver.recvfrom(_MAX_FRAME + 1)  # packet(7): the sender begins with our interface
                if not self.heard(sender[0], frame):
                    return


def _open() -> socket.socket:
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_LLDP))
    for request in _memberships():
        receiver.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
    return receiver


def _memberships() -> Iterator[bytes]:
    """struct packet_mreq for each interface: without it a NIC drops the group that LLDP is sent to."""
    for index, name in socket.if_nameindex():
        if name != "lo":
            yield struct.pack("=iHH8s", index, _MULTICAST, len(_NEAREST_BRIDGE), _NEAREST_BRIDGE)

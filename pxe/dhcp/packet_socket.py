"""Sockets below IP, bound to one device: frames out, frames in, filtered in the kernel."""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterator, Sequence

from pxe.errors import ServiceError
from pxe.sockets import deepen

_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_LARGEST_FRAME = 9216

Instruction = tuple[int, int, int, int]
"""One of the classic packet filter: code, jump if true, jump if false, k (linux/filter.h)."""


class PacketSocket:
    """Non-blocking; frames that we sent ourselves are not heard."""

    def __init__(self, device: str, protocol: int, program: Sequence[Instruction]) -> None:
        """ServiceError names what is missing. `protocol` is an Ethernet type."""
        try:
            self._socket = _open(device, protocol, program)
        except OSError as cause:
            raise ServiceError(
                "cannot open a packet socket",
                evidence=f"{device}: {cause}",
                next_action="check the device name, and run as root or with CAP_NET_RAW",
            ) from cause
        self.mac: bytes = self._socket.getsockname()[4]

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """What the device has no room for, or is down for, is lost, as it would be on the wire."""
        with contextlib.suppress(OSError):
            self._socket.send(frame)

    def drain(self, most: int) -> Iterator[bytes]:
        """The frames that wait; none from a device that went down."""
        with contextlib.suppress(OSError):
            for _ in range(most):
                yield self._socket.recv(_LARGEST_FRAME)

    def close(self) -> None:
        self._socket.close()


def _open(device: str, protocol: int, program: Sequence[Instruction]) -> socket.socket:
    endpoint = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        # Filter first, bind then: nothing else ever gets in.
        code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
        buffer = ctypes.create_string_buffer(code, len(code))
        header = struct.pack("HP", len(program), ctypes.addressof(buffer))
        endpoint.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
        endpoint.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        deepen(endpoint)
        endpoint.bind((device, protocol))
    except OSError:
        endpoint.close()
        raise
    return endpoint

"""scapy's sockets, with a filter in the kernel: a rack that writes images is too much for Python to look at."""

import ctypes
import socket
import struct

from scapy.arch.linux import L2Socket

Instruction = tuple[int, int, int, int]

_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_ADD_MEMBERSHIP = 1
_MR_MULTICAST = 0
_IGNORE_OUTGOING = 23


def opened(device: str, program: tuple[Instruction, ...], groups: tuple[bytes, ...] = ()) -> L2Socket:
    """Raises OSError. `groups` are multicast addresses to be heard."""
    index = socket.if_nametoindex(device)
    made = L2Socket(iface=device, promisc=False)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    made.ins.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(buffer)))
    made.ins.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    for group in groups:
        membership = struct.pack("iHH8s", index, _MR_MULTICAST, len(group), group)
        made.ins.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
    return made

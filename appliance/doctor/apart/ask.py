"""python -m appliance.doctor.apart.ask DEVICE SECONDS: who offers an address on a wire.

Three DHCPDISCOVERs, a second apart; some servers ping an address for 3 s before they offer it. Nothing is taken: no
REQUEST follows, and an offer that is not taken is free again (RFC 2131 section 4.3.1).
"""

import os
import select
import socket
import sys
import time

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from appliance.doctor.apart.process import begin, say, text
from appliance.doctor.apart.sockets import opened

_LONGEST = 2048
_QUESTIONS = 3
_BROADCAST = 0x8000
_OFFER = 2
_VENDOR = b"Innervate:doctor"
"""A DHCP server of ours gives such a client no address (`pxe.dhcp.rival_packet`)."""

# IPv4, UDP, no fragment, from port 67 to 68.
_FILTER = (
    (0x28, 0, 0, 12),
    (0x15, 0, 10, 0x0800),
    (0x30, 0, 0, 23),
    (0x15, 0, 8, 17),
    (0x28, 0, 0, 20),
    (0x45, 6, 0, 0x1FFF),
    (0xB1, 0, 0, 14),
    (0x48, 0, 0, 14),
    (0x15, 0, 3, 67),
    (0x48, 0, 0, 16),
    (0x15, 0, 1, 68),
    (0x06, 0, 0, _LONGEST),
    (0x06, 0, 0, 0),
)


def main(device: str, seconds: float) -> None:
    begin()
    try:
        wire = opened(device, _FILTER)
        wire.ins.setblocking(False)
        say("listening", device=device)
        _talk(wire.ins, seconds)
    except OSError as error:
        say("failed", problem=f"{device}: {error}")


def _talk(wire: socket.socket, seconds: float) -> None:
    xid, chaddr = int.from_bytes(os.urandom(4)), b"\x02" + os.urandom(5)
    question = bytes(_discover(wire.getsockname()[4], chaddr, xid))
    begun = time.monotonic()
    asked = 0
    while (now := time.monotonic()) < begun + seconds:
        if asked < _QUESTIONS and now >= begun + asked:
            wire.send(question)
            asked += 1
        if select.select([wire], [], [], 0.1)[0]:
            _hear(wire.recv(_LONGEST), xid)
    say("asked", questions=asked)


def _discover(mac: bytes, chaddr: bytes, xid: int) -> Packet:
    return (
        Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=chaddr, xid=xid, flags=_BROADCAST)
        / DHCP(options=[("vendor_class_id", _VENDOR), ("message-type", "discover"), "end"])
    )


def _hear(frame: bytes, xid: int) -> None:
    """A frame that scapy cannot read is none."""
    try:
        packet = Ether(frame)
        reply, options = packet[BOOTP], packet[DHCP].options
        said = {one[0]: one[1] for one in options if isinstance(one, tuple)}
        if reply.xid != xid or said.get("message-type") != _OFFER or reply.yiaddr == "0.0.0.0":
            return
        server = str(said.get("server_id", packet[IP].src))
        vendor = said.get("vendor_class_id", b"")
        said_vendor = text(vendor) if isinstance(vendor, bytes) else ""
        say("offer", server=server, mac=str(packet.src), address=str(reply.yiaddr), vendor=said_vendor)
    except Exception:  # a dissector may raise anything; the next frame counts
        return


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))

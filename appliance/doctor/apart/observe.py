"""python -m appliance.doctor.apart.observe DEVICE SECONDS: what switches say of themselves on a wire.

Spanning tree (also Cisco's for each VLAN), LACP and LLDP. The same words are said again after `_AGAIN` seconds at the
soonest, however often they come.
"""

import select
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator

from scapy.arch.linux import L2Socket
from scapy.config import conf
from scapy.contrib.lacp import LACP
from scapy.contrib.lldp import (
    LLDPDU,
    LLDPDUChassisID,
    LLDPDUGenericOrganisationSpecific,
    LLDPDUPortID,
    LLDPDUSystemName,
)
from scapy.layers.l2 import STP, Ether
from scapy.packet import Packet

from appliance.doctor.apart.process import begin, say, text
from appliance.doctor.apart.sockets import opened

_AGAIN = 5.0
_KNOWN = 256
_LONGEST = 2048

_GROUPS = tuple(
    bytes.fromhex(group) for group in ("0180c2000000", "0180c2000002", "0180c2000003", "0180c200000e", "01000ccccccd")
)
_PVST = _GROUPS[-1]
# Accept by the destination address: 01:80:c2:00:00:xx (IEEE 802.1Q table 8-1) and 01:00:0c:cc:cc:cd.
_FILTER = (
    (0x20, 0, 0, 0),
    (0x15, 2, 0, 0x0180C200),
    (0x15, 1, 0, 0x01000CCC),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, _LONGEST),
)
_SNAP_HEADER = 14 + 8

_DOT1, _DOT3 = 0x0080C2, 0x00120F
_PORT_VLAN, _VLAN_NAME, _MAX_FRAME = 1, 3, 4


def main(device: str, seconds: float) -> None:
    begin()
    conf.contribs["LLDP"].strict_mode_disable()
    try:
        source = opened(device, _FILTER, _GROUPS)
    except OSError as error:
        say("failed", problem=f"{device}: {error}")
        return
    say("listening", device=device)
    told: OrderedDict[tuple[object, ...], float] = OrderedDict()
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        if select.select([source.ins], [], [], min(1.0, end - now))[0]:
            for kind, fields in _seen(_received(source)):
                _tell(told, kind, fields)


def _received(source: L2Socket) -> bytes:
    """Nothing from a device that has just gone down; it may come up again."""
    try:
        return bytes(source.ins.recv(_LONGEST))
    except OSError:
        return b""


def _tell(told: "OrderedDict[tuple[object, ...], float]", kind: str, fields: dict[str, object]) -> None:
    key, now = (kind, *map(str, fields.items())), time.monotonic()
    if now < told.get(key, 0.0) + _AGAIN:
        return
    told[key] = now
    told.move_to_end(key)
    if len(told) > _KNOWN:
        told.popitem(last=False)
    say(kind, **fields)


def _seen(frame: bytes) -> Iterator[tuple[str, dict[str, object]]]:
    """Whatever scapy makes of a frame that somebody else built: one that it cannot read is none."""
    try:
        yield from _read(frame)
    except Exception:  # a dissector may raise anything; the next frame counts
        return


def _read(frame: bytes) -> Iterator[tuple[str, dict[str, object]]]:
    packet = Ether(frame)
    mac = str(packet.src)
    tree = STP(frame[_SNAP_HEADER:]) if frame[:6] == _PVST else packet.getlayer(STP)
    if tree is not None and tree.proto == 0:
        yield "bpdu", _bpdu(tree, mac)
    if (bond := packet.getlayer(LACP)) is not None:
        fields = {"system": str(bond.actor_system), "key": int(bond.actor_key), "port": int(bond.actor_port_number)}
        yield "lacpdu", {"mac": mac, **fields}
    if packet.haslayer(LLDPDU) and (heard := _neighbour(packet, mac)) is not None:
        yield "neighbour", heard


def _bpdu(tree: Packet, mac: str) -> dict[str, object]:
    """A topology change notification has no more than four bytes (IEEE 802.1D-2004 9.3.2)."""
    known = {"mac": mac, "version": int(tree.version), "bridge": mac, "port": 0}
    if int(tree.bpdutype) == 0x80:
        return known
    times = {"hello": float(tree.hellotime), "forward_delay": float(tree.fwddelay)}
    return {**known, "bridge": str(tree.bridgemac), "port": int(tree.portid), **times}


def _neighbour(packet: Packet, mac: str) -> dict[str, object] | None:
    chassis, port = packet.getlayer(LLDPDUChassisID), packet.getlayer(LLDPDUPortID)
    if chassis is None or port is None:
        return None
    heard: dict[str, object] = {"mac": mac, "chassis": _name(chassis.id), "port": _name(port.id)}
    if (system := packet.getlayer(LLDPDUSystemName)) is not None:
        heard["system"] = _name(system.system_name)
    vlans = set[int]()
    layer = packet.getlayer(LLDPDUGenericOrganisationSpecific)
    while layer is not None:
        match int(layer.org_code), int(layer.subtype), bytes(layer.data):
            case (code, subtype, data) if (code, subtype) == (_DOT1, _PORT_VLAN) and len(data) == 2:
                heard["vlan"] = int.from_bytes(data) & 0xFFF
            case (code, subtype, data) if (code, subtype) == (_DOT1, _VLAN_NAME) and len(data) > 2:
                vlans.add(int.from_bytes(data[:2]) & 0xFFF)
            case (code, subtype, data) if (code, subtype) == (_DOT3, _MAX_FRAME) and len(data) == 2:
                heard["max_frame"] = int.from_bytes(data)
        layer = layer.payload.getlayer(LLDPDUGenericOrganisationSpecific)
    return {**heard, "vlans": sorted(vlans)[:128]}


def _name(value: object) -> str:
    return text(value) if isinstance(value, bytes) else str(value)[:255]


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))

"""A client that speaks as PXE firmware does, in one of the namespaces of a segment."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pxe.dhcp.packet import DhcpPacket, pack, parse
from pxe.dhcp.proxy import BOOT_SERVER_PORT
from tests.contract.segment import DEADLINE, DEVICE, inside, ip

EFI = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 94: b"\1\3\0", 97: b"\0" + bytes(range(16))}


class Firmware:
    """A PXE ROM: broadcasts from nowhere, listens to broadcasts, and asks port 4011 once it has an address."""

    def __init__(self, namespace: str, mac: str) -> None:
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.namespace = namespace
        self._xid = int.from_bytes(self.mac[2:])
        with inside(namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, DEVICE.encode() + b"\0")
        self.socket.bind(("0.0.0.0", 68))
        self.socket.settimeout(DEADLINE)

    def ask(self, kind: int, options: dict[int, bytes], to: str = "255.255.255.255", port: int = 67) -> None:
        self._xid += 1
        fields = {53: bytes((kind,)), 55: b"\1\3\x2b\x3c\x42\x43", **options}
        packet = DhcpPacket(op=1, xid=self._xid, chaddr=self.mac, flags=0x8000, options=fields)
        if port == BOOT_SERVER_PORT:
            packet = packet._replace(flags=0)
        self.socket.sendto(pack(packet), (to, port))

    def hear(self) -> tuple[DhcpPacket, tuple[str, int]]:
        """The next answer to the last question."""
        while True:
            data, sender = self.socket.recvfrom(2000)
            packet = parse(data)
            if packet.op == 2 and packet.xid == self._xid:
                return packet, sender

    def offers(self, count: int) -> dict[str, DhcpPacket]:
        return {sender[0]: packet for packet, sender in (self.hear() for _ in range(count))}


@contextmanager
def firmware(namespace: str, mac: str) -> Iterator[Firmware]:
    """Takes its addresses off when it goes."""
    client = Firmware(namespace, mac)
    try:
        yield client
    finally:
        client.socket.close()
        ip("-n", namespace, "addr", "flush", "dev", DEVICE)

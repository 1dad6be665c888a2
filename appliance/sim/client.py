"""The DHCP client of a NIC, with the retries of PXE firmware (PXE 2.1, section 2.2.2)."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address
from uuid import UUID

from appliance.sim.chance import Stream
from appliance.sim.network import Cable, Network
from pxe.client import Arch, Mac
from pxe.dhcp.address import Address
from pxe.dhcp.packet import BOOTREQUEST, DhcpPacket, MessageType, Option, pack

_WAITS = (4.0, 8.0, 16.0, 32.0)
_PARAMETERS = bytes((1, 3, 6, 12, 15, 51, 54, 66, 67))


class Program(Enum):
    """Who asks."""

    FIRMWARE = "firmware"
    IPXE = "ipxe"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """`boots`: the server named a boot program."""

    address: IPv4Address
    server: bytes
    seconds: float
    boots: bool


class Nic:
    def __init__(self, mac: Mac, uuid: UUID, arch: Arch, cable: Cable, network: Network, stream: Stream) -> None:
        self.mac = mac
        self.cable = cable
        self._uuid, self._arch = uuid, arch
        self._network, self._stream = network, stream
        self._asked: dict[int, asyncio.Future[DhcpPacket]] = {}
        network.plug(cable, self._receive)

    async def bind(self, program: Program) -> Bound | None:
        """None when nobody gave an address."""
        for wait in _WAITS:
            offer = await self._ask(program, MessageType.DISCOVER, {}, wait)
            if offer is None:
                continue
            server = offer.options.get(Option.SERVER_IDENTIFIER, b"")
            wanted = {int(Option.REQUESTED_ADDRESS): bytes(offer.yiaddr), int(Option.SERVER_IDENTIFIER): server}
            ack = await self._ask(program, MessageType.REQUEST, wanted, wait)
            if ack is not None and ack.message_type is MessageType.ACK:
                return _bound(ack)
        return None

    async def renew(self, program: Program, bound: Bound) -> Bound | None:
        """None when there was no answer, or a refusal."""
        ack = await self._ask(program, MessageType.REQUEST, {}, 10.0, Address(bound.address.packed))
        return _bound(ack) if ack is not None and ack.message_type is MessageType.ACK else None

    async def _ask(
        self, program: Program, kind: MessageType, more: dict[int, bytes], wait: float, own: Address | None = None
    ) -> DhcpPacket | None:
        xid = self._stream.number(1, 0xFFFFFFFF)
        answered: asyncio.Future[DhcpPacket] = asyncio.get_running_loop().create_future()
        self._asked[xid] = answered
        packet = DhcpPacket(
            op=BOOTREQUEST, xid=xid, chaddr=bytes(self.mac), options={**self._options(program, kind), **more}
        )
        self._network.send(self.cable, bytes(self.mac), pack(packet if own is None else packet._replace(ciaddr=own)))
        try:
            async with asyncio.timeout(wait):
                return await answered
        except TimeoutError:
            return None
        finally:
            del self._asked[xid]

    def _options(self, program: Program, kind: MessageType) -> dict[int, bytes]:
        options = {int(Option.MESSAGE_TYPE): bytes((kind,)), int(Option.PARAMETER_REQUEST_LIST): _PARAMETERS}
        if program is Program.SYSTEM:
            return options
        options[int(Option.CLIENT_ARCH)] = int(self._arch).to_bytes(2)
        options[int(Option.CLIENT_UUID)] = b"\0" + self._uuid.bytes_le
        options[int(Option.VENDOR_CLASS)] = f"PXEClient:Arch:{int(self._arch):05d}:UNDI:003016".encode()
        if program is Program.IPXE:
            options[int(Option.USER_CLASS)] = b"iPXE"
        return options

    def _receive(self, packet: DhcpPacket) -> None:
        answered = self._asked.get(packet.xid)
        if answered is not None and not answered.done():
            answered.set_result(packet)


def _bound(ack: DhcpPacket) -> Bound:
    return Bound(
        address=IPv4Address(ack.yiaddr),
        server=ack.options.get(Option.SERVER_IDENTIFIER, b""),
        seconds=float(int.from_bytes(ack.options.get(Option.LEASE_TIME, b"\0\0\x0e\x10"))),
        boots=bool(ack.file or Option.BOOT_FILE in ack.options),
    )

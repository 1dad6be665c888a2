"""A DHCP server that nobody planned, and the frames that servers of the boot network hear of each other."""

from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from types import MappingProxyType

from appliance.sim.faults import Rogue
from pxe.dhcp.address import Address
from pxe.dhcp.frame import BROADCAST_MAC, Datagram, pack_datagram, parse_datagram
from pxe.dhcp.packet import BOOTREPLY, DhcpPacket, MessageType, Option, pack, parse
from pxe.ports import Clock

_MAC = bytes.fromhex("001122334455")
_LEASE_SECONDS = 600
_SERVER_PORT, _CLIENT_PORT = 67, 68
_ANSWERS = {MessageType.DISCOVER: MessageType.OFFER, MessageType.REQUEST: MessageType.ACK}


class Wire:
    """Implements `pxe.dhcp.rival_watch.Frames` for the appliance: what it says goes to `ask` without its frame."""

    mac = bytes.fromhex("525400000001")

    def __init__(self, ask: Callable[[bytes], None]) -> None:
        self._ask = ask
        self._waiting: deque[bytes] = deque()

    def fileno(self) -> int:
        return -1

    def send(self, frame: bytes) -> None:
        self._ask(parse_datagram(frame).payload)

    def drain(self, most: int) -> Iterator[bytes]:
        for _ in range(min(most, len(self._waiting))):
            yield self._waiting.popleft()

    def close(self) -> None:
        self._waiting.clear()

    def put(self, frame: bytes) -> None:
        self._waiting.append(frame)


class RogueServer:
    """It is quicker than the appliance, gives everybody an address, and names no boot program."""

    def __init__(self, rogue: Rogue, clock: Clock, reply: Callable[[DhcpPacket], None]) -> None:
        self._rogue, self._clock, self._reply = rogue, clock, reply
        self._given: dict[bytes, Address] = {}
        self.heard_by: Callable[[bytes], None] = lambda _frame: None

    def hear(self, data: bytes) -> None:
        """A broadcast packet of a machine, or the question of an appliance."""
        asked = parse(data)
        kind = _ANSWERS.get(asked.message_type) if asked.message_type is not None else None
        named = asked.options.get(Option.SERVER_IDENTIFIER, self._rogue.server.packed)
        if kind is None or self._clock.monotonic() < self._rogue.begins or named != self._rogue.server.packed:
            return
        answer = self._answer(asked, kind)
        self.heard_by(self._framed(answer))
        self._reply(answer)

    def _answer(self, asked: DhcpPacket, kind: MessageType) -> DhcpPacket:
        mine = self._given.setdefault(asked.chaddr, Address((self._rogue.server - 1 - len(self._given)).packed))
        return DhcpPacket(
            op=BOOTREPLY,
            xid=asked.xid,
            chaddr=asked.chaddr,
            yiaddr=mine,
            options=MappingProxyType(
                {
                    Option.MESSAGE_TYPE: bytes((kind,)),
                    Option.SERVER_IDENTIFIER: self._rogue.server.packed,
                    Option.LEASE_TIME: _LEASE_SECONDS.to_bytes(4),
                }
            ),
        )

    def _framed(self, answer: DhcpPacket) -> bytes:
        return pack_datagram(
            Datagram(
                source_mac=_MAC,
                target_mac=BROADCAST_MAC,
                source=self._rogue.server,
                target=IPv4Address(0xFFFFFFFF),
                source_port=_SERVER_PORT,
                target_port=_CLIENT_PORT,
                payload=pack(answer),
            )
        )

"""Serial over LAN, the console's side (IPMI 2.0 section 15.9 to 15.11). Pure: packets and time in, packets out."""

from dataclasses import dataclass, replace

from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError
from pxe.errors import PacketError

_APP = 0x06
_SOL, _INSTANCE = 1, 1
_ENCRYPT, _AUTHENTICATE = 0x80, 0x40
_HEADER = 4
_NACK, _UNAVAILABLE, _DEACTIVATING = 0x40, 0x20, 0x10
_BREAK = 0x10

ACTIVATE = Request(netfn=_APP, command=0x48, data=bytes((_SOL, _INSTANCE, _ENCRYPT | _AUTHENTICATE, 0, 0, 0)))
DEACTIVATE = Request(netfn=_APP, command=0x49, data=bytes((_SOL, _INSTANCE, 0, 0, 0, 0)))
ALREADY_ACTIVE = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Sol:
    """`unacknowledged` went out as packet `sent` and `pending` waits behind it; `room` is how many characters the BMC
    takes in a packet. `received` is the BMC's last packet and `taken` how many characters of it we have."""

    room: int
    sent: int = 0
    unacknowledged: bytes = b""
    pending: bytes = b""
    received: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`text` is new; `replies` are to be sent; `over` when the BMC takes the line away."""

    state: Sol
    text: bytes = b""
    replies: tuple[bytes, ...] = ()
    over: bool = False


def activated(answer: bytes) -> Sol:
    """Table 24-2. Raises `BmcError`."""
    room = int.from_bytes(answer[4:6], "little") - _HEADER
    if len(answer) < 8 or room < 1:
        raise BmcError("the BMC offers no serial line", evidence=answer[:16].hex(), next_action="enable SOL on it")
    return Sol(room=min(room, 255))


def hear(state: Sol, body: bytes) -> Heard:
    """A packet of the BMC (table 15-2). A repeated packet may have grown: only what is new counts."""
    if len(body) < _HEADER:
        raise PacketError("SOL packet cut short")
    number, acknowledged, accepted, status = body[0] & 0x0F, body[1] & 0x0F, body[2], body[3]
    text, data = b"", body[_HEADER:]
    if number:
        known = state.taken if number == state.received else 0
        text = data[known:]
        state = replace(state, received=number, taken=max(known, len(data)))
    freed = bool(state.unacknowledged) and acknowledged == state.sent
    if freed:
        rest = state.unacknowledged[accepted:] if status & _NACK else b""
        state = replace(state, unacknowledged=b"", pending=rest + state.pending)
    if freed and not status & _UNAVAILABLE:
        state, packet = _next(state)
    else:
        packet = b""
    if number:
        acknowledgement = bytes((0, number, len(data) & 0xFF, 0))
        # The acknowledgement travels with the next characters, if there are any.
        packet = packet[:1] + acknowledgement[1:3] + packet[3:] if packet else acknowledgement
    return Heard(state=state, text=text, replies=(packet,) if packet else (), over=bool(status & _DEACTIVATING))


def write(state: Sol, text: bytes) -> tuple[Sol, bytes]:
    """The packet to send now, b"" while one is on its way."""
    return _next(replace(state, pending=state.pending + text))


def repeat(state: Sol) -> tuple[Sol, bytes]:
    """After silence: what was not acknowledged, under its old number, or what had to wait."""
    if state.unacknowledged:
        return state, bytes((state.sent, 0, 0, 0)) + state.unacknowledged
    return _next(state)


def send_break(state: Sol) -> tuple[Sol, bytes]:
    number = state.sent % 15 + 1
    return replace(state, sent=number), bytes((number, 0, 0, _BREAK))


def _next(state: Sol) -> tuple[Sol, bytes]:
    if state.unacknowledged or not state.pending:
        return state, b""
    number, text = state.sent % 15 + 1, state.pending[: state.room]
    state = replace(state, sent=number, unacknowledged=text, pending=state.pending[len(text) :])
    return state, bytes((number, 0, 0, 0)) + text

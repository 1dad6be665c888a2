"""Serial over LAN, the console's side (IPMI 2.0 section 15.9 to 15.11). Pure: packets and time in, packets out."""

from dataclasses import dataclass, replace

from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError
from pxe.errors import PacketError

_APP = 0x06
_SOL, _INSTANCE = 1, 1
_ENCRYPT, _AUTHENTICATE = 0x80, 0x40
_HEADER, _MOST = 4, 255
_NACK, _UNAVAILABLE, _DEACTIVATING = 0x40, 0x20, 0x10
_BREAK = 0x10
_BREAK_TRIES = 3

ACTIVATE = Request(netfn=_APP, command=0x48, data=bytes((_SOL, _INSTANCE, _ENCRYPT | _AUTHENTICATE, 0, 0, 0)))
DEACTIVATE = Request(netfn=_APP, command=0x49, data=bytes((_SOL, _INSTANCE, 0, 0, 0, 0)))
STATUS = Request(netfn=_APP, command=0x4A, data=bytes((_SOL,)))
ALREADY_ACTIVE = 0x80
NOT_ALLOWED = (0x81, 0x83, 0x84, 0xD4)
"""Disabled; not with encryption, or only without it (table 24-2); not for this user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sol:
    """`room` is how many characters the BMC takes in a packet. `sent` is the number of the last packet: it is on its
    way while there are `unacknowledged` characters of it, or `breaking` tries of a break left. `pending` waits behind
    it, and each of `breaks` for that many characters of it. `received` is the BMC's last packet and `taken` how many
    characters of it we have."""

    room: int
    sent: int = 0
    unacknowledged: bytes = b""
    breaking: int = 0
    pending: bytes = b""
    breaks: tuple[int, ...] = ()
    received: int = 0
    taken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """`text` is new; `replies` are to be sent; `over` when the BMC takes the line away."""

    state: Sol
    text: bytes = b""
    replies: tuple[bytes, ...] = ()
    over: bool = False


def room_of(answer: bytes) -> int:
    """Table 24-2. Raises `BmcError`."""
    room = int.from_bytes(answer[4:6], "little") - _HEADER
    if len(answer) < 8 or room < 1:
        raise BmcError("the BMC offers no serial line", evidence=answer[:16].hex(), next_action="enable SOL on it")
    return min(room, _MOST)


def is_active(status: bytes) -> bool:
    """Table 24-5. A BMC that does not say is believed to have the line still."""
    return len(status) < 2 or bool(status[1] & _INSTANCE)


def hear(state: Sol, body: bytes) -> Heard:
    """A packet of the BMC (table 15-2). A repeated packet may have grown: only what is new counts.

    A BMC that refuses characters is not pressed: the rest waits for a packet without refusal, or for `repeat`.
    """
    if len(body) < _HEADER:
        raise PacketError("SOL packet cut short")
    number, acknowledged, accepted, status = body[0] & 0x0F, body[1] & 0x0F, body[2], body[3]
    text, data, packet = b"", body[_HEADER : _HEADER + _MOST], b""
    if number:
        known = state.taken if number == state.received else 0
        text = data[known:]
        state = replace(state, received=number, taken=max(known, len(data)))
    if acknowledged == state.sent:
        state = _accepted(state, accepted, refused=bool(status & _NACK))
    if not status & (_NACK | _UNAVAILABLE):
        state, packet = _next(state)
    if number:
        acknowledgement = bytes((0, number, len(data), 0))
        # The acknowledgement travels with the next characters, if there are any.
        packet = packet[:1] + acknowledgement[1:3] + packet[3:] if packet else acknowledgement
    return Heard(state=state, text=text, replies=(packet,) if packet else (), over=bool(status & _DEACTIVATING))


def acknowledgements_of(body: bytes) -> bytes:
    """A packet of the BMC without its characters, for whoever has no room for them: they come again."""
    return b"\0" + body[1:_HEADER]


def _accepted(state: Sol, accepted: int, *, refused: bool) -> Sol:
    """A BMC may take the first characters only (section 15.11). Some say 0 and mean all, unless they refuse."""
    taken = accepted if accepted or refused else len(state.unacknowledged)
    rest = state.unacknowledged[taken:]
    return replace(
        state,
        unacknowledged=b"",
        breaking=0,
        pending=rest + state.pending,
        breaks=tuple(place + len(rest) for place in state.breaks),
    )


def write(state: Sol, text: bytes) -> tuple[Sol, bytes]:
    """The packet to send now, b"" while one is on its way."""
    return _next(replace(state, pending=state.pending + text))


def send_break(state: Sol) -> tuple[Sol, bytes]:
    """Behind what was written before, and ahead of what is written after."""
    return _next(replace(state, breaks=(*state.breaks, len(state.pending))))


def repeat(state: Sol) -> tuple[Sol, bytes]:
    """After silence: what was not acknowledged, under its old number, or what had to wait. Not every BMC acknowledges
    a packet without characters, such as a break: that is given up after a while, lest it block the line."""
    if state.unacknowledged:
        return state, bytes((state.sent, 0, 0, 0)) + state.unacknowledged
    if state.breaking:
        state = replace(state, breaking=state.breaking - 1)
    if state.breaking:
        return state, bytes((state.sent, 0, 0, _BREAK))
    return _next(state)


def _next(state: Sol) -> tuple[Sol, bytes]:
    if state.unacknowledged or state.breaking or not (state.pending or state.breaks):
        return state, b""
    number, size = state.sent % 15 + 1, min(state.room, *state.breaks[:1], len(state.pending))
    if not size:
        state = replace(state, sent=number, breaking=_BREAK_TRIES, breaks=state.breaks[1:])
        return state, bytes((number, 0, 0, _BREAK))
    text, breaks = state.pending[:size], tuple(place - size for place in state.breaks)
    state = replace(state, sent=number, unacknowledged=text, pending=state.pending[size:], breaks=breaks)
    return state, bytes((number, 0, 0, 0)) + text

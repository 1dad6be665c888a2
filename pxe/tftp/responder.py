"""A TFTP read transfer as a pure state machine: (transfer, event, now) -> (transfer, actions).

Blocks are counted from 1 without bound; only the wire number rolls over (`packet.pack_data`). `acked` is the last
block that the client confirmed, `sent` the last that left. A block is sent again for two reasons only:

* the timeout ran out (at most `MAX_RETRIES` times without progress);
* with a window above 1, the client confirmed less than was sent: it saw a gap (RFC 7440 section 4).

A duplicate ACK is never a reason: answering it doubles every later packet (Sorcerer's Apprentice, RFC 1123 section
4.2.3.1). When the first block of a window is lost, though, the gap report *is* a duplicate ACK. It is believed once
and then not again until a window went by without one, so a doubled packet can never start a chain.
"""

from dataclasses import dataclass, replace
from enum import Enum

from pxe.tftp.packet import Ack, Error, ErrorCode, OptionAck, Options, Packet, ReadRequest, WriteRequest

MAX_RETRIES = 5
LONGEST_WAIT = 8.0

_U16 = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What we agree to at most. 1468 = MTU 1500 less IP, UDP and TFTP headers; larger blocks would fragment."""

    block_size: int = 1468
    window: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What client and server agreed on; `accepted` goes into the OACK, empty means that there is none."""

    size: int
    block_size: int = 512
    window: int = 1
    timeout: float = 1.0
    accepted: Options = ()

    @property
    def last_block(self) -> int:
        """A size that is a multiple of the block size ends with an empty block (RFC 1350 section 6)."""
        return self.size // self.block_size + 1


class Outcome(Enum):
    FINISHED = "finished"
    PROBED = "probed"
    FAILED = "failed"
    REFUSED = "refused"


class Phase(Enum):
    NEGOTIATING = "negotiating"
    SENDING = "sending"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """`deadline` is on the clock that `now` is read from, in seconds."""

    terms: Terms
    phase: Phase
    deadline: float
    acked: int = 0
    sent: int = 0
    retries: int = 0
    retransmits: int = 0
    gap_believed: bool = False
    gap_in_window: bool = False

    @property
    def acked_bytes(self) -> int:
        return min(self.acked * self.terms.block_size, self.terms.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """The event of no packet at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendPacket:
    packet: OptionAck | Error


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBlocks:
    """Blocks `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    outcome: Outcome
    reason: str = ""


Action = SendPacket | SendBlocks | Close
Step = tuple[Transfer, tuple[Action, ...]]


def refuse(request: Packet, *, found: bool) -> Error | None:
    """The error for a packet to the listening port, None when it is a read request that we serve."""
    match request:
        case ReadRequest(mode="octet"):
            return Error(code=ErrorCode.NOT_FOUND, message="no such file") if not found else None
        case ReadRequest():
            return Error(code=ErrorCode.UNDEFINED, message="only mode octet is served")
        case WriteRequest():
            return Error(code=ErrorCode.ACCESS, message="this server is read-only")
        case _:
            return Error(code=ErrorCode.ILLEGAL, message="not a request")


def begin(request: ReadRequest, size: int, limits: Limits, now: float) -> Step:
    terms = negotiate(request.options, size, limits)
    if terms.accepted:
        transfer = Transfer(terms=terms, phase=Phase.NEGOTIATING, deadline=now + terms.timeout)
        return transfer, (SendPacket(packet=OptionAck(options=terms.accepted)),)
    return _next_window(Transfer(terms=terms, phase=Phase.SENDING, deadline=now), now)


def negotiate(options: Options, size: int, limits: Limits) -> Terms:
    """An option with a value out of its RFC's range is left out of the OACK, which means refused."""
    terms = Terms(size=size)
    accepted: list[tuple[str, str]] = []
    for name, text in options:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if name == "blksize" and 8 <= value <= 65464:
            terms = replace(terms, block_size=min(value, limits.block_size))
            accepted.append((name, str(terms.block_size)))
        elif name == "windowsize" and 1 <= value <= _U16:
            terms = replace(terms, window=min(value, limits.window))
            accepted.append((name, str(terms.window)))
        elif name == "timeout" and 1 <= value <= 255:
            terms = replace(terms, timeout=float(value))
            accepted.append((name, str(value)))
        elif name == "tsize" and value >= 0:
            accepted.append((name, str(size)))
    return replace(terms, accepted=tuple(accepted))


def step(transfer: Transfer, event: Packet | TimePassed, now: float) -> Step:
    """Total: what makes no sense on this transfer changes nothing."""
    if transfer.phase is Phase.CLOSED:
        return transfer, ()
    match event:
        case Ack():
            return _acknowledged(transfer, event.block, now)
        case TimePassed():
            return _timed_out(transfer, now) if now >= transfer.deadline else (transfer, ())
        case Error():
            return _aborted(transfer, event)
        case _:
            return transfer, ()


def _acknowledged(transfer: Transfer, wire_block: int, now: float) -> Step:
    ahead = (wire_block - transfer.acked) & _U16
    if transfer.phase is Phase.NEGOTIATING:
        return _next_window(transfer, now) if wire_block == 0 else (transfer, ())
    if ahead > transfer.sent - transfer.acked:
        return transfer, ()
    if ahead == 0:
        return _gap_at_start(transfer, now)
    return _progressed(transfer, transfer.acked + ahead, now)


def _progressed(transfer: Transfer, acked: int, now: float) -> Step:
    if acked == transfer.terms.last_block:
        done = replace(transfer, acked=acked, phase=Phase.CLOSED)
        return done, (Close(outcome=Outcome.FINISHED),)
    again = transfer.sent - acked
    moved = replace(
        transfer,
        acked=acked,
        retries=0,
        retransmits=transfer.retransmits + again,
        gap_believed=transfer.gap_believed and transfer.gap_in_window,
        gap_in_window=False,
    )
    return _next_window(moved, now)


def _gap_at_start(transfer: Transfer, now: float) -> Step:
    seen = replace(transfer, gap_in_window=True)
    if transfer.terms.window == 1 or transfer.gap_believed:
        return seen, ()
    again = transfer.sent - transfer.acked
    return _next_window(replace(seen, gap_believed=True, retransmits=transfer.retransmits + again), now)


def _next_window(transfer: Transfer, now: float) -> Step:
    terms = transfer.terms
    last = min(transfer.acked + terms.window, terms.last_block)
    wait = min(terms.timeout * 2**transfer.retries, max(terms.timeout, LONGEST_WAIT))
    moved = replace(transfer, phase=Phase.SENDING, sent=last, deadline=now + wait)
    return moved, (SendBlocks(first=transfer.acked + 1, last=last),)


def _timed_out(transfer: Transfer, now: float) -> Step:
    if transfer.retries == MAX_RETRIES:
        reason = f"no answer to block {transfer.sent} of {transfer.terms.last_block}"
        return replace(transfer, phase=Phase.CLOSED), (Close(outcome=Outcome.FAILED, reason=reason),)
    again = replace(transfer, retries=transfer.retries + 1)
    if transfer.phase is Phase.NEGOTIATING:
        wait = min(transfer.terms.timeout * 2**again.retries, max(transfer.terms.timeout, LONGEST_WAIT))
        again = replace(again, deadline=now + wait, retransmits=transfer.retransmits + 1)
        return again, (SendPacket(packet=OptionAck(options=transfer.terms.accepted)),)
    resent = transfer.sent - transfer.acked
    return _next_window(replace(again, retransmits=transfer.retransmits + resent), now)


def _aborted(transfer: Transfer, error: Error) -> Step:
    """UEFI asks for tsize, hangs up with an ERROR and comes back for the file: that is no failure."""
    closed = replace(transfer, phase=Phase.CLOSED)
    if transfer.acked == 0 and transfer.terms.accepted:
        return closed, (Close(outcome=Outcome.PROBED, reason="the client only wanted to know the options"),)
    said = "".join(c if c.isprintable() else "?" for c in error.message[:128])
    return closed, (Close(outcome=Outcome.FAILED, reason=f"the client gave up with error {error.code}: {said}"),)

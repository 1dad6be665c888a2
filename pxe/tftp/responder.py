"""A TFTP read transfer as a pure state machine: (transfer, event, now) -> (transfer, actions).

Blocks are counted from 1 without bound; only the wire number rolls over (`packet.pack_data`). `acked` is the last
block that the client confirmed, `sent` the last that left. A block is sent again for two reasons only:

* the timeout ran out (at most `MAX_RETRIES` times without progress);
* with a window above 1, the client confirmed less than was sent: it saw a gap (RFC 7440 section 4).

A duplicate ACK is never a reason: answering it doubles every later packet (Sorcerer's Apprentice, RFC 1123 section
4.2.3.1). When the first block of a window is lost, though, the gap report *is* a duplicate ACK. It is believed once
and then not again until a window went by without one, so a doubled packet can never start a chain. Nor is it believed
behind another gap report: EDK2 acknowledges each block of the window that comes after the gap.

Nobody vouches for the source of a request. Until it has answered, it gets the OACK, or one block when it asked for no
options, and that at most `1 + UNPROVEN_RETRIES` times.

Nearly all ACKs are ordinary, and in lockstep there is one for each block: even a new `Transfer` for each would cost as
much as the system call that sends the block. So the server counts them in plain numbers (`awaited`) and asks for the
transfer that they lead to (`caught_up`) when something else happens.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from pxe.errors import ConfigError
from pxe.tftp.packet import Ack, Error, ErrorCode, OptionAck, Options, Packet, ReadRequest, WriteRequest

MAX_RETRIES = 5
UNPROVEN_RETRIES = 3
SHORTEST_WAIT = 0.2
LONGEST_WAIT = 8.0
OVERHEAD = 32  # IP, UDP and TFTP headers in bytes

_U16 = 0xFFFF
_SMALLEST_BLOCK = 8
_LARGEST_BLOCK = 65464


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What we agree to at most. 1468 = MTU 1500 less IP, UDP and TFTP headers; larger blocks would fragment."""

    block_size: int = 1468
    window: int = 64

    def __post_init__(self) -> None:
        if not (_SMALLEST_BLOCK <= self.block_size <= _LARGEST_BLOCK and 1 <= self.window <= _U16):
            raise ConfigError("TFTP limits out of the range of RFC 2348 and RFC 7440", evidence=repr(self))

    def on_route(self, mtu: int) -> "Limits":
        """`mtu` of the route to the client in bytes: no block is cut into fragments."""
        return replace(self, block_size=max(_SMALLEST_BLOCK, min(self.block_size, mtu - OVERHEAD)))


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


class Transfer(NamedTuple):
    """`deadline` is on the clock that `now` is read from, in seconds. `window` and `last_block` are those of `terms`,
    at hand. `proven`: the client has answered, so the source of its request was no forgery. `patience` is the wait in
    seconds before what left last leaves again; `measured`: it is made from the time that an answer took."""

    terms: Terms
    window: int
    last_block: int
    phase: Phase
    deadline: float
    acked: int = 0
    sent: int = 0
    retries: int = 0
    retransmits: int = 0
    gap_believed: bool = False
    gap_in_window: bool = False
    proven: bool = False
    patience: float = 1.0
    measured: bool = False

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
    """The error for a packet to the listening port, None when it is a read request that we serve.

    Netascii would need a translation of each line end and a size that nobody knows before; no firmware asks for it.
    """
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
    transfer = Transfer(
        terms, terms.window, terms.last_block, Phase.NEGOTIATING, now + terms.timeout, patience=terms.timeout
    )
    if terms.accepted:
        return transfer, (SendPacket(packet=OptionAck(options=terms.accepted)),)
    return _next_window(transfer, now)


def negotiate(options: Options, size: int, limits: Limits) -> Terms:
    """An option with a value out of its RFC's range is left out of the OACK, which means refused."""
    terms = Terms(size=size)
    accepted: list[tuple[str, str]] = []
    for name, text in options:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if name == "blksize" and _SMALLEST_BLOCK <= value <= _LARGEST_BLOCK:
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


def next_window_limit(limit: int, top: int, transfer: Transfer) -> int:
    """The largest window for the client's next transfer, after one that ended; `top` is the configured maximum.

    A window cannot shrink under way: the client waits for all of it (RFC 7440 section 4). So a client that lost more
    than one block in fifty gets half the window the next time, and the double after a transfer without loss.
    """
    if transfer.retransmits * 50 > transfer.acked:
        return max(1, min(limit, transfer.window) // 2) if transfer.window > 1 else limit
    return min(top, limit * 2) if transfer.retransmits == 0 else limit


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


def awaited(transfer: Transfer) -> int:
    """The number on the wire of the ordinary ACK: all that was sent has arrived, and more blocks follow.

    -1: no ACK is ordinary now, `step` decides.
    """
    doubtful = transfer.gap_believed or transfer.gap_in_window or not transfer.measured
    if doubtful or transfer.phase is not Phase.SENDING or transfer.sent == transfer.last_block:
        return -1
    return transfer.sent & _U16


def caught_up(transfer: Transfer, sent: int, now: float) -> Transfer:
    """What `step` makes of ordinary ACKs in a row, the last one at `now`, until block `sent` has left."""
    if sent == transfer.sent:
        return transfer
    whole = (sent - transfer.sent - 1) // transfer.window
    acked = transfer.sent + whole * transfer.window
    return transfer._replace(acked=acked, sent=sent, retries=0, deadline=now + transfer.patience)


def _acknowledged(transfer: Transfer, wire_block: int, now: float) -> Step:
    ahead = (wire_block - transfer.acked) & _U16
    if transfer.phase is Phase.NEGOTIATING:
        return _next_window(_answered(transfer, now), now) if wire_block == 0 else (transfer, ())
    if ahead > transfer.sent - transfer.acked:
        return transfer, ()
    if ahead == 0:
        return _gap_at_start(transfer, now)
    return _progressed(transfer, transfer.acked + ahead, now)


def _progressed(transfer: Transfer, acked: int, now: float) -> Step:
    if acked == transfer.last_block:
        done = transfer._replace(acked=acked, phase=Phase.CLOSED)
        return done, (Close(outcome=Outcome.FINISHED),)
    gap = acked < transfer.sent
    answered = _gap_reported(transfer) if gap else _answered(transfer, now)
    moved = answered._replace(
        acked=acked,
        retransmits=transfer.retransmits + transfer.sent - acked,
        gap_believed=gap or (transfer.gap_believed and transfer.gap_in_window),
        gap_in_window=False,
    )
    return _next_window(moved, now)


def _gap_at_start(transfer: Transfer, now: float) -> Step:
    seen = transfer._replace(gap_in_window=True)
    if transfer.window == 1 or transfer.gap_believed:
        return seen, ()
    again = transfer.sent - transfer.acked
    return _next_window(seen._replace(gap_believed=True, retransmits=transfer.retransmits + again), now)


def _next_window(transfer: Transfer, now: float) -> Step:
    last = min(transfer.acked + transfer.window, transfer.last_block)
    moved = transfer._replace(phase=Phase.SENDING, sent=last, deadline=now + transfer.patience)
    return moved, (SendBlocks(first=transfer.acked + 1, last=last),)


def _answered(transfer: Transfer, now: float) -> Transfer:
    """How long this answer took says how long to wait for the next (RFC 1123 section 4.2.3.2: the timeout adapts).

    The client may have named a timeout, which stands. An answer to what left twice says nothing, it may be to either:
    until one comes that is to one sending alone, the doubled wait stays (Karn's rule), or a client that takes longer
    than that would get each block twice.
    """
    known = transfer._replace(proven=True, retries=0)
    if transfer.retries or transfer.measured:
        return known
    named = any(name == "timeout" for name, _ in transfer.terms.accepted)
    took = now - (transfer.deadline - transfer.patience)
    timeout = transfer.terms.timeout
    return known._replace(measured=True, patience=timeout if named else min(max(SHORTEST_WAIT, 4 * took), timeout))


def _gap_reported(transfer: Transfer) -> Transfer:
    """It comes at once, so it does not say how long a window takes. But the client is there: where every window has a
    gap, the wait would double with each loss and never shrink."""
    known = transfer._replace(proven=True, retries=0)
    return known if transfer.retries else known._replace(patience=min(transfer.patience, transfer.terms.timeout))


def _longest_wait(transfer: Transfer) -> float:
    return max(transfer.terms.timeout, LONGEST_WAIT)


def _timed_out(transfer: Transfer, now: float) -> Step:
    if transfer.retries == (MAX_RETRIES if transfer.proven else UNPROVEN_RETRIES):
        reason = f"no answer to block {transfer.sent} of {transfer.last_block}"
        return transfer._replace(phase=Phase.CLOSED), (Close(outcome=Outcome.FAILED, reason=reason),)
    retries, longest = transfer.retries + 1, _longest_wait(transfer)
    patience = longest if retries == MAX_RETRIES else min(2 * transfer.patience, longest)
    return answer_again(transfer._replace(retries=retries, patience=patience, measured=False), now)


def answer_again(transfer: Transfer, now: float) -> Step:
    """What is on its way leaves once more."""
    if transfer.phase is Phase.NEGOTIATING:
        again = transfer._replace(deadline=now + transfer.patience, retransmits=transfer.retransmits + 1)
        return again, (SendPacket(packet=OptionAck(options=transfer.terms.accepted)),)
    resent = transfer.sent - transfer.acked
    return _next_window(transfer._replace(retransmits=transfer.retransmits + resent), now)


def _aborted(transfer: Transfer, error: Error) -> Step:
    """UEFI asks for tsize, hangs up with an ERROR and comes back for the file: that is no failure."""
    closed = transfer._replace(phase=Phase.CLOSED)
    if transfer.acked == 0 and transfer.terms.accepted:
        return closed, (Close(outcome=Outcome.PROBED, reason="the client only wanted to know the options"),)
    said = "".join(c if c.isprintable() else "?" for c in error.message[:128])
    return closed, (Close(outcome=Outcome.FAILED, reason=f"the client gave up with error {error.code}: {said}"),)

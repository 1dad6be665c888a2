"""The transfer machine: event in, actions out; then whole transfers over a lossy, doubling, reordering link."""

import random
from dataclasses import dataclass, field

import pytest

from pxe.tftp.packet import Ack, Data, Error, OptionAck, Packet, ReadRequest, WriteRequest, pack, pack_data, parse
from pxe.tftp.responder import (
    MAX_RETRIES,
    UNPROVEN_RETRIES,
    Action,
    Close,
    Limits,
    Outcome,
    Phase,
    SendBlocks,
    SendPacket,
    Step,
    TimePassed,
    Transfer,
    begin,
    negotiate,
    refuse,
    step,
)

LIMITS = Limits(block_size=1468, window=16)


def opened(size: int, *options: tuple[str, str], now: float = 0.0) -> Step:
    return begin(ReadRequest(name="a", options=options), size, LIMITS, now)


def after(start: Step, *events: Packet | TimePassed, now: float = 0.0) -> Step:
    transfer, actions = start
    for event in events:
        transfer, actions = step(transfer, event, now)
    return transfer, actions


def windowed(size: int) -> Step:
    return after(opened(size, ("blksize", "8"), ("windowsize", "4")), Ack(block=0))


def blocks(first: int, last: int) -> tuple[Action, ...]:
    return (SendBlocks(first=first, last=last),)


DONE = (Close(outcome=Outcome.FINISHED),)

CASES: list[tuple[str, Step, tuple[Packet | TimePassed, ...], tuple[Action, ...]]] = [
    ("no options: data at once", opened(600), (), blocks(1, 1)),
    ("lockstep goes on", opened(600), (Ack(block=1),), blocks(2, 2)),
    ("short last block ends", opened(600), (Ack(block=1), Ack(block=2)), DONE),
    ("multiple of the block size: empty block", opened(512), (Ack(block=1),), blocks(2, 2)),
    ("and it is acknowledged", opened(512), (Ack(block=1), Ack(block=2)), DONE),
    ("empty file is one empty block", opened(0), (Ack(block=1),), DONE),
    ("duplicate ACK: silence", opened(2000), (Ack(block=1), Ack(block=1)), ()),
    ("old ACK: silence", opened(2000), (Ack(block=1), Ack(block=2), Ack(block=1)), ()),
    ("ACK from the future: silence", opened(2000), (Ack(block=3),), ()),
    ("ACK 0 without options: silence", opened(2000), (Ack(block=0),), ()),
    ("nothing after the end", opened(1), (Ack(block=1), Ack(block=1)), ()),
    (
        "OACK, then ACK 0, then a window",
        opened(80, ("blksize", "8"), ("windowsize", "4")),
        (Ack(block=0),),
        blocks(1, 4),
    ),
    ("OACK, then another ACK: silence", opened(80, ("blksize", "8")), (Ack(block=1),), ()),
    ("whole window confirmed", windowed(80), (Ack(block=4),), blocks(5, 8)),
    ("last window is short", windowed(80), (Ack(block=4), Ack(block=8)), blocks(9, 11)),
    ("gap in the window: from the gap", windowed(80), (Ack(block=2),), blocks(3, 6)),
    ("gap at the start: believed once", windowed(80), (Ack(block=0),), blocks(1, 4)),
    ("but not twice", windowed(80), (Ack(block=0), Ack(block=0)), ()),
    ("nor in the next window", windowed(80), (Ack(block=0), Ack(block=4), Ack(block=4)), ()),
    (
        "again after a clean window",
        windowed(400),
        (Ack(block=0), Ack(block=4), Ack(block=8), Ack(block=8)),
        blocks(9, 12),
    ),
    ("wrong packets: silence", opened(600), (Data(block=1, payload=b""),), ()),
    ("time before the deadline: silence", opened(600), (TimePassed(),), ()),
]


@pytest.mark.parametrize(("start", "events", "actions"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_step(start: Step, events: tuple[Packet | TimePassed, ...], actions: tuple[Action, ...]) -> None:
    assert after(start, *events)[1] == actions


def test_oack_lists_only_accepted_options() -> None:
    options = (("blksize", "9000"), ("windowsize", "64"), ("tsize", "0"), ("timeout", "3"), ("multicast", ""))
    _, actions = opened(1234, *options)
    accepted = (("blksize", "1468"), ("windowsize", "16"), ("tsize", "1234"), ("timeout", "3"))
    assert actions == (SendPacket(packet=OptionAck(options=accepted)),)


@pytest.mark.parametrize(
    "option",
    [("blksize", "7"), ("blksize", "65465"), ("blksize", "-1"), ("blksize", "x"), ("windowsize", "0"),
     ("timeout", "0"), ("timeout", "256"), ("tsize", "two"), ("tsize", "9" * 30), ("blksize", "٣٣٣")],
)  # fmt: skip
def test_option_out_of_range_is_left_out(option: tuple[str, str]) -> None:
    assert negotiate((option,), 10, LIMITS).accepted == ()


@pytest.mark.parametrize(
    ("packet", "found", "code"),
    [
        (ReadRequest(name="a"), True, None),
        (ReadRequest(name="a"), False, 1),
        (ReadRequest(name="a", mode="netascii"), True, 0),
        (ReadRequest(name="a", mode="mail"), True, 0),
        (WriteRequest(name="a"), True, 2),
        (Ack(block=1), True, 4),
    ],
)
def test_refuse(packet: Packet, found: bool, code: int | None) -> None:
    error = refuse(packet, found=found)
    assert (None if error is None else error.code) == code


@pytest.mark.parametrize(
    ("start", "waits"),
    [
        (opened(2000), [1, 2, 4, 8]),
        (opened(2000, ("timeout", "20")), [20, 20, 20, 20]),
        (after(opened(2000), Ack(block=1)), [0.2, 0.4, 0.8, 1.6, 3.2, 8]),
        (after(opened(2000, ("timeout", "2")), Ack(block=0)), [2, 4, 8, 8, 8, 8]),
    ],
    ids=["nobody answered", "its own timeout", "a quick answer", "a named timeout and an answer"],
)
def test_retries_end(start: Step, waits: list[float]) -> None:
    transfer, sent = start
    now, waited, repeats = 0.0, [], 0
    while transfer.phase is not Phase.CLOSED:
        waited.append(transfer.deadline - now)
        now = transfer.deadline
        transfer, sent = step(transfer, TimePassed(), now)
        repeats += sent == start[1]
    assert waited == pytest.approx(waits)
    assert repeats == len(waits) - 1 == transfer.retransmits
    assert len(waits) - 1 == (MAX_RETRIES if transfer.proven else UNPROVEN_RETRIES)
    assert isinstance(sent[0], Close)
    assert sent[0].outcome is Outcome.FAILED


def test_a_gap_report_ends_the_doubling_of_the_wait() -> None:
    """Where every window has a gap, no answer would ever measure it anew."""
    transfer, _ = windowed(400)
    for _ in range(4):
        transfer, _ = step(transfer, TimePassed(), transfer.deadline)
    now = transfer.deadline - 0.1
    transfer, _ = step(transfer, Ack(block=2), now)
    assert transfer.deadline == pytest.approx(now + 3.2), "the answer may be to either sending"
    transfer, _ = step(transfer, Ack(block=4), now)
    assert transfer.deadline == pytest.approx(now + 1.0)


def test_timeout_resends_oack() -> None:
    start = opened(600, ("timeout", "2"), now=10.0)
    assert step(start[0], TimePassed(), 11.9)[1] == ()
    assert step(start[0], TimePassed(), 12.0)[1] == start[1]


def test_client_that_only_probes_is_no_failure() -> None:
    _, (close,) = after(opened(600, ("tsize", "0")), Error(code=8, message="that is all"))
    assert isinstance(close, Close)
    assert close.outcome is Outcome.PROBED


def test_client_error_is_a_failure_with_printable_reason() -> None:
    _, (close,) = after(opened(600), Error(code=3, message="disk\x1b[2J full"))
    assert close == Close(outcome=Outcome.FAILED, reason="the client gave up with error 3: disk?[2J full")


def test_block_number_rolls_over() -> None:
    transfer, actions = after(opened(70_000 * 8, ("blksize", "8")), Ack(block=0))
    for number in range(1, 70_002):
        transfer, actions = step(transfer, Ack(block=number & 0xFFFF), 0.0)
    assert actions == DONE
    assert transfer.acked == 70_001


@dataclass
class Receiver:
    """A client after RFC 7440: takes blocks in order, reports the first gap and each whole window."""

    window: int
    block_size: int
    body: bytearray = field(default_factory=bytearray)
    expected: int = 1
    in_window: int = 0
    done: bool = False
    gap_reported: bool = False

    def take(self, data: Data) -> Ack | None:
        if data.block != self.expected & 0xFFFF:
            ahead = (data.block - self.expected) & 0xFFFF < 0x8000
            if not ahead or self.gap_reported:
                return None
            self.gap_reported, self.in_window = True, 0
            return self.ack()
        self.body += data.payload
        self.expected += 1
        self.in_window += 1
        self.gap_reported = False
        self.done = len(data.payload) < self.block_size
        if self.done or self.in_window == self.window:
            self.in_window = 0
            return self.ack()
        return None

    def ack(self) -> Ack:
        return Ack(block=(self.expected - 1) & 0xFFFF)


def run_transfer(content: bytes, window: int, seed: int, fault: float) -> tuple[Transfer, bytes]:
    """Both ends joined by a link that loses, doubles and reorders with the same probability, on a virtual clock."""
    rng = random.Random(seed)
    now = 0.0
    receiver = Receiver(window=window, block_size=8)
    transfer, actions = begin(
        ReadRequest(name="a", options=(("blksize", "8"), ("windowsize", str(window)))), len(content), LIMITS, now
    )
    to_client: list[bytes] = []
    to_server: list[bytes] = []

    def fly(queue: list[bytes], item: bytes) -> None:
        for _ in range(0 if rng.random() < fault else 2 if rng.random() < fault else 1):
            queue.insert(len(queue) - 1 if queue and rng.random() < fault else len(queue), item)

    def perform(actions: tuple[Action, ...]) -> None:
        for action in actions:
            if isinstance(action, SendPacket):
                fly(to_server, pack(Ack(block=0)))
            elif isinstance(action, SendBlocks):
                for n in range(action.first, action.last + 1):
                    fly(to_client, pack_data(n, content[(n - 1) * 8 : n * 8]))

    perform(actions)
    while transfer.phase is not Phase.CLOSED:
        if to_client:
            data = parse(to_client.pop(0))
            assert isinstance(data, Data)
            ack = receiver.take(data)
            if ack is not None:
                fly(to_server, pack(ack))
        elif to_server:
            transfer, actions = step(transfer, parse(to_server.pop(0)), now)
            perform(actions)
        else:
            now += 1.0
            if now >= transfer.deadline:
                transfer, actions = step(transfer, TimePassed(), now)
                perform(actions)
            if receiver.expected > 1 or receiver.done:
                fly(to_server, pack(receiver.ack()))
    return transfer, bytes(receiver.body)


@pytest.mark.parametrize("window", [1, 4, 16])
@pytest.mark.parametrize("seed", range(20))
def test_transfer_survives_a_bad_link(window: int, seed: int) -> None:
    content = random.Random(seed).randbytes(8 * 150)
    transfer, received = run_transfer(content, window, seed, fault=0.08)
    assert received == content
    assert transfer.acked == transfer.terms.last_block


@pytest.mark.parametrize("window", [1, 4])
def test_doubled_packets_start_no_chain(window: int) -> None:
    """Every ACK arrives twice: a server that answers duplicates sends each block twice until the end."""
    transfer, actions = opened(8 * 400, ("blksize", "8"), ("windowsize", str(window)))
    sent = 0
    transfer, actions = step(transfer, Ack(block=0), 0.0)
    while transfer.phase is not Phase.CLOSED:
        for action in actions:
            assert isinstance(action, SendBlocks)
            sent += action.last - action.first + 1
        ack = Ack(block=transfer.sent & 0xFFFF)
        transfer, actions = step(transfer, ack, 0.0)
        transfer, doubled = step(transfer, ack, 0.0)
        actions += doubled
    assert sent <= 401 + window

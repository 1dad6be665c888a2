import contextlib

from hypothesis import given
from hypothesis import strategies as st

from pxe.errors import PacketError
from pxe.tftp.packet import Ack, Data, Error, OptionAck, Packet, ReadRequest, WriteRequest, candidates, pack, parse
from pxe.tftp.responder import Limits, SendBlocks, TimePassed, awaited, begin, caught_up, negotiate, step

words = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
lower = names.map(str.lower)
options = st.dictionaries(lower, words, max_size=8).map(lambda found: tuple(found.items()))
numbers = st.integers(0, 65535)

packets = st.one_of(
    st.builds(ReadRequest, name=names, mode=lower, options=options),
    st.builds(WriteRequest, name=names, mode=lower, options=options),
    st.builds(Data, block=numbers, payload=st.binary(max_size=600)),
    st.builds(Ack, block=numbers),
    st.builds(Error, code=numbers, message=words),
    st.builds(OptionAck, options=options.filter(lambda found: len(found) > 0)),
)


@given(packets)
def test_packet_round_trip(packet: Packet) -> None:
    assert parse(pack(packet)) == packet


@given(st.binary(max_size=1200) | st.binary(max_size=300).map(lambda tail: b"\0\1" + tail))
def test_parse_is_total(raw: bytes) -> None:
    with contextlib.suppress(PacketError):
        pack(parse(raw))


@given(st.text(max_size=300))
def test_candidates_are_relative_and_plain(name: str) -> None:
    for candidate in candidates(name):
        assert not candidate.startswith("/")
        assert "\\" not in candidate
        assert candidates(candidate)[0] == candidate


@given(options, st.integers(0, 1 << 40))
def test_terms_stay_within_limits(found: tuple[tuple[str, str], ...], size: int) -> None:
    terms = negotiate(found, size, Limits(block_size=1468, window=16))
    assert 8 <= terms.block_size <= 1468
    assert 1 <= terms.window <= 16
    assert {name for name, _ in terms.accepted} <= {name for name, _ in found}


@given(st.lists(packets | st.builds(TimePassed), max_size=60), st.integers(0, 40_000), st.integers(1, 20))
def test_transfer_is_total_and_bounded(events: list[Packet | TimePassed], size: int, window: int) -> None:
    """Whatever arrives, blocks that leave exist and no more than a window is on its way."""
    request = ReadRequest(name="a", options=(("windowsize", str(window)), ("blksize", "8")))
    transfer, _ = begin(request, size, Limits(), 0.0)
    for now, event in enumerate(events):
        transfer, _ = step(transfer, event, float(now))
        assert 0 <= transfer.acked <= transfer.sent <= transfer.terms.last_block
        assert transfer.sent - transfer.acked <= window


@given(st.integers(100, 40_000), st.integers(1, 20), st.integers(1, 40))
def test_ordinary_acks_may_be_counted(size: int, window: int, count: int) -> None:
    """The server's short cut comes to the same transfer, block by block, as a step for each ACK."""
    request = ReadRequest(name="a", options=(("windowsize", str(window)), ("blksize", "8")))
    start, _ = step(begin(request, size, Limits(), 0.0)[0], Ack(block=0), 0.1)
    transfer, sent = start, start.sent
    for number in range(count):
        expected = awaited(transfer)
        if expected < 0:
            assert transfer.sent == transfer.last_block
            break
        now = 1.0 + number
        transfer, actions = step(transfer, Ack(block=expected), now)
        first, sent = sent + 1, min(sent + window, transfer.last_block)
        assert actions == (SendBlocks(first=first, last=sent),)
        assert caught_up(start, sent, now) == transfer

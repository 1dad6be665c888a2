"""Serial over LAN on paper: the console's side of numbering, acknowledging and repeating."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc.ipmi import sol
from appliance.bmc.ipmi.sol import Sol
from appliance.errors import BmcError
from pxe.errors import PacketError

IDLE = Sol(room=4)


def test_activation() -> None:
    assert sol.room_of(bytes(4) + b"\x14\x00\xc8\x00\x6f\x02\xff\xff") == 16
    with pytest.raises(BmcError):
        sol.room_of(bytes(8))


def test_text_is_acknowledged() -> None:
    heard = sol.hear(IDLE, b"\x01\0\0\0boot")
    assert (heard.text, heard.replies) == (b"boot", (b"\0\x01\x04\0",))


def test_repeated_text_counts_once_and_what_it_has_grown_by() -> None:
    state = sol.hear(IDLE, b"\x01\0\0\0boot").state
    again = sol.hear(state, b"\x01\0\0\0booted")
    assert (again.text, again.replies) == (b"ed", (b"\0\x01\x06\0",))
    assert sol.hear(again.state, b"\x01\0\0\0booted").text == b""
    assert sol.hear(again.state, b"\x02\0\0\0boot").text == b"boot"


def test_one_packet_at_a_time_goes_out_and_the_rest_waits() -> None:
    state, packet = sol.write(IDLE, b"root\n")
    assert packet == b"\x01\0\0\0root"
    state, packet = sol.write(state, b"x")
    assert packet == b""
    heard = sol.hear(state, b"\0\x01\x04\0")
    assert heard.replies == (b"\x02\0\0\0\nx",)


def test_silence_repeats_under_the_same_number() -> None:
    state, packet = sol.write(IDLE, b"ls")
    assert sol.repeat(state) == (state, packet)
    assert sol.repeat(IDLE) == (IDLE, b"")


def test_only_what_was_not_accepted_goes_again() -> None:
    state, _ = sol.write(IDLE, b"root")
    heard = sol.hear(state, b"\0\x01\x01\0")
    assert heard.replies == (b"\x02\0\0\0oot",)


def test_zero_accepted_without_refusal_means_all() -> None:
    state, _ = sol.write(IDLE, b"root")
    assert sol.hear(state, b"\0\x01\0\0").state == Sol(room=4, sent=1)


@pytest.mark.parametrize("status", [0x40, 0x60])
def test_bmc_that_refuses_is_left_alone_until_the_next_try(status: int) -> None:
    state, _ = sol.write(IDLE, b"root")
    heard = sol.hear(state, bytes((0, 1, 2, status)))
    assert heard.replies == ()
    assert sol.repeat(heard.state)[1] == b"\x02\0\0\0ot"


def test_bmc_that_has_room_again_gets_the_rest_once() -> None:
    state, _ = sol.write(IDLE, b"root")
    state = sol.hear(state, b"\0\x01\x01\x40").state
    resumed = sol.hear(state, b"\0\x01\x01\0")
    assert resumed.replies == (b"\x02\0\0\0oot",)
    assert sol.hear(resumed.state, b"\0\x01\x01\0").replies == ()


def test_acknowledgement_of_something_else_frees_nothing() -> None:
    state, _ = sol.write(IDLE, b"root")
    assert sol.hear(state, b"\0\x07\x04\0").state == state


def test_acknowledgement_travels_with_the_next_characters() -> None:
    state, _ = sol.write(IDLE, b"rootls")
    heard = sol.hear(state, b"\x05\x01\x04\0:~#")
    assert heard.replies == (b"\x02\x05\x03\0ls",)
    assert heard.text == b":~#"


def test_numbers_go_round_without_zero() -> None:
    state = IDLE
    for number in [*range(1, 16), 1]:
        state, packet = sol.write(state, b"x")
        assert packet[0] == number
        state = sol.hear(state, bytes((0, number, 1, 0))).state


def test_line_that_is_taken_away() -> None:
    assert sol.hear(IDLE, b"\0\0\0\x10").over


BREAK = b"\x01\0\0\x10"


def test_break_keeps_its_place_among_the_characters() -> None:
    state, first = sol.write(IDLE, b"ab")
    state, nothing = sol.send_break(sol.write(state, b"cd")[0])
    state, _ = sol.write(state, b"h")
    assert (first[4:], nothing) == (b"ab", b"")
    packets = []
    for number, accepted in ((1, 1), (2, 3), (3, 0), (4, 1)):
        heard = sol.hear(state, bytes((0, number, accepted, 0)))
        state, packets = heard.state, [*packets, *heard.replies]
    assert packets == [b"\x02\0\0\0bcd", b"\x03\0\0\x10", b"\x04\0\0\0h"]


def test_break_does_not_disturb_what_is_on_its_way() -> None:
    state, packet = sol.write(IDLE, b"ls")
    state, _ = sol.send_break(state)
    assert sol.repeat(state)[1] == packet
    assert sol.hear(state, b"\0\x01\x02\0").replies == (b"\x02\0\0\x10",)


def test_break_that_nobody_acknowledges_is_repeated_and_then_given_up() -> None:
    state, packet = sol.send_break(IDLE)
    assert packet == BREAK
    packets = []
    for _ in range(4):
        state, packet = sol.repeat(state)
        packets.append(packet)
    assert packets == [BREAK, BREAK, b"", b""]
    assert sol.write(state, b"h")[1] == b"\x02\0\0\0h"


def test_more_than_a_packet_may_hold_is_left_for_the_next() -> None:
    heard = sol.hear(IDLE, b"\x01\0\0\0" + b"x" * 256)
    assert (len(heard.text), heard.replies) == (255, (b"\0\x01\xff\0",))


def test_characters_without_room_are_not_acknowledged_but_what_they_acknowledge_counts() -> None:
    state, _ = sol.write(IDLE, b"ls")
    heard = sol.hear(state, sol.acknowledgements_of(b"\x05\x01\x02\x10:~#"))
    assert (heard.text, heard.replies, heard.state.unacknowledged, heard.over) == (b"", (), b"", True)


@pytest.mark.parametrize(("status", "active"), [(b"\x01\x01\0", True), (b"\x01\0\0", False), (b"", True)])
def test_whether_the_line_is_still_there(status: bytes, active: bool) -> None:
    assert sol.is_active(status) is active


@given(st.binary(max_size=60), st.lists(st.integers(1, 9), min_size=1), st.integers(0, 3))
def test_every_character_arrives_once_however_few_a_bmc_takes(text: bytes, appetites: list[int], breaks: int) -> None:
    """The BMC takes a few of each packet, and refuses now and then."""
    (state, packet), arrived = sol.write(IDLE, text), b""
    for _ in range(breaks):
        state, _ = sol.send_break(state)
    for turn in range(500):
        if not packet:
            state, packet = sol.repeat(state)
        if packet:
            appetite = appetites[turn % len(appetites)]
            data = packet[4:][:appetite]
            arrived += data
            heard = sol.hear(state, bytes((0, packet[0], len(data), 0x40 * (appetite == 1))))
            state, packet = heard.state, b"".join(heard.replies)
    assert arrived == text
    assert (state.pending, state.breaks) == (b"", ())


@given(st.binary(max_size=20))
def test_total(body: bytes) -> None:
    with contextlib.suppress(PacketError):
        sol.hear(IDLE, body)
    with contextlib.suppress(BmcError):
        sol.room_of(body)

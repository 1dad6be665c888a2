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
    assert sol.activated(bytes(4) + b"\x14\x00\xc8\x00\x6f\x02\xff\xff") == Sol(room=16)
    with pytest.raises(BmcError):
        sol.activated(bytes(8))


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


def test_characters_that_were_not_accepted_go_again() -> None:
    state, _ = sol.write(IDLE, b"root")
    heard = sol.hear(state, b"\0\x01\x01\x40")
    assert heard.replies == (b"\x02\0\0\0oot",)


def test_bmc_that_cannot_take_more_is_left_alone_until_the_next_try() -> None:
    state, _ = sol.write(IDLE, b"root")
    heard = sol.hear(state, b"\0\x01\x02\x60")
    assert heard.replies == ()
    assert sol.repeat(heard.state)[1] == b"\x02\0\0\0ot"


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


def test_break_has_a_number_and_no_text() -> None:
    assert sol.send_break(IDLE)[1] == b"\x01\0\0\x10"


@given(st.binary(max_size=20))
def test_total(body: bytes) -> None:
    with contextlib.suppress(PacketError):
        sol.hear(IDLE, body)
    with contextlib.suppress(BmcError):
        sol.activated(body)

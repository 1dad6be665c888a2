"""RMCP+ on paper: frames, handshake, sealing. Fixed values are of the specification or worked out by hand."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc.ipmi import packet, rakp, session
from appliance.bmc.ipmi.packet import Payload, Request
from appliance.bmc.ipmi.rakp import SUITE_3, SUITE_17, Credentials, Half, Keys, NoSuiteError
from appliance.bmc.ipmi.session import Window
from appliance.errors import BmcError, BmcLoginError, BmcSessionsFullError
from pxe.errors import PacketError

CHASSIS_STATUS = Request(netfn=0, command=1, data=b"", sequence=1)
KEYS = Keys(suite=SUITE_17, sik=b"s" * 32, k1=b"k" * 32, aes=b"a" * 16)
WHO = Credentials(user=b"admin", password=b"secret")
CONSOLE, BMC = Half(session=0xA0A2A3A4, nonce=b"R" * 16), Half(session=0x0BADCAFE, nonce=b"r" * 16)


def test_request_bytes() -> None:
    assert packet.encode_request(CHASSIS_STATUS).hex() == "2000e0810401" + "7a"


def test_response_is_read() -> None:
    response = packet.decode_response(bytes.fromhex("81047b20040100210040" + "7a"))
    assert (response.netfn, response.command, response.sequence, response.code) == (1, 1, 1, 0)
    assert response.data == bytes.fromhex("210040")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "81047b",
        "81047b200401002100407b",
        "81057b200401002100407a",
        "20047b200401002100407a",
        "8100" + "7f200401002100407a",
    ],
    ids=["empty", "short", "bad sum", "bad head sum", "not to us", "a request"],
)
def test_what_is_no_response(message: str) -> None:
    with pytest.raises(PacketError):
        packet.decode_response(bytes.fromhex(message))


def test_bare_frame_round() -> None:
    datagram = packet.encode_bare(b"hello")
    assert datagram.hex() == "0600ff07" + "00" * 9 + "05" + b"hello".hex()
    assert packet.decode_bare(datagram + b"\0") == b"hello"
    assert packet.console_session(datagram) == 0


@pytest.mark.parametrize("suite", [SUITE_17, SUITE_3], ids=["17", "3"])
@given(body=st.binary(max_size=200))
def test_sealed_is_opened_by_its_keys_only(suite: rakp.Suite, body: bytes) -> None:
    keys = Keys(suite=suite, sik=b"", k1=b"k" * 20, aes=b"a" * 16)
    datagram = session.seal(keys, Payload.IPMI, 7, 3, body, b"i" * 16)
    frame, opened = session.unseal(keys, datagram, 7)
    assert (frame.payload, frame.sequence, opened) == (Payload.IPMI, 3, body)
    assert (len(datagram) - 4 - suite.code_bytes) % 4 == 0
    assert packet.console_session(datagram) == 7
    with pytest.raises(PacketError):
        session.unseal(Keys(suite=suite, sik=b"", k1=b"K" * 20, aes=b"a" * 16), datagram, 7)
    with pytest.raises(PacketError):
        session.unseal(keys, datagram, 8)


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_changed_byte_is_noticed(place: int, change: int) -> None:
    datagram = bytearray(session.seal(KEYS, Payload.IPMI, 7, 3, b"payload", b"i" * 16))
    place %= len(datagram) - 4
    datagram[4 + place] ^= change
    with pytest.raises(PacketError):
        session.unseal(KEYS, bytes(datagram), 7)


def test_unsealed_frame_inside_a_session_is_refused() -> None:
    """A BMC that stops to authenticate or to encrypt is not the one that we logged in to."""
    plain = packet.encode_frame(Payload.IPMI, 7, 4, b"x" * 32)
    with pytest.raises(PacketError):
        session.unseal(KEYS, plain, 7)


@given(st.binary(max_size=96), st.sampled_from([b"", b"\x06\x00\xff\x07\x06", b"\x06\x00\xff\x07\x06\xc0"]))
def test_decoders_are_total(noise: bytes, head: bytes) -> None:
    for decode in (packet.decode_response, packet.decode_bare, packet.decode_frame, packet.console_session):
        with contextlib.suppress(PacketError):
            decode(head + noise)
    with contextlib.suppress(PacketError):
        session.unseal(KEYS, head + noise, 0)


@given(st.binary(max_size=80))
def test_handshake_decoders_are_total(body: bytes) -> None:
    for read in (
        lambda: rakp.opened(body, SUITE_17, 1),
        lambda: rakp.rakp2(body, SUITE_17, WHO, CONSOLE, 1),
        lambda: rakp.check_rakp4(body, KEYS, CONSOLE, BMC, b""),
    ):
        with contextlib.suppress(BmcError):
            read()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x01, BmcSessionsFullError),
        (0x0B, BmcSessionsFullError),
        (0x04, NoSuiteError),
        (0x11, NoSuiteError),
        (0x0A, BmcLoginError),
        (0x0D, BmcLoginError),
        (0x0F, BmcLoginError),
        (0x12, BmcError),
    ],
)
def test_status_codes_have_names(status: int, kind: type[BmcError]) -> None:
    with pytest.raises(kind) as caught:
        rakp.opened(bytes((0, status)) + bytes(6), SUITE_17, 0)
    assert caught.value.evidence == f"RMCP+ status 0x{status:02x}"
    assert caught.value.next_action


def test_refusal_that_names_no_session() -> None:
    """As OpenIPMI's BMC refuses a cipher suite."""
    datagram = bytes.fromhex("0600ff070611000000000000000002000004")
    assert packet.console_session(datagram) == 0
    with pytest.raises(NoSuiteError):
        rakp.opened(packet.decode_frame(datagram).body, SUITE_17, 7)


def test_weaker_algorithms_than_asked_for_are_refused() -> None:
    request = rakp.open_request(SUITE_17, 5)
    answer = bytes(4) + request[4:8] + b"\x01\0\0\0" + rakp.open_request(SUITE_3, 5)[8:]
    with pytest.raises(NoSuiteError):
        rakp.opened(answer, SUITE_17, 5)
    assert rakp.opened(answer, SUITE_3, 5) == 1


@pytest.mark.parametrize(("user", "password"), [(b"u" * 17, b"p"), (b"u", b"p" * 21)])
def test_credentials_that_ipmi_cannot_carry(user: bytes, password: bytes) -> None:
    with pytest.raises(BmcError, match="IPMI takes"):
        Credentials(user=user, password=password)


def test_credentials_do_not_print() -> None:
    assert "secret" not in repr(WHO)


@pytest.mark.parametrize(
    ("numbers", "accepted"),
    [
        ([1, 2, 3], [True, True, True]),
        ([1, 1], [True, False]),
        ([5, 4, 4, 3], [True, True, False, True]),
        ([20, 5, 4], [True, True, False]),
        ([1000, 1001], [True, True]),
        ([1, 66, 65], [True, False, True]),
        ([1, 0], [True, False]),
    ],
    ids=["in order", "twice", "late", "too late", "starts high", "too far ahead", "zero"],
)
def test_window(numbers: list[int], accepted: list[bool]) -> None:
    window, seen = Window(), []
    for number in numbers:
        following = window.accept(number)
        seen.append(following is not None)
        window = following or window
    assert seen == accepted


@given(st.lists(st.integers(1, 40), max_size=60))
def test_window_takes_nothing_twice(numbers: list[int]) -> None:
    window, taken = Window(), []
    for number in numbers:
        if (following := window.accept(number)) is not None:
            window = following
            taken.append(number)
    assert len(taken) == len(set(taken))

"""IPMI 2.0 (rev 1.1) and the driver's pure functions, before sessions of ipmitool that were recorded on loopback.

Suite 3 was spoken with OpenIPMI's ipmi_sim: both ends are others' work. For suite 17 the BMC was the fake of
`tests/contract`, which ipmi_sim cannot replace, and the keys below are those that ipmitool printed.
"""

import hmac
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.bmc.ipmi import packet, rakp
from appliance.bmc.ipmi.packet import Frame, Payload
from appliance.bmc.ipmi.rakp import SUITE_3, SUITE_17, Credentials, Half, Keys, Suite
from appliance.bmc.ipmi.session import Window, unseal
from appliance.errors import BmcLoginError
from pxe.errors import PacketError

GOLDEN = Path(__file__).parents[1] / "golden" / "ipmi"
WHO = Credentials(user=b"admin", password=b"secret")
SUITES = pytest.mark.parametrize("suite", [SUITE_3, SUITE_17], ids=["suite 3", "suite 17"])
IPMITOOL_17 = {
    "sik": "6432575f7309d08dea3d7af79497dc101ad208f084b47dcd2472ab14b9256348",
    "k1": "28d10a8d298d3d3d3d8bc3dff9f240e2498b232f3608ce4e1f84a59929f75b89",
    "k2": "2bfe5aee27d1354d11d20e99bfa3c918",
}


@dataclass(frozen=True)
class Recorded:
    """`messages` are the frames of the handshake; `sealed` what came after it, with who sent it."""

    messages: dict[Payload, Frame]
    sealed: tuple[tuple[str, bytes], ...]
    console: Half
    bmc: Half
    guid: bytes


def recorded(suite: Suite) -> Recorded:
    lines = (GOLDEN / f"suite{suite.number}.hex").read_text().splitlines()
    datagrams = [(who, bytes.fromhex(text)) for who, text in (line.split() for line in lines)]
    framed = [(who, data) for who, data in datagrams if data[4] == 6]
    frames = [packet.decode_frame(data) for _, data in framed if not data[5] & 0x40]
    messages = {frame.payload: frame for frame in frames if frame.payload is not Payload.IPMI}
    first, second = messages[Payload.RAKP1].body, messages[Payload.RAKP2].body
    console = Half(session=int.from_bytes(second[4:8], "little"), nonce=first[8:24])
    bmc = Half(session=int.from_bytes(first[4:8], "little"), nonce=second[8:24])
    sealed = tuple((who, data) for who, data in framed if data[5] & 0x40)
    return Recorded(messages, sealed, console, bmc, second[24:40])


def keys_of(session: Recorded, suite: Suite) -> Keys:
    return rakp.derive(suite, WHO, session.console, session.bmc)


@SUITES
def test_ipmi_13_17_open_session_request_is_that_of_ipmitool(suite: Suite) -> None:
    session = recorded(suite)
    ours = rakp.open_request(suite, session.console.session)
    assert ours[4:] == session.messages[Payload.OPEN_REQUEST].body[4:]
    response = session.messages[Payload.OPEN_RESPONSE].body
    assert rakp.opened(response, suite, session.console.session) == session.bmc.session


@SUITES
def test_ipmi_13_20_rakp_1_is_that_of_ipmitool(suite: Suite) -> None:
    session = recorded(suite)
    assert rakp.rakp1(WHO, session.bmc.session, session.console.nonce) == session.messages[Payload.RAKP1].body


@SUITES
def test_ipmi_13_21_rakp_2_proves_the_password(suite: Suite) -> None:
    session = recorded(suite)
    body = session.messages[Payload.RAKP2].body
    half, guid = rakp.rakp2(body, suite, WHO, session.console, session.bmc.session)
    assert (half, guid) == (session.bmc, session.guid)
    other = Credentials(user=b"admin", password=b"Secret")
    with pytest.raises(BmcLoginError):
        rakp.rakp2(body, suite, other, session.console, session.bmc.session)


@SUITES
def test_ipmi_13_22_rakp_3_is_that_of_ipmitool(suite: Suite) -> None:
    session = recorded(suite)
    assert rakp.rakp3(suite, WHO, session.console, session.bmc) == session.messages[Payload.RAKP3].body


@SUITES
def test_ipmi_13_23_rakp_4_is_verified(suite: Suite) -> None:
    session = recorded(suite)
    keys, body = keys_of(session, suite), session.messages[Payload.RAKP4].body
    rakp.check_rakp4(body, keys, session.console, session.bmc, session.guid)
    with pytest.raises(BmcLoginError):
        rakp.check_rakp4(body[:-1] + bytes((body[-1] ^ 1,)), keys, session.console, session.bmc, session.guid)


def test_ipmi_13_32_keys_of_suite_17_are_those_that_ipmitool_printed() -> None:
    keys = keys_of(recorded(SUITE_17), SUITE_17)
    assert keys.sik.hex() == IPMITOOL_17["sik"]
    assert keys.k1.hex() == IPMITOOL_17["k1"]
    assert keys.aes.hex() == IPMITOOL_17["k2"]


@SUITES
def test_ipmi_13_28_packets_of_both_sides_are_opened(suite: Suite) -> None:
    session = recorded(suite)
    keys = keys_of(session, suite)
    commands = []
    for who, datagram in session.sealed:
        receiver = session.bmc if who == ">" else session.console
        _, body = unseal(keys, datagram, receiver.session)
        if who == "<":
            commands.append(packet.decode_response(body).command)
    assert commands[0] == 0x3B  # Set Session Privilege Level
    assert 0x01 in commands  # Get Chassis Status
    assert commands[-1] == 0x3C  # Close Session


@SUITES
def test_ipmi_13_28_4_packet_that_was_changed_is_dropped(suite: Suite) -> None:
    session = recorded(suite)
    keys, datagram = keys_of(session, suite), next(data for who, data in session.sealed if who == "<")
    for place in range(4, len(datagram)):
        forged = datagram[:place] + bytes((datagram[place] ^ 1,)) + datagram[place + 1 :]
        with pytest.raises(PacketError):
            unseal(keys, forged, session.console.session)


@SUITES
def test_ipmi_6_12_13_recorded_session_that_is_replayed_is_dropped(suite: Suite) -> None:
    session, window = recorded(suite), Window()
    keys = keys_of(session, suite)
    numbers = [unseal(keys, data, session.console.session)[0].sequence for who, data in session.sealed if who == "<"]
    for number in numbers:
        accepted = window.accept(number)
        assert accepted is not None
        window = accepted
    assert all(window.accept(number) is None for number in numbers)


@SUITES
def test_ipmi_13_28_integrity_covers_all_but_rmcp_and_the_code_itself(suite: Suite) -> None:
    session = recorded(suite)
    keys = keys_of(session, suite)
    for _, datagram in session.sealed:
        covered, code = datagram[4 : -suite.code_bytes], datagram[-suite.code_bytes :]
        assert hmac.digest(keys.k1, covered, suite.digest)[: suite.code_bytes] == code

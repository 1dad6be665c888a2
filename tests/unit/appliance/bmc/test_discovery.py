"""How BMCs give themselves away."""

from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc import discovery
from appliance.bmc.discovery import Dialect, Found, Sign, Suspect, Traits
from appliance.errors import UsageError
from pxe.client import Mac
from pxe.errors import PacketError

SOURCE = IPv4Address("10.0.0.9")
MAC = Mac("52:54:00:00:00:09")
USN = UUID("92384634-2938-2342-8820-489239905423")
# DSP0266 1.20, "Discovery": the sample response, for this address.
ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"CACHE-CONTROL:max-age=1800\r\n"
    b"ST:urn:dmtf-org:service:redfish-rest:1:13\r\n"
    b"USN:uuid:92384634-2938-2342-8820-489239905423::urn:dmtf-org:service:redfish-rest:1:13\r\n"
    b"AL:https://10.0.0.9/redfish/v1/\r\n"
    b"EXT:\r\n\r\n"
)


def test_search_is_that_of_the_specification() -> None:
    assert discovery.search(3) == (
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "
        b'"ssdp:discover"\r\nMX: 3\r\nST: urn:dmtf-org:service:redfish-rest:1\r\n\r\n'
    )


def test_answer_names_the_service() -> None:
    assert discovery.answer(ANSWER, SOURCE) == Suspect(address=SOURCE, sign=Sign.SSDP, traits=Traits(uuid=USN))


def test_answer_may_name_another_port() -> None:
    assert discovery.answer(ANSWER.replace(b"10.0.0.9/", b"10.0.0.9:8443/"), SOURCE).port == 8443


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        ANSWER.replace(b"HTTP/1.1 200 OK", b"NOTIFY * HTTP/1.1"),
        ANSWER.replace(b"redfish-rest:1:13", b"redfish-rest:2"),
        ANSWER.replace(b"redfish-rest:1:13", b"redfish-rest:10"),
        ANSWER.replace(b"ST:urn:dmtf-org", b"ST:urn:schemas-upnp-org"),
        ANSWER.replace(b"//10.0.0.9/", b"//10.0.0.8/"),
        ANSWER.replace(b"//10.0.0.9/", b"//10.0.0.9:0/"),
        ANSWER.replace(b"//10.0.0.9/", b"//10.0.0.9:99999/"),
        ANSWER.replace(b"//10.0.0.9/", b"//[10.0.0.9/"),
        ANSWER.replace(b"AL:https:", b"AL:http:"),
        ANSWER.replace(b"AL:", b"LA:"),
        ANSWER.replace(b"EXT:\r\n", b"").replace(b"200 OK\r\n", b"200 OK\r\n" + b"X: y\r\n" * 40),
    ],
)
def test_answer_that_is_none(datagram: bytes) -> None:
    with pytest.raises(PacketError):
        discovery.answer(datagram, SOURCE)


@pytest.mark.parametrize("usn", [b"uuid:nonsense", b"uuid:" + b"0" * 32, b"uuid:\xb2\xb3", b""])
def test_answer_without_a_usable_uuid_is_one_all_the_same(usn: bytes) -> None:
    suspect = discovery.answer(ANSWER.replace(b"uuid:92384634-2938-2342-8820-489239905423", usn), SOURCE)
    assert suspect.traits.uuid is None


@given(
    st.one_of(
        st.binary(max_size=5000),
        st.tuples(st.integers(0, len(ANSWER) - 1), st.binary(max_size=40), st.integers(0, 40)).map(
            lambda cut: ANSWER[: cut[0]] + cut[1] + ANSWER[cut[0] + cut[2] :]
        ),
    )
)
def test_hostile_datagrams_raise_nothing_but_packet_errors(datagram: bytes) -> None:
    try:
        suspect = discovery.answer(datagram, SOURCE)
    except PacketError:
        return
    assert suspect.address == SOURCE
    assert 0 < suspect.port < 65536


@given(st.binary(max_size=3000))
def test_hostile_replies_raise_nothing(reply: bytes) -> None:
    root = b'HTTP/1.1 200 OK\r\n\r\n{"RedfishVersion": "1.0", "Vendor": "' + reply
    assert discovery.is_redfish(root)
    assert not discovery.is_redfish(reply)
    assert len(discovery.traits_of(root).make) <= 128
    discovery.neighbours(reply.decode("latin-1"))


@pytest.mark.parametrize(
    ("vendor_class", "make"),
    [
        ("iDRAC", "Dell"),
        ("CPQRIB3", "HPE"),
        ("NVIDIA/BF/BMC", "NVIDIA"),
        ("udhcp 1.23.1", None),
        ("PXEClient:Arch:00007:UNDI:003016", None),
        ("", None),
    ],
)
def test_dhcp_vendor_class(vendor_class: str, make: str | None) -> None:
    suspect = discovery.from_dhcp(vendor_class, SOURCE, MAC)
    assert (suspect and suspect.traits) == (make and Traits(make=make, mac=MAC))


def test_sweep_asks_every_host_once() -> None:
    networks = [IPv4Network("10.0.0.0/30"), IPv4Network("10.0.0.2/31"), IPv4Network("10.0.0.9/32")]
    assert [str(suspect.address) for suspect in discovery.sweep(networks)] == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.9",
    ]


def test_sweep_is_bounded() -> None:
    assert len(discovery.sweep([IPv4Network("10.0.0.0/20")])) == 4094
    for networks in (["10.0.0.0/19"], ["0.0.0.0/0"], ["10.0.0.0/20", "10.1.0.0/32"]):
        with pytest.raises(UsageError) as caught:
            discovery.sweep([IPv4Network(network) for network in networks])
        assert caught.value.next_action


def test_list() -> None:
    text = "# rack 7\n10.0.0.9 mac=52-54-00-00-00-09 serial=SN1 make=Hewlett\n\n10.0.0.10   # new\n"
    first, second = discovery.stated(text)
    assert first.traits == Traits(make="Hewlett", serial="SN1", mac=MAC)
    assert second == Suspect(address=IPv4Address("10.0.0.10"), sign=Sign.STATED)


@pytest.mark.parametrize("line", ["host", "10.0.0.9 mac=x", "10.0.0.9 user=root", "10.0.0.9 serial=", "10.0.0.300"])
def test_list_with_a_line_that_makes_no_sense(line: str) -> None:
    with pytest.raises(UsageError, match="line 2"):
        discovery.stated(f"10.0.0.1\n{line}")


def test_list_is_bounded() -> None:
    with pytest.raises(UsageError):
        discovery.stated("10.0.0.1\n" * 4097)


def test_signs_of_one_address_are_merged() -> None:
    suspects = [
        Suspect(address=SOURCE, sign=Sign.STATED, traits=Traits(serial="SN1")),
        Suspect(address=SOURCE, sign=Sign.SSDP, port=8443, traits=Traits(uuid=USN, serial="other")),
        Suspect(address=IPv4Address("10.0.0.10"), sign=Sign.SWEEP),
        Suspect(address=SOURCE, sign=Sign.SWEEP, traits=Traits(mac=MAC)),
    ]
    one, _ = discovery.merged(suspects)
    traits = Traits(serial="SN1", uuid=USN, mac=MAC)
    assert one == Suspect(address=SOURCE, sign=Sign.STATED, port=8443, traits=traits)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"RedfishVersion": "1.6.0"}', True),
        (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\n{"RedfishVersion": "1.6.0"}', True),
        (b"HTTP/1.1 401 Unauthorized\r\nOData-Version: 4.0\r\n\r\n", True),
        (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>RedfishVersion</html>", False),
        (b'HTTP/1.1 404 Not Found\r\n\r\n{"RedfishVersion": "1.6.0"}', False),
        (b'{"RedfishVersion": "1.6.0"}', False),
        (b"", False),
    ],
)
def test_reply_of_a_redfish_service(reply: bytes, expected: bool) -> None:
    assert discovery.is_redfish(reply) is expected


@pytest.mark.parametrize(
    ("vendor", "make"),
    [
        ("Dell", "Dell"),
        ("HPE", "HPE"),
        ("Hewlett Packard Enterprise", "HPE"),
        ("Super Micro Computer, Inc.", "Supermicro"),
        ("American Megatrends Inc", "AMI"),
        ("a\x1b[31mb", "a [31mb"),
    ],
)
def test_root_names_the_maker(vendor: str, make: str) -> None:
    reply = f'HTTP/1.1 200 OK\r\n\r\n{{"UUID": "{USN}", "Vendor" : "{vendor}"}}'.encode()
    assert discovery.traits_of(reply) == Traits(make=make, uuid=USN)


def test_neighbours() -> None:
    table = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "10.0.0.9         0x1         0x2         52:54:00:00:00:09     *        eth\n"
        "10.0.0.10        0x1         0x0         00:00:00:00:00:00     *        eth\n"
        "nonsense\n"
    )
    assert discovery.neighbours(table) == {SOURCE: MAC}


@pytest.mark.parametrize(
    ("dialect", "port", "url"),
    [
        (Dialect.REDFISH, 443, "https://10.0.0.9"),
        (Dialect.REDFISH, 8443, "https://10.0.0.9:8443"),
        (Dialect.IPMI, 623, "ipmi://10.0.0.9"),
        (Dialect.IPMI, 6230, "ipmi://10.0.0.9:6230"),
    ],
)
def test_url(dialect: Dialect, port: int, url: str) -> None:
    assert Found(address=SOURCE, dialect=dialect, port=port).url == url

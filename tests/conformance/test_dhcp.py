"""What the RFCs ask of a DHCP server, point by point: bytes in, bytes out, through the server's own decisions."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from pxe.boot import Chain, Endpoints, answer
from pxe.client import Arch, Mac
from pxe.dhcp.address import Address, packed
from pxe.dhcp.exchange import Accept, Ignore, Outcome, Reply, Request
from pxe.dhcp.leases import Lease
from pxe.dhcp.packet import DhcpPacket, pack, parse
from pxe.dhcp.policy import Policy
from pxe.dhcp.responder import respond
from pxe.dhcp.subnet import INFINITE_LEASE, ClientClass, DhcpConfig, Reservation, StaticRoute, Subnet
from pxe.errors import PacketError

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
MAC = bytes.fromhex("525400000001")
NODE8 = bytes.fromhex("525400000008")
US = b"\x0a\0\0\1"
THEM = b"\x0a\0\0\2"
FIRST = b"\x0a\0\0\x0a"
RELAY = b"\x0a\0\0\5"
NOWHERE = bytes(4)
SUBNET = Subnet(
    network=IPv4Network("10.0.0.0/24"),
    server=IPv4Address("10.0.0.1"),
    pool_first=IPv4Address("10.0.0.10"),
    pool_last=IPv4Address("10.0.0.99"),
    router=IPv4Address("10.0.0.254"),
    dns_servers=(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
    ntp_servers=(IPv4Address("10.0.0.3"),),
    domain="rack.example",
    search=("rack.example", "lab.example"),
    mtu=9000,
    routes=(StaticRoute(IPv4Network("10.17.0.0/16"), IPv4Address("10.0.0.253")),),
    lease_seconds=3600,
    reservations={Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.0.0.108"), hostname="node8")},
    options={224: b"site"},
)
FAR = Subnet(
    network=IPv4Network("172.16.0.0/24"),
    server=IPv4Address("10.0.0.1"),
    pool_first=IPv4Address("172.16.0.10"),
    pool_last=IPv4Address("172.16.0.99"),
)
FAR_RELAY = b"\xac\x10\0\1"
PXE = {60: b"PXEClient:Arch:00007:UNDI:003000", 93: b"\0\7", 97: b"\0" + bytes(range(16))}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10", 97: b"\0" + bytes(range(16))}
IPXE = PXE | {175: b"\x13\1\1", 77: b"iPXE"}
PORT = b"\1\4eth1\2\3abc"


class Server:
    def __init__(self, config: DhcpConfig | Subnet = SUBNET) -> None:
        config = config if isinstance(config, DhcpConfig) else DhcpConfig(local=(config,))
        endpoints = Endpoints(address=config.local[0].server)
        self.policy = Policy(config, lambda client, chain: answer(client, endpoints, chain))
        self.tables, _ = self.policy.tables(())

    def outcome(self, data: bytes, source: bytes = NOWHERE, now: float = 1000) -> Outcome:
        for table in self.tables:
            table.expire(now)
        outcome = respond(Request(parse(data), Address(source), now), self.policy, self.tables)
        if not isinstance(outcome, Ignore) and outcome.change is not None:
            self.tables[outcome.link].apply(outcome.change)
        return outcome

    def reply(self, data: bytes, source: bytes = NOWHERE, now: float = 1000) -> Reply:
        outcome = self.outcome(data, source, now)
        assert isinstance(outcome, Reply), outcome
        return outcome

    def ask(self, data: bytes, source: bytes = NOWHERE, now: float = 1000) -> DhcpPacket:
        return parse(self.reply(data, source, now).data)

    def silent(self, data: bytes, source: bytes = NOWHERE, now: float = 1000) -> bool:
        outcome = self.outcome(data, source, now)
        assert isinstance(outcome, Reply) or outcome.reason or isinstance(outcome, Accept)
        return not isinstance(outcome, Reply)

    def bind(self, chaddr: bytes = MAC, address: bytes = FIRST, now: float = 1000) -> None:
        assert kind_of(self.ask(say(REQUEST, {54: US, 50: address}, chaddr=chaddr), now=now)) == ACK


def say(
    kind: int,
    options: Mapping[int, bytes] = {},
    *,
    chaddr: bytes = MAC,
    flags: int = 0,
    ci: bytes = NOWHERE,
    gi: bytes = NOWHERE,
    op: int = 1,
) -> bytes:
    packet = DhcpPacket(
        op=op,
        xid=0x1234,
        chaddr=chaddr,
        hops=3,
        secs=9,
        flags=flags,
        ciaddr=Address(ci),
        giaddr=Address(gi),
        options={53: bytes((kind,))} | dict(options),
    )
    return pack(packet)


def selecting(options: Mapping[int, bytes] = {}, address: bytes = FIRST, *, gi: bytes = NOWHERE) -> bytes:
    return say(REQUEST, {54: US, 50: address} | dict(options), gi=gi)


def kind_of(packet: DhcpPacket) -> int:
    return int.from_bytes(packet.options[53])


def to(reply: Reply) -> tuple[str, str, int]:
    route, address, port = reply.destination
    return route.value, str(IPv4Address(address)), port


def raw(*options: bytes, sname: bytes = b"", file: bytes = b"", chaddr: bytes = MAC) -> bytes:
    """A request built without our codec."""
    head = struct.pack("!BBBBIHH16s16s64s128s", 1, 1, 6, 0, 7, 0, 0, b"", chaddr, sname, file)
    return head + b"\x63\x82\x53\x63" + b"".join(options)


GRANTED = [say(DISCOVER), selecting()]
REFUSED = say(REQUEST, {50: b"\xc0\0\2\1"})
ALL_REPLIES = [*GRANTED, REFUSED]


# RFC 2131 section 2 and 3: the message


def test_rfc2131_3_magic_cookie_is_required_and_sent() -> None:
    assert Server().reply(raw(b"\x35\1\1\xff")).data[236:240] == bytes((99, 130, 83, 99))
    with pytest.raises(PacketError):
        parse(raw(b"\x35\1\1\xff").replace(b"\x63\x82\x53\x63", b"\x63\x82\x53\x64"))


def test_rfc2131_2_reply_has_at_least_300_bytes() -> None:
    server = Server(replace(SUBNET, search=(), routes=(), ntp_servers=(), options={}))
    assert len(server.reply(say(DISCOVER, {55: b"\1"})).data) == 300


def test_rfc2131_2_option_field_ends_with_the_end_option() -> None:
    assert Server().reply(say(DISCOVER)).data.rstrip(b"\0").endswith(b"\xff")


@pytest.mark.parametrize("options", [b"\x35\1\1", b"\0\0\x35\1\1\0\0\xff", b"\x35\1\1\xff\x35\1\3"])
def test_rfc2131_4_1_pad_end_and_missing_end(options: bytes) -> None:
    assert kind_of(Server().ask(raw(options))) == OFFER


def test_rfc2131_3_xid_flags_giaddr_chaddr_are_copied_hops_and_secs_zero() -> None:
    for data in ALL_REPLIES:
        packet = Server().ask(data[:10] + b"\x80\0" + data[12:24] + RELAY + data[28:])
        assert (packet.op, packet.htype, packet.xid, packet.flags) == (2, 1, 0x1234, 0x8000)
        assert (packet.giaddr, packet.chaddr, packet.hops, packet.secs) == (RELAY, MAC, 0, 0)


def test_rfc2131_table3_ciaddr_is_zero_in_offer_and_copied_in_ack() -> None:
    server = Server()
    assert server.ask(say(DISCOVER, ci=FIRST)).ciaddr == NOWHERE
    server.bind()
    assert server.ask(say(REQUEST, ci=FIRST)).ciaddr == FIRST


# RFC 2131 section 4.1: where replies go


def test_rfc2131_4_1_reply_to_a_relay_goes_to_port_67() -> None:
    assert to(Server().reply(say(DISCOVER, gi=RELAY, flags=0x8000))) == ("unicast", "10.0.0.5", 67)


def test_rfc2131_4_1_reply_to_ciaddr_is_unicast_even_with_the_broadcast_flag() -> None:
    server = Server()
    server.bind()
    assert to(server.reply(say(REQUEST, ci=FIRST, flags=0x8000))) == ("unicast", "10.0.0.10", 68)


def test_rfc2131_4_1_broadcast_flag_is_honoured() -> None:
    assert to(Server().reply(say(DISCOVER, flags=0x8000))) == ("broadcast", "255.255.255.255", 68)


def test_rfc2131_4_1_else_unicast_to_yiaddr_and_hardware_address() -> None:
    assert to(Server().reply(say(DISCOVER))) == ("hardware", "10.0.0.10", 68)


def test_rfc2131_4_1_nak_without_relay_is_broadcast() -> None:
    server = Server()
    assert to(server.reply(REFUSED)) == ("broadcast", "255.255.255.255", 68)
    server.bind()
    assert to(server.reply(say(REQUEST, ci=b"\x0a\0\0\x0b"))) == ("broadcast", "255.255.255.255", 68)


def test_rfc2131_4_3_2_nak_to_a_relay_sets_the_broadcast_flag() -> None:
    reply = Server().reply(say(REQUEST, {50: b"\xc0\0\2\1"}, gi=RELAY))
    assert to(reply) == ("unicast", "10.0.0.5", 67)
    assert parse(reply.data).flags == 0x8000


def test_rfc2131_4_1_server_identifier_is_in_every_reply() -> None:
    assert [Server().ask(data).options[54] for data in ALL_REPLIES] == [US] * 3


def test_rfc2131_4_1_replies_and_our_own_broadcasts_are_not_requests() -> None:
    assert Server().silent(say(DISCOVER, op=2))
    assert Server().silent(say(DISCOVER), source=US)


@pytest.mark.parametrize("kind", [OFFER, ACK, NAK, 9, 0])
def test_rfc2131_4_3_other_message_types_are_ignored(kind: int) -> None:
    assert Server().silent(say(kind))


def test_rfc1542_bootp_without_message_type_is_not_answered() -> None:
    assert Server().silent(raw(b"\xff"))


@pytest.mark.parametrize(("htype", "hlen"), [(1, 16), (1, 0), (32, 6), (6, 6)])
def test_rfc2131_only_ethernet_clients_are_served(htype: int, hlen: int) -> None:
    data = bytearray(raw(b"\x35\1\1\xff"))
    data[1:3] = bytes((htype, hlen))
    assert Server().silent(bytes(data))


# RFC 2131 section 4.3.1: DISCOVER


def test_rfc2131_4_3_1_current_binding_comes_first() -> None:
    server = Server()
    server.bind(address=b"\x0a\0\0\x20")
    assert server.ask(say(DISCOVER, {50: FIRST})).yiaddr == b"\x0a\0\0\x20"


def test_rfc2131_4_3_1_previous_binding_that_ran_out_comes_next() -> None:
    server = Server()
    server.bind(address=b"\x0a\0\0\x20")
    assert server.ask(say(DISCOVER), now=100_000).yiaddr == b"\x0a\0\0\x20"


def test_rfc2131_4_3_1_requested_address_is_given_if_valid_and_free() -> None:
    assert Server().ask(say(DISCOVER, {50: b"\x0a\0\0\x20"})).yiaddr == b"\x0a\0\0\x20"
    assert Server().ask(say(DISCOVER, {50: b"\x0a\0\0\xc8"})).yiaddr == FIRST


def test_rfc2131_4_3_1_offered_address_is_offered_to_nobody_else() -> None:
    server = Server()
    assert server.ask(say(DISCOVER)).yiaddr == server.ask(say(DISCOVER)).yiaddr == FIRST
    assert server.ask(say(DISCOVER, {50: FIRST}, chaddr=NODE8[:5] + b"\x33")).yiaddr != FIRST


def test_rfc2131_4_3_1_reservation_is_for_its_machine_alone() -> None:
    server = Server()
    assert server.ask(say(DISCOVER, chaddr=NODE8)).yiaddr == b"\x0a\0\0\x6c"
    assert server.ask(say(DISCOVER, {50: b"\x0a\0\0\x6c"})).yiaddr == FIRST


# RFC 2131 section 4.3.2: REQUEST


def test_rfc2131_4_3_2_selecting_is_acknowledged() -> None:
    server = Server()
    assert server.ask(say(DISCOVER)).yiaddr == FIRST
    packet = server.ask(selecting())
    assert (kind_of(packet), packet.yiaddr) == (ACK, FIRST)


def test_rfc2131_3_1_request_for_another_server_frees_our_offer_silently() -> None:
    server = Server()
    server.ask(say(DISCOVER))
    assert server.silent(say(REQUEST, {54: THEM, 50: FIRST}))
    assert server.ask(say(DISCOVER, {50: FIRST}, chaddr=NODE8[:5] + b"\x33")).yiaddr == FIRST


def test_rfc2131_4_3_2_selecting_an_address_of_somebody_else_is_refused() -> None:
    server = Server()
    server.bind()
    assert kind_of(server.ask(say(REQUEST, {54: US, 50: FIRST}, chaddr=NODE8))) == NAK


def test_rfc2131_4_3_2_init_reboot_on_the_wrong_network_is_refused() -> None:
    assert kind_of(Server().ask(REFUSED)) == NAK


def test_rfc2131_4_3_2_init_reboot_through_a_relay_on_the_wrong_network_is_refused() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    assert kind_of(server.ask(say(REQUEST, {50: FIRST}, gi=FAR_RELAY))) == NAK


def test_rfc2131_4_3_2_init_reboot_of_an_unknown_machine_is_met_with_silence() -> None:
    assert Server().silent(say(REQUEST, {50: FIRST}))


def test_rfc2131_4_3_2_init_reboot_of_a_known_machine() -> None:
    server = Server()
    server.bind()
    assert kind_of(server.ask(say(REQUEST, {50: FIRST}))) == ACK
    assert kind_of(server.ask(say(REQUEST, {50: b"\x0a\0\0\x0b"}))) == NAK


def test_rfc2131_4_3_2_renewing_extends_the_lease() -> None:
    server = Server()
    server.bind(now=1000)
    reply = server.reply(say(REQUEST, ci=FIRST), now=2000)
    assert isinstance(reply.change, Lease)
    assert reply.change.expires == 5600


def test_rfc2131_4_3_2_renewing_of_an_unknown_machine_is_met_with_silence() -> None:
    assert Server().silent(say(REQUEST, ci=FIRST))


def test_rfc2131_4_3_2_unicast_renewal_that_was_routed_is_found_by_ciaddr() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    address = b"\xac\x10\0\x0a"
    server.ask(selecting(address=address, gi=FAR_RELAY))
    reply = server.reply(say(REQUEST, ci=address), source=address)
    assert (kind_of(parse(reply.data)), to(reply)) == (ACK, ("unicast", "172.16.0.10", 68))


@pytest.mark.parametrize("kind", [DISCOVER, REQUEST, DECLINE, RELEASE, INFORM])
def test_cve_2025_40779_packet_for_no_subnet_of_ours_is_silence(kind: int) -> None:
    foreign = b"\xc0\0\2\1"
    assert Server().silent(say(kind, {50: foreign}, gi=b"\xc0\0\2\xfe"))
    if kind != DISCOVER:
        assert Server().silent(say(kind, ci=foreign), source=foreign)


# RFC 2131 sections 4.3.3 to 4.3.5: DECLINE, RELEASE, INFORM


def test_rfc2131_4_3_3_declined_address_is_not_given_out_again() -> None:
    server = Server()
    server.bind()
    assert server.silent(say(DECLINE, {50: FIRST, 54: US}))
    assert server.ask(say(DISCOVER, {50: FIRST})).yiaddr != FIRST
    assert server.ask(say(DISCOVER, {50: FIRST}, chaddr=b"\2\0\0\0\0\2"), now=4599).yiaddr != FIRST
    assert server.ask(say(DISCOVER, {50: FIRST}, chaddr=b"\2\0\0\0\0\3"), now=4600).yiaddr == FIRST


@pytest.mark.parametrize(("chaddr", "server_id"), [(NODE8, US), (MAC, THEM)])
def test_rfc2131_4_3_3_decline_of_what_one_does_not_hold_is_ignored(chaddr: bytes, server_id: bytes) -> None:
    server = Server()
    server.bind()
    assert isinstance(server.outcome(say(DECLINE, {50: FIRST, 54: server_id}, chaddr=chaddr)), Ignore)
    assert kind_of(server.ask(say(REQUEST, ci=FIRST))) == ACK


def test_rfc2131_4_3_4_released_address_is_free_and_remembered() -> None:
    server = Server()
    server.bind()
    assert server.silent(say(RELEASE, {54: US}, ci=FIRST), source=FIRST)
    assert server.ask(say(DISCOVER)).yiaddr == FIRST
    assert server.ask(say(DISCOVER, {50: FIRST}, chaddr=NODE8[:5] + b"\x33"), now=1031).yiaddr == FIRST


@pytest.mark.parametrize(("chaddr", "server_id"), [(NODE8, US), (MAC, THEM)])
def test_rfc2131_4_3_4_release_of_what_one_does_not_hold_is_ignored(chaddr: bytes, server_id: bytes) -> None:
    server = Server()
    server.bind()
    assert isinstance(server.outcome(say(RELEASE, {54: server_id}, chaddr=chaddr, ci=FIRST)), Ignore)


def test_rfc2131_4_3_5_inform_has_no_address_and_no_lease_time() -> None:
    reply = Server().reply(say(INFORM, ci=b"\x0a\0\0\7"))
    packet = parse(reply.data)
    assert (kind_of(packet), packet.yiaddr, reply.change) == (ACK, NOWHERE, None)
    assert not {51, 58, 59} & packet.options.keys()
    assert packet.options[3] == b"\x0a\0\0\xfe"
    assert to(reply) == ("unicast", "10.0.0.7", 68)


def test_rfc2131_4_3_5_inform_without_ciaddr_is_answered_to_its_source() -> None:
    assert to(Server().reply(say(INFORM), source=b"\x0a\0\0\7")) == ("unicast", "10.0.0.7", 68)


# RFC 2131 sections 4.3.1 and 4.4.5: times


def test_rfc2131_4_4_5_t1_is_half_and_t2_seven_eighths() -> None:
    options = Server().ask(say(DISCOVER)).options
    assert [int.from_bytes(options[code]) for code in (51, 58, 59)] == [3600, 1800, 3150]


def test_rfc2131_3_3_infinite_lease_has_no_t1_and_t2() -> None:
    options = Server(replace(SUBNET, lease_seconds=INFINITE_LEASE)).ask(say(DISCOVER)).options
    assert options[51] == b"\xff\xff\xff\xff"
    assert not {58, 59} & options.keys()


def test_rfc2131_table3_nak_has_no_addresses_and_no_times() -> None:
    packet = Server().ask(REFUSED)
    assert (packet.ciaddr, packet.yiaddr, packet.siaddr) == (NOWHERE,) * 3
    assert packet.options.keys() == {53, 54, 56}


# RFC 2132: options


def test_rfc2132_3_3_mask_goes_before_router() -> None:
    codes = list(Server().ask(say(DISCOVER, {55: b"\3\1"})).options)
    assert codes.index(1) < codes.index(3)


def test_rfc2132_9_8_requested_options_come_in_the_order_of_the_request() -> None:
    codes = list(Server().ask(say(DISCOVER, {55: bytes((28, 15, 6, 3, 1, 99))})).options)
    assert codes == [53, 54, 51, 58, 59, 1, 3, 28, 15, 6]


def test_rfc2132_9_8_host_name_keeps_its_place_in_the_order() -> None:
    codes = list(Server().ask(say(DISCOVER, {55: bytes((15, 12, 6))}, chaddr=NODE8)).options)
    assert codes[-3:] == [15, 12, 6]


def test_rfc2132_9_8_mask_and_router_come_unasked_and_nothing_else_does() -> None:
    options = Server().ask(say(DISCOVER, {55: b"\x06"})).options
    assert options.keys() == {53, 54, 51, 58, 59, 1, 3, 6}


def test_rfc2132_9_8_without_a_request_list_everything_is_sent() -> None:
    options = Server().ask(say(DISCOVER)).options
    assert {1, 3, 6, 15, 26, 28, 42, 119, 121, 224} <= options.keys()


def test_rfc2132_3_14_reserved_host_name_is_sent() -> None:
    assert Server().ask(say(DISCOVER, {55: b"\x0c"}, chaddr=NODE8)).options[12] == b"node8"
    assert 12 not in Server().ask(say(DISCOVER, {55: b"\x0c"})).options


def test_rfc2132_5_1_and_8_3_mtu_and_ntp_servers() -> None:
    options = Server().ask(say(DISCOVER, {55: bytes((26, 42))})).options
    assert (options[26], options[42]) == (b"\x23\x28", b"\x0a\0\0\3")


@pytest.mark.parametrize("size", [0, 575, 576, 590, 700, 1024, 1260])
def test_rfc2132_9_10_reply_is_never_longer_than_the_client_takes(size: int) -> None:
    long = IPXE | {57: size.to_bytes(2), 61: bytes(60)}
    assert len(Server().reply(say(DISCOVER, long)).data) + 28 <= max(size, 576)


def test_rfc2132_9_10_what_is_left_out_first_can_be_done_without() -> None:
    packet = Server().ask(say(DISCOVER, IPXE | {61: bytes(120)}))
    assert {53, 54, 51, 1, 3, 60, 43, 61} <= packet.options.keys()
    assert 224 not in packet.options
    assert b"boot.ipxe" in packet.file


def test_rfc2132_9_10_reply_that_cannot_be_useful_is_not_sent() -> None:
    outcome = Server().outcome(say(DISCOVER, IPXE | {61: bytes(250), 82: bytes(250)}, gi=RELAY))
    assert isinstance(outcome, Ignore)
    assert "does not fit" in outcome.reason


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({12: b"web_01.example\0"}, "web-01"),
        ({12: b"x" * 200}, "x" * 63),
        ({12: b"\xff\n -"}, ""),
        ({81: b"\0\0\0srv.example", 12: b"x"}, "srv"),
        ({81: b"\0\0", 12: b"x"}, "x"),
    ],
)
def test_rfc2132_3_14_and_rfc4702_client_name_is_made_a_label(options: dict[int, bytes], name: str) -> None:
    change = Server().reply(selecting(options)).change
    assert isinstance(change, Lease)
    assert change.hostname == name


@pytest.mark.parametrize("code", [50, 54])
def test_rfc2132_address_option_of_the_wrong_length_is_ignored(code: int) -> None:
    assert Server().silent(selecting({code: b"\x0a\0\0"}))


def test_iana_108_and_114_are_not_sent_unless_configured() -> None:
    asked = say(DISCOVER, {55: b"\x6c\x72"})
    assert not {108, 114} & Server().ask(asked).options.keys()
    configured = Server(replace(SUBNET, options={108: b"\0\0\1\0", 114: b"https://x"}))
    assert configured.ask(asked).options[114] == b"https://x"


# RFC 3396: long options, overload


def test_rfc3396_repeated_codes_are_one_option() -> None:
    data = raw(b"\x35\1\1", b"\x3c\x04PXEC", b"\x37\1\1", b"\x3c\x05lient", b"\x5d\2\0\7\xff")
    assert Server().ask(data).file == b"snponly.efi"


def test_rfc3396_long_option_is_split() -> None:
    data = Server(replace(SUBNET, options={224: bytes(300)})).reply(say(DISCOVER, {55: b"\xe0", 57: b"\5\xdc"})).data
    assert b"\xe0\xff" + bytes(255) + b"\xe0\x2d" + bytes(45) in data


def test_rfc2132_9_3_overload_is_read_options_then_file_then_sname() -> None:
    data = raw(b"\x34\1\3\x3c\3PXE\xff", file=b"\x3c\3Cli\xff", sname=b"\x3c\3ent\x35\1\1\x5d\2\0\0\xff")
    assert Server().ask(data).file == b"undionly.kpxe"


def test_rfc2132_9_3_overload_is_written_when_the_options_field_is_full() -> None:
    data = Server(replace(SUBNET, options={224: bytes(150)})).reply(say(DISCOVER, {61: bytes(100)})).data
    assert len(data) <= 548
    assert b"\x34\1" in data[240:]
    assert parse(data).options[61] == bytes(100)


# RFC 3046, 3527, 5107, 3011: relays


def test_rfc3046_2_2_relay_information_comes_back_verbatim_and_last() -> None:
    for data in (
        say(DISCOVER, PXE | {61: b"\xffid", 82: PORT}, gi=RELAY),
        say(REQUEST, {50: THEM[:3] + b"\xc8", 82: PORT}, gi=RELAY),
    ):
        server = Server()
        server.bind()
        options = server.ask(data).options
        assert (list(options)[-1], options[82]) == (82, PORT)


def test_rfc3046_2_2_no_relay_information_out_of_nothing() -> None:
    assert all(82 not in Server().ask(data).options for data in ALL_REPLIES)


@pytest.mark.parametrize("information", [b"", b"\x0b", b"\x0b\x09\x0a", b"\5\3\x0a\0\0", b"\1\0\1\0"])
def test_rfc3046_malformed_relay_information_is_echoed_and_not_believed(information: bytes) -> None:
    options = Server().ask(say(DISCOVER, {82: information}, gi=RELAY)).options
    assert (options[82], options[54]) == (information, US)


def test_rfc2131_4_3_1_subnet_is_the_one_of_giaddr() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    assert server.ask(say(DISCOVER, gi=FAR_RELAY)).yiaddr == b"\xac\x10\0\x0a"
    assert server.ask(say(DISCOVER)).yiaddr == FIRST


def test_rfc3527_3_link_selection_beats_giaddr() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    reply = server.reply(say(DISCOVER, {82: b"\5\4\xac\x10\0\0"}, gi=RELAY))
    assert parse(reply.data).yiaddr == b"\xac\x10\0\x0a"
    assert to(reply) == ("unicast", "10.0.0.5", 67)
    assert server.silent(say(DISCOVER, {82: b"\5\4\xc0\0\2\0"}, gi=RELAY))


def test_rfc5107_4_server_identifier_override() -> None:
    override = {82: b"\x0b\4" + RELAY}
    server = Server()
    assert server.ask(say(DISCOVER, override, gi=RELAY)).options[54] == RELAY
    assert kind_of(server.ask(say(REQUEST, override | {54: RELAY, 50: FIRST}, gi=RELAY))) == ACK
    assert server.silent(say(REQUEST, override | {54: US, 50: FIRST}, gi=RELAY))


def test_rfc3011_client_cannot_choose_its_subnet() -> None:
    server = Server(DhcpConfig(local=(SUBNET,), relayed=((FAR,),)))
    assert server.ask(say(DISCOVER, {118: b"\xac\x10\0\0"})).yiaddr == FIRST


# RFC 3397, 3442: encodings


def test_rfc3397_2_search_list_is_compressed() -> None:
    assert Server().ask(say(DISCOVER, {55: b"\x77"})).options[119] == b"\4rack\7example\0\3lab\xc0\5"


def test_rfc3442_routes_are_sent_with_the_default_route_beside_option_3() -> None:
    options = Server().ask(say(DISCOVER, {55: bytes((121, 3))})).options
    assert options[121] == b"\x10\x0a\x11\x0a\0\0\xfd" + b"\0\x0a\0\0\xfe"
    assert options[3] == b"\x0a\0\0\xfe"


@pytest.mark.parametrize(
    ("width", "destination"),
    [("0.0.0.0/0", b"\0"), ("10.0.0.0/8", b"\x08\x0a"), ("10.229.0.128/25", b"\x19\x0a\xe5\0\x80")],
)
def test_rfc3442_destination_has_its_significant_bytes_only(width: str, destination: bytes) -> None:
    route = StaticRoute(IPv4Network(width), IPv4Address("10.0.0.253"))
    options = Server(replace(SUBNET, router=None, routes=(route,))).ask(say(DISCOVER, {55: b"\x79"})).options
    assert options[121] == destination + b"\x0a\0\0\xfd"


# RFC 6842, and one machine with many client identifiers

DUIDS = [
    ("firmware, type 0 and UUID (RFC 4578)", b"\0" + bytes(range(16))),
    ("iPXE, hardware type and address", b"\1" + MAC),
    ("dhclient, IAID and DUID-LLT (RFC 4361)", b"\xff\0\0\0\1\0\1\0\1\x2c\x5d\x7e\x11" + MAC),
    ("NetworkManager, IAID and DUID-LL", b"\xff\x52\x54\0\1\0\3\0\1" + MAC),
    (
        "systemd-networkd, IAID and DUID-EN of the machine id",
        b"\xff\x9a\x1b\x2c\x3d\0\2\0\0\xab\x11\x01\2\3\4\5\6\7\x08",
    ),
    ("dhcpcd, IAID and DUID-UUID (RFC 6355)", b"\xff\0\0\0\2\0\4" + bytes(range(16))),
    ("FQDN as text", b"\0node1.rack.example"),
    ("none", b""),
]


@pytest.mark.parametrize("identifier", [row[1] for row in DUIDS], ids=[row[0] for row in DUIDS])
def test_rfc4361_machine_keeps_its_address_whatever_identifier_it_sends(identifier: bytes) -> None:
    server = Server()
    server.bind(address=b"\x0a\0\0\x20")
    options = {61: identifier} if identifier else {}
    assert server.ask(say(DISCOVER, options)).yiaddr == b"\x0a\0\0\x20"
    packet = server.ask(selecting(options, b"\x0a\0\0\x20"))
    assert (kind_of(packet), packet.yiaddr, packet.options.get(61, b"")) == (ACK, b"\x0a\0\0\x20", identifier)


def test_rfc4361_machines_with_a_copied_identifier_stay_apart() -> None:
    server = Server()
    asked = [say(DISCOVER, {61: DUIDS[4][1]}, chaddr=chaddr) for chaddr in (MAC, MAC[:5] + b"\2")]
    assert len({server.ask(data).yiaddr for data in asked}) == 2


def test_rfc6842_3_client_identifier_is_echoed_in_every_reply() -> None:
    for data in (
        say(DISCOVER, {61: b"\xffid"}),
        selecting({61: b"\xffid"}),
        say(REQUEST, {50: b"\xc0\0\2\1", 61: b"\xffid"}),
    ):
        assert Server().ask(data).options[61] == b"\xffid"
    assert all(61 not in Server().ask(data).options for data in ALL_REPLIES)


# RFC 4578, UEFI, iPXE: network boot

NBP_ARM64 = b"ipxe-arm64.efi"
ARCHS = [
    (0, b"undionly.kpxe"),
    (7, b"snponly.efi"),
    (9, b"snponly.efi"),
    (11, NBP_ARM64),
    (6, b""),
    (999, b"undionly.kpxe"),
]


@pytest.mark.parametrize(("arch", "file"), ARCHS)
def test_rfc4578_2_1_boot_file_goes_by_architecture(arch: int, file: bytes) -> None:
    assert Server().ask(say(DISCOVER, {60: b"PXEClient", 93: arch.to_bytes(2)})).file == file


def test_rfc4578_2_1_first_known_of_several_architectures_counts() -> None:
    assert Server().ask(say(DISCOVER, {60: b"PXEClient", 93: b"\0\x63\0\x0b\0\7"})).file == NBP_ARM64


def test_rfc4578_2_1_machine_whose_firmware_needs_another_chain_gets_its_program() -> None:
    server = Server()
    chains = {NODE8: Chain.SIGNED}
    endpoints = Endpoints(address=IPv4Address("10.0.0.1"))
    server.policy = Policy(
        server.policy.config,
        lambda client, chain: answer(client, endpoints, chain),
        lambda mac: chains.get(mac, Chain.IPXE),
    )
    assert server.ask(say(DISCOVER, PXE)).file == b"snponly.efi"
    assert server.ask(say(DISCOVER, PXE, chaddr=NODE8)).file == b"shimx64.efi"


def test_rfc4578_2_3_uuid_is_echoed_to_a_pxe_client() -> None:
    assert Server().ask(say(DISCOVER, PXE)).options[97] == PXE[97]


def test_pxe_2_1_vendor_class_and_no_boot_server_discovery() -> None:
    options = Server().ask(say(DISCOVER, PXE | {55: b"\1"})).options
    assert (options[60], options[43]) == (b"PXEClient", b"\6\1\x08\xff")


@pytest.mark.parametrize("data", [say(DISCOVER, PXE), selecting(PXE)], ids=["OFFER", "ACK"])
def test_pxe_boot_file_is_in_the_header_and_in_options(data: bytes) -> None:
    packet = Server().ask(data)
    assert packet.file == packet.options[67] == b"snponly.efi"
    assert (packet.siaddr, packet.options[66]) == (US, b"10.0.0.1")


def test_pxe_system_gets_no_boot_options() -> None:
    packet = Server().ask(say(DISCOVER, {60: b"udhcp 1.35.0", 55: bytes((43, 60, 66, 67, 97))}))
    assert not {43, 60, 66, 67, 97, 175} & packet.options.keys()
    assert (packet.file, packet.siaddr) == (b"", NOWHERE)


@pytest.mark.parametrize(
    "mark", [{175: b"\x13\1\1"}, {77: b"iPXE"}, {77: b"\4iPXE"}], ids=["175", "raw 77", "RFC 3004"]
)
def test_ipxe_gets_the_script_and_not_itself(mark: dict[int, bytes]) -> None:
    packet = Server().ask(say(DISCOVER, PXE | mark))
    assert packet.options[67].startswith(b"http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01&uuid=")
    assert packet.options[175] == b"\xb0\1\1"


def test_ipxe_of_each_machine_gets_its_own_script() -> None:
    server = Server()
    for chaddr, text in ((MAC, b"52-54-00-00-00-01"), (NODE8, b"52-54-00-00-00-08")):
        assert text in server.ask(say(DISCOVER, IPXE, chaddr=chaddr)).options[67]


def test_uefi_24_7_http_boot_gets_a_url_and_nothing_of_pxe() -> None:
    packet = Server().ask(say(DISCOVER, HTTP))
    assert packet.options[60] == b"HTTPClient"
    assert packet.options[67] == packet.file == b"http://10.0.0.1/nbp/snponly.efi"
    assert not {43, 66, 97} & packet.options.keys()


# Classes of clients

CLASSES = (
    ClientClass(name="switches", mac_prefix=b"\x02\x51", ignore=True),
    ClientClass(name="arm", archs=frozenset({Arch.EFI_ARM64}), boot_file="arm.efi", lease_seconds=120),
    ClientClass(name="installer", user_class=b"install", next_server=IPv4Address("10.0.0.9"), options={224: b"class"}),
    ClientClass(name="printers", vendor_class=b"HP", known_only=True),
    ClientClass(name="arm again", archs=frozenset({Arch.EFI_ARM64}), boot_file="never.efi"),
)
CLASSED = DhcpConfig(local=(SUBNET,), classes=CLASSES)


def test_class_that_matches_first_counts() -> None:
    packet = Server(CLASSED).ask(say(DISCOVER, PXE | {93: b"\0\x0b"}))
    assert (packet.file, packet.options[51]) == (b"arm.efi", (120).to_bytes(4))
    assert Server(CLASSED).ask(say(DISCOVER, PXE)).file == b"snponly.efi"


def test_class_may_name_another_server_and_options() -> None:
    packet = Server(CLASSED).ask(say(DISCOVER, PXE | {77: b"install-x"}))
    assert (packet.siaddr, packet.options[66], packet.options[224]) == (b"\x0a\0\0\x09", b"10.0.0.9", b"class")
    assert Server(CLASSED).ask(say(DISCOVER, PXE)).options[224] == b"site"


def test_class_may_be_ignored() -> None:
    assert Server(CLASSED).silent(say(DISCOVER, chaddr=b"\x02\x51\0\0\0\1"))


def test_class_may_be_for_known_machines_only() -> None:
    server = Server(CLASSED)
    assert server.silent(say(DISCOVER, {60: b"HP LaserJet"}))
    assert kind_of(server.ask(selecting({60: b"HP LaserJet"}))) == NAK
    assert kind_of(server.ask(say(DISCOVER, {60: b"HP LaserJet"}, chaddr=NODE8))) == OFFER


def test_packed_addresses_sort_as_addresses_do() -> None:
    addresses = [IPv4Address(text) for text in ("9.255.0.1", "10.0.0.2", "10.0.0.10", "192.0.2.1")]
    assert sorted(map(packed, addresses)) == list(map(packed, addresses))

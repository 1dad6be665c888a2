"""TFTP by the RFCs: bytes in, bytes out, through the product's own server on loopback."""

import itertools
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from pxe import native
from pxe.content import BytesContent, Content
from pxe.tftp.server import Caps, TftpEvent, TftpServer

ADDRESS = "127.69.0.7"
DEADLINE = 10.0
DATA, ACK, ERROR, OACK = b"\0\3", b"\0\4", b"\0\5", b"\0\6"
CONTENTS = {
    "short": b"s" * 100,
    "even": b"e" * 1024,
    "long": bytes(range(256)) * 40,
    "empty": b"",
    "boot/snponly.efi": b"efi",
    "rollover": b"r" * (8 * 66_000),
}


@dataclass
class HandClock:
    """Time passes when the test says so."""

    seconds: float = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Names:
    asked: list[tuple[str, IPv4Address]] = field(default_factory=list)

    def content(self, name: str, client: IPv4Address) -> Content | None:
        self.asked.append((name, client))
        if name == "mine":
            return BytesContent(data=str(client).encode())
        return None if name not in CONTENTS else BytesContent(data=CONTENTS[name])


class Client:
    def __init__(self, server: TftpServer, address: str = "127.0.0.1") -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        self.sock.settimeout(DEADLINE)
        self.listening = (ADDRESS, server.port)
        self.peer = self.listening

    def ask(self, name: str, *options: str, mode: str = "octet", opcode: bytes = b"\0\1", tail: bytes = b"") -> None:
        words = b"".join(word.encode("latin-1") + b"\0" for word in (name, mode, *options))
        self.sock.sendto(opcode + words + tail, self.listening)

    def send(self, raw: bytes) -> None:
        self.sock.sendto(raw, self.peer)

    def ack(self, block: int) -> None:
        self.send(ACK + block.to_bytes(2, "big"))

    def receive(self) -> bytes:
        raw, self.peer = self.sock.recvfrom(65536)
        return raw

    def silent(self, server: TftpServer) -> bool:
        """Our own server answers in turn, so an answer to a later request proves that nothing came before it."""
        other = Client(server)
        other.ask("no such name")
        other.receive()
        self.sock.setblocking(False)
        try:
            self.sock.recv(65536, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(DEADLINE)
            other.sock.close()
        return False


@dataclass
class Bench:
    server: TftpServer
    clock: HandClock
    names: Names
    events: list[TftpEvent]
    ended: threading.Condition
    clients: list[Client] = field(default_factory=list)

    def client(self, address: str = "127.0.0.1") -> Client:
        self.clients.append(Client(self.server, address))
        return self.clients[-1]

    def event(self) -> TftpEvent:
        with self.ended:
            assert self.ended.wait_for(lambda: self.events, DEADLINE)
            return self.events[-1]


@pytest.fixture(params=["native", "portable"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "portable":
        monkeypatch.setattr(native, "load", lambda: None)
    events: list[TftpEvent] = []
    ended = threading.Condition()

    def observe(event: TftpEvent) -> None:
        with ended:
            events.append(event)
            ended.notify_all()

    clock, names = HandClock(), Names()
    server = TftpServer(
        address=IPv4Address(ADDRESS), port=0, lookup=names, clock=clock, observe=observe, caps=Caps(per_client=400)
    )
    server.start()
    bench = Bench(server=server, clock=clock, names=names, events=events, ended=ended)
    yield bench
    server.stop()
    for client in bench.clients:
        client.sock.close()


@pytest.fixture
def client(bench: Bench) -> Client:
    return bench.client()


def test_rfc1350_4_a_new_port_for_each_transfer(bench: Bench) -> None:
    ports = set()
    for _ in range(3):
        client = bench.client()
        client.ask("long")
        client.receive()
        ports.add(client.peer)
    assert len(ports) == 3
    assert (ADDRESS, bench.server.port) not in ports


def test_rfc1350_4_the_next_transfer_of_a_client_has_another_port(bench: Bench, client: Client) -> None:
    client.ask("short")
    client.receive()
    before = client.peer
    client.ack(1)
    assert bench.event().outcome.value == "finished"
    client.ask("short")
    client.receive()
    assert client.peer != before


def fetch_short(bench: Bench, client: Client) -> int:
    """The server's port."""
    seen = len(bench.events)
    client.ask("short")
    client.receive()
    client.ack(1)
    with bench.ended:
        assert bench.ended.wait_for(lambda: len(bench.events) > seen, DEADLINE)
    return client.peer[1]


@pytest.mark.parametrize("others", [0, 1, 3, 6])
def test_rfc1350_4_consecutive_transfers_from_one_port_differ(bench: Bench, client: Client, others: int) -> None:
    for _ in range(others):
        other = bench.client()
        other.ask("long")
        other.receive()
    ports = [fetch_short(bench, client) for _ in range(9)]
    assert all(before != after for before, after in itertools.pairwise(ports))


def test_rfc1350_4_what_comes_late_does_not_disturb_the_next_transfer(bench: Bench, client: Client) -> None:
    fetch_short(bench, client)
    late = client.peer
    client.ask("long")
    client.receive()
    peer, client.peer = client.peer, late
    client.ack(1)
    assert client.receive()[:4] == ERROR + b"\0\5"
    assert client.peer == late
    assert client.silent(bench.server)
    client.peer = peer
    client.ack(1)
    assert client.receive()[:4] == DATA + b"\0\2"


def test_rfc1350_4_a_wrong_transfer_id_gets_error_5_and_the_transfer_lives(bench: Bench, client: Client) -> None:
    client.ask("long")
    client.receive()
    stranger = bench.client()
    stranger.peer = client.peer
    stranger.ack(1)
    assert stranger.receive()[:4] == ERROR + b"\0\5"
    client.ack(1)
    assert client.receive()[:4] == DATA + b"\0\2"


def test_rfc1350_4_an_error_is_not_answered(bench: Bench, client: Client) -> None:
    client.ask("long")
    client.receive()
    stranger = bench.client()
    stranger.peer = client.peer
    stranger.send(ERROR + b"\0\5\0")
    assert stranger.silent(bench.server)


def test_rfc1350_5_a_missing_file_is_error_1(client: Client) -> None:
    client.ask("nothing")
    assert client.receive() == ERROR + b"\0\1no such file\0"


def test_rfc1350_5_a_write_request_is_error_2(client: Client) -> None:
    client.ask("short", opcode=b"\0\2")
    assert client.receive()[:4] == ERROR + b"\0\2"


@pytest.mark.parametrize("mode", ["netascii", "mail", "NETASCII"])
def test_rfc1350_5_other_modes_are_refused(client: Client, mode: str) -> None:
    client.ask("short", mode=mode)
    assert client.receive()[:2] == ERROR


def test_rfc1350_5_the_mode_has_no_case(client: Client) -> None:
    client.ask("short", mode="OcTeT")
    assert client.receive() == DATA + b"\0\1" + CONTENTS["short"]


def test_rfc1350_6_a_multiple_of_the_block_size_ends_with_an_empty_block(bench: Bench, client: Client) -> None:
    client.ask("even")
    for block in (1, 2):
        assert len(client.receive()) == 516
        client.ack(block)
    assert client.receive() == DATA + b"\0\3"
    client.ack(3)
    assert bench.event().sent == 1024


def test_rfc1350_6_an_empty_file_is_one_empty_block(client: Client) -> None:
    client.ask("empty")
    assert client.receive() == DATA + b"\0\1"


def test_rfc1123_4_2_3_1_a_duplicate_ack_sends_nothing(bench: Bench, client: Client) -> None:
    client.ask("long")
    client.receive()
    client.ack(1)
    client.receive()
    client.ack(1)
    assert client.silent(bench.server)


def test_rfc1123_4_2_3_1_an_old_ack_sends_nothing(bench: Bench, client: Client) -> None:
    client.ask("long")
    for block in (1, 2):
        client.receive()
        client.ack(block)
    client.receive()
    client.ack(1)
    assert client.silent(bench.server)


def test_rfc1123_4_2_3_2_a_lost_block_is_sent_again_after_the_timeout(bench: Bench, client: Client) -> None:
    client.ask("long")
    first = client.receive()
    bench.clock.seconds += 1.1
    assert client.receive() == first


def test_rfc1123_4_2_3_2_the_timeout_adapts_to_quick_answers(bench: Bench, client: Client) -> None:
    client.ask("long")
    client.receive()
    client.ack(1)
    second = client.receive()
    bench.clock.seconds += 0.25
    assert client.receive() == second


def test_rfc2347_no_options_no_oack(client: Client) -> None:
    client.ask("short")
    assert client.receive()[:2] == DATA


def test_rfc2347_unknown_options_are_left_out(client: Client) -> None:
    client.ask("short", "multicast", "", "blksize", "1024", "x", "y")
    assert client.receive() == OACK + b"blksize\x001024\0"


def test_rfc2347_only_unknown_options_no_oack(client: Client) -> None:
    client.ask("short", "multicast", "")
    assert client.receive()[:2] == DATA


def test_rfc2347_option_names_have_no_case_and_the_first_counts(client: Client) -> None:
    client.ask("short", "BlkSize", "1024", "blksize", "512")
    assert client.receive() == OACK + b"blksize\x001024\0"


def test_rfc2347_ack_0_starts_the_data(client: Client) -> None:
    client.ask("short", "blksize", "1024")
    client.receive()
    client.ack(0)
    assert client.receive() == DATA + b"\0\1" + CONTENTS["short"]


def test_rfc2347_data_does_not_start_before_ack_0(bench: Bench, client: Client) -> None:
    client.ask("short", "blksize", "1024")
    client.receive()
    client.ack(1)
    assert client.silent(bench.server)


@pytest.mark.parametrize(("asked", "granted"), [("8", "8"), ("1468", "1468"), ("65464", "1468")])
def test_rfc2348_the_block_size_is_cut_to_what_fits(client: Client, asked: str, granted: str) -> None:
    client.ask("short", "blksize", asked)
    assert client.receive() == OACK + f"blksize\0{granted}\0".encode()


@pytest.mark.parametrize("value", ["7", "65465", "-8", "word", ""])
def test_rfc2348_a_block_size_out_of_range_is_refused(client: Client, value: str) -> None:
    client.ask("short", "blksize", value)
    assert client.receive()[:2] == DATA


def test_rfc2349_tsize_is_exact(client: Client) -> None:
    client.ask("long", "tsize", "0")
    assert client.receive() == OACK + b"tsize\x0010240\0"


@pytest.mark.parametrize("code", [0, 8])
def test_rfc2349_hanging_up_after_tsize_is_no_failure(bench: Bench, client: Client, code: int) -> None:
    client.ask("long", "tsize", "0")
    client.receive()
    client.send(ERROR + bytes((0, code)) + b"thanks\0")
    assert bench.event().outcome.value == "probed"


def test_rfc2349_the_client_names_the_timeout(bench: Bench, client: Client) -> None:
    client.ask("long", "timeout", "7")
    oack = client.receive()
    assert oack == OACK + b"timeout\x007\0"
    bench.clock.seconds += 6.5
    assert client.silent(bench.server)
    bench.clock.seconds += 1
    assert client.receive() == oack


def window(client: Client, count: int) -> list[int]:
    return [int.from_bytes(client.receive()[2:4], "big") for _ in range(count)]


def test_rfc7440_a_window_then_silence_until_its_ack(bench: Bench, client: Client) -> None:
    client.ask("long", "windowsize", "4")
    assert client.receive() == OACK + b"windowsize\x004\0"
    client.ack(0)
    assert window(client, 4) == [1, 2, 3, 4]
    assert client.silent(bench.server)
    client.ack(4)
    assert window(client, 4) == [5, 6, 7, 8]


def test_rfc7440_4_a_gap_is_filled_from_the_gap(client: Client) -> None:
    client.ask("long", "windowsize", "4")
    client.receive()
    client.ack(0)
    window(client, 4)
    client.ack(2)
    assert window(client, 4) == [3, 4, 5, 6]


def test_rfc7440_the_last_window_is_short(bench: Bench, client: Client) -> None:
    client.ask("even", "windowsize", "16")
    client.receive()
    client.ack(0)
    assert window(client, 3) == [1, 2, 3]
    client.ack(3)
    assert bench.event().outcome.value == "finished"


def test_rfc7440_3_the_window_is_cut_to_the_maximum(client: Client) -> None:
    client.ask("long", "windowsize", "65535")
    assert client.receive() == OACK + b"windowsize\x0064\0"


def test_block_numbers_roll_over_to_0(bench: Bench, client: Client) -> None:
    client.ask("rollover", "blksize", "8", "windowsize", "64")
    client.receive()
    client.ack(0)
    sent = 0
    while sent < 66_001:
        count = min(64, 66_001 - sent)
        assert window(client, count) == [(sent + n) & 0xFFFF for n in range(1, count + 1)]
        sent += count
        client.ack(sent & 0xFFFF)
    assert bench.event().sent == 8 * 66_000


@pytest.mark.parametrize("tail", [b"\0\0\0\0", b"padding without an end", b"\0" * 400])
def test_padding_after_the_request_is_ignored(client: Client, tail: bytes) -> None:
    client.ask("short", tail=tail)
    assert client.receive()[:4] == DATA + b"\0\1"


def test_padding_after_an_ack_is_ignored(client: Client) -> None:
    client.ask("long")
    client.receive()
    client.send(ACK + b"\0\1" + bytes(50))
    assert client.receive()[:4] == DATA + b"\0\2"


@pytest.mark.parametrize(
    "name",
    ["/boot/snponly.efi", "\\boot\\snponly.efi", "//boot//snponly.efi", "BOOT/SNPONLY.EFI", "./boot/snponly.efi"],
)
def test_names_as_firmware_writes_them(client: Client, name: str) -> None:
    client.ask(name)
    assert client.receive() == DATA + b"\0\1efi"


def test_content_may_depend_on_the_client(bench: Bench) -> None:
    client = bench.client("127.0.0.9")
    client.ask("mine")
    assert client.receive() == DATA + b"\0\x01127.0.0.9"


def test_the_answer_comes_from_the_address_that_was_asked(client: Client) -> None:
    client.ask("short")
    client.receive()
    assert client.peer[0] == ADDRESS


def test_a_copy_of_a_request_is_no_second_transfer(bench: Bench, client: Client) -> None:
    client.ask("short")
    client.ask("short")
    client.receive()
    assert client.silent(bench.server)


def test_a_client_that_asks_again_later_is_answered_from_port_69_too(bench: Bench, client: Client) -> None:
    client.ask("long", "blksize", "1024")
    oack = client.receive()
    bench.clock.seconds += 0.6
    client.ask("long", "blksize", "1024")
    assert client.receive() == oack
    assert client.peer == client.listening
    client.ack(0)
    for block in (1, 2, 3):
        assert client.receive()[:4] == DATA + bytes((0, block))
        assert client.peer == client.listening
        client.ack(block)


def test_and_the_port_that_it_answers_to_counts(bench: Bench, client: Client) -> None:
    client.ask("long", "blksize", "1024")
    client.receive()
    home = client.peer
    bench.clock.seconds += 0.6
    client.ask("long", "blksize", "1024")
    client.receive()
    client.send(ERROR + b"\0\5\0")
    client.peer = home
    client.ack(0)
    assert client.receive()[:4] == DATA + b"\0\1"
    assert client.peer == home


def test_another_request_from_the_same_port_replaces_the_transfer(bench: Bench, client: Client) -> None:
    client.ask("long", "tsize", "0")
    client.receive()
    client.ask("short")
    assert client.receive()[:4] == DATA + b"\0\1"


def test_no_amplification_for_a_source_that_never_answers(bench: Bench, client: Client) -> None:
    client.ask("long", "windowsize", "64")
    answers = [client.receive()]
    while not bench.events:
        bench.clock.seconds += 8
        client.sock.settimeout(0.3)
        try:
            answers.append(client.receive())
        except TimeoutError:
            break
    assert answers == [OACK + b"windowsize\x0064\0"] * 4
    assert bench.event().outcome.value == "failed"


def test_300_transfers_at_once(bench: Bench) -> None:
    clients = [bench.client(f"127.0.{number // 100}.{number % 100 + 1}") for number in range(300)]
    for client in clients:
        client.ask("long", "windowsize", "4", "blksize", "1024")
    for client in clients:
        assert client.receive()[:2] == OACK
        client.ack(0)
    bodies: list[bytes] = [b""] * 300
    for acked in (4, 8, 11):
        for number, client in enumerate(clients):
            for _ in range(acked - len(bodies[number]) // 1024 if acked < 11 else 3):
                bodies[number] += client.receive()[4:]
            client.ack(acked)
    assert bodies == [CONTENTS["long"]] * 300
    with bench.ended:
        assert bench.ended.wait_for(lambda: len(bench.events) == 300, DEADLINE)
    assert {(event.outcome.value, event.retransmits) for event in bench.events} == {("finished", 0)}

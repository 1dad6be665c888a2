"""The guards of a DHCP server together, with a watch, a boot server and probers that are told what to say."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

import pytest

from pxe.batch import peer
from pxe.client import Mac, Stage
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.conflict import AddressInUse, Conflicts
from pxe.dhcp.flood import FloodAlarm, FloodGuard, Limits, Rate
from pxe.dhcp.guards import Arrived, Guarded, Guards, Sentry
from pxe.dhcp.packet import DhcpPacket, MessageType, Option
from pxe.dhcp.proxy_server import ProxyEvent, ProxyKind
from pxe.dhcp.rival_packet import VENDOR_CLASS
from pxe.dhcp.rivals import Active, Foreign, Passive, Standing, Starting
from pxe.errors import ConfigError

MAC = Hardware(bytes.fromhex("525400000001"))
SQUATTER = Hardware(bytes.fromhex("525400000bad"))
US, THEM = Address(bytes((10, 0, 0, 1))), Address(bytes((10, 0, 0, 2)))
POOL = [Address(bytes((10, 0, 0, number))) for number in range(10, 200)]
PASSIVE = Passive(identity=bytes(16), mac=bytes(6))
FOREIGN = Foreign(server=IPv4Address(THEM), mac=bytes(6), vendor="")
ACK = ProxyEvent(kind=ProxyKind.ACK, mac=Mac.from_bytes(MAC), stage=Stage.FIRMWARE, arch=None, uuid=None)


class FakeClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class FakeWatch:
    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.heard: list[IPv4Address] = []
        self.served = 0
        self.taken_over = 0

    def fileno(self) -> int:
        return -1

    def serve(self) -> None:
        self.served += 1

    def named(self, server: IPv4Address) -> None:
        self.heard.append(server)

    def take_over(self) -> None:
        self.taken_over += 1


class FakeBootServer:
    def __init__(self) -> None:
        self.asked: list[bool] = []

    def fileno(self) -> int:
        return -1

    def serve(self, *, answers: bool) -> list[ProxyEvent]:
        self.asked.append(answers)
        return [ACK] if answers else []


class FakeProber:
    """Everybody in `holders` answers by the next turn."""

    def __init__(self, holders: dict[Address, Hardware]) -> None:
        self.holders = holders
        self._unheard: list[Address] = []

    def fileno(self) -> int:
        return -1

    def ask(self, addresses: Iterable[Address]) -> None:
        self._unheard += [address for address in addresses if address in self.holders]

    def answers(self) -> Iterator[tuple[Address, Hardware]]:
        while self._unheard:
            address = self._unheard.pop()
            yield address, self.holders[address]

    def close(self) -> None:
        pass


class Post:
    def __init__(
        self,
        standing: Standing | None = None,
        *,
        holders: dict[Address, Hardware] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.watch = None if standing is None else FakeWatch(standing)
        self.boot_server = FakeBootServer()
        self.events: list[Guarded] = []
        conflicts = None
        if holders is not None:
            conflicts = Conflicts[Arrived](local=FakeProber(holders), relayed=FakeProber({}), clock=self.clock)
        self.sentry = Sentry(
            watch=self.watch,
            boot_server=self.boot_server,
            conflicts=conflicts,
            flood=FloodGuard(limits),
            clock=self.clock,
            observe=self.events.append,
        )

    def admits(self, packet: DhcpPacket) -> bool:
        return self.sentry.admits(packet, {US}, self.clock.time, lambda _: False)

    def released(self, seconds: float) -> list[Arrived]:
        found, end = list[Arrived](), self.clock.time + seconds
        while self.clock.time < end:
            found += self.sentry.released(POOL, ())
            self.sentry.turn(())
            self.clock.time += 0.05
        return found


def packet(kind: MessageType = MessageType.DISCOVER, giaddr: Address | None = None, **options: bytes) -> DhcpPacket:
    named = {int(Option[name]): value for name, value in options.items()}
    asked = DhcpPacket(op=1, xid=1, chaddr=MAC, options={Option.MESSAGE_TYPE: bytes((kind,)), **named})
    return asked if giaddr is None else asked._replace(giaddr=giaddr)


ARRIVED = Arrived(packet(), peer(IPv4Address(0), 68))


@pytest.mark.parametrize(
    ("standing", "admitted"),
    [(None, True), (Starting(), False), (Active(), True), (PASSIVE, False), (FOREIGN, False)],
)
def test_packets_and_port_4011_are_answered_only_while_active(standing: Standing | None, admitted: bool) -> None:
    post = Post(standing)
    assert post.admits(packet()) is admitted
    post.sentry.turn((post.boot_server,))
    assert post.boot_server.asked == [admitted]
    assert post.events == ([ACK] if admitted else [])


def test_without_an_identity_nobody_is_watched_and_we_are_active() -> None:
    post = Post()
    assert post.sentry.standing == Active()
    assert post.sentry.sources == (post.boot_server,)


def test_question_of_another_appliance_is_no_client() -> None:
    assert not Post(Active()).admits(packet(VENDOR_CLASS=VENDOR_CLASS + b"starting:00"))
    assert Post(Active()).admits(packet(VENDOR_CLASS=b"PXEClient"))


@pytest.mark.parametrize("standing", [Starting(), Active(), PASSIVE])
@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        (packet(MessageType.REQUEST, SERVER_IDENTIFIER=THEM), [IPv4Address(THEM)]),
        (packet(MessageType.REQUEST, SERVER_IDENTIFIER=US), []),
        (packet(MessageType.REQUEST), []),
        (packet(MessageType.REQUEST, SERVER_IDENTIFIER=THEM[:3]), []),
        (packet(MessageType.REQUEST, POOL[0], SERVER_IDENTIFIER=THEM), []),
        (packet(MessageType.DECLINE, SERVER_IDENTIFIER=THEM), []),
    ],
    ids=["theirs", "ours", "none", "malformed", "relayed", "no REQUEST"],
)
def test_server_that_a_request_names_is_told_to_the_watch(
    standing: Standing, asked: DhcpPacket, heard: list[IPv4Address]
) -> None:
    post = Post(standing)
    post.admits(asked)
    assert post.watch is not None
    assert post.watch.heard == heard


def test_watch_is_served_when_readable_and_when_due() -> None:
    post = Post(Starting())
    assert post.watch is not None
    assert post.sentry.period == 0.1
    post.sentry.turn(())
    post.sentry.turn(())
    assert post.watch.served == 1
    post.sentry.turn((post.watch,))
    assert post.watch.served == 2
    post.clock.time += 0.1
    post.watch.standing = Active()
    post.sentry.turn(())
    assert post.watch.served == 3
    assert post.sentry.period == 1.0
    post.clock.time += 0.9
    post.sentry.turn(())
    assert post.watch.served == 3


def test_word_to_take_over_is_given_once() -> None:
    post = Post(PASSIVE)
    post.sentry.take_over()
    for _ in range(3):
        post.clock.time += 1
        post.sentry.turn(())
    assert post.watch is not None
    assert post.watch.taken_over == 1


def test_offer_is_held_until_its_address_is_proven() -> None:
    post = Post(holders={})
    assert not post.sentry.passes(POOL[-1], ARRIVED, relayed=False)
    assert post.sentry.period == 0.05
    assert post.released(1.0) == [ARRIVED]
    assert post.sentry.passes(POOL[-1], ARRIVED, relayed=False)
    assert post.sentry.passes(POOL[0], ARRIVED, relayed=False), "the next ones are proven ahead"


def test_address_that_answers_is_avoided_and_told() -> None:
    post = Post(holders={POOL[0]: SQUATTER})
    assert not post.sentry.passes(POOL[0], ARRIVED, relayed=False)
    assert post.released(0.2) == [ARRIVED]
    assert POOL[0] in post.sentry.avoid(MAC)
    assert post.events == [AddressInUse(address=IPv4Address(POOL[0]), holder=Mac.from_bytes(SQUATTER))]


def test_what_is_held_when_another_one_wins_is_dropped() -> None:
    post = Post(Active(), holders={})
    assert post.watch is not None
    assert not post.sentry.passes(POOL[-1], ARRIVED, relayed=False)
    post.watch.standing = PASSIVE
    assert post.released(1.0) == []


def test_without_probing_every_address_passes() -> None:
    post = Post()
    assert post.sentry.passes(POOL[0], ARRIVED, relayed=False)
    assert POOL[0] not in post.sentry.avoid(MAC)
    assert post.sentry.period == 1.0
    assert post.released(0.2) == []


def test_flood_is_dropped_and_told_once() -> None:
    post = Post(limits=Limits(machine=Rate(burst=2, per_second=0.01)))
    assert [post.admits(packet()) for _ in range(20)] == [True, True, *[False] * 18]
    post.sentry.turn(())
    (alarm,) = post.events
    assert isinstance(alarm, FloodAlarm)
    assert alarm.sender == MAC.hex(":")


def test_identity_has_its_size() -> None:
    with pytest.raises(ConfigError):
        Guards(identity=b"short")

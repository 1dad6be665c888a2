"""Who serves: the rules as a table, and whole segments simulated under loss, delay and partition from a seed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxe.dhcp.address import Address
from pxe.dhcp.frame import Datagram, pack_datagram, parse_datagram
from pxe.dhcp.packet import DhcpPacket, MessageType, pack, parse
from pxe.dhcp.rival_packet import (
    Claim,
    Heard,
    Notice,
    Question,
    Role,
    ServerMessage,
    pack_claim,
    pack_question,
    parse_heard,
)
from pxe.dhcp.rivals import (
    START_SECONDS,
    Action,
    Active,
    Answer,
    Ask,
    Foreign,
    Passive,
    RivalGone,
    Rivals,
    RivalSeen,
    Standing,
    Stands,
    Starting,
    refusal,
)
from pxe.errors import PacketError

LOW, MINE, HIGH = bytes(16), bytes(15) + b"\7", b"\xff" * 16
MAC = bytes.fromhex("525400000001")
OTHER = bytes.fromhex("525400000002")
CHADDR = bytes.fromhex("020000000001")
SERVER = IPv4Address("10.0.0.1")
FOREIGN = ServerMessage(server=IPv4Address("10.0.0.99"), mac=OTHER, vendor="acme")
RIVAL = Foreign(server=FOREIGN.server, mac=OTHER, vendor="acme")


def rivals(standing: str = "starting") -> Rivals:
    """At time 100, after `run` has brought it to its standing."""
    ours = Rivals(identity=MINE, mac=MAC, own=frozenset((SERVER,)), now=0)
    if standing == "active":
        run(ours, 0, 100)
        assert standing_of(ours) == Active()
    if standing == "passive":
        ours.hear(question(LOW, Role.ACTIVE), 1)
    return ours


def run(ours: Rivals, start: float, end: float) -> list[Action]:
    """Ticks every tenth of a second."""
    return [action for tick in range(round(start * 10), round(end * 10)) for action in ours.tick(tick / 10)]


def standing_of(ours: Rivals) -> Standing:
    return ours.standing


def question(identity: bytes, role: Role, mac: bytes = OTHER) -> Question:
    return Question(notice=Notice(identity=identity, role=role), mac=mac, chaddr=CHADDR, xid=7)


def claim(identity: bytes, role: Role, server: IPv4Address = FOREIGN.server) -> Claim:
    return Claim(notice=Notice(identity=identity, role=role), mac=OTHER, server=server)


@pytest.mark.parametrize(
    ("own", "heard", "standing", "answers"),
    [
        ("starting", question(LOW, Role.STARTING), Passive, False),
        ("starting", question(HIGH, Role.STARTING), Starting, True),
        ("starting", question(HIGH, Role.ACTIVE), Passive, False),
        ("starting", question(LOW, Role.PASSIVE), Starting, False),
        ("starting", claim(HIGH, Role.ACTIVE), Passive, False),
        ("starting", claim(LOW, Role.STARTING), Passive, False),
        ("starting", claim(HIGH, Role.STARTING), Starting, False),
        ("active", question(LOW, Role.STARTING), Active, True),
        ("active", question(HIGH, Role.STARTING), Active, True),
        ("active", question(LOW, Role.ACTIVE), Passive, False),
        ("active", question(HIGH, Role.ACTIVE), Active, True),
        ("active", question(LOW, Role.PASSIVE), Active, True),
        ("active", claim(LOW, Role.ACTIVE), Passive, False),
        ("active", claim(HIGH, Role.ACTIVE), Active, False),
        ("passive", question(HIGH, Role.STARTING), Passive, False),
        ("passive", question(HIGH, Role.ACTIVE), Passive, False),
        ("passive", claim(HIGH, Role.STARTING), Passive, False),
    ],
)
def test_between_appliances(own: str, heard: Heard, standing: type[Standing], answers: bool) -> None:
    ours = rivals(own)
    actions = ours.hear(heard, 100)
    assert type(ours.standing) is standing
    assert any(isinstance(action, Answer) for action in actions) is answers


def test_nobody_answers_and_we_serve() -> None:
    ours = rivals()
    actions = run(ours, 0, 10)
    asked = [action.notice.role for action in actions if isinstance(action, Ask)]
    assert asked[:6] == [Role.STARTING] * 6
    assert asked[-1] is Role.ACTIVE
    assert [action for action in actions if isinstance(action, Stands)] == [Stands(standing=Active())]
    assert START_SECONDS < 5


def test_question_goes_out_once_a_minute() -> None:
    actions = run(rivals("active"), 100, 700)
    assert len([action for action in actions if isinstance(action, Ask)]) == 10


def test_own_frame_back_through_a_loop_is_nobody() -> None:
    ours = rivals()
    assert ours.hear(question(MINE, Role.STARTING, MAC), 1) == ()
    assert standing_of(ours) == Starting()


def test_copied_appliance_is_told_apart_by_its_hardware_address() -> None:
    ours = rivals()
    assert ours.hear(question(MINE, Role.STARTING, bytes(6)), 1) != ()
    assert standing_of(ours) == Passive(identity=MINE, mac=bytes(6))


def test_foreign_server_blocks_the_start_and_is_named() -> None:
    ours = rivals()
    run(ours, 0, 3)
    ours.hear(FOREIGN, 3.1)
    assert Stands(standing=RIVAL) in run(ours, 3.1, 5)
    assert standing_of(ours) == RIVAL
    error = refusal(RIVAL)
    assert "10.0.0.99" in error.evidence
    assert "52:54:00:00:00:02" in error.evidence
    assert "acme" in str(error)
    assert "stop" in error.next_action
    assert "proxy" in error.next_action


def test_offer_of_another_appliance_is_no_foreign_server() -> None:
    ours = rivals()
    ours.hear(FOREIGN, 3.0)
    ours.hear(claim(HIGH, Role.ACTIVE), 3.5)
    assert standing_of(ours) == Passive(identity=HIGH, mac=OTHER)


def test_start_waits_for_a_server_heard_at_the_last_moment() -> None:
    ours = rivals()
    run(ours, 0, 4.4)
    ours.hear(FOREIGN, 4.4)
    run(ours, 4.4, 5.3)
    assert standing_of(ours) == Starting()
    run(ours, 5.3, 5.5)
    assert standing_of(ours) == RIVAL


def test_blocked_until_the_operator_acts() -> None:
    ours = rivals()
    ours.hear(FOREIGN, 1)
    actions = run(ours, 1, 1000)
    assert standing_of(ours) == RIVAL
    assert RivalGone(rival=RIVAL) in actions
    assert ours.take_over(1000) == (Stands(standing=Starting()),)
    run(ours, 1000, 1006)
    assert standing_of(ours) == Active()


def test_later_foreign_server_is_told_every_ten_minutes_and_when_it_is_gone() -> None:
    ours, events = rivals("active"), list[tuple[float, Action]]()
    for tick in range(1000, 25_000):
        now = tick / 10
        if now < 1500 and tick % 50 == 0:
            ours.hear(FOREIGN, now)
        events += [(now, action) for action in ours.tick(now) if not isinstance(action, Ask)]
    assert [event for _, event in events] == [
        *[RivalSeen(rival=RIVAL)] * 3,
        RivalGone(rival=RIVAL),
    ]
    times = [now for now, _ in events]
    assert times[0] - 100 < 10
    assert times[1] - times[0] >= 600
    assert standing_of(ours) == Active()


def test_unknown_server_is_asked_about_at_once_but_not_in_a_storm() -> None:
    ours, asked = rivals("active"), 0
    for tick in range(1000, 1600):
        now = tick / 10
        for number in range(3):
            ours.hear(ServerMessage(server=IPv4Address(tick * 10 + number), mac=OTHER, vendor=""), now)
        asked += sum(isinstance(action, Ask) for action in ours.tick(now))
    assert 2 <= asked <= 13


def test_messages_of_a_known_appliance_need_no_question() -> None:
    ours, actions = rivals("active"), list[Action]()
    run(ours, 100, 110)
    ours.hear(claim(HIGH, Role.PASSIVE), 110)
    for tick in range(1100, 1600):
        ours.hear(FOREIGN, tick / 10)
        actions += ours.tick(tick / 10)
    assert [type(action) for action in actions] in ([], [Ask])


def test_request_that_names_another_server_reveals_it() -> None:
    ours = rivals("active")
    ours.named(SERVER, 100)
    ours.named(FOREIGN.server, 100)
    assert RivalSeen(rival=Foreign(server=FOREIGN.server, mac=bytes(6), vendor="")) in run(ours, 100, 102)
    ours.hear(FOREIGN, 103)
    assert [action for action in run(ours, 103, 110) if not isinstance(action, Ask)] == []


def test_memory_of_servers_is_bounded() -> None:
    ours = rivals("active")
    for number in range(10_000):
        ours.hear(ServerMessage(server=IPv4Address(number + 1000), mac=OTHER, vendor=""), 100)
        ours.hear(claim(HIGH, Role.PASSIVE, IPv4Address(number + 50_000)), 100)
    assert len([action for action in run(ours, 100, 102) if isinstance(action, RivalSeen)]) == 64


def test_passive_one_says_when_the_active_one_vanishes_and_stays_passive() -> None:
    ours = rivals("passive")
    gone = RivalGone(rival=Passive(identity=LOW, mac=OTHER))
    assert run(ours, 1, 600).count(gone) == 1
    assert standing_of(ours) == gone.rival


def test_take_over_from_one_that_still_serves_fails() -> None:
    ours = rivals("passive")
    ours.take_over(10)
    ours.tick(10)
    ours.hear(claim(LOW, Role.ACTIVE), 10.1)
    run(ours, 10.1, 30)
    assert isinstance(ours.standing, Passive)


def test_take_over_changes_nothing_for_one_that_serves() -> None:
    ours = rivals("active")
    assert ours.take_over(100) == ()
    assert standing_of(ours) == Active()


# ---- bytes


NOTICE = Notice(identity=HIGH, role=Role.STARTING)
QUESTION = Question(notice=NOTICE, mac=MAC, chaddr=CHADDR, xid=0xFFFFFFFF)


def test_question_is_a_discover_that_every_server_understands() -> None:
    frame = pack_question(NOTICE, mac=MAC, chaddr=CHADDR, xid=0xFFFFFFFF)
    assert parse_heard(frame) == QUESTION
    datagram = parse_datagram(frame)
    packet = parse(datagram.payload)
    assert (datagram.source, datagram.target) == (IPv4Address(0), IPv4Address("255.255.255.255"))
    assert (packet.message_type, packet.flags, packet.chaddr) == (MessageType.DISCOVER, 0x8000, CHADDR)


def test_claim_is_for_the_one_who_asked_and_no_client_takes_it() -> None:
    frame = pack_claim(NOTICE, QUESTION, mac=OTHER, server=SERVER)
    assert parse_heard(frame) == Claim(notice=NOTICE, mac=OTHER, server=SERVER)
    assert frame[:6] == MAC
    packet = parse(parse_datagram(frame).payload)
    assert (packet.message_type, packet.xid, packet.chaddr) == (MessageType.OFFER, 0xFFFFFFFF, CHADDR)
    assert IPv4Address(packet.yiaddr) == IPv4Address(0)


def served(packet: DhcpPacket, source: str = "10.0.0.99") -> bytes:
    return pack_datagram(
        Datagram(
            source_mac=OTHER,
            target_mac=MAC,
            source=IPv4Address(source),
            target=IPv4Address("255.255.255.255"),
            source_port=67,
            target_port=68,
            payload=pack(packet),
        )
    )


@pytest.mark.parametrize("kind", [b"\2", b"\5", b"\6"], ids=["offer", "ack", "nak"])
def test_servers_message_names_the_server(kind: bytes) -> None:
    given = parse(pack(DhcpPacket(op=2, xid=1, chaddr=CHADDR, options={53: kind, 54: b"\x0a\0\0\x63", 60: b"ac\nme"})))
    given = given._replace(yiaddr=Address(given.options[54]))
    expected = ServerMessage(server=FOREIGN.server, mac=OTHER, vendor="ac?me")
    assert parse_heard(served(given)) == expected


def test_server_without_identifier_is_named_by_its_address() -> None:
    heard = parse_heard(served(DhcpPacket(op=2, xid=1, chaddr=CHADDR, options={53: b"\5"})))
    assert heard == ServerMessage(server=FOREIGN.server, mac=OTHER, vendor="")


def test_offer_of_a_proxy_and_plain_requests_tell_nothing() -> None:
    offer = DhcpPacket(op=2, xid=1, chaddr=CHADDR, options={53: b"\2", 54: b"\x0a\0\0\x63", 60: b"PXEClient"})
    assert parse_heard(served(offer)) is None
    assert parse_heard(served(DhcpPacket(op=1, xid=1, chaddr=CHADDR, options={53: b"\1"}))) is None
    assert parse_heard(served(DhcpPacket(op=2, xid=1, chaddr=CHADDR))) is None


@pytest.mark.parametrize("text", [b"", b"active", b"active:", b"active:00", b"king:" + b"00" * 16, b"active:\xff"])
def test_malformed_notice_is_a_packet_error(text: bytes) -> None:
    packet = DhcpPacket(op=1, xid=1, chaddr=CHADDR, options={60: b"Innervate:" + text, 53: b"\1"})
    with pytest.raises(PacketError):
        parse_heard(served(packet))


@given(st.binary(max_size=120))
def test_hearing_is_total(junk: bytes) -> None:
    frame = pack_question(NOTICE, mac=MAC, chaddr=CHADDR, xid=1)
    for data in (junk, frame[:42] + junk, frame[:282] + junk, frame[: 290 - len(junk)] + junk):
        try:
            parse_heard(data)
        except PacketError:
            continue


# ---- whole segments


@dataclass
class Appliance:
    """Gives out the addresses of one pool, as every appliance with the same configuration would."""

    name: int
    rivals: Rivals
    mac: bytes
    leases: dict[int, int] = field(default_factory=dict)
    passive_since: float | None = None


class World:
    """Frames are lost, delayed and so reordered. Machines ask all the time; each reaches only one of the appliances."""

    def __init__(self, seed: int, *, loss: float, starts: list[float]) -> None:
        self.rng = random.Random(seed)
        self.loss = loss
        self.now = 0.0
        self.cut: Callable[[float], bool] = lambda now: False
        self.starts = starts
        self.appliances: list[Appliance] = []
        self.leases: list[tuple[float, int, int, int]] = []
        self._frames: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._identities = [self.rng.randbytes(16) for _ in starts]

    def run(self, end: float) -> None:
        while self.now < end:
            self.now = round(self.now + 0.05, 2)
            self._boot()
            while self._frames and self._frames[0][0] <= self.now:
                _, _, target, frame = heapq.heappop(self._frames)
                heard = parse_heard(frame)
                if heard is not None:
                    appliance = self.appliances[target]
                    self._carry_out(appliance, appliance.rivals.hear(heard, self.now))
            for appliance in self.appliances:
                self._carry_out(appliance, appliance.rivals.tick(self.now))
            self._machine_asks()

    def _boot(self) -> None:
        while len(self.appliances) < len(self.starts) and self.starts[len(self.appliances)] <= self.now:
            name = len(self.appliances)
            mac = bytes((2, 0, 0, 0, 1, name))
            own = frozenset((IPv4Address(name + 1),))
            rivals = Rivals(identity=self._identities[name], mac=mac, own=own, now=self.now)
            self.appliances.append(Appliance(name, rivals, mac))

    def _carry_out(self, sender: Appliance, actions: tuple[Action, ...]) -> None:
        chaddr, server = bytes((2, 0, 0, 0, 2, sender.name)), IPv4Address(sender.name + 1)
        for action in actions:
            match action:
                case Ask():
                    frame = pack_question(action.notice, mac=sender.mac, chaddr=chaddr, xid=1)
                    for target in range(len(self.starts)):
                        self._send(sender.name, target, frame)
                case Answer():
                    frame = pack_claim(action.notice, action.question, mac=sender.mac, server=server)
                    self._send(sender.name, action.question.mac[-1], frame)
                case _:
                    if isinstance(sender.rivals.standing, Passive):
                        sender.passive_since = self.now

    def _send(self, source: int, target: int, frame: bytes) -> None:
        if source == target or target >= len(self.appliances):
            return
        if self.cut(self.now) or self.rng.random() < self.loss:
            return
        self._number += 1
        heapq.heappush(self._frames, (self.now + self.rng.uniform(0, 0.4), self._number, target, frame))

    def _machine_asks(self) -> None:
        """Each appliance that serves gives its next address to a machine that nobody else hears."""
        for appliance in self.appliances:
            if appliance.rivals.standing == Active():
                address = len(appliance.leases)
                machine = self.rng.getrandbits(48)
                appliance.leases[address] = machine
                self.leases.append((self.now, appliance.name, address, machine))

    def serving(self) -> list[int]:
        return [one.name for one in self.appliances if one.rivals.standing == Active()]

    def double_leases(self) -> int:
        return len(self.leases) - len({address for _, _, address, _ in self.leases})


@pytest.mark.parametrize("block", range(4))
def test_two_appliances_never_lease_one_address_twice_in_200_runs(block: int) -> None:
    """A second one starts at a random moment, often within the first one's start; 30 % of all frames are lost."""
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        second = rng.choice([0.0, rng.uniform(0, 6), rng.uniform(0, 30)])
        world = World(seed, loss=0.3, starts=[0.0, second])
        world.run(second + 40)
        assert world.double_leases() == 0, seed
        assert len(world.serving()) == 1, seed
        (loser,) = (one for one in world.appliances if one.name not in world.serving())
        assert isinstance(loser.rivals.standing, Passive), seed
        assert loser.passive_since is not None
        assert loser.passive_since - world.starts[loser.name] <= 5, seed


@pytest.mark.parametrize("seed", range(20))
def test_three_appliances_agree(seed: int) -> None:
    world = World(seed, loss=0.2, starts=[0.0, 0.3, 0.6])
    world.run(120)
    assert len(world.serving()) == 1
    assert world.double_leases() == 0


@pytest.mark.parametrize("seed", range(20))
def test_after_a_partition_heals_the_higher_identity_turns_passive(seed: int) -> None:
    world = World(seed, loss=0.1, starts=[0.0, 1.0])
    world.cut = lambda now: now < 100
    world.run(99)
    assert world.serving() == [0, 1]
    world.run(100 + 185)
    lower = min(world.appliances, key=lambda one: world._identities[one.name])
    assert world.serving() == [lower.name]


@pytest.mark.parametrize("seed", range(10))
def test_healed_partition_is_noticed_at_the_first_message_of_the_other(seed: int) -> None:
    """The other's ACKs to machines tell at once; the minute need not pass."""
    world = World(seed, loss=0.0, starts=[0.0, 1.0])
    world.cut = lambda now: now < 90
    world.run(90)
    first = world.appliances[0].rivals
    first.hear(ServerMessage(server=IPv4Address(2), mac=world.appliances[1].mac, vendor=""), world.now)
    world.run(92)
    assert len(world.serving()) == 1

"""What the boot services say of the segment becomes troubles that begin, go on, and end."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.model.views import SegmentView
from appliance.services.segment_state import Effect, SegmentEvent, SegmentState, told
from pxe.client import Mac
from pxe.dhcp.alarm import Level, PoolAlarm
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.rivals import Active, Foreign, Passive, RivalGone, RivalSeen, Standing, Stands, Starting

FOREIGN = Foreign(server=IPv4Address("10.0.0.9"), mac=bytes.fromhex("020000000009"), vendor="")
PASSIVE = Passive(identity=bytes(16), mac=bytes(6))
NETWORK = IPv4Network("10.0.0.0/24")


def pool(level: Level) -> PoolAlarm:
    return PoolAlarm(network=NETWORK, level=level, used=9, size=10)


def stands(standing: Standing) -> Stands:
    return Stands(standing=standing)


@pytest.mark.parametrize(
    ("event", "kind", "subject", "effect", "says"),
    [
        (stands(Starting()), "dhcp-standing", "", Effect.BEGINS, "listening for other DHCP servers"),
        (stands(Active()), "dhcp-standing", "", Effect.ENDS, "DHCP is served"),
        (stands(FOREIGN), "dhcp-standing", "", Effect.BEGINS, "stop the DHCP server 10.0.0.9"),
        (stands(PASSIVE), "dhcp-standing", "", Effect.BEGINS, "another appliance serves DHCP"),
        (RivalGone(rival=PASSIVE), "dhcp-standing", "", Effect.BEGINS, "let this one take over"),
        (RivalSeen(rival=FOREIGN), "rival-server", "10.0.0.9", Effect.BEGINS, "02:00:00:00:00:09"),
        (RivalGone(rival=FOREIGN), "rival-server", "10.0.0.9", Effect.ENDS, "10.0.0.9 has not been heard"),
        (pool(Level.HIGH), "pool", "10.0.0.0/24", Effect.BEGINS, "9 of 10 addresses in use"),
        (pool(Level.CRITICAL), "pool", "10.0.0.0/24", Effect.BEGINS, "9 of 10 addresses in use"),
        (pool(Level.FULL), "pool", "10.0.0.0/24", Effect.BEGINS, "gets no address"),
        (pool(Level.NORMAL), "pool", "10.0.0.0/24", Effect.ENDS, "enough are free again"),
        (
            AddressInUse(address=IPv4Address("10.0.0.7"), holder=Mac("02:00:00:00:00:07")),
            "address-in-use",
            "10.0.0.7",
            Effect.PASSES,
            "02:00:00:00:00:07 answers for 10.0.0.7",
        ),
        (FloodAlarm(reason="too many", sender="02:…", refused=7), "flood", "too many", Effect.PASSES, "7 dropped"),
    ],
)
def test_told(event: SegmentEvent, kind: str, subject: str, effect: Effect, says: str) -> None:
    what = told(event)
    assert (what.kind, what.subject, what.effect) == (kind, subject, effect)
    assert says in what.text


def test_a_trouble_begins_goes_on_and_ends() -> None:
    state = SegmentState()
    state.follow(told(pool(Level.HIGH)), 10.0)
    state.follow(told(RivalSeen(rival=FOREIGN)), 20.0)
    state.follow(told(pool(Level.FULL)), 30.0)
    assert state.troubles == (
        SegmentView(kind="pool", subject="10.0.0.0/24", text=pool(Level.FULL).sentence, since=10.0),
        SegmentView(kind="rival-server", subject="10.0.0.9", text=told(RivalSeen(rival=FOREIGN)).text, since=20.0),
    )
    state.follow(told(pool(Level.NORMAL)), 40.0)
    state.follow(told(RivalGone(rival=FOREIGN)), 50.0)
    state.follow(told(RivalGone(rival=FOREIGN)), 60.0)
    assert state.troubles == ()


def test_stands_back_until_active() -> None:
    state = SegmentState()
    assert not state.stands_back
    for standing, expected in ((Starting(), True), (FOREIGN, True), (Active(), False)):
        state.follow(told(stands(standing)), 1.0)
        assert state.stands_back is expected


def test_servers_that_were_heard_are_remembered() -> None:
    state = SegmentState()
    for now, event in ((10.0, RivalSeen(rival=FOREIGN)), (20.0, RivalSeen(rival=FOREIGN))):
        state.follow(told(event), now)
    (rival,) = state.rivals
    assert (rival.server, rival.since, rival.heard, rival.here) == ("10.0.0.9", 10.0, 20.0, True)
    state.follow(told(RivalGone(rival=FOREIGN)), 30.0)
    assert [(one.since, one.here) for one in state.rivals] == [(10.0, False)]
    for number in range(100):
        other = Foreign(server=IPv4Address(number), mac=bytes(6), vendor="")
        state.follow(told(RivalSeen(rival=other)), 40.0)
    assert len(state.rivals) == 64
    assert state.rivals[-1].server == "0.0.0.99"

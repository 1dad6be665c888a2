"""What happens to a frame is a matter of numbers; the pump is tried with pairs of sockets instead of TAP devices."""

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.lab.wire import Direction, Fate, Impairment, Wire, damaged, fate, open_tap

DEADLINE = 10.0
MANY = 4000


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def fates(impairment: Impairment, *, seed: int = 7, direction: Direction = Direction.A_TO_B) -> list[Fate]:
    return [fate(impairment, seed=seed, direction=direction, number=n, size=100) for n in range(MANY)]


def test_a_good_cable_changes_nothing() -> None:
    assert set(fates(Impairment())) == {Fate()}


def test_a_cut_cable_loses_all() -> None:
    assert {happens.copies for happens in fates(Impairment(cut=True))} == {0}


def test_same_seed_same_fate() -> None:
    bad = Impairment(loss=0.3, duplication=0.3, reordering=0.3, corruption=0.3, jitter=1.0)
    assert fates(bad) == fates(bad)
    assert fates(bad) != fates(bad, seed=8)
    assert fates(bad) != fates(bad, direction=Direction.B_TO_A)


def test_shares_are_kept() -> None:
    found = fates(Impairment(loss=0.05, duplication=0.02, reordering=0.1, corruption=0.5, delay=0.1, jitter=0.2))
    passed = [happens for happens in found if happens.copies]
    assert len(passed) / MANY == pytest.approx(0.95, abs=0.02)
    assert sum(happens.copies == 2 for happens in passed) / len(passed) == pytest.approx(0.02, abs=0.01)
    assert sum(happens.overtaken for happens in passed) / len(passed) == pytest.approx(0.1, abs=0.02)
    assert sum(happens.flipped_bit >= 0 for happens in passed) / len(passed) == pytest.approx(0.5, abs=0.05)
    assert all(0.1 <= happens.delay <= 0.3 and happens.flipped_bit < 800 for happens in passed)


@pytest.mark.parametrize(("size", "copies"), [(1514, 1), (1515, 0)])
def test_mtu_counts_the_payload(size: int, copies: int) -> None:
    happens = fate(Impairment(mtu=1500), seed=0, direction=Direction.A_TO_B, number=0, size=size)
    assert happens.copies == copies


def test_damage_flips_one_bit() -> None:
    assert damaged(b"\0\0", 9) == b"\0\2"
    assert damaged(b"ab", -1) == b"ab"


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"delay": -1.0}, {"reorder_by": 0}, {"corruption": -0.1}, {"mtu": -1}]
)
def test_impairment_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Impairment(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a-name-of-16-byte"])
def test_device_name_out_of_range(name: str) -> None:
    with pytest.raises(UsageError):
        open_tap(name)


@dataclass
class Cable:
    """Datagram sockets stand for the devices: they keep the borders of frames too."""

    wire: Wire
    near: socket.socket
    far: socket.socket
    record: Path
    ends: tuple[str, str]
    seen: list[tuple[Direction, bytes]] = field(default_factory=list)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    near, a = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    far, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (a, b):
        end.setblocking(False)
    for end in (near, far):
        end.settimeout(DEADLINE)
    record, seen = tmp_path / "wire.pcap", []
    first, second = (f"socket:[{os.fstat(end.fileno()).st_ino}]" for end in (a, b))
    wire = Wire(
        (a.detach(), b.detach()),
        clock=SystemClock(),
        record=record,
        observe=lambda direction, frame: seen.append((direction, frame)),
    )
    wire.start()
    yield Cable(wire=wire, near=near, far=far, record=record, ends=(first, second), seen=seen)
    if wire.running:
        wire.stop()
    near.close()
    far.close()


def test_both_directions_pass(cable: Cable) -> None:
    cable.near.send(b"there")
    assert cable.far.recv(99) == b"there"
    cable.far.send(b"back")
    assert cable.near.recv(99) == b"back"
    assert [cable.wire.tally(direction).seen for direction in Direction] == [1, 1]
    assert cable.seen == [(Direction.A_TO_B, b"there"), (Direction.B_TO_A, b"back")]


def test_doubled(cable: Cable) -> None:
    cable.wire.impair(Impairment(duplication=1.0))
    cable.near.send(b"x")
    assert [cable.far.recv(99), cable.far.recv(99)] == [b"x", b"x"]
    assert cable.wire.tally(Direction.A_TO_B).doubled == 1


def test_lost_and_healed(cable: Cable) -> None:
    cable.wire.impair(Impairment(cut=True))
    cable.near.send(b"lost")
    while cable.wire.tally(Direction.A_TO_B).lost == 0:
        select.select([cable.far], [], [], 0.01)
    cable.wire.impair(Impairment())
    cable.near.send(b"found")
    assert cable.far.recv(99) == b"found"


def test_overtaken_by_two(cable: Cable) -> None:
    cable.wire.impair(Impairment(reordering=1.0, hold=DEADLINE))
    cable.near.send(b"late")
    while cable.wire.tally(Direction.A_TO_B).seen == 0:
        select.select([cable.far], [], [], 0.01)
    cable.wire.impair(Impairment())
    for word in (b"first", b"second"):
        cable.near.send(word)
    assert [cable.far.recv(99) for _ in range(3)] == [b"first", b"second", b"late"]


def test_the_last_frame_is_not_held_for_ever(cable: Cable) -> None:
    cable.wire.impair(Impairment(reordering=1.0, hold=0.01))
    cable.near.send(b"alone")
    assert cable.far.recv(99) == b"alone"


def test_delayed(cable: Cable) -> None:
    cable.wire.impair(Impairment(delay=0.05))
    began = time.monotonic()
    cable.near.send(b"slow")
    assert cable.far.recv(99) == b"slow"
    assert time.monotonic() - began >= 0.05


def test_record_is_a_pcap(cable: Cable) -> None:
    cable.near.send(b"f" * 60)
    cable.far.recv(99)
    cable.wire.stop()
    raw = cable.record.read_bytes()
    assert struct.unpack("<IHH", raw[:8]) == (0xA1B2C3D4, 2, 4)
    assert struct.unpack("<I", raw[20:24]) == (1,)
    assert struct.unpack("<II", raw[32:40]) == (60, 60)
    assert raw[40:] == b"f" * 60


def test_stop_closes_what_it_owns(cable: Cable) -> None:
    """By name: in this process others open and close descriptors too."""
    owned = {*cable.ends, str(cable.record)}
    assert owned <= _open_files()
    cable.wire.stop()
    assert not owned & _open_files()


def _open_files() -> set[str]:
    found: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found

"""Disks that forget, and disks that only say so: a certificate means zeros, and half a wipe never boots."""

import random
import struct
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.agent.disks import fingerprint
from images.agent.errors import TaskError
from images.agent.methods import Method
from images.agent.ports import Finished
from images.agent.protocol import DiskFacts, DiskName, Wipe, WipeLevel
from images.agent.tally import Tally
from images.agent.wipe import check_zeros, ranges, sample, wipe

PAGE, MIB = 4096, 1 << 20
SIZE = 10 * MIB + 512  # the ends are destroyed by hand, what a method did shows between them only
OLD = random.Random(3).randbytes(SIZE)
ZEROS, ONES = bytes(SIZE), b"\xff" * SIZE


def is_zero(data: bytes) -> bool:
    return data == ZEROS[: len(data)]


class PowerCutError(OSError):
    pass


@dataclass(frozen=True)
class Traits:
    """What a disk does when told to forget: `zeros`; `keeps` all; `ones`; `part`: all but one page; `fails`; `none`.

    `none` is what it does not offer. Writes are honest, or miss one page.
    """

    format: str = "none"
    sanitize: str = "none"
    discard: str = "none"
    zeroes: str = "zeros"
    write: str = "zeros"
    alone: bool = True
    name: str = "nvme0n1"


class FakeDisk:
    """The disk, its opened device, and the tools of the ramdisk that reach it."""

    def __init__(self, traits: Traits, identify: bytes, size: int = SIZE, old: bytes = OLD) -> None:
        self.traits, self.size, self.cells = traits, size, bytearray(old[:size])
        self.missed = size - 2 * MIB + MIB // 2 - size % PAGE
        self.identify = bytearray(identify)
        struct.pack_into("<H", self.identify, 256, 0x8 | (0x2 if traits.format != "none" else 0))
        struct.pack_into("<I", self.identify, 328, 0x2 if traits.sanitize != "none" else 0)
        self.mutations, self.cut_after = 0, None
        self.states: list[bytes] = []
        self.ran: list[tuple[str, ...]] = []
        self.read_ranges: list[tuple[int, int]] = []
        self.sanitizing = [2, 1]
        self.reads: list[tuple[DiskFacts, ...]] = []
        self.facts = DiskFacts(
            name=traits.name,
            path=f"/dev/{traits.name}",
            serial="NVME1",
            wwn="eui.1",
            size_bytes=size,
            rotational=False,
            removable=False,
            model="M",
            contents="unknown",
        )

    def _mutate(self, start: int, size: int, how: str) -> None:
        if how == "fails":
            raise OSError(5, "Input/output error")
        if self.mutations == self.cut_after:
            raise PowerCutError("cut")
        self.mutations += 1
        before = bytes(self.cells[self.missed : self.missed + PAGE])
        if how in ("zeros", "part", "ones"):
            with memoryview(self.cells) as cells:
                cells[start : start + size] = memoryview(ONES if how == "ones" else ZEROS)[:size]
        if how == "part":
            self.cells[self.missed : self.missed + PAGE] = before
        self.states.append(bytes(self.cells[:PAGE]))

    # Disks
    def read(self, *place: int):
        if place:
            return bytes(self.cells[place[0] : place[0] + place[1]])
        return self.reads.pop(0) if self.reads else (self.facts,)

    def contents(self, path: str) -> str:
        return fingerprint(bytes(self.cells[:MIB]), {})

    def open(self, path: str) -> "FakeDisk":
        return self

    # BlockDevice
    def read_back(self, offset: int, size: int) -> bytes:
        self.read_ranges.append((offset, size))
        with memoryview(self.cells) as cells:
            return bytes(cells[offset : offset + size])

    def write(self, offset: int, data: bytes | memoryview) -> None:
        assert is_zero(data)
        self._mutate(offset, len(data), self.traits.write)

    def zero(self, offset: int, size: int) -> None:
        self._mutate(offset, size, self.traits.zeroes)

    def discard(self) -> bool:
        if self.traits.discard == "fails":
            return False
        self._mutate(0, self.size, self.traits.discard)
        return True

    def flush(self) -> None:
        pass

    def reread(self) -> None:
        pass

    def close(self) -> None:
        pass

    # Processes
    def run(self, argv, *, timeout, stdin=b""):
        self.ran.append(tuple(argv))
        assert argv[-1] == self.facts.path
        status, output = self._answer(argv)
        return Finished(status=status, output=output, errors=b"NVMe status: no\n")

    def _answer(self, argv):
        match argv[:2]:
            case ("lsblk", _):
                return 0, b'{"blockdevices":[{"disc-max":%d}]}' % (0 if self.traits.discard == "none" else PAGE)
            case ("nvme", "id-ctrl"):
                return 0, bytes(self.identify)
            case ("nvme", "list-ns"):
                return 0, b'{"nsid_list":[{"nsid":1}%s]}' % (b"" if self.traits.alone else b',{"nsid":2}')
            case ("nvme", "format"):
                return self._command(self.traits.format)
            case ("nvme", "sanitize"):
                return self._command(self.traits.sanitize)
            case ("nvme", "sanitize-log"):
                started = any(ran[1] == "sanitize" for ran in self.ran)
                state = self.sanitizing.pop(0) if started and len(self.sanitizing) > 1 else int(started)
                return 0, struct.pack("<HH", 0x8000, state).ljust(512, b"\0")
            case ("blkdiscard", "--secure"):
                return self._command(self.traits.discard)
        raise AssertionError(argv)

    def _command(self, how: str):
        if how == "fails":
            return 1, b""
        self._mutate(0, self.size, how)
        return 0, b""

    def commands(self) -> list[str]:
        return [argv[1] for argv in self.ran if argv[1] in ("format", "sanitize", "--secure")]


class World:
    def __init__(self, disk: FakeDisk, clock) -> None:
        self.disks = self.processes = self.disk = disk
        self.clock, self.tally = clock, Tally()
        self.task = Wipe(
            id="w",
            fence=1,
            disk=DiskName(serial="NVME1", wwn="eui.1", size_bytes=disk.size),
            expect_contents="unknown",
            level=WipeLevel.ERASE,
        )

    def wipe(self, **changes):
        return wipe(replace(self.task, **changes), self, self.tally)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world_of(golden):
    return lambda traits, **options: World(FakeDisk(traits, golden("nvme-id-ctrl.bin"), **options), Clock())


def test_certificate(world_of):
    world = world_of(Traits(format="zeros", discard="zeros"))
    assert world.wipe() == {
        "disk_serial": "NVME1",
        "disk_wwn": "eui.1",
        "disk_model": "M",
        "bytes": SIZE,
        "level": "erase",
        "method": "nvme-format",
        "sanitization": "purge",
        "read_back": "zeros",
        "read_back_bytes": SIZE,
        "tried": "",
        "seconds": 0,
    }
    assert world.tally.done == world.tally.total == 2 * SIZE
    assert is_zero(world.disk.cells)


METHODS = [
    (Traits(sanitize="zeros", format="zeros"), "nvme-sanitize", ""),
    (Traits(sanitize="fails", format="zeros"), "nvme-format", "nvme-sanitize: nvme ended with status 1 (NVMe status"),
    (Traits(sanitize="ones", format="zeros"), "nvme-format", "nvme-sanitize: still holds data at byte 8388608"),
    (Traits(sanitize="zeros", format="fails", discard="zeros", alone=False), "discard", "nvme-format: nvme ended"),
    (Traits(format="part", discard="keeps"), "write-zeroes", "nvme-format: still holds data at byte 8912896; discard:"),
    (Traits(discard="fails"), "write-zeroes", "discard: the device refuses"),
    (Traits(zeroes="fails"), "overwrite", "write-zeroes: [Errno 5] Input/output error"),
    (Traits(zeroes="keeps"), "overwrite", "write-zeroes: still holds data"),
    (Traits(name="sda", format="zeros", discard="zeros"), "discard", ""),
    (Traits(name="mmcblk0", discard="zeros"), "secure-discard", ""),
    (Traits(name="mmcblk0", discard="keeps"), "write-zeroes", "secure-discard: still holds data"),
]


@pytest.mark.parametrize(("traits", "method", "tried"), METHODS)
def test_method_that_does_not_do_gives_way_to_the_next(world_of, traits, method, tried):
    world = world_of(traits)
    found = world.wipe()
    assert found["method"] == method
    assert found["tried"].startswith(tried)
    assert (found["tried"] == "") is (tried == "")
    assert found["read_back_bytes"] == SIZE
    assert is_zero(world.disk.cells)


@pytest.mark.parametrize(
    ("level", "word", "method"),
    [
        (WipeLevel.DISCARD, "none", "discard"),
        (WipeLevel.ERASE, "purge", "nvme-sanitize"),
    ],
)
def test_level_decides_what_is_done_and_what_is_read_back(world_of, level, word, method):
    world = world_of(Traits(sanitize="zeros", discard="zeros"))
    found = world.wipe(level=level)
    assert (found["level"], found["sanitization"], found["method"]) == (level, word, method)
    assert world.tally.done == world.tally.total == SIZE + found["read_back_bytes"]


@pytest.mark.parametrize("how", ["keeps", "ones", "fails"])
def test_discard_that_shows_data_in_the_sample_gives_way(world_of, how):
    found = world_of(Traits(discard=how)).wipe(level=WipeLevel.DISCARD)
    assert found["method"] == "write-zeroes"
    assert found["tried"].startswith("discard: ")


def test_disk_that_is_not_blank_afterwards_has_no_certificate(world_of):
    world = world_of(Traits())
    seen = iter(["unknown", "linux_raid_member:1"])
    world.disk.contents = lambda path: next(seen)
    with pytest.raises(TaskError, match="is not blank") as failed:
        world.wipe()
    assert failed.value.evidence == "linux_raid_member:1 after write-zeroes"


def test_controller_with_a_second_namespace_is_not_sanitized(world_of):
    world = world_of(Traits(sanitize="zeros", format="zeros", alone=False))
    world.disk.identify[524] = 0x2
    assert world.wipe()["method"] == "write-zeroes"
    assert world.disk.commands() == []


def test_controller_of_another_disk_is_not_commanded(world_of):
    world = world_of(Traits(sanitize="zeros", format="zeros"))
    world.disk.identify[4:24] = b"OTHER".ljust(20)
    found = world.wipe()
    assert (found["method"], found["tried"]) == (
        "write-zeroes",
        "nvme: /dev/nvme0n1 belongs to controller OTHER, not NVME1",
    )
    assert world.disk.commands() == []


def test_tools_that_are_not_there_leave_the_block_layer(world_of):
    world = world_of(Traits(sanitize="zeros", format="zeros", discard="zeros"))

    def missing(argv, *, timeout, stdin=b""):
        raise FileNotFoundError(2, "No such file or directory", argv[0])

    world.processes = type("Missing", (), {"run": staticmethod(missing)})
    found = world.wipe()
    assert found["method"] == "write-zeroes"
    assert found["tried"].startswith("lsblk: [Errno 2]")
    assert "nvme: [Errno 2]" in found["tried"]


def no_such_disk(world):
    world.task = replace(world.task, disk=replace(world.task.disk, serial="S9"))


def two_alike(world):
    world.disk.reads = [(world.disk.facts, world.disk.facts)]


def grown_since(world):
    world.disk.reads = [(replace(world.disk.facts, size_bytes=PAGE),)]
    world.task = replace(world.task, disk=replace(world.task.disk, size_bytes=PAGE))


def foreign_data(world):
    world.task = replace(world.task, expect_contents="gpt:1234")


REFUSED = [
    (no_such_disk, "no disk has serial S9", "NVME1/eui.1"),
    (two_alike, "2 disks have this name", "NVME1/eui.1"),
    (grown_since, "changed its size", str(SIZE)),
    (foreign_data, "foreign data", "found unknown, the plan names gpt:1234"),
]


@pytest.mark.parametrize(("spoil", "message", "evidence"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refusal_leaves_the_disk_as_it_was(world_of, spoil, message, evidence):
    world = world_of(Traits(sanitize="zeros", format="zeros", discard="zeros"))
    spoil(world)
    with pytest.raises(TaskError, match=message) as refused:
        world.wipe()
    assert evidence in refused.value.evidence
    assert bytes(world.disk.cells) == OLD
    assert world.disk.mutations == 0


def test_blank_disk_is_wiped_whatever_the_plan_names(world_of):
    world = world_of(Traits(), old=bytes(MIB) + OLD[MIB:])
    assert world.wipe(expect_contents="gpt:1234")["method"] == "write-zeroes"


def test_path_that_leads_elsewhere_now_stops_before_the_command(world_of):
    world = world_of(Traits(format="zeros"))
    world.disk.reads = [(world.disk.facts,), (replace(world.disk.facts, path="/dev/nvme1n1"),)]
    with pytest.raises(TaskError, match="another path") as stopped:
        world.wipe()
    assert stopped.value.evidence == "/dev/nvme0n1, then /dev/nvme1n1"
    assert world.disk.commands() == []


def test_sanitize_that_a_power_cut_did_not_stop_is_waited_for(world_of):
    """Its disk cannot be read meanwhile, and what it leaves need not be what the plan names."""
    world = world_of(Traits(sanitize="zeros"), old=b"\xff" * SIZE)
    world.disk.ran.append(("nvme", "sanitize"))
    world.disk.sanitizing = [2, 2, 1, 2, 1]
    world.wipe(expect_contents="gpt:1234")
    assert world.clock.now == 20
    assert is_zero(world.disk.cells)


def test_disk_that_takes_no_writes_fails_at_once(world_of):
    world = world_of(Traits(write="keeps", zeroes="zeros"))
    with pytest.raises(TaskError, match="does not take writes") as failed:
        world.wipe()
    assert failed.value.evidence == "still holds data at byte 0"
    assert world.disk.mutations == 3


def test_disk_that_no_method_cleans_has_failed_and_says_why(world_of):
    traits = Traits(sanitize="fails", format="keeps", discard="part", zeroes="keeps", write="part")
    world = world_of(traits)
    with pytest.raises(TaskError, match="could not be wiped") as failed:
        world.wipe()
    assert [note.split(":")[0] for note in failed.value.evidence.split("; ")] == [
        method for method in Method if method is not Method.SECURE_DISCARD
    ]
    assert "destroy it" in failed.value.next_action
    assert is_zero(world.disk.cells[:PAGE])


HOW = st.sampled_from(["none", "zeros", "keeps", "ones", "part", "fails"])
WRITES = st.sampled_from(["zeros", "part"])
TRAITS = st.builds(
    Traits,
    format=HOW,
    sanitize=HOW,
    discard=HOW,
    zeroes=HOW.filter(lambda how: how != "none"),
    write=WRITES,
    alone=st.booleans(),
    name=st.sampled_from(["nvme0n1", "sda", "mmcblk0"]),
)
IDENTIFY = b"\0\0\0\0NVME1".ljust(24, b" ") + bytes(PAGE - 24)


def outcome(world, level):
    """The certificate, or None after a failure that was overwriting's in the end."""
    try:
        return world.wipe(level=level)
    except TaskError as error:
        if "overwrite: still holds data" not in error.evidence:
            raise
        return None


@settings(max_examples=40, deadline=None)
@given(TRAITS)
def test_erase_that_succeeds_leaves_zeros_whatever_the_disk_claims(traits):
    world = World(FakeDisk(traits, IDENTIFY), Clock())
    if (found := outcome(world, WipeLevel.ERASE)) is None:
        assert traits.write == "part"
    else:
        assert is_zero(world.disk.cells)
        assert found["read_back_bytes"] == SIZE
        assert sum(size for _, size in world.disk.read_ranges) >= SIZE


@settings(max_examples=20, deadline=None)
@given(TRAITS)
def test_discard_that_succeeds_leaves_zeros_at_the_ends_and_in_the_sample(traits):
    world = World(FakeDisk(traits, IDENTIFY), Clock())
    if outcome(world, WipeLevel.DISCARD) is not None:
        for at, size in ranges(WipeLevel.DISCARD, SIZE, "w/1"):
            check_zeros(world.disk, at, size)
    assert world.disk.commands() == []


@pytest.mark.parametrize("traits", [Traits(), Traits(format="zeros"), Traits(discard="keeps")])
def test_power_cut_at_any_moment_leaves_no_first_page(world_of, traits):
    world = world_of(traits)
    world.wipe()
    assert world.disk.mutations > 5
    assert all(state == bytes(PAGE) for state in world.disk.states)
    for cut in range(1, world.disk.mutations):
        again = world_of(traits)
        again.disk.cut_after = cut
        with pytest.raises((TaskError, PowerCutError)):
            again.wipe()
        assert again.disk.contents("") == "unknown" or is_zero(again.disk.cells[:MIB])
        assert is_zero(again.disk.cells[:PAGE])
        again.disk.cut_after = None
        assert again.wipe(fence=2)["read_back_bytes"] == SIZE


def test_everything_is_read_back_of_an_erase():
    found = list(ranges(WipeLevel.ERASE, SIZE, ""))
    assert found[0] == (0, 4 * MIB)
    assert all(at + size == following for (at, size), (following, _) in pairwise(found))
    assert sum(found[-1]) == SIZE


@given(st.integers(1, 1 << 44), st.text(max_size=10))
def test_sample_is_of_pages_from_all_over_the_disk(size, seed):
    pages = list(sample(size, seed))
    assert len(pages) == min(1000, size // PAGE)
    assert pages == sorted(set(pages))
    assert all(at % PAGE == 0 and length == PAGE and at + length <= size for at, length in pages)
    stretch = size / max(1, len(pages))
    assert all(abs(at - number * stretch) <= stretch + PAGE for number, (at, _) in enumerate(pages))


def test_sample_is_the_same_for_one_attempt_and_another_for_the_next():
    assert list(sample(1 << 40, "w/1")) == list(sample(1 << 40, "w/1")) != list(sample(1 << 40, "w/2"))


@pytest.mark.parametrize("size", [512, PAGE, PAGE + 512, MIB, 9 * MIB, (1 << 40) + 512])
def test_both_ends_are_read_back_of_any_disk(size):
    found = list(ranges(WipeLevel.DISCARD, size, ""))
    assert found[0][0] == 0
    assert found[0][1] >= min(MIB, size)
    assert any(at <= max(0, size - MIB) and at + length == size for at, length in found)


def test_device_that_ends_early_is_not_proven(world_of):
    disk = world_of(Traits(), old=bytes(SIZE)).disk
    with pytest.raises(TaskError, match=f"ends at byte {SIZE}"):
        check_zeros(disk, SIZE - PAGE, 2 * PAGE)


def test_device_that_cannot_be_read_is_not_proven(world_of):
    world = world_of(Traits(format="zeros"))

    def broken(offset, size):
        if offset:
            raise OSError(5, "Input/output error")
        return bytes(size)

    world.disk.read_back = broken
    with pytest.raises(TaskError, match="could not be wiped") as failed:
        world.wipe()
    assert "nvme-format: cannot be read back at byte 4194304: [Errno 5]" in failed.value.evidence


@pytest.mark.parametrize("level", list(WipeLevel))
def test_real_file_as_a_disk(bench, level):
    """Through the real device: direct reads past the page cache, a size that is no whole page, lsblk that refuses."""
    bench.path.write_bytes(OLD)
    size = len(OLD)
    bench.disks.found = (replace(bench.disk, size_bytes=size),)
    name = DiskName(serial="S1", wwn=bench.disk.wwn, size_bytes=size)
    task = Wipe(id="w", fence=1, disk=name, expect_contents="", level=level)
    found = wipe(task, bench.ports, bench.tally)
    assert found["method"] == "write-zeroes"
    assert found["tried"].startswith("lsblk: ")
    assert bench.path.read_bytes() == bytes(size)

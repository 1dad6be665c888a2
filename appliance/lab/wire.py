"""A bad cable: two TAP devices joined by a pump that loses, doubles, reorders, delays, corrupts and records frames.

What happens to a frame is decided by `fate`, a pure function of the impairment, the seed, the direction and the number
of the frame: the same seed spoils the same frames again. The time is needed for delays only.

    tap A  <-- pump -->  tap B        A and B may live in different network namespaces
"""

import errno
import fcntl
import heapq
import logging
import os
import select
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from appliance.errors import UsageError
from pxe.ports import Clock

log = logging.getLogger(__name__)

_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_NAME_BYTES = 15  # IFNAMSIZ less the NUL
_LARGEST_FRAME = 65_550
_BATCH = 64
_QUEUE = 4096
_ETHERNET_HEADER = 14
_DRAW = struct.Struct("<QBQ")
_SHARES = struct.Struct("<6Q")
_PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _LARGEST_FRAME, 1)  # LINKTYPE_ETHERNET
_PCAP_RECORD = struct.Struct("<IIII")


class Direction(IntEnum):
    A_TO_B = 0
    B_TO_A = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """Shares are 0 to 1, times are seconds. A reordered frame leaves after `reorder_by` frames that came later, or
    after `hold` seconds when no more come. `mtu` drops frames with a longer payload (0: none), `cut` drops all."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    corruption: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    reorder_by: int = 2
    hold: float = 0.02
    mtu: int = 0
    cut: bool = False

    def __post_init__(self) -> None:
        shares = (self.loss, self.duplication, self.reordering, self.corruption)
        times = (self.delay, self.jitter, self.hold)
        if not all(0 <= share <= 1 for share in shares) or min(times) < 0 or self.reorder_by < 1 or self.mtu < 0:
            raise UsageError("impairments are shares from 0 to 1 and times of 0 s and more", evidence=repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one frame: `copies` of it (0: it is lost), each after `delay` seconds; the bit of a damaged frame
    that flips, counted from its start (-1: none); whether later frames overtake it."""

    copies: int = 1
    delay: float = 0.0
    flipped_bit: int = -1
    overtaken: bool = False


def fate(impairment: Impairment, *, seed: int, direction: Direction, number: int, size: int) -> Fate:
    """`number` counts the frames of one direction, `size` is the frame's in bytes."""
    drawn = blake2b(_DRAW.pack(seed, direction, number), digest_size=_SHARES.size).digest()
    lost, doubled, late, spoiled, jitter, bit = (word / 2**64 for word in _SHARES.unpack(drawn))
    too_long = 0 < impairment.mtu < size - _ETHERNET_HEADER
    if impairment.cut or too_long or lost < impairment.loss:
        return Fate(copies=0)
    return Fate(
        copies=2 if doubled < impairment.duplication else 1,
        delay=impairment.delay + jitter * impairment.jitter,
        flipped_bit=int(bit * size * 8) if spoiled < impairment.corruption else -1,
        overtaken=late < impairment.reordering,
    )


def damaged(frame: bytes, bit: int) -> bytes:
    if bit < 0:
        return frame
    changed = bytearray(frame)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Frames of one direction. `dropped` are those that nobody wished to lose: the receiving end took none."""

    seen: int = 0
    lost: int = 0
    doubled: int = 0
    overtaken: int = 0
    corrupted: int = 0
    dropped: int = 0

    def after(self, happened: Fate) -> "Tally":
        return replace(
            self,
            seen=self.seen + 1,
            lost=self.lost + (happened.copies == 0),
            doubled=self.doubled + (happened.copies == 2),
            overtaken=self.overtaken + happened.overtaken,
            corrupted=self.corrupted + (happened.flipped_bit >= 0),
        )


def open_tap(name: str) -> int:
    """A non-blocking file descriptor of TAP device `name`, made in the calling thread's network namespace if it is not
    there. OSError when the kernel refuses. The device goes when the last descriptor is closed."""
    if not 0 < len(name.encode()) <= _NAME_BYTES:
        raise UsageError("a network device has a name of 1 to 15 bytes", evidence=repr(name))
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


@dataclass(slots=True)
class _Lane:
    """One direction. `waiting` are (due time, number, frame); `overtaken` are frames held back, with the number of the
    frame that lets them go and the time when they go anyway."""

    source: int
    target: int
    direction: Direction
    tally: Tally = field(default_factory=Tally)
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    overtaken: list[tuple[int, float, bytes]] = field(default_factory=list)


class Wire:
    """Pumps frames between two file descriptors of TAP devices, which it owns. Start once, stop once.

    `record` gets a pcap file of what leaves the wire, in the order it leaves.
    """

    def __init__(
        self,
        ends: tuple[int, int],
        *,
        clock: Clock,
        impairment: Impairment | None = None,
        seed: int = 0,
        record: Path | None = None,
        observe: Callable[[Direction, bytes], None] | None = None,
    ) -> None:
        first, second = ends
        self._lanes = (_Lane(first, second, Direction.A_TO_B), _Lane(second, first, Direction.B_TO_A))
        self._impairment = impairment or Impairment()
        self._seed = seed
        self._clock = clock
        self._observe = observe
        self._pcap: BinaryIO | None = None if record is None else record.open("wb", buffering=1 << 16)
        if self._pcap is not None:
            self._pcap.write(_PCAP_HEADER)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def impair(self, impairment: Impairment) -> None:
        """From any thread: the next frame meets it."""
        self._impairment = impairment

    def tally(self, direction: Direction) -> Tally:
        return self._lanes[direction].tally

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Frames on their way are lost; the devices go."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        for lane in self._lanes:
            os.close(lane.source)
        os.close(self._wake)
        if self._pcap is not None:
            self._pcap.close()

    def _run(self) -> None:
        with select.epoll() as poll:
            for fd in (self._wake, *(lane.source for lane in self._lanes)):
                poll.register(fd, select.EPOLLIN)
            while not self._stopping:
                ready = {fd for fd, _ in poll.poll(self._patience())}
                for lane in self._lanes:
                    if lane.source in ready:
                        self._read(lane)
                    self._release(lane, self._clock.monotonic())

    def _patience(self) -> float:
        """Seconds until the next frame is due; -1: for ever."""
        due = [lane.waiting[0][0] for lane in self._lanes if lane.waiting]
        due += [entry[1] for lane in self._lanes for entry in lane.overtaken]
        return max(0.0, min(due) - self._clock.monotonic()) if due else -1

    def _read(self, lane: _Lane) -> None:
        for _ in range(_BATCH):
            try:
                frame = os.read(lane.source, _LARGEST_FRAME)
            except OSError as cause:
                if cause.errno not in (errno.EAGAIN, errno.EIO):  # EIO: the device is down
                    log.warning("cannot read the wire direction=%s cause=%s", lane.direction.name, cause)
                return
            self._accept(lane, frame)

    def _accept(self, lane: _Lane, frame: bytes) -> None:
        impairment, number = self._impairment, lane.tally.seen
        happens = fate(impairment, seed=self._seed, direction=lane.direction, number=number, size=len(frame))
        lane.tally = lane.tally.after(happens)
        now = self._clock.monotonic()
        frame = damaged(frame, happens.flipped_bit)
        for _ in range(happens.copies):
            if happens.overtaken:
                lane.overtaken.append((number + impairment.reorder_by, now + impairment.hold, frame))
            elif len(lane.waiting) < _QUEUE:
                heapq.heappush(lane.waiting, (now + happens.delay, number, frame))
            else:
                lane.tally = replace(lane.tally, dropped=lane.tally.dropped + 1)
        if not impairment.delay and not impairment.jitter:
            self._release(lane, now)

    def _release(self, lane: _Lane, now: float) -> None:
        while lane.waiting and lane.waiting[0][0] <= now:
            self._put(lane, heapq.heappop(lane.waiting)[2])
        held, lane.overtaken = lane.overtaken, []
        for entry in held:
            if entry[0] < lane.tally.seen or entry[1] <= now:
                self._put(lane, entry[2])
            else:
                lane.overtaken.append(entry)

    def _put(self, lane: _Lane, frame: bytes) -> None:
        if self._observe is not None:
            self._observe(lane.direction, frame)
        if self._pcap is not None:
            seconds, rest = divmod(self._clock.now(), 1)
            self._pcap.write(_PCAP_RECORD.pack(int(seconds), int(rest * 1e6), len(frame), len(frame)) + frame)
        try:
            os.write(lane.target, frame)
        except OSError as cause:  # EIO: the device is down, EINVAL: damaged beyond what a device takes
            lane.tally = replace(lane.tally, dropped=lane.tally.dropped + 1)
            log.debug("frame not delivered direction=%s cause=%s", lane.direction.name, cause)

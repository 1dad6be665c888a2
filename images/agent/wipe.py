"""A disk that forgets, and reads back as zeros to prove it; what a device says about it is never the proof.

The first block goes first and is gone for good before anything else is touched: a disk that is wiped by half boots no
old system. Each method is tried once. Where one fails, or leaves anything but zeros, the next one has to do.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import assert_never

from .disks import BLANK, check_contents, check_size, find_disk
from .errors import AgentError, TaskError
from .methods import Ability, Method, methods, parse_discard_max, sanitization
from .nvme import finish_sanitize, format_namespace, read_controller, sanitize
from .ports import BlockDevice, Ports
from .protocol import DiskFacts, Wipe, WipeLevel
from .tally import Tally
from .tools import run_tool

_PAGE = 4096
_MIB = 1 << 20
_HEAD = 8 * _MIB  # tables, labels and the second LUKS header, which lies up to 4 MiB in
_TAIL = _MIB  # where md 1.0, ZFS and the backup GPT keep what would bring an old disk back to life
_STEP = 4 * _MIB
_ZEROS = bytes(_STEP)
_SAMPLES = 1000  # one page from each thousandth: leftovers of 1 % are missed with a chance of 1 in 20,000
_SECURE_DISCARD_WITHIN = 3600.0
_BY_HAND = "Take the disk out, and destroy it if nobody may read it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`failed`: the methods before, each with why it did not do."""

    method: Method
    read_back_bytes: int
    failed: tuple[str, ...]


def wipe(task: Wipe, ports: Ports, tally: Tally) -> dict[str, str | int]:
    """Returns the certificate; raises TaskError or OSError. What is not proven has failed."""
    began = ports.clock.monotonic()
    disk = find_disk(task.disk, ports.disks.read())
    with closing(ports.disks.open(disk.path)) as device:
        check_size(task.disk, device.size)
        wiping = _Wiping(task, ports, disk, device, tally)
        ability = read_ability(ports, disk)
        if not wiping.finish(ability):
            check_contents(task.expect_contents, ports.disks.contents(disk.path))
        proof = wiping.run(ability)
        device.reread()
    if (left := ports.disks.contents(disk.path)) != BLANK:
        raise TaskError("the disk read back as zeros and is not blank", evidence=f"{left} after {proof.method}")
    return _certificate(task, disk, proof) | {"seconds": round(ports.clock.monotonic() - began)}


def _certificate(task: Wipe, disk: DiskFacts, proof: Proof) -> dict[str, str | int]:
    return {
        "disk_serial": disk.serial,
        "disk_wwn": disk.wwn,
        "disk_model": disk.model,
        "bytes": disk.size_bytes,
        "level": task.level,
        "method": proof.method,
        "sanitization": sanitization(task.level, proof.method),
        "read_back": "zeros",
        "read_back_bytes": proof.read_back_bytes,
        "tried": _joined(proof.failed),
    }


def _joined(notes: tuple[str, ...]) -> str:
    return "; ".join(notes)[:4096]


def read_ability(ports: Ports, disk: DiskFacts) -> Ability:
    """What the disk says it can. Where it does not say, it is asked for less, and a note tells why."""
    notes: list[str] = []
    discards = controller = None
    alone = False
    try:
        argv = ("lsblk", "--json", "--bytes", "--nodeps", "--output", "DISC-MAX", disk.path)
        discards = parse_discard_max(run_tool(ports.processes, *argv)) > 0
    except (AgentError, OSError) as error:
        notes.append(f"lsblk: {_said(error)}")
    try:
        if disk.name.startswith("nvme"):
            controller, alone = read_controller(ports.processes, disk.path)
    except (AgentError, OSError) as error:
        notes.append(f"nvme: {_said(error)}")
    if controller is not None and controller.serial != disk.serial:
        notes.append(f"nvme: {disk.path} belongs to controller {controller.serial}, not {disk.serial}")
        controller = None
    return Ability(
        discards=bool(discards),
        secure_discards=disk.name.startswith("mmcblk"),
        controller=controller,
        alone=alone,
        notes=tuple(notes),
    )


def _said(error: Exception) -> str:
    evidence = f" ({error.evidence})" if isinstance(error, AgentError) and error.evidence else ""
    return " ".join(f"{error}{evidence}".split())[:500]


def ranges(level: WipeLevel, size: int, seed: str) -> Iterator[tuple[int, int]]:
    """(offset, length) in bytes of what is read back: both ends, and a sample or everything between them."""
    match level:
        case WipeLevel.ERASE:
            yield from _steps(0, size)
        case WipeLevel.DISCARD:
            yield from _steps(0, min(_MIB, size))
            yield from _steps(_tail(size, _MIB), size)
            yield from sample(size, seed)
        case _:
            assert_never(level)


def _steps(start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((at, min(_STEP, end - at)) for at in range(start, end, _STEP))


def _tail(size: int, length: int) -> int:
    """Where the last `length` bytes start, moved back to a whole page."""
    return max(0, size - length) // _PAGE * _PAGE


def sample(size: int, seed: str) -> Iterator[tuple[int, int]]:
    """Whole pages, one from each of a thousand equal stretches of the disk; the same seed gives the same pages."""
    pages = size // _PAGE
    count = min(_SAMPLES, pages)
    for number in range(count):
        low, high = number * pages // count, (number + 1) * pages // count
        chosen = int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:8], "big")
        yield (low + chosen % (high - low)) * _PAGE, _PAGE


def destroy_ends(device: BlockDevice) -> None:
    """The first page is gone before the rest is touched: without it no firmware finds a boot sector or a table."""
    head = min(_HEAD, device.size)
    for start, end in ((0, min(_PAGE, head)), (min(_PAGE, head), head), (_tail(device.size, _TAIL), device.size)):
        device.write(start, bytes(end - start))
        device.flush()
    check_zeros(device, 0, min(_PAGE, head))


def check_zeros(device: BlockDevice, offset: int, size: int) -> None:
    """Raises TaskError unless the device reads back as zeros there, all of it."""
    try:
        data = device.read_back(offset, size)
    except OSError as error:
        raise TaskError(f"cannot be read back at byte {offset}: {error}") from error
    if len(data) != size:
        raise TaskError(f"ends at byte {offset + len(data)} when read back")
    if data != (_ZEROS if size == _STEP else bytes(size)):
        raise TaskError(f"still holds data at byte {offset + size - len(data.lstrip(bytes(1)))}")


class _Wiping:
    def __init__(self, task: Wipe, ports: Ports, disk: DiskFacts, device: BlockDevice, tally: Tally) -> None:
        self._task, self._ports, self._disk = task, ports, disk
        self._device, self._tally = device, tally
        tally.total = device.size + sum(size for _, size in self._ranges())

    def _ranges(self) -> Iterator[tuple[int, int]]:
        return ranges(self._task.level, self._device.size, f"{self._task.id}/{self._task.fence}")

    def finish(self, ability: Ability) -> bool:
        """Whether a sanitize was under way, which has ended by now: what it left is no data of anybody."""
        if ability.controller is None or not ability.controller.block_erases:
            return False
        return finish_sanitize(self._ports, self._disk.path, self._sanitized)

    def run(self, ability: Ability) -> Proof:
        self._destroy_first()
        failed = list(ability.notes)
        for method in methods(self._task.level, ability):
            self._recheck()
            self._tally.done = 0
            try:
                self._do(method)
                destroy_ends(self._device)  # a discard may bring to light what was there before
                read = self._read_back()
            except (AgentError, OSError) as error:
                failed.append(f"{method}: {_said(error)}")
            else:
                return Proof(method=method, read_back_bytes=read, failed=tuple(failed))
        raise TaskError(
            "the disk could not be wiped: no method left zeros only",
            evidence=_joined(tuple(failed)),
            next_action=_BY_HAND,
        )

    def _destroy_first(self) -> None:
        try:
            destroy_ends(self._device)
        except TaskError as error:
            raise TaskError("the disk does not take writes", evidence=str(error), next_action=_BY_HAND) from error

    def _recheck(self) -> None:
        """Right before each command: the path still leads to the named disk."""
        now = find_disk(self._task.disk, self._ports.disks.read())
        if now.path != self._disk.path:
            raise TaskError("the disk has another path now", evidence=f"{self._disk.path}, then {now.path}")

    def _do(self, method: Method) -> None:
        match method:
            case Method.SANITIZE:
                sanitize(self._ports, self._disk.path, self._sanitized)
            case Method.FORMAT:
                format_namespace(self._ports.processes, self._disk.path)
            case Method.SECURE_DISCARD:
                argv = ("blkdiscard", "--secure", "--force", self._disk.path)
                run_tool(self._ports.processes, *argv, timeout=_SECURE_DISCARD_WITHIN)
            case Method.DISCARD:
                if not self._device.discard():
                    raise TaskError("the device refuses")
            case Method.WRITE_ZEROES:
                self._fill(self._device.zero)
            case Method.OVERWRITE:
                self._fill(lambda at, size: self._device.write(at, _ZEROS[:size]))
            case _:
                assert_never(method)
        self._device.flush()
        self._tally.done = self._device.size

    def _sanitized(self, fraction: float) -> None:
        self._tally.done = int(self._device.size * fraction)

    def _fill(self, zero: Callable[[int, int], None]) -> None:
        for at, size in _steps(0, self._device.size):
            zero(at, size)
            self._tally.done += size

    def _read_back(self) -> int:
        read = 0
        for at, size in self._ranges():
            check_zeros(self._device, at, size)
            read += size
            self._tally.done += size
        return read

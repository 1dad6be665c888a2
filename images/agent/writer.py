"""An OS image onto a disk, so that a power cut at any moment leaves a disk that does not boot, or the whole image.

Block 0 holds the partition table. It is zeroed before anything else is touched and written last, after all the rest
survives a power cut. Nothing is written before the disk, its contents, the manifest and the first frame are checked.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from .ahead import ahead
from .disks import check_contents, check_size, find_disk
from .errors import TaskError
from .expand import Expanded, expanded
from .fetch import Frames, fetch_file
from .manifest import MAX_TEXT, Block, Manifest, ManifestError
from .ports import BlockDevice, Ports
from .protocol import DiskFacts, WriteImage
from .tally import Tally

_PAGE = 4096
_HOLES_AHEAD = 64
_END = 1 << 20  # where md 1.0, ZFS and the backup GPT keep what would bring an old disk back to life


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A block of zeros. Offset and length in raw bytes."""

    offset: int
    length: int


def plan(manifest: Manifest) -> Iterator[Block | Hole]:
    """Every block of the image but the first, in the order of the disk."""
    blocks = {block.index: block for block in manifest.blocks}
    for index in range(1, manifest.block_count):
        hole = Hole(offset=index * manifest.block_size, length=manifest.raw_length_of(index))
        yield blocks.get(index, hole)


def write_image(task: WriteImage, ports: Ports, tally: Tally) -> dict[str, str | int]:
    """Returns the evidence; raises TaskError or OSError."""
    began = ports.clock.monotonic()
    manifest = _manifest(task, ports)
    tally.total = manifest.raw_size
    disk = find_disk(task.disk, ports.disks.read())
    frames = Frames(ports, task.blob.path, manifest)
    with closing(ports.disks.open(disk.path)) as device:
        _check(task, manifest, device, ports.disks.contents(disk.path))
        discarded = _Writer(manifest, device, tally).write(frames)
        device.reread()
    return _evidence(task, disk, manifest) | {
        "seconds": round(ports.clock.monotonic() - began),
        "resumes": frames.resumes,
        "discarded": "yes" if discarded else "no",
    }


def _evidence(task: WriteImage, disk: DiskFacts, manifest: Manifest) -> dict[str, str | int]:
    return {
        "disk_serial": disk.serial,
        "blocks": len(manifest.blocks),
        "bytes": manifest.raw_size,
        "manifest_sha256": task.manifest.sha256,
    }


def _manifest(task: WriteImage, ports: Ports) -> Manifest:
    text = fetch_file(ports, task.manifest.path, sha256=task.manifest.sha256, limit=MAX_TEXT)
    try:
        return Manifest.parse(text)
    except ManifestError as error:
        raise TaskError(str(error), evidence=task.manifest.path, next_action="Build the image again.") from error


def _check(task: WriteImage, manifest: Manifest, device: BlockDevice, contents: str) -> None:
    check_size(task.disk, device.size)
    if manifest.raw_size > device.size:
        raise TaskError(
            "the image is larger than the disk",
            evidence=f"image {manifest.raw_size} bytes, disk {device.size} bytes",
            next_action="Choose a larger disk or a smaller image.",
        )
    check_contents(task.expect_contents, contents)


class _Writer:
    def __init__(self, manifest: Manifest, device: BlockDevice, tally: Tally) -> None:
        self._manifest, self._device, self._tally = manifest, device, tally
        self._discarded = False

    def write(self, frames: Frames) -> bool:
        """All of the image, the first block last. Returns whether the device discarded its old content."""
        with closing(expanded(frames, self._manifest.block_size)) as arriving:
            first = self._first(arriving)
            self._clear()
            with closing(ahead(self._looked_at(), depth=_HOLES_AHEAD)) as holes:
                for step in plan(self._manifest):
                    match step:
                        case Hole():
                            self._leave_or_zero(step, is_zero=next(holes))
                        case Block():
                            self._device.write(step.index * self._manifest.block_size, self._next(arriving))
                            self._tally.done += step.raw_length
        self._device.flush()
        if first:
            self._device.write(0, first)
            self._device.flush()
        self._tally.done = self._manifest.raw_size
        return self._discarded

    def _first(self, arriving: Iterator[Expanded]) -> bytes:
        has_first = bool(self._manifest.blocks) and self._manifest.blocks[0].index == 0
        return bytes(self._next(arriving)) if has_first else b""

    def _next(self, arriving: Iterator[Expanded]) -> memoryview:
        came = next(arriving)
        self._tally.fetched += came.fetched
        return came.raw

    def _clear(self) -> None:
        """From here on nothing old boots: not from the old table, nor from what its backup restores."""
        self._zero(0, min(self._manifest.block_size, self._device.size))
        self._device.flush()
        self._discarded = self._device.discard()
        self._zero(0, min(self._manifest.block_size, self._device.size))
        self._zero(max(0, self._device.size - _END), min(_END, self._device.size))
        self._device.flush()

    def _looked_at(self) -> Iterator[bool]:
        """Of each hole, whether it reads as zeros by itself."""
        for step in plan(self._manifest):
            if isinstance(step, Hole):
                yield self._discarded and self._reads_zero(step)

    def _leave_or_zero(self, hole: Hole, *, is_zero: bool) -> None:
        if is_zero:
            self._tally.skipped += hole.length
        else:
            self._device.zero(hole.offset, hole.length)
        self._tally.done += hole.length

    def _reads_zero(self, hole: Hole) -> bool:
        """A sample: a device may discard without promising zeros (SBC-4 LBPRZ, NVMe DLFEAT)."""
        last = hole.offset + hole.length - min(_PAGE, hole.length)
        samples = (self._device.read(at, min(_PAGE, hole.length)) for at in (hole.offset, last))
        return all(sample == bytes(len(sample)) for sample in samples)

    def _zero(self, offset: int, size: int) -> None:
        if self._device.read(offset, size) != bytes(size):
            self._device.zero(offset, size)

"""The disk that the appliance stands on: the ESP by mtools, which mounts nothing, the root partitions as devices.

mtools believes what it finds: where a power cut has freed a file's clusters already, `mdel` (4.0.32) frees cluster 0,
and without that entry GRUB reads no file of the volume. So the volume is mended before anything on it is deleted.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import MachineryError
from appliance.files import sync
from appliance.upgrade.fat import offset_of
from images.errors import ToolError
from images.grubenv import SECTOR, SIZE, Slot
from images.ports import Finished, Processes

_ENVIRONMENT = "::/EFI/debian/grubenv"
_CHUNK = 1 << 20
_SECONDS = 300.0
_MENDED = (0, 1)
"""Of fsck.vfat(8): nothing to mend, or mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotDisk:
    """`esp` and `roots` are devices, or files that stand for them."""

    esp: Path
    roots: dict[Slot, Path]
    processes: Processes

    def environment(self) -> bytes:
        with _telling(self.esp), self.esp.open("rb") as volume:
            _uncached(volume.fileno())
            volume.seek(self._environment_at())
            return volume.read(SIZE)

    def set_environment(self, block: bytes) -> None:
        with _telling(self.esp):
            opened = os.open(self.esp, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(opened, block[:SECTOR], self._environment_at())
                os.fsync(opened)
            finally:
                os.close(opened)

    def _environment_at(self) -> int:
        said = self._tool(["mshowfat", "-i", str(self.esp), _ENVIRONMENT])
        with self.esp.open("rb") as volume:
            return offset_of(volume.read(SECTOR), said.output)

    def mend(self) -> None:
        self._tool(["fsck.vfat", "-a", "-w", str(self.esp)], good=_MENDED)
        self._settle()

    def remove(self, slot: Slot, name: str) -> None:
        if self._has(slot, name):
            self._tool(["mdel", "-i", str(self.esp), _path(slot, name)])
            self._settle()

    def write(self, slot: Slot, name: str, content: bytes) -> None:
        self._tool(["mcopy", "-D", "s", "-i", str(self.esp), "-", _path(slot, name)], stdin=content)
        self._settle()

    def read(self, slot: Slot, name: str) -> bytes | None:
        if not self._has(slot, name):
            return None
        with _telling(self.esp), self.esp.open("rb") as volume:
            _uncached(volume.fileno())
        return self._tool(["mcopy", "-i", str(self.esp), _path(slot, name), "-"]).output

    def room(self, slot: Slot) -> int:
        with _telling(self.roots[slot]), self.roots[slot].open("rb") as device:
            return device.seek(0, os.SEEK_END)

    def write_root(self, slot: Slot, pieces: Iterable[bytes]) -> None:
        device = self.roots[slot]
        with _telling(device):
            # Of a device O_EXCL without O_CREAT means: in nobody else's use (open(2)).
            opened = os.open(device, os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC)
            with os.fdopen(opened, "wb", buffering=0) as file:
                for piece in pieces:
                    _write_all(file.fileno(), piece)
                os.fsync(opened)

    def root(self, slot: Slot, size: int) -> Iterator[bytes]:
        with _telling(self.roots[slot]), self.roots[slot].open("rb") as device:
            _uncached(device.fileno())
            while size and (piece := device.read(min(size, _CHUNK))):
                size -= len(piece)
                yield piece

    def _has(self, slot: Slot, name: str) -> bool:
        listed = self._tool(["mdir", "-b", "-i", str(self.esp), f"::/{slot.value}"])
        return _path(slot, name).encode() in listed.output.split()

    def _settle(self) -> None:
        with _telling(self.esp):
            sync(self.esp)

    def _tool(self, argv: list[str], *, stdin: bytes = b"", good: tuple[int, ...] = (0,)) -> Finished:
        try:
            finished = self.processes.run(argv, timeout=_SECONDS, stdin=stdin)
        except ToolError as error:
            raise _failed(self.esp, error.evidence or str(error)) from error
        if finished.status not in good:
            raise _failed(self.esp, f"{argv[0]}: {finished.errors[-300:].decode('utf-8', 'replace')}")
        return finished


def _path(slot: Slot, name: str) -> str:
    return f"::/{slot.value}/{name}"


def _write_all(opened: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(opened, view) :]


def _uncached(opened: int) -> None:
    """What is read next comes from the disk. What is dirty stays: it has to be written first."""
    os.fsync(opened)
    os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def _telling(device: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(device, str(error)) from error


def _failed(device: Path, evidence: str) -> MachineryError:
    action = "look at the disk: journalctl -k; the running version is untouched"
    return MachineryError(f"{device} could not be read or written", evidence=evidence, next_action=action)

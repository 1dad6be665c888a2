"""What an upgrade needs of the disk; `appliance.upgrade.disk` has the real one."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from images.grubenv import Slot


class Disk(Protocol):
    """Two slots, each a root partition and a folder on the ESP, and GRUB's environment. All of it is on the disk when a
    method returns. Every method raises `MachineryError`."""

    def environment(self) -> bytes: ...

    def set_environment(self, block: bytes) -> None:
        """The first sector alone: it is written whole or not at all."""
        ...

    def mend(self) -> None:
        """The ESP, where a power cut left entries without clusters or clusters without an entry."""
        ...

    def remove(self, slot: Slot, name: str) -> None:
        """Of the slot's folder; nothing where it is not there."""
        ...

    def write(self, slot: Slot, name: str, content: bytes) -> None: ...

    def read(self, slot: Slot, name: str) -> bytes | None:
        """As it is on the disk; None where it is not there."""
        ...

    def room(self, slot: Slot) -> int:
        """Of its root partition, in bytes."""
        ...

    def write_root(self, slot: Slot, pieces: Iterable[bytes]) -> None: ...

    def root(self, slot: Slot, size: int) -> Iterator[bytes]:
        """The first `size` bytes, as they are on the disk."""
        ...

"""A disk in memory that loses power at any write, a bundle for it, and GRUB's part in it."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

from appliance.upgrade.writing import MANIFEST
from images import grubenv
from images.bundle import MENU, PARTS, ROOT, Manifest, Part, StateForm
from images.grubenv import Environment, Slot
from images.signature import make_key

KEY = make_key(bytes(range(40)))
STATE = StateForm(form=1, schema="0002", kinds=("boot-seen", "noted"))
_PIECE = 1000


class PowerCutError(Exception):
    pass


@dataclass(kw_only=True)
class FakeDisk:
    """`cut` is the number of the write that is the last one, and is done by half; -1 for none."""

    cut: int = -1
    writes: int = 0
    block: bytes = grubenv.block(Environment())
    files: dict[tuple[Slot, str], bytes] = field(default_factory=dict)
    roots: dict[Slot, bytes] = field(default_factory=lambda: dict.fromkeys(Slot, bytes(8000)))
    spoils: str = ""

    def environment(self) -> bytes:
        return self.block

    def set_environment(self, block: bytes) -> None:
        self.block = block
        self._written()

    def mend(self) -> None:
        self._written()

    def remove(self, slot: Slot, name: str) -> None:
        self.files.pop((slot, name), None)
        self._written()

    def write(self, slot: Slot, name: str, content: bytes) -> None:
        assert (slot, name) not in self.files, "mcopy would ask"
        self.files[slot, name] = content[: len(content) // 2]
        self._written()
        self.files[slot, name] = content[:-1] + b"?" if name == self.spoils else content
        self._written()

    def read(self, slot: Slot, name: str) -> bytes | None:
        return self.files.get((slot, name))

    def room(self, slot: Slot) -> int:
        return len(self.roots[slot])

    def write_root(self, slot: Slot, pieces: Iterable[bytes]) -> None:
        at = 0
        for piece in pieces:
            for start in range(0, len(piece), _PIECE):
                part = piece[start : start + _PIECE]
                self.roots[slot] = self.roots[slot][:at] + part + self.roots[slot][at + len(part) :]
                at += len(part)
                self._written()
        if self.spoils == ROOT:
            self.roots[slot] = b"?" + self.roots[slot][1:]

    def root(self, slot: Slot, size: int) -> Iterator[bytes]:
        yield self.roots[slot][:size]

    def _written(self) -> None:
        self.writes += 1
        if self.writes == self.cut:
            raise PowerCutError


def content(version: str) -> dict[str, bytes]:
    rng = random.Random(version)
    return {name: rng.randbytes(5500 if name == ROOT else 900) for name in PARTS}


def manifest_of(version: str) -> Manifest:
    parts = tuple(
        Part(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in content(version).items()
    )
    build = random.Random(version).randbytes(6).hex()
    return Manifest(version=version, build=build, state=STATE, parts=parts)


def bundle_of(version: str) -> bytes:
    manifest = manifest_of(version)
    signature = KEY.sign(BytesIO(manifest.to_json()), f"innervate {version} {manifest.build}").encode()
    head = len(manifest.to_json()).to_bytes(4, "big") + len(signature).to_bytes(4, "big")
    return b"INNERVATE-BUNDLE-1\n" + head + manifest.to_json() + signature + b"".join(content(version).values())


def install(disk: FakeDisk, slot: Slot, version: str) -> None:
    for name, data in content(version).items():
        if name == ROOT:
            disk.roots[slot] = data + disk.roots[slot][len(data) :]
        else:
            disk.files[slot, name] = data
    disk.files[slot, MANIFEST] = manifest_of(version).to_json()


def grub(disk: FakeDisk) -> tuple[Slot, bool]:
    """Which slot `images/appliance/grub.cfg` starts, and whether on trial; `tests/image/test_grub.py` asks it."""
    found = grubenv.read(disk.block) or Environment()
    slot, tried = found.good, None
    if found.left:
        disk.block = grubenv.block(Environment(good=found.good, trial=found.trial))
        slot = tried = found.trial or found.good
    chosen = slot if (slot, MENU) in disk.files else slot.other
    return chosen, chosen is tried


def runs(disk: FakeDisk, slot: Slot) -> str:
    """The version whose parts stand there, all of them and whole; "" for anything else."""
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        parts = content(version)
        whole = all(disk.files.get((slot, name)) == data for name, data in parts.items() if name != ROOT)
        if whole and disk.roots[slot].startswith(parts[ROOT]):
            return version
    return ""

"""A bundle into the slot that does not run. Whatever cuts it off leaves the running slot to be started:

1. the environment stops naming the other slot,
2. what an upgrade before left on the ESP is mended, the slot's files go, grub.cfg before the others: GRUB takes the
   slot for empty from here on,
3. root, kernel and ramdisk are written and read back,
4. its grub.cfg comes: the slot is whole,
5. the environment says: try it once. One sector, the last write.
"""

import hashlib
from collections.abc import Callable, Iterable

from appliance.errors import MachineryError
from appliance.upgrade.decision import armed
from appliance.upgrade.ports import Disk
from images import grubenv
from images.bundle import KERNEL, MENU, RAMDISK, ROOT, Manifest, Reading, chunks, read_manifest
from images.errors import BundleError
from images.grubenv import Environment, Slot

MANIFEST = "manifest.json"
Told = Callable[[str], None]


def fill(disk: Disk, running: Slot, manifest: Manifest, bundle: Reading, told: Told) -> None:
    """`bundle` stands at its first part. Raises `BundleError`, `MachineryError`."""
    slot = running.other
    disk.set_environment(grubenv.block(Environment(good=running)))
    disk.mend()
    # All of them before the first is written: what a power cut left of one may claim clusters that another one gets.
    for name in (MENU, MANIFEST, KERNEL, RAMDISK):
        disk.remove(slot, name)
    small = {}
    for part in manifest.parts:
        told(f"writing {part.name} into slot {slot.value}")
        if part.name == ROOT:
            disk.write_root(slot, chunks(bundle, part))
        else:
            small[part.name] = b"".join(chunks(bundle, part))
            if part.name != MENU:
                disk.write(slot, part.name, small[part.name])
    told("reading back what was written")
    for name in (KERNEL, RAMDISK):
        _compare(manifest.part(name).sha256, [disk.read(slot, name) or b""], name)
    root = manifest.part(ROOT)
    _compare(root.sha256, disk.root(slot, root.size), ROOT)
    disk.write(slot, MANIFEST, manifest.to_json())
    disk.write(slot, MENU, small[MENU])
    _compare(manifest.part(MENU).sha256, [disk.read(slot, MENU) or b""], MENU)


def arm(disk: Disk, running: Slot) -> None:
    """The next boot tries the other slot, once."""
    disk.set_environment(grubenv.block(armed(running)))


def content_of(disk: Disk, slot: Slot) -> Manifest | None:
    """None for a slot that is not whole."""
    raw = disk.read(slot, MANIFEST)
    if raw is None or disk.read(slot, MENU) is None:
        return None
    try:
        return read_manifest(raw)
    except BundleError:
        return None


def _compare(sha256: str, pieces: Iterable[bytes], name: str) -> None:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    if digest.hexdigest() != sha256:
        raise MachineryError(
            f"{name} does not read as it was written",
            evidence=f"SHA-256 {digest.hexdigest()} where {sha256} was written",
            next_action="replace the disk or stick: it loses what is written to it",
        )

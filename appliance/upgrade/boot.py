"""How this boot came about: what GRUB told the kernel (`images/appliance/grub.cfg`). Pure."""

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import NotFoundError
from images.grubenv import Slot

_PARTS = Path("/dev/disk/by-partuuid")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """`patience` is how many seconds after power-on a version on trial has to be healthy."""

    running: Slot
    root: Path
    other: Path
    esp: Path
    patience: float = _PATIENCE

    @property
    def roots(self) -> dict[Slot, Path]:
        return {self.running: self.root, self.running.other: self.other}


def boot_of(cmdline: str) -> Boot:
    """Raises `NotFoundError` where this is no appliance of two slots."""
    words = (word.partition("=") for word in cmdline.split())
    said = {name: value for name, equals, value in words if equals}
    ids = [said.get(name, "") for name in ("root", "innervate.other", "innervate.esp")]
    ids[0] = ids[0].removeprefix("PARTUUID=")
    slot = next((slot for slot in Slot if slot.value == said.get("innervate.slot")), None)
    if slot is None or not all(map(_ID.fullmatch, ids)):
        raise NotFoundError(
            "this is no appliance image: it has no slots",
            next_action="upgrade it as any other program of this computer",
        )
    root, other, esp = (_PARTS / name for name in ids)
    patience = said.get("innervate.patience", "")
    return Boot(
        running=slot,
        root=root,
        other=other,
        esp=esp,
        patience=float(patience) if patience.isdecimal() else _PATIENCE,
    )

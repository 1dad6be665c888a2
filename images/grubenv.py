"""GRUB's environment block, in which the slot to start is written: by us, and by GRUB when it begins a trial. Pure.

Format: GRUB 2 source, include/grub/lib/envblk.h: 1024 bytes, a first line, `name=value` lines, filled up with `#`.
What we keep fits into the first sector, which a disk writes whole or not at all.
"""

from dataclasses import dataclass
from enum import Enum

SIZE = 1024
SECTOR = 512
_HEAD = b"# GRUB Environment Block\n"
_FILLER = b"#"


class Slot(Enum):
    A = "a"
    B = "b"

    @property
    def other(self) -> "Slot":
        return Slot.B if self is Slot.A else Slot.A


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """`good` is started; `trial`, where `left`, once before it. A trial without `left` was begun."""

    good: Slot = Slot.A
    trial: Slot | None = None
    left: bool = False


def block(environment: Environment) -> bytes:
    trial = environment.trial.value if environment.trial else ""
    text = f"good={environment.good.value}\ntrial={trial}\nleft={int(environment.left)}\n"
    return (_HEAD + text.encode()).ljust(SIZE, _FILLER)


def read(raw: bytes) -> Environment | None:
    """None for what GRUB does not read; a value that GRUB takes for none is none."""
    if len(raw) != SIZE or not raw.startswith(_HEAD):
        return None
    lines = (line.partition(b"=") for line in raw[len(_HEAD) :].rstrip(_FILLER).split(b"\n"))
    said = {name: value for name, equals, value in lines if equals}
    return Environment(
        good=Slot.B if said.get(b"good") == b"b" else Slot.A,
        trial={b"a": Slot.A, b"b": Slot.B}.get(said.get(b"trial", b"")),
        left=said.get(b"left") == b"1",
    )

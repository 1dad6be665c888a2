"""What is in the artefact store, as the API says it. Sizes in bytes."""

from dataclasses import dataclass
from enum import Enum


class HashState(Enum):
    """`WHOLE`: hashed when the daemon began, and untouched since. `UNCHECKED`: there, and nobody needs it now.
    `CHANGED`: no longer what was hashed. `MISSING`: it cannot be found."""

    WHOLE = "whole"
    UNCHECKED = "unchecked"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    name: str
    sha256: str
    size_bytes: int
    media_type: str
    state: HashState


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """`version` is the key of its recipe: another one whenever what it is built from is. `sha256` is that of its
    largest artefact, `size_bytes` that of all. `served`: machines boot or install it now. `machines` run what was
    installed from it. `state` is the worst of its artefacts' at `looked` (seconds since the epoch)."""

    name: str
    version: str
    size_bytes: int
    sha256: str
    served: bool
    state: HashState
    looked: float
    machines: tuple[str, ...] = ()
    artifacts: tuple[ArtifactView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesView:
    """Those that are served first. `free_bytes` is the room that the store's disk has left."""

    images: tuple[ImageView, ...]
    free_bytes: int | None = None

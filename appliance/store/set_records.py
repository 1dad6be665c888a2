"""What the appliance remembers of artifact sets: which it holds, whole, and since when."""

from dataclasses import dataclass
from typing import Literal

from images.artifact_set import ArtifactSet


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKept:
    """Each of its parts was read back. `size` in bytes, what images share counted once."""

    described: ArtifactSet
    size: int
    by: str = ""
    record: Literal["set-kept"] = "set-kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDropped:
    name: str
    by: str = ""
    record: Literal["set-dropped"] = "set-dropped"


SetRecord = SetKept | SetDropped

"""Artifact sets, as the API shows them. `Engine` and `Provenance` are the words of `images.artifact_set`."""

from dataclasses import dataclass
from enum import StrEnum


class SetWork(StrEnum):
    IMPORT = "import"
    CHECK = "check"
    REMOVE = "remove"


class WorkState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFaultView:
    code: str
    message: str
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetJobView:
    """The work under way, or the last one. `subject` is a set, or the folder that one is imported from; `doing` is for
    people, bytes are those of it. Times in seconds since the epoch, `ended` None while it goes on."""

    work: SetWork
    subject: str
    state: WorkState
    started: float
    ended: float | None = None
    doing: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    fault: SetFaultView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetView:
    """`provenance` says whose work the engine is. `looked` is when its parts were last asked for, None for never since
    the daemon started; `gaps` names what was not there, or was changed."""

    name: str
    engine: str
    version: str
    arch: str
    provenance: str
    files: int
    images: int
    size_bytes: int
    since: float
    looked: float | None = None
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetsView:
    """`folder`: where folders to be imported have to stand, "" where the configuration names none. `registry` as
    HOST:PORT; `authority` has signed its certificate, in PEM."""

    registry: str
    authority: str
    folder: str = ""
    sets: tuple[SetView, ...] = ()
    job: SetJobView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetImportRequest:
    """`folder`: the name of one in the folder of sets, or its whole path."""

    folder: str

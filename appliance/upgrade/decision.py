"""What may be written into the slot that does not run, and what a boot means. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.errors import ConflictError, UsageError
from images.bundle import ROOT, Manifest, StateForm
from images.grubenv import Environment, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """`environment` is what has to be written, where it is not as it should be."""

    environment: Environment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTrial:
    """The slot that runs has to prove itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBack:
    """`failed` was tried and is not what runs."""

    failed: Slot
    environment: Environment


def meaning_of(found: Environment | None, running: Slot) -> Normal | OnTrial | FellBack:
    """Of a boot. What runs although nothing speaks for it is good: there is nothing else to start."""
    settled = Environment(good=running)
    if found is None:
        return Normal(environment=settled)
    if found.trial is None or found.left:
        # Armed, and yet not begun: GRUB could not write. The trial would only begin at some boot nobody expects.
        return Normal(environment=None if found == settled else settled)
    if found.trial is running and found.good is not running:
        return OnTrial()
    return FellBack(failed=found.trial, environment=settled)


def armed(running: Slot) -> Environment:
    return Environment(good=running, trial=running.other, left=True)


def admit(new: Manifest, running: Manifest, room: int) -> None:
    """`room` is that of the other slot's root partition, in bytes. Raises `ConflictError`, `UsageError`."""
    if new.build == running.build:
        raise ConflictError(f"version {new.name} is what runs", next_action="nothing has to be done")
    if _numbers(new.version) < _numbers(running.version):
        raise UsageError(
            f"version {new.name} is older than {running.name}",
            next_action="go back to the other slot with `innervate appliance rollback`, or take a newer bundle",
        )
    if (need := new.part(ROOT).size) > room:
        raise UsageError(
            f"version {new.name} is larger than a slot of this disk",
            evidence=f"{need} of {room} bytes",
            next_action="back up, write the new version's disk image, and restore",
        )
    check_way_back(writes=new, reads=running)


def check_way_back(*, writes: Manifest, reads: Manifest) -> None:
    """Whoever is returned to has to read what was written meanwhile. Raises `UsageError`."""
    if odd := unreadable(writes.state, reads.state):
        raise UsageError(
            f"version {reads.name} could not read what version {writes.name} writes",
            evidence=", ".join(odd),
            next_action="back up, write the new version's disk image, and restore",
        )


def unreadable(writes: StateForm, reads: StateForm) -> Sequence[str]:
    """What of it; nothing where all can be read."""
    files = [f"files of form {writes.form}"] if writes.form > reads.form else []
    tables = [f"tables of revision {writes.schema}"] if writes.schema > reads.schema else []
    kinds = [f"records {kind}" for kind in writes.kinds if kind not in reads.kinds]
    return [*files, *tables, *kinds]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))

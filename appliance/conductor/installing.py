"""An installer that a step boots, and what it has said since. Pure.

It may boot more than once under one nonce: after a power cut it begins again, on a disk that it was let at before.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from appliance.conductor.runs import Attempt
from appliance.model.ids import Nonce
from appliance.plan import RunInstaller
from appliance.store.records import InstallerSeen, InstallerStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Installing:
    """`task` is the step of this run. `heard` is when it last said something, 0.0 for never; `word` is what.

    `granted`: it was let at the disk by an attempt at this very step, so what is there now is its own."""

    do: RunInstaller
    task: str
    nonce: Nonce
    granted: bool = False
    failed: str = ""
    done: bool = False
    heard: float = 0.0
    word: str = ""


def begun(before: Installing | None, do: RunInstaller, attempt: Attempt) -> Installing:
    if before is not None and before.nonce == attempt.nonce:
        return before
    granted = before is not None and before.task == attempt.task and before.granted
    return Installing(do=do, task=attempt.task, nonce=attempt.nonce, granted=granted)


def heard(before: Installing, seen: InstallerSeen, now: float) -> Installing:
    """What is done stays done: a machine that is to run from its disk is not made to install again."""
    said = replace(before, heard=now, word=seen.detail)
    match seen.stage:
        case InstallerStage.ANSWERS:
            return replace(said, failed="")
        case InstallerStage.DISK:
            return replace(said, granted=True)
        case InstallerStage.WORD:
            return said
        case InstallerStage.FAILED:
            return replace(said, failed=seen.detail or "it did not say why")
        case InstallerStage.DONE:
            return replace(said, done=True)
        case _:
            assert_never(seen.stage)

"""The appliance's two slots, as the API shows them."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    IDLE = "idle"
    ASKED = "asked"
    WORKING = "working"
    RESTARTING = "restarting"
    TRIAL = "trial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """`version` "" where the slot is not whole; `good` is what is started when nothing is on trial."""

    slot: str
    running: bool
    good: bool
    version: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplianceView:
    """`text` says what goes on or what failed, `outcome` what came of the last trial."""

    slots: tuple[SlotView, ...]
    stage: Stage = Stage.IDLE
    text: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of a trial, which ended at `time`, in seconds since the epoch."""

    time: float
    kept: bool
    text: str

"""What was seen of a machine, kept with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.ids import RunId
from appliance.plan import DiskRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    what: str
    time: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A disk that was wiped and read back: what the agent found, by name. `at` in seconds since the epoch."""

    disk: DiskRef
    at: float
    run: RunId
    findings: Mapping[str, str]

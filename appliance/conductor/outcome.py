"""How an attempt at a step can end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.store.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`evidence`: what was seen, by name, as short texts for people."""

    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The attempt came to nothing, harmlessly: try again under a new fence after `seconds`."""

    seconds: float
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    problem: Problem


Outcome = Done | Retry | Failed

"""What is said of each errand before it is planned, and which of them a typed name has to approve. Pure."""

from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.model.words import Errand

if TYPE_CHECKING:
    from appliance.frontend.provision import Outcome
    from appliance.model.views import PlanView

SAYS = {
    Errand.REINSTALL: "Install a machine anew. What its system disk holds is lost.",
    Errand.WIPE: "Let a machine's disks forget what they hold.",
    Errand.ERASE: "Overwrite every byte of a machine's disks; this can take hours.",
    Errand.RESCUE: "Boot a repair system from memory. The machine's disks are left alone.",
    Errand.DECOMMISSION: "Take a machine out of service for good. Every byte of its disks is erased.",
    Errand.REPLACE: "Let a spare take over a machine's role. What the spare's disk holds is lost.",
}

_HARMLESS = frozenset({Errand.RESCUE})


def is_harmless(errand: Errand, plan: "PlanView") -> bool:
    """An errand that destroys something may first find out what: its first plan is harmless, the errand is not."""
    return errand in _HARMLESS and all(step.kind != "destructive" for step in plan.steps)


def outcome_of(errand: Errand, outcome: "Outcome") -> "Outcome":
    """That a spare is missing after a replacement is what was asked for."""
    return replace(outcome, missing=()) if errand is Errand.REPLACE else outcome

"""Which phase a machine comes to while something is done to it. Pure."""

from typing import assert_never

from appliance.model.phase import Phase
from appliance.model.views import Errand


def coming(phase: Phase, errand: Errand | None) -> Phase:
    """Where a machine stands while it boots into the ramdisk."""
    match errand:
        case Errand.WIPE | Errand.ERASE | Errand.DECOMMISSION:
            return emptying(errand)
        case Errand.RESCUE | Errand.REINSTALL | Errand.REPLACE | None:
            return phase if phase is Phase.AVAILABLE else Phase.ENROLLING
        case _:
            assert_never(errand)


def emptying(errand: Errand | None) -> Phase:
    return Phase.RELEASING if errand is Errand.DECOMMISSION else Phase.PREPARING

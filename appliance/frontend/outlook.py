"""How long a plan usually takes and when a run is usually done, in one sentence for every front-end. Pure."""

from collections.abc import Iterator

from appliance.frontend import units
from appliance.model.views import OutlookView, PlanView, RunView


def of_plan(view: PlanView) -> str:
    """ "Usually takes about 14m; 2 steps as other models took them." ; "" for a plan without steps."""
    if (seen := view.outlook) is None:
        return ""
    if seen.untimed == seen.steps:
        said = f"How long it takes is not known: {_untimed(seen)}"
    elif seen.untimed:
        said = f"Takes at least {units.roughly(seen.seconds)}: {_untimed(seen)}"
    else:
        said = f"Usually takes about {units.roughly(seen.seconds)}"
    later = ("what is planned later comes on top",) if view.deferred else ()
    return f"{'; '.join((said, *_borrowed(seen), *later))}."


def of_run(run: RunView, now: float) -> str:
    """ "about 5m left, usually done at 12:03:10Z" ; "" for a run with nothing left to do."""
    if (seen := run.outlook) is None:
        return ""
    if seen.untimed == seen.steps:
        return f"how long it goes on is not known: {_untimed(seen)}"
    left = units.roughly(seen.seconds if seen.until is None else seen.until - now)
    if seen.untimed:
        return "; ".join((f"at least {left} left: {_untimed(seen)}", *_borrowed(seen)))
    done = "when it goes on" if seen.until is None else f"usually done at {units.clock(seen.until)}"
    return "; ".join((f"about {left} left, {done}", *_borrowed(seen)))


def _untimed(seen: OutlookView) -> str:
    which = f"{seen.untimed} of {seen.steps} steps {'was' if seen.untimed == 1 else 'were'}"
    return f"{which} never timed here; with all their budgets it is {units.roughly(seen.allowed)}"


def _borrowed(seen: OutlookView) -> Iterator[str]:
    if seen.borrowed:
        steps = "1 step" if seen.borrowed == 1 else f"{seen.borrowed} steps"
        yield f"{steps} as other models took them"

"""How the command ends: the exit statuses."""

from enum import IntEnum
from typing import TYPE_CHECKING

from appliance.errors import InnervateError

if TYPE_CHECKING:
    from appliance.frontend.provision import Outcome
    from appliance.model.views import RunView


class Exit(IntEnum):
    OK = 0
    FAILURE = 1
    USAGE = 2
    PARTIAL = 3
    NOT_FOUND = 4
    CONFLICT = 5
    ACCESS = 6
    UNREACHABLE = 7
    TIMEOUT = 8
    REFUSED = 9
    INTERRUPTED = 130


EXITS: dict[str, Exit] = {
    "error": Exit.FAILURE,
    "usage": Exit.USAGE,
    "site": Exit.USAGE,
    "capability": Exit.USAGE,
    "plan": Exit.USAGE,
    "refused": Exit.REFUSED,
    "not-found": Exit.NOT_FOUND,
    "conflict": Exit.CONFLICT,
    "stale": Exit.CONFLICT,
    "unguarded": Exit.CONFLICT,
    "incomplete": Exit.FAILURE,
    "forbidden": Exit.ACCESS,
    "login": Exit.ACCESS,
    "throttled": Exit.ACCESS,
    "step": Exit.FAILURE,
    "bmc": Exit.FAILURE,
    "agent": Exit.FAILURE,
    "cluster": Exit.FAILURE,
    "shell": Exit.FAILURE,
    "machinery": Exit.FAILURE,
    "unreachable": Exit.UNREACHABLE,
    "no-daemon": Exit.UNREACHABLE,
    "timeout": Exit.TIMEOUT,
}


def of_error(error: InnervateError) -> Exit:
    return EXITS.get(error.code, Exit.FAILURE)


def of_run(run: "RunView") -> Exit:
    """Partial when at least one machine got through all of its steps and another did not."""
    from appliance.model.views import StepState

    touched = {step.machine for step in run.steps}
    behind = {step.machine for step in run.steps if step.state is not StepState.DONE}
    if not behind:
        return Exit.OK
    return Exit.PARTIAL if touched - behind else Exit.FAILURE


def of_outcome(outcome: "Outcome") -> Exit:
    worst = max((of_run(run) for run in outcome.runs), default=Exit.OK, key=_badness)
    if worst is not Exit.OK or not (outcome.deferred or outcome.missing):
        return worst
    return Exit.FAILURE if outcome.deferred and not outcome.runs else Exit.PARTIAL


def _badness(status: Exit) -> int:
    return (Exit.OK, Exit.PARTIAL, Exit.FAILURE).index(status)

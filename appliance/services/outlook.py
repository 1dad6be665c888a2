"""How long a plan usually takes, and what is left of a run: its steps, each with the time that such steps took here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.conductor.forecast import Work, together
from appliance.conductor.machine import model_of
from appliance.conductor.past import Timed
from appliance.conductor.runs import Attempt, RunStatus
from appliance.conductor.world import World
from appliance.model.ids import MachineName, RunId
from appliance.model.rollout import Rollout
from appliance.model.views import OutlookView, RunState
from appliance.plan import Plan, Step

_FRESH_SECONDS = 0.001
"""For each step of the run, which takes some 15 microseconds: 7 s where there are 7,000."""

Timing = Callable[[Step], Timed | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A step that is still to be done: `spent` seconds of it are over."""

    step: Step
    timed: Timed | None
    spent: float = 0.0

    def work(self, *, untimed: float) -> Work:
        whole = untimed if self.timed is None else self.timed.seconds
        left = max(0.0, whole - self.spent)
        return Work(id=self.step.id, machine=self.step.machine, needs=self.step.needs, seconds=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    at: float
    paused: bool
    outlook: OutlookView | None


class Outlooks:
    """Of runs: the more steps one has the seldomer it is worked out anew, however many look at it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[RunId, _Kept] = {}

    def of(self, run: RunStatus, now: float) -> OutlookView | None:
        """As `run_outlook`."""
        if run.state is not RunState.RUNNING:
            self._kept.pop(run.id, None)
            return None
        kept, paused = self._kept.get(run.id), run.paused is not None
        fresh = len(run.plan.steps) * _FRESH_SECONDS
        if kept is None or kept.paused is not paused or not 0 <= now - kept.at < fresh:
            kept = _Kept(at=now, paused=paused, outlook=run_outlook(run, self._world, now))
            self._kept[run.id] = kept
        return kept.outlook


def plan_outlook(plan: Plan, world: World, rollout: Rollout) -> OutlookView | None:
    """None for a plan without steps."""
    timing = _timing(world)
    return _outlook([_Part(step=step, timed=timing(step)) for step in plan.steps], rollout)


def run_outlook(run: RunStatus, world: World, now: float) -> OutlookView | None:
    """None for a run that is over, or has nothing left to do."""
    if run.state is not RunState.RUNNING:
        return None
    timing = _timing(world)
    left = [step for step in run.plan.steps if step.id not in run.lost and not run.is_done(step.id)]
    parts = [_Part(step=step, timed=timing(step), spent=_spent(run.attempts.get(step.id), now)) for step in left]
    return _outlook(parts, run.rollout, run.entered.keys(), None if run.paused else now)


def _outlook(
    parts: Sequence[_Part], rollout: Rollout, entered: Iterable[MachineName] = (), now: float | None = None
) -> OutlookView | None:
    if not parts:
        return None
    inside = frozenset(entered)
    seconds = together([part.work(untimed=0.0) for part in parts], rollout, inside)
    timed = [part.timed for part in parts if part.timed is not None]
    budgets = [part.work(untimed=part.step.budget) for part in parts]
    return OutlookView(
        seconds=round(seconds, 1),
        allowed=round(seconds if len(timed) == len(parts) else together(budgets, rollout, inside), 1),
        steps=len(parts),
        untimed=len(parts) - len(timed),
        borrowed=sum(not one.own for one in timed),
        until=None if now is None else round(now + seconds, 1),
    )


def _timing(world: World) -> Timing:
    """Looked up once for each model and kind of step: a plan for a thousand machines has few of these."""
    known: dict[tuple[str, str], Timed | None] = {}

    def timed(step: Step) -> Timed | None:
        key = (model_of(world.machine(step.machine)), step.do.action)
        if key not in known:
            known[key] = world.timed(*key)
        return known[key]

    return timed


def _spent(attempt: Attempt | None, now: float) -> float:
    """What came to nothing begins anew."""
    if attempt is None or attempt.ended is not None:
        return 0.0
    return max(0.0, now - (attempt.resumed_from or attempt.started))

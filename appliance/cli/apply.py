"""From a site program to running machines: plan, approve, apply, follow, and again for what had to wait."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.cli.exits import Exit, of_run
from appliance.cli.progress import Display
from appliance.client import Client
from appliance.errors import AbsentError, RefusedError
from appliance.model.text import clean
from appliance.model.views import DeferredView, MachinesView, PlanView, RunState, RunView

_ABSENCE = 60.0


class Planner(Protocol):
    """The part of `Client` that provisioning needs."""

    def make_plan(self) -> PlanView: ...

    def apply(self, digest: str) -> RunView: ...

    def run(self, run: str) -> RunView: ...

    def machines(self) -> MachinesView: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`deferred` is what could not be planned until the end."""

    runs: tuple[RunView, ...]
    deferred: tuple[DeferredView, ...]

    @property
    def exit(self) -> Exit:
        worst = max((of_run(run) for run in self.runs), default=Exit.OK, key=_badness)
        if worst is not Exit.OK or not self.deferred:
            return worst
        return Exit.PARTIAL if self.runs else Exit.FAILURE


def provision(planner: Planner, approve: Callable[[PlanView], None], follow: Callable[[RunView], RunView]) -> Outcome:
    """Goes on until nothing is deferred, nothing changes any more, or a run failed. `approve` raises to stop it."""
    runs: list[RunView] = []
    applied: set[str] = set()
    while True:
        plan = planner.make_plan()
        if not plan.steps or plan.digest in applied:
            return Outcome(runs=tuple(runs), deferred=plan.deferred)
        approve(plan)
        runs.append(follow(planner.apply(plan.digest)))
        applied.add(plan.digest)
        if runs[-1].state is RunState.FAILED or not plan.deferred:
            return Outcome(runs=tuple(runs), deferred=plan.deferred)


def apply_exactly(
    client: Client, digest: str, approve: Callable[[PlanView], None], follow: Callable[[RunView], RunView]
) -> Outcome:
    """One plan that was read before; what it defers needs another approval."""
    plan = client.plan(digest)
    approve(plan)
    return Outcome(runs=(follow(client.apply(digest)),), deferred=plan.deferred)


def follow_run(
    planner: Planner, run: RunView, shown: Display, now: Callable[[], float], pause: Callable[[], None]
) -> RunView:
    """Until the run ends; `pause` lets some time pass between two looks.

    A daemon that restarts goes on with the run, so its absence ends nothing until `_ABSENCE` seconds have passed.
    """
    heard = now()
    while run.state is RunState.RUNNING:
        try:
            shown.update(planner.machines(), now())
            run, heard = planner.run(run.id), now()
        except AbsentError:
            if now() - heard > _ABSENCE:
                raise
        pause()
    shown.update(planner.machines(), now())
    return run


def confirm(plan: PlanView, ask: Callable[[str], str]) -> None:
    """Raises `RefusedError` unless the site's name was typed: nothing else counts as a yes."""
    try:
        answer = ask(f"Type the site's name ({clean(plan.site, 63)}) to apply, anything else to leave: ")
    except EOFError:
        answer = ""
    if answer.strip() != plan.site:
        raise RefusedError("not applied: the plan was not confirmed", next_action="nothing was changed")


def _badness(status: Exit) -> int:
    return (Exit.OK, Exit.PARTIAL, Exit.FAILURE).index(status)

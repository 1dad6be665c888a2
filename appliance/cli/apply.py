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
    """`deferred` is what could not be planned until the end, `missing` what the last plan could not reach at all."""

    runs: tuple[RunView, ...]
    deferred: tuple[DeferredView, ...]
    missing: tuple[str, ...] = ()

    @property
    def exit(self) -> Exit:
        worst = max((of_run(run) for run in self.runs), default=Exit.OK, key=_badness)
        if worst is not Exit.OK or not (self.deferred or self.missing):
            return worst
        return Exit.FAILURE if self.deferred and not self.runs else Exit.PARTIAL


def provision(planner: Planner, approve: Callable[[PlanView], None], follow: Callable[[RunView], RunView]) -> Outcome:
    """All that the site program wants."""
    return carry_out(planner, planner.make_plan, approve, follow)


def carry_out(
    planner: Planner,
    make_plan: Callable[[], PlanView],
    approve: Callable[[PlanView], None],
    follow: Callable[[RunView], RunView],
) -> Outcome:
    """Goes on until nothing is deferred, nothing changes any more, or a run ended otherwise than done.

    `approve` raises to stop it.
    """
    runs: list[RunView] = []
    applied: set[str] = set()
    while True:
        plan = make_plan()
        if plan.digest in applied or not (plan.steps or _gives_roles(plan, planner)):
            return Outcome(runs=tuple(runs), deferred=plan.deferred, missing=plan.missing)
        approve(plan)
        runs.append(follow(planner.apply(plan.digest)))
        applied.add(plan.digest)
        if runs[-1].state is not RunState.DONE or not plan.deferred:
            return Outcome(runs=tuple(runs), deferred=plan.deferred, missing=plan.missing)


def _gives_roles(plan: PlanView, planner: Planner) -> bool:
    """A machine that is installed already can take over a role without a step: the run makes it so."""
    has = {machine.name: (machine.role, machine.spare_of) for machine in planner.machines().machines}
    return any(has.get(one.machine) != (("", one.role) if one.spare else (one.role, "")) for one in plan.roles)


def apply_exactly(
    client: Client, digest: str, approve: Callable[[PlanView], None], follow: Callable[[RunView], RunView]
) -> Outcome:
    """One plan that was read before; what it defers needs another approval."""
    plan = client.plan(digest)
    approve(plan)
    return Outcome(runs=(follow(client.apply(digest)),), deferred=plan.deferred, missing=plan.missing)


def follow_run(
    planner: Planner, run: RunView, shown: Display, now: Callable[[], float], pause: Callable[[], None]
) -> RunView:
    """Until the run ends; `pause` lets some time pass between two looks.

    A daemon that restarts goes on with the run, so its absence ends nothing until `_ABSENCE` seconds have passed.
    """
    heard = now()
    while run.state is RunState.RUNNING:
        try:
            shown.update(planner.machines(), now(), run)
            run, heard = planner.run(run.id), now()
        except AbsentError:
            if now() - heard > _ABSENCE:
                raise
        if run.state is RunState.RUNNING:
            pause()
    shown.update(planner.machines(), now(), run)
    return run


def confirm(kind: str, name: str, ask: Callable[[str], str]) -> None:
    """Raises `RefusedError` unless the name of the site or machine was typed: nothing else counts as a yes."""
    try:
        answer = ask(f"Type the {kind}'s name ({clean(name, 63)}) to apply, anything else to leave: ")
    except EOFError:
        answer = ""
    if answer.strip() != name:
        raise RefusedError("not applied: the plan was not confirmed", next_action="nothing of it was done")


def _badness(status: Exit) -> int:
    return (Exit.OK, Exit.PARTIAL, Exit.FAILURE).index(status)

"""From a site program to running machines: plan, approve, apply, follow, and again for what had to wait."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from appliance.errors import AbsentError, RefusedError
from appliance.model.text import clean
from appliance.model.views import DeferredView, MachinesView, PlanView, RunState, RunView

if TYPE_CHECKING:
    from appliance.client import Client

_ABSENCE = 60.0


class Watcher(Protocol):
    """`now` in seconds since the epoch; `run` is the one that is followed."""

    def update(self, machines: MachinesView, now: float, run: RunView) -> None: ...


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
        if not is_worth(plan, applied, planner.machines()):
            return Outcome(runs=tuple(runs), deferred=plan.deferred, missing=plan.missing)
        approve(plan)
        runs.append(follow(planner.apply(plan.digest)))
        applied.add(plan.digest)
        if not goes_on(plan, runs[-1]):
            return Outcome(runs=tuple(runs), deferred=plan.deferred, missing=plan.missing)


def is_worth(plan: PlanView, applied: Set[str], machines: MachinesView) -> bool:
    """Whether to carry the plan out would change anything; `applied` are the digests of those before it."""
    return plan.digest not in applied and (bool(plan.steps) or _gives_roles(plan, machines))


def goes_on(plan: PlanView, run: RunView) -> bool:
    """Whether what had to wait can be planned now: the run of the plan went well and put something off."""
    return run.state is RunState.DONE and bool(plan.deferred)


def _gives_roles(plan: PlanView, machines: MachinesView) -> bool:
    """A machine that is installed already can take over a role without a step: the run makes it so."""
    has = {machine.name: (machine.role, machine.spare_of) for machine in machines.machines}
    return any(has.get(one.machine) != (("", one.role) if one.spare else (one.role, "")) for one in plan.roles)


def apply_exactly(
    client: "Client", digest: str, approve: Callable[[PlanView], None], follow: Callable[[RunView], RunView]
) -> Outcome:
    """One plan that was read before; what it defers needs another approval."""
    plan = client.plan(digest)
    approve(plan)
    return Outcome(runs=(follow(client.apply(digest)),), deferred=plan.deferred, missing=plan.missing)


def follow_run(
    planner: Planner, run: RunView, shown: Watcher, now: Callable[[], float], pause: Callable[[], None]
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
    if not is_name(answer, name):
        raise RefusedError("not applied: the plan was not confirmed", next_action="nothing of it was done")


def is_name(answer: str, name: str) -> bool:
    """A name is typed as it is written: nothing is a yes where there is no name."""
    return bool(name) and answer.strip() == name

"""A site program: ordinary Python that says, in one variable `site`, what there is and what is wanted of it.

A score whose needs the topology lacks is rejected three times: by the type checkers (Score is contravariant in what it
needs), by `innervate check`, and before each plan.
"""

import runpy
import traceback
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from inspect import getmro
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, assert_never, get_type_hints

from appliance.capabilities import Capability, RolePlan
from appliance.errors import CapabilityError, InnervateError, PlanError, SiteError, UsageError
from appliance.inventory.model import Installed, Inventory, MachineRecord
from appliance.model.cluster import RemoveNode
from appliance.model.ids import MachineName, StepId, machine_name
from appliance.model.ignition import Config
from appliance.model.phase import Phase
from appliance.model.site_network import cautions
from appliance.model.views import Errand
from appliance.plan import Deferred, Plan, Purpose, Step, merge
from appliance.roles.disk import DiskBySerial, DiskByWwn, Overwrite
from appliance.roles.giving import Given, give_roles, hand_over
from appliance.scores.cluster_life import leave_first
from appliance.scores.errands import decommission, reinstall_first, rescue, wipe
from appliance.scores.install_linux import InstallLinux
from appliance.scores.retirement import retire
from appliance.scores.score import Score, chain
from appliance.topology import Rack
from images.agent.protocol import WipeLevel

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Generic[T]):
    """`name` is one DNS label. The order of `scores` means nothing."""

    name: str
    topology: T
    scores: Sequence[Score[T]]

    def __post_init__(self) -> None:
        try:
            machine_name(self.name)
        except UsageError as error:
            raise SiteError(f"{self.name[:70]!r} cannot be a site name", next_action=error.next_action) from error
        object.__setattr__(self, "scores", tuple(self.scores))
        for score in self.scores:
            if not (isinstance(getattr(score, "name", None), str) and callable(getattr(score, "plan", None))):
                raise SiteError(
                    f"{self.name}: {score!r} is no score",
                    next_action="put objects with a name and a plan(site, inventory) method into scores",
                )


def configs_of(site: Site[Rack]) -> Mapping[str, Config]:
    """What the site program says to Ignition, by SHA-256: plans hold no more of it."""
    scores = (score for score in site.scores if isinstance(score, InstallLinux))
    return {config.sha256: config for score in scores for config in score.ignition}


class Missing(NamedTuple):
    """A score and the capabilities that it needs but the topology does not offer."""

    score: str
    capabilities: tuple[str, ...]


def needs_of(score: Score[T]) -> tuple[type, ...]:
    """The capability Protocols behind the annotation of the `site` parameter of the score's `plan`."""
    try:
        wanted = get_type_hints(score.plan).get("site", object)
    except (NameError, TypeError) as error:
        raise _unreadable(score.name, str(error)) from error
    if not isinstance(wanted, type):
        raise _unreadable(score.name, f"site: {wanted!r}")
    return tuple(base for base in getmro(wanted) if Capability in base.__bases__)


def missing(site: Site[T]) -> tuple[Missing, ...]:
    """Empty when every score can run on the site's topology."""
    gaps = (
        Missing(score.name, tuple(need.__name__ for need in needs_of(score) if not isinstance(site.topology, need)))
        for score in site.scores
    )
    return tuple(sorted(gap for gap in gaps if gap.capabilities))


def check(site: Site[T]) -> Site[T]:
    """Raises `CapabilityError` that lists each score with what it lacks."""
    if gaps := missing(site):
        raise CapabilityError(
            f"{site.name}: the topology {type(site.topology).__name__} does not offer what the scores need",
            evidence="\n".join(f"{gap.score} needs {', '.join(gap.capabilities)}" for gap in gaps),
            next_action="remove these scores, or give the site a topology that offers the capabilities",
        )
    return site


def plan_site(site: Site[T], inventory: Inventory) -> Plan:
    """One plan for all scores, for the machines that nobody else has in hand. Raises `CapabilityError`, `PlanError`."""
    check(site)
    given = Given(inventory=inventory)
    if isinstance(site.topology, RolePlan) and site.topology.roles:
        given = give_roles(site.topology, inventory)
    return _planned(site, given)


def plan_purpose(site: Site[Rack], inventory: Inventory, purpose: Purpose) -> Plan:
    """What the site program wants of all, an errand of one machine, or the end of all of it. Raises `CapabilityError`,
    `PlanError`."""
    if purpose.errand is None:
        return plan_site(site, inventory)
    if purpose.machine is None:
        return retire(site.name, site.topology, inventory)
    record = inventory.record(purpose.machine)
    match purpose.errand:
        case Errand.WIPE:
            return wipe(site.topology, record, WipeLevel.DISCARD, leave_first(record, site.topology, inventory))
        case Errand.ERASE:
            return wipe(site.topology, record, WipeLevel.ERASE, leave_first(record, site.topology, inventory))
        case Errand.RESCUE:
            return rescue(site.topology, record)
        case Errand.DECOMMISSION:
            return decommission(site.topology, record, leave_first(record, site.topology, inventory))
        case Errand.REINSTALL:
            return plan_reinstallation(site, inventory, record.name)
        case Errand.REPLACE:
            return plan_replacement(site, inventory, record.name)
        case _:
            assert_never(purpose.errand)


def plan_replacement(site: Site[Rack], inventory: Inventory, failed: MachineName) -> Plan:
    """The spare's way into the role of `failed`, and nothing else. Raises `PlanError` when there is none."""
    if not site.topology.roles:
        raise PlanError(
            f"{failed} cannot be replaced: the site program gives no roles",
            next_action="state roles with spares in the topology: Rack(roles=...)",
        )
    given = hand_over(site.topology, inventory, failed)
    plan = _planned(site, replace(given, inventory=_without(given.inventory, failed)))
    mine = tuple(step for step in plan.steps if step.machine == given.successor or _is_about(step, failed))
    known = {step.id for step in mine}
    steps = tuple(replace(step, needs=tuple(need for need in step.needs if need in known)) for step in mine)
    return replace(plan, steps=steps, deferred=(), purpose=Purpose(errand=Errand.REPLACE, machine=failed))


def _without(inventory: Inventory, failed: MachineName) -> Inventory:
    """As it is once another has the role: nobody waits for that machine any more."""
    record = replace(inventory.record(failed), replaced=True)
    return replace(inventory, machines={**inventory.machines, failed: record})


def _is_about(step: Step, failed: MachineName) -> bool:
    """Its cluster has to do without it before another comes in."""
    return isinstance(step.do, RemoveNode) and step.do.node == failed


def plan_reinstallation(site: Site[Rack], inventory: Inventory, name: MachineName) -> Plan:
    """As the site program installs it, on the disk that it runs from now, whatever that holds."""
    record = inventory.record(name)
    out = leave_first(record, site.topology, inventory)
    if (first := reinstall_first(site.topology, record, out)) is not None:
        return first
    bare = replace(record, installed=None, phase=Phase.AVAILABLE, member=None, slurm=None, host=None)
    anew = replace(inventory, machines={**inventory.machines, name: bare}, by_role=False)
    scores = [_only(score, name, record.installed) for score in site.scores]
    plan = _planned(replace(site, scores=scores), Given(inventory=anew))
    before = chain(Errand.REINSTALL.value, name, out)
    last = tuple(step.id for step in before[-1:])
    own = [step for step in plan.steps if step.machine == name]
    known = {step.id for step in own}
    steps = (_after(step, known, last) for step in own)
    return replace(plan, steps=(*before, *steps), deferred=(), purpose=Purpose(errand=Errand.REINSTALL, machine=name))


def _after(step: Step, known: Set[StepId], last: tuple[StepId, ...]) -> Step:
    """What others have done already is no need of it; what nothing else comes before begins after `last`."""
    needs = tuple(need for need in step.needs if need in known)
    return replace(step, needs=needs or last)


def _only(score: Score[Rack], name: MachineName, installed: Installed | None) -> Score[Rack]:
    if not isinstance(score, InstallLinux):
        return score
    disk = installed.disk if installed is not None else None
    policy = score.disk if disk is None else DiskBySerial(disk.serial) if disk.serial else DiskByWwn(disk.wwn)
    return replace(score, machines=(name,), disk=policy, overwrite=Overwrite.ANYTHING)


def _planned(site: Site[T], given: Given) -> Plan:
    plans = [score.plan(site.topology, given.inventory) for score in site.scores]
    steps = [step for plan in plans for step in plan.steps if not given.inventory.record(step.machine).in_hand]
    settled, late = _settle(steps, given.inventory)
    deferred = (*given.deferred, *(d for plan in plans for d in plan.deferred), *late)
    plan = merge(site.name, [Plan(site=site.name, steps=settled, deferred=deferred)])
    missing = (*given.missing, *(sentence for one in plans for sentence in one.missing))
    return replace(plan, roles=given.choices, missing=missing)


def _settle(steps: Sequence[Step], inventory: Inventory) -> tuple[tuple[Step, ...], tuple[Deferred, ...]]:
    """A need that no score plans is met already where the machine is confirmed; else its step has to wait."""
    planned = {step.id for step in steps}
    ready, late = list[Step](), list[Deferred]()
    for step in steps:
        unplanned = [need for need in step.needs if need not in planned]
        if not unplanned or _is_confirmed(inventory.record(step.machine)):
            ready.append(replace(step, needs=tuple(need for need in step.needs if need in planned)))
        else:
            late.append(Deferred(score=step.score, reason=_waits(step.machine, unplanned)))
    if not late:
        return tuple(ready), ()
    settled, later = _settle(ready, inventory)  # a step that waits may be needed by others
    return settled, (*late, *later)


def _is_confirmed(record: MachineRecord) -> bool:
    return record.installed is not None and record.installed.confirmed


def _waits(machine: MachineName, needs: Sequence[StepId]) -> str:
    return f"{machine}: waits for {', '.join(needs)}, which no score plans now"


def load(path: Path) -> Site[Rack]:
    """Runs a site program. Raises `SiteError` whose evidence is file:line; nothing but the program itself has run."""
    site = _run(path).get("site")
    if site is None:
        raise SiteError(
            f"{path.name} defines no site",
            evidence=f"{path}:1",
            next_action="assign a Site to the variable `site` at the top level of the program",
        )
    if not isinstance(site, Site) or not isinstance(site.topology, Rack):
        kind = f"Site of {type(site.topology).__name__}" if isinstance(site, Site) else type(site).__name__
        raise SiteError(
            f"{path.name}: `site` is a {kind}, not a Site of a Rack",
            evidence=f"{path}:1",
            next_action="assign Site(name=..., topology=Rack(...), scores=[...]) to `site`",
        )
    return site


def _run(path: Path) -> Mapping[str, object]:
    try:
        return runpy.run_path(str(path), run_name="site_program")
    except SyntaxError as error:
        raise _faulty(path, error.lineno or 1, f"{error.msg}", "correct the line") from error
    except OSError as error:
        raise SiteError(
            f"cannot read the site program: {error.strerror}", evidence=str(path), next_action="give a readable file"
        ) from error
    except InnervateError as error:
        raise _faulty(path, _line_of(path, error), str(error), error.next_action) from error
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise _faulty(path, _line_of(path, error), why, "correct the line, then check again") from error


def _line_of(path: Path, error: BaseException) -> int:
    """Of the program's own frames the innermost: where it called what failed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else None) or 1


def _faulty(path: Path, line: int, why: str, next_action: str) -> SiteError:
    return SiteError(f"{path.name}: {why}", evidence=f"{path}:{line}", next_action=next_action)


def _unreadable(score: str, why: str) -> SiteError:
    return SiteError(
        f"{score}: what it needs cannot be read from the annotation of plan's `site` parameter",
        evidence=why,
        next_action="annotate `site` with a Protocol of capabilities that is imported at run time",
    )


def summary(path: Path) -> str:
    """What `innervate check` says of a good site program. Raises `SiteError`, `CapabilityError`."""
    site = check(load(path))
    needs = (f"  {score.name}: {', '.join(need.__name__ for need in needs_of(score))}\n" for score in site.scores)
    head = f"{site.name}: {len(site.topology.machines)} machines, {len(site.scores)} scores, all needs are met\n"
    return head + "".join(needs) + "".join(f"  caution: {text}\n" for text in cautions(site.topology.servers))

"""The canary first, then as many machines at once as the site can bear, and a pause when it goes worse. Pure."""

from collections.abc import Iterable
from statistics import median

from appliance.conductor.runs import RunStatus, Settled
from appliance.model.ids import MachineName
from appliance.model.rollout import Rollout
from appliance.model.site import RackLimits
from appliance.model.step import StepKind
from appliance.plan import Plan, WriteImage

_SMALL = 4
"""So few machines are all under one's eyes."""

_CANARIES = 3
_FAILED = 2
_WORSE = 0.2
_SLOWER = 3.0
_ENOUGH = 5


def rollout_of(plan: Plan, limits: RackLimits, models: dict[MachineName, str]) -> Rollout:
    """Canaries are the first machines of different models; the narrowest limit decides how many go at once."""
    machines = tuple(dict.fromkeys(step.machine for step in plan.steps))
    destroys = any(step.kind is StepKind.DESTRUCTIVE for step in plan.steps)
    canary = _canary(machines, models) if destroys and len(machines) > _SMALL else ()
    writes = any(isinstance(step.do, WriteImage) for step in plan.steps)
    at_once, why = min(_limits(limits, writes=writes), default=(0, ""))
    if not at_once or at_once >= len(machines):
        return Rollout(canary=canary)
    return Rollout(canary=canary, at_once=at_once, why=f"{at_once} machines at once: {why}")


def _canary(machines: tuple[MachineName, ...], models: dict[MachineName, str]) -> tuple[MachineName, ...]:
    first: dict[str, MachineName] = {}
    for name in machines:
        first.setdefault(models.get(name, ""), name)
    return tuple(first.values())[:_CANARIES]


def _limits(limits: RackLimits, *, writes: bool) -> Iterable[tuple[int, str]]:
    if limits.uplink_mbps is not None and writes:
        count = max(1, limits.uplink_mbps // limits.machine_mbps)
        yield count, f"the uplink carries {limits.uplink_mbps} Mb/s, each machine takes {limits.machine_mbps}"
    if limits.power_ons is not None:
        yield limits.power_ons, "more would draw too much inrush current from their power strips"
    if limits.bmcs is not None:
        yield limits.bmcs, "the management network bears no more BMC sessions"


def worse_than_canary(run: RunStatus) -> str:
    """The reason to pause, empty if there is none: only what settled since the last word of a person counts."""
    if not run.waiting:
        return ""
    canary = [run.settled[name] for name in run.rollout.canary if name in run.settled]
    wave = [end for name, end in run.settled.items() if name not in run.rollout.canary and end.at > run.resumed]
    if len(canary) < len(run.rollout.canary):
        return ""
    lost = [end for end in canary if not end.well and end.at > run.resumed]
    if lost:
        return f"{len(lost)} of {len(canary)} canary machines failed"
    return _fails_more(canary, wave) or _is_slower(canary, wave)


def _fails_more(canary: list[Settled], wave: list[Settled]) -> str:
    failed = sum(not end.well for end in wave)
    before = sum(not end.well for end in canary) / len(canary) if canary else 0.0
    if failed >= _FAILED and failed / len(wave) > before + _WORSE:
        return f"{failed} of the last {len(wave)} machines failed; of the canary it was {before:.0%}"
    return ""


def _is_slower(canary: list[Settled], wave: list[Settled]) -> str:
    quick, slow = ([end.seconds for end in group if end.well] for group in (canary, wave))
    if not quick or len(slow) < _ENOUGH or median(slow) <= _SLOWER * max(quick):
        return ""
    return f"machines take {median(slow):.0f} s; the canary took {max(quick):.0f} s"

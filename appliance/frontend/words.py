"""What front-ends say in lines: of a machine at work, of a run, of an error. Pure."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from appliance.errors import InnervateError
from appliance.frontend import outlook, units
from appliance.model.network_views import AddressState, LeaseView, NetworkView
from appliance.model.phase import Condition
from appliance.model.text import clean
from appliance.model.views import (
    GoalState,
    GoalView,
    LinkView,
    MachinesView,
    MachineView,
    RunState,
    RunSummaryView,
    RunView,
)

_TENTH = 10


def told(error: InnervateError) -> str:
    """What happened, what was seen, what to do next: a line each."""
    lines = [f"error: {clean(str(error), 1000)}"]
    if error.evidence:
        lines.append(f"  seen: {clean(error.evidence, 2000)}")
    if error.next_action:
        lines.append(f"  next: {clean(error.next_action, 1000)}")
    return "\n".join(lines)


def pool_text(network: NetworkView) -> str:
    """How full the pool is: "12 of 100, 12%"; "" where there is none."""
    if not network.size:
        return ""
    return f"{network.used} of {network.size}, {units.percent(network.used, network.size)}%"


def lease_left(lease: LeaseView, now: float) -> str:
    """How long the lease goes on: "" where it does not."""
    match lease.state:
        case AddressState.BOUND | AddressState.DECLINED:
            return "for ever" if lease.until is None else units.duration(lease.until - now)
        case AddressState.RESERVED | AddressState.RELEASED | AddressState.EXPIRED:
            return ""
        case _:
            assert_never(lease.state)


def changes(before: MachinesView | None, after: MachinesView, elapsed: float) -> Iterator[str]:
    """A line for each machine whose phase, step, conditions or tenth of progress changed."""
    known = {} if before is None else {machine.name: machine for machine in before.machines}
    for machine in after.machines:
        previous = known.get(machine.name)
        if previous is None or _standing(previous) != _standing(machine):
            yield f"{elapsed:.1f}s {line(machine)}"


def run_changes(before: RunView | None, after: RunView, elapsed: float, now: float) -> Iterator[str]:
    """A line on how long it goes on, when the run pauses and when it goes on; how it ended is told by whoever followed
    it."""
    if before is None and (left := outlook.of_run(after, now)):
        yield f"{elapsed:.1f}s run {clean(after.id, 64)}: {left}"
    was = before is not None and is_paused(before)
    if is_paused(after) and not (before is not None and before.paused == after.paused):
        yield f"{elapsed:.1f}s {paused_text(after)}"
    elif was and after.state is RunState.RUNNING and not after.paused:
        yield f"{elapsed:.1f}s run {clean(after.id, 64)} goes on"


def is_paused(run: RunView | RunSummaryView) -> bool:
    return run.state is RunState.RUNNING and bool(run.paused)


def paused_text(run: RunView | RunSummaryView) -> str:
    name = clean(run.id, 64)
    reason = signed(run.paused, run.paused_by, 300)
    return f"run {name} is paused: {reason}; innervate resume {name} lets it go on"


def asking(goals: Iterable[GoalView]) -> Iterator[GoalView]:
    return (goal for goal in goals if goal.state is GoalState.ASKING)


def asks(goal: GoalView) -> str:
    """One sentence of a plan that waits for a person."""
    found = f", because {clean(goal.why, 400)}" if goal.why else ""
    named = f"{clean(goal.purpose, 200)} (goal {clean(goal.id, 64)})"
    return f"{named} waits for approval of plan {clean(goal.plan, 64)[:12]}{found}"


def signed(text: str, by: str, limit: int) -> str:
    """What was said, cut to `limit`, and who said it where that is known."""
    return f"{clean(text, limit)} (by {clean(by, 64)})" if by else clean(text, limit)


def link_text(link: LinkView) -> str:
    """ "eno1 b8:ce:f6:00:00:01, 25000 Mb/s, switch leaf-1 port swp7" """
    speed = f"{link.speed_mbps} Mb/s" if link.speed_mbps is not None else "" if link.up else "no link"
    far = f"switch {clean(link.switch, 63)} port {clean(link.port, 63)}" if link.switch else ""
    name = " ".join(filter(None, (clean(link.nic, 15), clean(link.mac, 17)))) or "one of its NICs"
    return ", ".join(filter(None, (name, speed, far)))


def condition_text(condition: Condition) -> str:
    return f"{condition.kind.value}: {signed(condition.reason, condition.by, 200)}"


def line(machine: MachineView) -> str:
    """ "node-0 deploying: write debian-13 to DISK0001 45% 38 MB/s" """
    words = [_what(machine)]
    if machine.progress is not None:
        words.append(f"{units.percent(machine.progress.done, machine.progress.total)}%")
        words.append(units.rate(machine.progress.rate))
    detail = " ".join(word for word in words if word)
    head = f"{clean(machine.name, 63)} {machine.phase.value}"
    return f"{head}: {detail}" if detail else head


def _what(machine: MachineView) -> str:
    if machine.conditions:
        return condition_text(machine.conditions[-1])
    return "" if machine.step is None else clean(machine.step.summary, 200)


def _standing(machine: MachineView) -> tuple[object, ...]:
    step = None if machine.step is None else (machine.step.id, machine.step.state)
    tenth = None if machine.progress is None else units.percent(machine.progress.done, machine.progress.total) // _TENTH
    return machine.phase, step, tenth, tuple((c.kind, c.reason) for c in machine.conditions)


def identity_text(machine: MachineView) -> tuple[str, ...]:
    """On which rung of the identity ladder it stands, why, and what would raise it; the code to compare, if any."""
    if (shown := machine.identity) is None:
        return ()
    has = "may have its own secrets" if shown.secrets else f"gets no secrets: they need {shown.wanted}"
    code = f"code {shown.code[:3]} {shown.code[3:]}, until {units.clock(shown.code_until or 0)}: " if shown.code else ""
    higher = (f"{code}{shown.higher}",) if shown.code or shown.higher else ()
    return (f"identity {shown.rung}, {has}: {clean(shown.why, 300)}", *(clean(text, 300) for text in higher))

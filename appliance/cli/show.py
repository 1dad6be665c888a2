"""Views as text for people; everything that came from hardware is cleaned on its way."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli import units
from appliance.cli.progress import condition_text, phase_text, summary
from appliance.model.text import clean
from appliance.model.views import (
    EventView,
    MachinesView,
    MachineView,
    PlanView,
    RunView,
    SegmentView,
    StepState,
    StepView,
)

_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal and without NO_COLOR (rich looks); a pipe gets lines that are not broken at 80."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def plan(view: PlanView) -> RenderableType:
    parts: list[RenderableType] = [Text(f"Site {clean(view.site, 63)}, plan {view.digest[:12]}", style="bold")]
    if not view.steps:
        parts.append(Text("Nothing to do."))
    parts.extend(_steps(view))
    parts.extend(_destroyed(view))
    parts.extend(Text(f"later  {clean(d.score, 63)}: {clean(d.reason, 300)}", style="dim") for d in view.deferred)
    return Group(*parts)


def _steps(view: PlanView) -> Iterator[RenderableType]:
    machines = dict.fromkeys(step.machine for step in view.steps)
    for machine in machines:
        yield Text(clean(machine, 63))
        yield from (_step(step) for step in view.steps if step.machine == machine)


def _step(step: StepView) -> Text:
    mark, style = ("!", "bold red") if step.kind == "destructive" else (" ", "")
    return Text(f"  {mark} {clean(step.summary, 300)}", style=style)


def _destroyed(view: PlanView) -> Iterator[Text]:
    lost = [step for step in view.steps if step.kind == "destructive"]
    if lost:
        yield Text("These steps destroy what is on a disk:", style="bold red")
        yield from (Text(f"  {clean(step.machine, 63)}: {clean(step.summary, 300)}", style="red") for step in lost)


def machines(view: MachinesView, now: float) -> RenderableType:
    return Group(_table(view, now), *(_trouble(trouble, now) for trouble in view.segment))


def _trouble(trouble: SegmentView, now: float) -> Text:
    since = units.duration(now - trouble.since)
    return Text(f"boot network, since {since}: {clean(trouble.text, 500)}", style="bold yellow")


def _table(view: MachinesView, now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("machine", "phase", "in state", "serial", "address", "product", "condition"):
        table.add_column(column, no_wrap=column != "condition")
    for machine in view.machines:
        table.add_row(
            Text(clean(machine.name, 63)),
            phase_text(machine),
            Text(units.duration(now - machine.since)),
            Text(clean(machine.serial, 40) or "-"),
            Text(clean(machine.address, 45) or "-"),
            Text(clean(machine.product, 40) or "-"),
            condition_text(machine.conditions[-1]) if machine.conditions else Text(),
        )
    return table


def machine(view: MachineView, now: float) -> RenderableType:
    return Group(
        summary(MachinesView(machines=(view,))),
        *_now(view, now),
        *_conditions(view, now),
        *(Text(f"{units.moment(past.since)}  {past.phase.value}") for past in view.phases),
        *(Text(f"{units.moment(e.time)}  {clean(e.what, 63)}: {clean(e.detail, 300)}") for e in view.evidence),
    )


def _now(view: MachineView, now: float) -> Iterator[Text]:
    if (step := view.step) is not None:
        waits = f"; waits for {clean(step.waiting, 200)}" if step.waiting else ""
        started = "" if step.started is None else f" for {units.duration(now - step.started)}"
        yield Text(f"{step.state.value}{started}: {clean(step.summary, 300)}{waits}")


def _conditions(view: MachineView, now: float) -> Iterator[Text]:
    for condition in view.conditions:
        yield Text.assemble(condition_text(condition), f" (since {units.duration(now - condition.since)})")
        if condition.evidence:
            yield Text(f"  seen: {clean(condition.evidence, 2000)}")
        if condition.next_action:
            yield Text(f"  next: {clean(condition.next_action, 1000)}")


def run(view: RunView) -> Iterator[Text]:
    """What did not get done, and the verdict."""
    failed = [step for step in view.steps if step.state is StepState.FAILED]
    for step in failed:
        yield Text(f"failed  {clean(step.machine, 63)}: {clean(step.summary, 300)}", style="bold red")
    took = "" if view.ended is None else f" in {units.duration(view.ended - view.started)}"
    yield Text(f"run {clean(view.id, 64)} {view.state.value}{took}")


def event(view: EventView) -> str:
    fields = "".join(f" {clean(key, 40)}={clean(value, 120)}" for key, value in view.fields.items())
    who = clean(view.machine, 63) or "-"
    return f"{units.moment(view.time)} {who} {clean(view.kind, 40)}: {clean(view.text, 500)}{fields}"

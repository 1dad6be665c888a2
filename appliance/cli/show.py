"""Views as text for people; everything that came from hardware is cleaned on its way."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.progress import condition_text, phase_text, standing_text, summary
from appliance.frontend import outlook, units
from appliance.frontend.words import asking, asks, identity_text, is_paused, link_text, paused_text, signed
from appliance.model.text import clean
from appliance.model.views import (
    CertificateView,
    EventView,
    ExplainLine,
    ExplainView,
    GoalState,
    GoalsView,
    GoalView,
    MachinesView,
    MachineView,
    PlanView,
    RoleView,
    RunSummaryView,
    RunsView,
    RunView,
    SegmentView,
    StepState,
    StepView,
    SummaryView,
)

_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal and without NO_COLOR (rich looks); a pipe gets lines that are not broken at 80."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def plan(view: PlanView) -> RenderableType:
    purpose = f": {clean(view.purpose, 200)}" if view.purpose else ""
    head = f"Site {clean(view.site, 63)}, plan {clean(view.digest, 64)[:12]}{purpose}"
    parts: list[RenderableType] = [Text(head, style="bold")]
    if not view.steps:
        parts.append(Text("No step has to be done."))
    if text := outlook.of_plan(view):
        parts.append(Text(text))
    parts.extend(_steps(view))
    parts.extend(_destroyed(view))
    parts.extend(_roles(view))
    parts.extend(Text(f"later  {clean(d.score, 63)}: {clean(d.reason, 300)}", style="dim") for d in view.deferred)
    return Group(*parts)


def _steps(view: PlanView) -> Iterator[RenderableType]:
    machines = dict.fromkeys(step.machine for step in view.steps)
    for machine in machines:
        yield Text(clean(machine, 63))
        yield from (_step(step) for step in view.steps if step.machine == machine)


def _step(step: StepView) -> Text:
    mark, style = ("!", "bold red") if step.kind == "destructive" else (" ", "")
    return Text(f"  {mark} {clean(step.summary, 1000)}", style=style)


def _destroyed(view: PlanView) -> Iterator[Text]:
    lost = [step for step in view.steps if step.kind == "destructive"]
    if lost:
        yield Text("These steps destroy what is on a disk:", style="bold red")
        yield from (Text(f"  {clean(step.machine, 63)}: {clean(step.summary, 300)}", style="red") for step in lost)


def _roles(view: PlanView) -> Iterator[Text]:
    if view.roles:
        yield Text("Roles:")
        yield from (Text(f"  {clean(one.machine, 63)}: {_role(one)}; {clean(one.why, 1000)}") for one in view.roles)
    yield from (Text(f"note  {clean(lack, 1000)}", style="bold yellow") for lack in view.missing)


def _role(one: RoleView) -> str:
    if not one.role:
        return "no role"
    return f"spare for {clean(one.role, 63)}" if one.spare else clean(one.role, 63)


def machines(view: MachinesView, now: float) -> RenderableType:
    return Group(_table(view, now), *(trouble(one, now) for one in view.segment))


def trouble(one: SegmentView, now: float) -> Text:
    since = units.duration(now - one.since)
    return Text(f"boot network, since {since}: {clean(one.text, 500)}", style="bold yellow")


def _table(view: MachinesView, now: float) -> Table:
    roles = any(_role_of(machine) for machine in view.machines)
    role_column = ("role",) if roles else ()
    table = columns("machine", *role_column, "state", "phase", "in phase", "serial", "address", "product", "condition")
    for machine in view.machines:
        table.add_row(
            Text(clean(machine.name, 63)),
            *((Text(_role_of(machine) or "-"),) if roles else ()),
            standing_text(machine),
            phase_text(machine),
            Text(units.lasting(machine.since, now)),
            Text(clean(machine.serial, 40) or "-"),
            Text(clean(machine.address, 45) or "-"),
            Text(clean(machine.product, 40) or "-"),
            condition_text(machine.conditions[-1]) if machine.conditions else Text(),
        )
    return table


def hardware(view: MachinesView) -> RenderableType:
    """What machines are, in one line each; "-" is what is not known yet."""
    table = columns("machine", "state", "role", "address", "BMC", "MAC", "serial", "cores", "memory", "disks")
    for machine in view.machines:
        more = f" +{len(machine.macs) - 1}" if len(machine.macs) > 1 else ""
        table.add_row(
            Text(clean(machine.name, 63)),
            standing_text(machine),
            *(Text(text or "-") for text in (_role_of(machine), clean(machine.address, 45), clean(machine.bmc, 45))),
            Text(clean(machine.macs[0], 17) + more if machine.macs else "-"),
            Text(clean(machine.serial, 40) or "-"),
            Text("-" if machine.cores is None else str(machine.cores), justify="right"),
            Text("-" if machine.memory_bytes is None else units.size(machine.memory_bytes), justify="right"),
            Text(", ".join(units.size(disk.size_bytes) for disk in machine.disks) or "-"),
        )
    return table


def counts(view: SummaryView) -> RenderableType:
    """Only states that a machine is in."""
    table = columns("state", "machines")
    for state, count in view.states.items():
        if count:
            table.add_row(Text(clean(state, 40)), Text(str(count), justify="right"))
    table.add_row(Text("all", style="bold"), Text(str(view.total), justify="right"))
    return table


def _role_of(machine: MachineView) -> str:
    return f"spare for {clean(machine.spare_of, 63)}" if machine.spare_of else clean(machine.role, 63)


def columns(*names: str) -> Table:
    """The last one is broken into lines where there is no room."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=name != names[-1])
    return table


def machine(view: MachineView, now: float) -> RenderableType:
    return Group(
        summary(MachinesView(machines=(view,))),
        *((Text(f"role: {role}"),) if (role := _role_of(view)) else ()),
        *_now(view, now),
        *_conditions(view, now),
        *(Text(said) for said in identity_text(view)),
        *(Text(f"NIC: {link_text(link)}") for link in view.links),
        *(Text(f"runs {clean(one.name, 60)} {clean(one.version, 60)}") for one in view.applications),
        *(Text(f"{units.moment(past.since)}  {past.phase.value}") for past in view.phases),
        *(Text(f"{units.moment(e.time)}  {clean(e.what, 63)}: {clean(e.detail, 300)}") for e in view.evidence),
        *(line for certificate in view.certificates for line in _certificate(certificate)),
    )


def _certificate(view: CertificateView) -> Iterator[Text]:
    """What a person signs for when a disk leaves the house."""
    disk = " ".join(clean(name, 63) for name in (view.serial, view.wwn) if name)
    yield Text(f"wipe certificate: disk {disk}, {view.size_bytes} bytes", style="bold")
    yield Text(f"  {units.moment(view.time)}, run {clean(view.run, 64)}")
    yield from (Text(f"  {clean(name, 63)}: {clean(text, 300)}") for name, text in view.findings.items() if text)


def _now(view: MachineView, now: float) -> Iterator[Text]:
    if (step := view.step) is not None:
        started = "" if step.started is None else f" for {units.duration(now - step.started)}"
        yield Text("; ".join((f"{step.state.value}{started}: {clean(step.summary, 300)}", *_outlook(step))))


def _outlook(step: StepView) -> Iterator[str]:
    if step.waiting:
        yield clean(step.waiting, 200)
    if step.deadline is not None:
        yield f"until {units.clock(step.deadline)}"
    if step.usual is not None:
        yield f"usually {units.duration(step.usual)}"


def _conditions(view: MachineView, now: float) -> Iterator[Text]:
    for condition in view.conditions:
        yield Text.assemble(condition_text(condition), f" (since {units.duration(now - condition.since)})")
        if condition.evidence:
            yield Text(f"  seen: {clean(condition.evidence, 2000)}")
        if condition.next_action:
            yield Text(f"  next: {clean(condition.next_action, 1000)}")


def run(view: RunView) -> Iterator[Text]:
    """What did not get done, and the verdict."""
    for step in view.steps:
        if step.state in (StepState.FAILED, StepState.CANCELLED):
            style = "bold red" if step.state is StepState.FAILED else "yellow"
            yield Text(f"{step.state.value}  {clean(step.machine, 63)}: {clean(step.summary, 300)}", style=style)
    for machine, reason in view.set_aside.items():
        yield Text(f"set aside  {clean(machine, 63)}: {clean(reason, 300)}", style="yellow")
    took = "" if view.ended is None else f" in {units.duration(view.ended - view.started)}"
    yield Text(f"run {clean(view.id, 64)} {view.state.value}{took}")


def runs(view: RunsView, now: float, limit: int) -> RenderableType:
    """The latest `limit`."""
    if not view.runs:
        return Text("No run was started yet.")
    table = columns("run", "state", "started", "took", "machines", "settled", "failed", "by", "paused because")
    for one in view.runs[:limit]:
        table.add_row(*_run_row(one, now))
    older = len(view.runs) - limit
    return Group(table, *((Text(f"{older} older: innervate runs --all", style="dim"),) if older > 0 else ()))


def _run_row(one: RunSummaryView, now: float) -> tuple[Text, ...]:
    paused = is_paused(one)
    return (
        Text(clean(one.id, 64)),
        Text("paused", style="bold yellow") if paused else Text(one.state.value),
        Text(units.moment(one.started)),
        Text(units.duration((now if one.ended is None else one.ended) - one.started), justify="right"),
        *(Text(str(count), justify="right") for count in (one.machines, one.settled, one.failed)),
        Text(clean(one.by, 64) or "-"),
        Text(signed(one.paused, one.paused_by, 300) if paused else ""),
    )


def paused(view: RunsView) -> Iterator[Text]:
    for one in view.runs:
        if is_paused(one):
            yield Text(paused_text(one), style="bold yellow")


def goals(view: GoalsView, now: float) -> RenderableType:
    if not view.goals:
        return Text("The daemon has nothing to go on with.")
    table = columns("goal", "state", "for", "runs", "by", "may destroy", "purpose")
    for one in view.goals:
        table.add_row(
            Text(clean(one.id, 64)),
            Text(one.state.value, style="bold yellow" if one.state is GoalState.ASKING else ""),
            Text(units.duration((now if one.ended is None else one.ended) - one.since), justify="right"),
            Text(str(len(one.runs)), justify="right"),
            Text(clean(one.by, 64) or "-"),
            Text(", ".join((one.consent.destroys.value, *(clean(disk, 100) for disk in one.consent.disks)))),
            Text(clean(one.purpose, 200)),
        )
    return Group(table, *approvals(view), *(Text(_trouble_of(one)) for one in view.goals if one.trouble is not None))


def _trouble_of(one: GoalView) -> str:
    trouble = one.trouble
    return "" if trouble is None else f"goal {clean(one.id, 64)}: {clean(trouble.message, 500)}"


def approvals(view: GoalsView) -> Iterator[Text]:
    for one in asking(view.goals):
        yield Text(f"{asks(one)}: innervate apply --digest {clean(one.plan, 64)}", style="bold yellow")


def explanation(view: ExplainView) -> RenderableType:
    width = max((len(one.kind) for one in view.lines), default=0)
    lines = (text for one in view.lines for text in _link(one, min(width, 12)))
    return Group(Text(clean(view.verdict, 1000), style="bold"), *lines)


def _link(one: ExplainLine, width: int) -> Iterator[Text]:
    since = "" if one.since is None else f" (since {units.moment(one.since)})"
    indent = " " * (width + 4)
    yield Text(f"  {clean(one.kind, 12):<{width}}  {clean(one.text, 1000)}{since}")
    if one.evidence:
        yield Text(f"{indent}seen: {clean(one.evidence, 2000)}")
    if one.next_action:
        yield Text(f"{indent}next: {clean(one.next_action, 1000)}")


def event(view: EventView) -> str:
    fields = "".join(f" {clean(key, 40)}={clean(value, 120)}" for key, value in view.fields.items())
    who = clean(view.machine, 63) or "-"
    return f"{units.moment(view.time)} {who} {clean(view.kind, 40)}: {clean(view.text, 500)}{fields}"

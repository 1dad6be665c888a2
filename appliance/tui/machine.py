"""All that is known of one machine, the urgent first. Pure."""

from collections.abc import Iterator

from appliance.frontend import units
from appliance.frontend.timeline import Stage, stages
from appliance.frontend.words import identity_text, link_text, signed
from appliance.model.phase import Condition
from appliance.model.views import CertificateView, ExplainLine, ExplainView, MachineView, RunView, StepView
from appliance.tui.figures import badge, bar, bytes_done, outlook, phase_text, position, word
from appliance.tui.page import Page, section
from appliance.tui.state import Data, Machine, State
from appliance.tui.text import EMPTY, Line, Tone, joined, line, span, wrapped

_BAR = 20
_STAGE_CELLS = 12

KEYS = "a do  F5 its log  j k scroll  Tab next page  Esc back  ? help"


def machine_page(state: State, place: Machine) -> Page:
    machine = state.data.machine(place.name)
    if machine is None:
        gone = wrapped(f"No machine is called {place.name}.", state.width, Tone.WARN)
        return Page(title=place.name, body=tuple(gone), keys=KEYS)
    return Page(
        title=machine.name,
        head=(_identity(machine, state.now), EMPTY),
        body=tuple(_body(machine, state.data, state.now, state.width)),
        keys=KEYS,
        top=place.top,
    )


def _body(machine: MachineView, data: Data, now: float, width: int) -> Iterator[Line]:
    for condition in machine.conditions:
        yield from condition_lines(condition, now, width)
        yield EMPTY
    yield from _now(machine, _run_of(machine, data), now, width)
    for said in identity_text(machine):
        yield from wrapped(said, width, rest="  ")
    if (why := data.explained) is not None and why.machine == machine.name:
        yield from section("Why it is where it is")
        yield from explanation(why, width)
    yield from _timeline(machine, now, width)
    yield from _nics(machine, width)
    yield from _phases(machine)
    yield from _evidence(machine, width)
    for certificate in machine.certificates:
        yield from _certificate(certificate, width)


def _identity(machine: MachineView, now: float) -> Line:
    role = f"spare for {machine.spare_of}" if machine.spare_of else machine.role
    known = (role, machine.serial, machine.address, machine.product)
    return joined(
        (
            (badge(machine), word(machine, " ")),
            line(phase_text(machine, now)),
            *(line(text) for text in known if text),
        )
    )


def _run_of(machine: MachineView, data: Data) -> RunView | None:
    step = machine.step
    return next((run for run in data.opened.values() if step and any(s.id == step.id for s in run.steps)), None)


def _now(machine: MachineView, run: RunView | None, now: float, width: int) -> Iterator[Line]:
    step = machine.step
    if step is None:
        yield line("No step is under way.", Tone.DIM)
        return
    at = position(run, machine)
    which = f"step {at[0]} of {at[1]}" if at else "step"
    yield from wrapped(f"{which}, {step.state.value}: {step.summary}", width, Tone.STRONG)
    if (spent := outlook(step, now)) != "":
        yield from wrapped(spent, width, first="  ", rest="  ")
    if (progress := machine.progress) is not None:
        yield joined(((span("  "), *bar(progress.done, progress.total, _BAR)), line(bytes_done(progress))))
    yield from _waiting(step, width)


def _waiting(step: StepView, width: int) -> Iterator[Line]:
    if step.waiting:
        until = f", until {units.clock(step.deadline)}" if step.deadline is not None else ""
        yield from wrapped(f"waits: {step.waiting}{until}", width, Tone.WARN, first="  ", rest="    ")


def condition_lines(condition: Condition, now: float, width: int) -> Iterator[Line]:
    lasts = units.duration(now - condition.since)
    yield from wrapped(
        f"{condition.kind.value} since {lasts}: {signed(condition.reason, condition.by, 1000)}",
        width,
        Tone.BAD,
        first="! ",
        rest="  ",
    )
    if condition.evidence:
        yield from wrapped(condition.evidence, width, first="  seen: ", rest="        ")
    if condition.next_action:
        yield from wrapped(condition.next_action, width, Tone.WARN, first="  next: ", rest="        ")


def explanation(view: ExplainView, width: int) -> Iterator[Line]:
    yield from wrapped(view.verdict, width)
    for link in view.lines:
        yield from _link(link, width)


def _link(link: ExplainLine, width: int) -> Iterator[Line]:
    since = f" (since {units.clock(link.since)})" if link.since is not None else ""
    lead = f"  {link.kind[:9]:<10}"
    yield from wrapped(f"{link.text}{since}", width, first=lead, rest=" " * 12)
    if link.evidence:
        yield from wrapped(link.evidence, width, Tone.DIM, first="            seen: ", rest=" " * 18)
    if link.next_action:
        yield from wrapped(link.next_action, width, Tone.WARN, first="            next: ", rest=" " * 18)


def _timeline(machine: MachineView, now: float, width: int) -> Iterator[Line]:
    boot = stages(machine, now)
    if boot:
        yield from section("Timeline, in seconds from power-on")
        for stage in boot:
            yield from _stage(stage, width)


def _stage(stage: Stage, width: int) -> Iterator[Line]:
    name = f"  {stage.name.replace('_', ' '):<{_STAGE_CELLS}}"
    if stage.at is not None:
        took = "" if stage.took in (None, stage.at) else f"  +{stage.took:.1f}"
        yield (span(f"{name}{stage.at:>8.1f}{took}", Tone.GOOD),)
    elif says := stage.gap or (f"awaited for {units.duration(stage.took)}" if stage.took is not None else ""):
        yield from wrapped(says, width, Tone.WARN, first=f"{name}       -  ", rest=" " * (_STAGE_CELLS + 12))
    else:
        yield (span(f"{name}       -", Tone.DIM),)


def _nics(machine: MachineView, width: int) -> Iterator[Line]:
    if machine.links:
        yield from section("NICs")
    for link in machine.links:
        yield from wrapped(link_text(link), width, first="  ", rest="    ")


def _phases(machine: MachineView) -> Iterator[Line]:
    if machine.phases:
        yield from section("Phases")
        yield from (line(f"  {units.moment(past.since)}  {past.phase.value}") for past in reversed(machine.phases))


def _evidence(machine: MachineView, width: int) -> Iterator[Line]:
    if machine.evidence:
        yield from section("Evidence, latest first")
        for proof in reversed(machine.evidence):
            lead = f"  {units.moment(proof.time)}  "
            yield from wrapped(f"{proof.what}: {proof.detail}", width, first=lead, rest=" " * len(lead))


def _certificate(view: CertificateView, width: int) -> Iterator[Line]:
    yield from section(f"Wipe certificate: disk {' '.join(name for name in (view.serial, view.wwn) if name)}")
    yield line(f"  {view.size_bytes} bytes, {units.moment(view.time)}, run {view.run}")
    for name, text in view.findings.items():
        if text:
            yield from wrapped(f"{name}: {text}", width, first="  ", rest="    ")

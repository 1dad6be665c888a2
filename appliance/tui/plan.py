"""A plan as it is read before it is approved. Pure."""

from collections.abc import Iterator

from appliance.frontend import outlook
from appliance.frontend.errands import SAYS, is_harmless
from appliance.frontend.preflight import accepted, blocking, demand, in_the_way, matters, verdict
from appliance.model.doctor import DoctorView
from appliance.model.views import PlanView, RoleView
from appliance.tui.doctor import finding_lines
from appliance.tui.page import Page, section
from appliance.tui.state import Apply, Ask, Planned, Prompt, State, Task
from appliance.tui.text import EMPTY, Line, Tone, line, wrapped

KEYS = "Enter or y approve  j k scroll  n plan anew  Esc leave: nothing is done"


def planned_page(state: State, place: Planned) -> Page:
    title = "Provision" if place.task.errand is None else f"{place.task.errand.value} {place.task.machine}"
    if place.plan is None:
        return Page(title=title, body=(line(_pending(state), Tone.DIM),), keys="Esc leave")
    body = (*_before(place.plan, state.data.examined, state.width), *plan_lines(place.plan, place.task, state.width))
    return Page(title=title, body=body, keys=KEYS, top=place.top)


def _pending(state: State) -> str:
    return f"{state.busy} ..." if state.busy else "There is no plan: n makes one."


def _before(view: PlanView, found: DoctorView | None, width: int) -> Iterator[Line]:
    if found is not None and (matter := matters(found, view)):
        yield line(f"Before you begin: {verdict(found)}", Tone.STRONG)
        for finding in matter:
            yield from finding_lines(finding, width)
        yield EMPTY


def plan_lines(view: PlanView, task: Task, width: int) -> Iterator[Line]:
    yield line(f"Site {view.site}, plan {view.digest[:12]}", Tone.STRONG)
    if view.purpose or task.errand is not None:
        says = SAYS[task.errand] if task.errand is not None else ""
        yield from wrapped(": ".join(part for part in (view.purpose, says) if part), width)
    if not view.steps:
        yield line("No step has to be done.")
    yield from wrapped(text, width) if (text := outlook.of_plan(view)) else ()
    yield from _destroyed(view, width)
    yield from _steps(view, width)
    yield from _roles(view, width)
    yield from _deferred(view, width)


def _destroyed(view: PlanView, width: int) -> Iterator[Line]:
    lost = [step for step in view.steps if step.kind == "destructive"]
    if not lost:
        if view.steps:
            yield line("Nothing is destroyed.", Tone.GOOD)
        return
    yield EMPTY
    yield from wrapped("These steps destroy what is on a disk:", width, Tone.BAD)
    for step in lost:
        yield from wrapped(f"{step.machine}: {step.summary}", width, Tone.BAD, first="! ", rest="    ")


def _steps(view: PlanView, width: int) -> Iterator[Line]:
    if view.steps:
        yield from section(f"All {len(view.steps)} steps, machine by machine")
    for machine in dict.fromkeys(step.machine for step in view.steps):
        yield line(machine, Tone.STRONG)
        for step in (step for step in view.steps if step.machine == machine):
            lost = step.kind == "destructive"
            yield from wrapped(step.summary, width, Tone.BAD if lost else Tone.PLAIN, first=" !  " if lost else "    ")


def _roles(view: PlanView, width: int) -> Iterator[Line]:
    if view.roles:
        yield from section("Roles")
    for one in view.roles:
        yield from wrapped(f"{one.machine}: {_role(one)}; {one.why}", width, first="  ", rest="    ")
    for lack in view.missing:
        yield from wrapped(lack, width, Tone.WARN, first="note  ", rest="      ")


def _role(one: RoleView) -> str:
    if not one.role:
        return "no role"
    return f"spare for {one.role}" if one.spare else one.role


def _deferred(view: PlanView, width: int) -> Iterator[Line]:
    if view.deferred:
        yield from section("Later, in a plan of its own that is shown and approved in turn")
    for one in view.deferred:
        yield from wrapped(f"{one.score}: {one.reason}", width, Tone.DIM, first="  ", rest="    ")


def approval(place: Planned, found: DoctorView | None = None) -> Prompt | None:
    """The question whose answer approves exactly this plan. A failure of the site takes one word more."""
    plan, task = place.plan, place.task
    if plan is None:
        return None
    standing = blocking(found) if found is not None else ()
    then = Apply(task=task, plan=plan, goal=place.goal, despite=accepted(found) if found is not None else ())
    says: tuple[str, ...] = (f"Plan {plan.digest[:12]} and no other is carried out.",)
    if task.errand is not None and is_harmless(task.errand, plan) and not standing:
        return Prompt(ask=Ask.YES, label="y and Enter applies it, Enter alone leaves: ", says=says, then=then)
    kind, name = ("site", plan.site) if task.errand is None else ("machine", task.machine)
    if found is not None and standing:
        says, name = (*says, in_the_way(standing)), demand(name, found)
    label = f"Type the {kind}'s name ({name}) to apply, Enter alone leaves: "
    return Prompt(ask=Ask.NAME, label=label, says=says, wanted=name, then=then)

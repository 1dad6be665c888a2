"""What can be done with a machine, what each of it means, and the question that it begins with. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.frontend.errands import SAYS
from appliance.model.phase import ConditionKind
from appliance.model.standing import standing
from appliance.model.views import Errand, MachineView, PowerAction
from appliance.tui.figures import badge
from appliance.tui.page import Page, rule
from appliance.tui.state import Ask, Choices, MakePlan, PlaceHold, Prompt, ReleaseHold, SetPower, State, Task
from appliance.tui.text import Line, Tone, line, marked, span, wrapped

KEYS = "Enter choose  j k move  Esc leave: nothing is done"

_POWER = {
    PowerAction.ON: "The BMC switches it on.",
    PowerAction.OFF: "The BMC asks its system to stop. Whoever works there is thrown out.",
    PowerAction.FORCE_OFF: "The BMC cuts the power. What was not written to disk is lost.",
    PowerAction.CYCLE: "The BMC cuts the power and switches it on again. What was not written to disk is lost.",
}
_CUTS = frozenset({PowerAction.FORCE_OFF, PowerAction.CYCLE})

Deed = MakePlan | SetPower | PlaceHold | ReleaseHold


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    label: str
    says: str
    deed: Deed
    grave: bool = False


def choices(name: str, machine: MachineView | None) -> tuple[Choice, ...]:
    held = machine is not None and any(c.kind is ConditionKind.HOLD for c in machine.conditions)
    return (*_errands(name), *_power(name), _hold(name, held=held))


def _errands(name: str) -> Iterator[Choice]:
    for errand in Errand:
        deed = MakePlan(task=Task(machine=name, errand=errand))
        yield Choice(label=errand.value, says=SAYS[errand], deed=deed, grave=errand is not Errand.RESCUE)


def _power(name: str) -> Iterator[Choice]:
    for action, says in _POWER.items():
        deed = SetPower(machine=name, action=action)
        yield Choice(label=f"power {action.value}", says=says, deed=deed, grave=action in _CUTS)


def _hold(name: str, *, held: bool) -> Choice:
    if held:
        return Choice(label="release", says="End the hold; it goes on where it was.", deed=ReleaseHold(machine=name))
    says = "Let nothing touch it until it is released."
    return Choice(label="hold", says=says, deed=PlaceHold(machine=name))


def choices_page(state: State, place: Choices) -> Page:
    machine = state.data.machine(place.machine)
    offered = choices(place.machine, machine)
    at = min(place.at, len(offered) - 1)
    return Page(
        title=f"Do with {place.machine}",
        head=(_head(place.machine, machine), rule(state.width)),
        body=tuple(_row(one, on=number == at) for number, one in enumerate(offered)),
        foot=(rule(state.width), *wrapped(f"{offered[at].label}: {offered[at].says}", state.width)),
        keys=KEYS,
        at=at,
    )


def _head(name: str, machine: MachineView | None) -> Line:
    if machine is None:
        return line(f"{name} is not known")
    return (badge(machine), span(f" {name} {standing(machine).value}"))


def _row(one: Choice, *, on: bool) -> Line:
    return (
        marked(on),
        span(f"{'!' if one.grave else ' '} {one.label:<18}", Tone.BAD if one.grave else Tone.STRONG),
        span(one.says),
    )


def question(one: Choice, name: str) -> Prompt | None:
    """None where a plan is shown first; what cuts the power asks for the machine's name."""
    match one.deed:
        case MakePlan():
            return None
        case PlaceHold():
            return Prompt(ask=Ask.TEXT, label="Why? Enter alone leaves: ", says=(one.says,), then=one.deed)
        case _:
            says = (f"{one.label} {name}: {one.says}",)
            if one.grave:
                label = f"Type the machine's name ({name}) to do it, Enter alone leaves: "
                return Prompt(ask=Ask.NAME, label=label, says=says, wanted=name, then=one.deed)
            return Prompt(ask=Ask.YES, label="y and Enter does it, Enter alone leaves: ", says=says, then=one.deed)

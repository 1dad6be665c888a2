"""What an action does on the page where it is pressed. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.model.filter import Filter
from appliance.tui.asking import Outcome, opened, planning
from appliance.tui.choices import choices, question
from appliance.tui.keys import Action
from appliance.tui.moving import MOVES, move, selected_machine, selected_run
from appliance.tui.plan import approval
from appliance.tui.state import (
    Ask,
    Choices,
    Doctor,
    Explain,
    Help,
    Leave,
    Log,
    Machine,
    MakePlan,
    OpenRun,
    Overview,
    Place,
    Planned,
    Prompt,
    Run,
    Runs,
    State,
    Steering,
    Task,
    Trouble,
    entered,
    moved,
)
from appliance.tui.steering import steering

_STEERS = {
    Action.PAUSE: Steering.PAUSE,
    Action.RESUME: Steering.RESUME,
    Action.CANCEL: Steering.CANCEL,
    Action.SET_ASIDE: Steering.SET_ASIDE,
    Action.RETRY: Steering.RETRY,
}
_OF_MACHINES = frozenset({Steering.SET_ASIDE, Steering.RETRY})


def act(state: State, action: Action) -> Outcome:
    if action in MOVES:
        return move(state, action), ()
    if action in _STEERS:
        return _steer(state, _STEERS[action])
    match action:
        case Action.OPEN:
            return _open(state)
        case Action.BACK:
            return _back(state)
        case Action.PROVISION:
            return planning(_home(state), Task())
        case Action.LEAVE:
            return state, (Leave(),)
        case Action.DO:
            name = selected_machine(state)
            return (entered(state, Choices(machine=name)), ()) if name else (state, ())
        case Action.APPROVE:
            return (_approve(state, state.place), ()) if isinstance(state.place, Planned) else (state, ())
        case Action.PLAN_ANEW:
            return (
                planning(state, state.place.task, state.place.goal) if isinstance(state.place, Planned) else (state, ())
            )
        case Action.FOLLOW:
            return (
                moved(state, replace(state.place, back=0, until=None)) if isinstance(state.place, Log) else state
            ), ()
        case Action.FILTER:
            return replace(state, prompt=Prompt(ask=Ask.FILTER, label="Show: ", typed=str(state.filter))), ()
        case Action.COMMAND:
            return replace(state, prompt=Prompt(ask=Ask.COMMAND, label=":")), ()
        case _:
            return _page(state, action), ()


def _page(state: State, action: Action) -> State:
    match action:
        case Action.HELP:
            return entered(state, Help())
        case Action.OVERVIEW:
            return _home(state)
        case Action.RUNS:
            return entered(_home(state), Runs())
        case Action.LOG:
            if isinstance(state.place, Machine):
                return entered(state, Log(machine=state.place.name))
            return entered(_home(state), Log())
        case Action.NEXT_PAGE:
            return _next(state)
        case _:
            return state


def _home(state: State) -> State:
    """Back to the overview, with its cursor where it was."""
    return replace(state, places=state.places[:1], notice=None)


def _next(state: State) -> State:
    match state.place:
        case Overview():
            return entered(_home(state), Runs())
        case Runs() | Run():
            return entered(_home(state), Log())
        case _:
            return _home(state)


def _back(state: State) -> Outcome:
    """A page that shows what moves on is read again."""
    if len(state.places) == 1:
        return replace(state, filter=Filter(), notice=None), ()
    there = replace(state, places=state.places[:-1], notice=None, busy="")
    return there, _read_again(there.place)


def _read_again(place: Place) -> tuple[OpenRun, ...] | tuple[Explain, ...]:
    match place:
        case Run():
            return (OpenRun(run=place.run),)
        case Machine():
            return (Explain(machine=place.name),)
        case _:
            return ()


def _open(state: State) -> Outcome:
    match state.place:
        case Overview() | Run():
            name = selected_machine(state)
            return opened(state, name) if name else (state, ())
        case Machine() as place:
            return entered(state, Choices(machine=place.name)), ()
        case Choices() as place:
            return _choose(state, place)
        case Planned() as place:
            return _approve(state, place), ()
        case Runs():
            run = selected_run(state)
            return (entered(state, Run(run=run)), (OpenRun(run=run),)) if run else (state, ())
        case Log() | Help() | Doctor():
            return state, ()
        case _ as never:
            assert_never(never)


def _choose(state: State, place: Choices) -> Outcome:
    offered = choices(place.machine, state.data.machine(place.machine))
    one = offered[min(place.at, len(offered) - 1)]
    if isinstance(one.deed, MakePlan):
        return planning(state, one.deed.task)
    return replace(state, prompt=question(one, place.machine)), ()


def _approve(state: State, place: Planned) -> State:
    if place.plan is None:
        return state
    if not place.worth:
        return replace(state, notice=Trouble(message="There is nothing to approve: the plan would change nothing."))
    return replace(state, prompt=approval(place, state.data.examined), notice=None)


def _steer(state: State, verb: Steering) -> Outcome:
    if isinstance(state.place, Log) and verb is Steering.PAUSE:
        return _pause_log(state, state.place), ()
    run, machine = selected_run(state), selected_machine(state)
    if not run or (verb in _OF_MACHINES and not machine):
        return state, ()
    return replace(state, prompt=steering(verb, run, machine)), ()


def _pause_log(state: State, place: Log) -> State:
    newest = state.data.events[-1].seq if state.data.events else 0
    return moved(state, replace(place, back=0, until=newest if place.until is None else None))

"""From one state to the next: keys, the clock and the daemon's answers come in, commands to the daemon go out. Pure."""

from dataclasses import replace
from typing import assert_never

from appliance.frontend.provision import is_thinking
from appliance.frontend.words import is_paused, signed
from appliance.model.views import GoalState, GoalView, RunState, RunView
from appliance.tui.acting import act
from appliance.tui.asking import Outcome, planning, typed
from appliance.tui.keys import KEYMAP
from appliance.tui.messages import (
    Absent,
    Began,
    Did,
    Examined,
    Explained,
    Happened,
    Message,
    Opened,
    PlanMade,
    Pressed,
    Read,
    Refused,
    Resized,
    Ticked,
)
from appliance.tui.plan import approval
from appliance.tui.state import (
    EVENTS_KEPT,
    Apply,
    Command,
    Data,
    Examine,
    Explain,
    Machine,
    OpenRun,
    Planned,
    Run,
    ShowPlan,
    State,
    Task,
    Trouble,
    entered,
    moved,
)


def updated(state: State, message: Message) -> Outcome:
    match message:
        case Pressed():
            return _pressed(state, message)
        case Resized():
            return replace(state, width=max(20, message.width), height=max(6, message.height)), ()
        case Ticked():
            return replace(state, now=message.now), ()
        case Read():
            return _read(state, message)
        case Happened():
            events = (*state.data.events, *message.events)[-EVENTS_KEPT:]
            return replace(state, data=replace(state.data, events=events)), ()
        case Absent():
            return replace(state, data=replace(state.data, absent=message.trouble)), ()
        case Explained():
            return replace(state, data=replace(state.data, explained=message.view)), ()
        case Opened():
            return _opened(state, message)
        case PlanMade():
            return _planned(state, message), ()
        case Examined():
            return _examined(state, message), ()
        case Began():
            return _began(state, message)
        case Did():
            return replace(state, busy="", notice=Trouble(message=message.says)), ()
        case Refused():
            return _refused(state, message)
        case _ as never:
            assert_never(never)


def _pressed(state: State, press: Pressed) -> Outcome:
    if state.prompt is not None:
        return typed(state, state.prompt, press)
    action = KEYMAP.get(press.key)
    return (state, ()) if action is None else act(replace(state, notice=None), action)


def _read(state: State, read: Read) -> Outcome:
    """A run that ran at the last look and does not now is looked at once more: how it ended is still to be told."""
    running = {run.id: run for run in read.running}
    before = state.data.opened
    ended = tuple(name for name, run in before.items() if run.state is RunState.RUNNING and name not in running)
    kept = {name: run for name, run in before.items() if _is_shown(state, name)}
    data = replace(known(state.data, read), opened=kept | running)
    looks: tuple[Command, ...] = tuple(OpenRun(run=name) for name in ended)
    if (place := state.place) and isinstance(place, Run) and place.task is not None and place.run not in running:
        looks = (*looks, *(() if place.run in ended else (OpenRun(run=place.run),)))
    if isinstance(state.place, Machine):
        looks = (*looks, Explain(machine=state.place.name))
    return replace(state, now=read.now, data=data), looks


def known(data: Data, read: Read) -> Data:
    """What was read, with the runs under way and no others."""
    return replace(
        data,
        heard=read.now,
        health=read.health,
        machines=read.machines.machines,
        segment=read.machines.segment,
        runs=read.runs.runs,
        goals=read.goals.goals,
        opened={run.id: run for run in read.running},
        setup=read.setup,
        absent=None,
    )


def _is_shown(state: State, run: str) -> bool:
    return any(isinstance(place, Run) and place.run == run for place in state.places)


def _opened(state: State, opened: Opened) -> Outcome:
    """While the daemon makes the next plan, each look at how things stand asks again."""
    run, goal = opened.run, opened.goal
    seen = replace(state, data=replace(state.data, opened=state.data.opened | {run.id: run}))
    place = state.place
    if not isinstance(place, Run) or place.run != run.id or run.state is RunState.RUNNING:
        return seen, ()
    if place.task is None or (goal is not None and is_thinking(goal, run.id)):
        return seen, ()
    return _went_on(moved(seen, replace(place, task=None)), run, goal, place.task)


def _went_on(state: State, run: RunView, goal: GoalView | None, task: Task) -> Outcome:
    if goal is not None and goal.state is GoalState.ASKING:
        there = replace(entered(state, Planned(task=task, goal=goal.id)), busy="planning")
        return there, (ShowPlan(task=task, goal=goal.id, digest=goal.plan),)
    if goal is not None and goal.state is GoalState.WORKING:
        return entered(state, Run(run=goal.runs[-1], task=task)), (OpenRun(run=goal.runs[-1]),)
    if goal is not None and (trouble := goal.trouble) is not None:
        told = Trouble(message=trouble.message, evidence=trouble.evidence, next_action=trouble.next_action)
        return replace(state, notice=told), ()
    return replace(state, notice=_verdict(run)), ()


def _verdict(run: RunView) -> Trouble:
    if run.state is RunState.DONE:
        return Trouble(message=f"Run {run.id} is done.")
    return Trouble(
        message=f"Run {run.id} ended: {run.state.value}.",
        next_action="see what failed on its machines here; when the cause is gone, F3 plans what is left",
    )


def _planned(state: State, made: PlanMade) -> State:
    """A plan that nobody waits for any more is forgotten: nothing was done."""
    place = state.place
    if not isinstance(place, Planned) or place.task != made.task:
        return replace(state, busy="")
    shown = Planned(task=made.task, plan=made.plan, worth=made.worth, goal=made.goal)
    told = state.notice if made.worth else Trouble(message="Nothing has to be done.")
    return replace(moved(state, shown), busy="", notice=told)


def _examined(state: State, examined: Examined) -> State:
    """What is found while a plan is being approved changes what has to be typed."""
    seen = replace(state, data=replace(state.data, examined=examined.view))
    prompt, place = state.prompt, state.place
    if prompt is None or not isinstance(prompt.then, Apply) or not isinstance(place, Planned):
        return seen
    anew = approval(place, examined.view)
    if anew is None or (anew.wanted, anew.ask, anew.then) == (prompt.wanted, prompt.ask, prompt.then):
        return seen
    return replace(seen, prompt=anew)


def _began(state: State, began: Began) -> Outcome:
    run = began.run
    place = Run(run=run.id, task=began.task)
    kept = state.places[:-1] if isinstance(state.place, Planned) else state.places
    there = entered(replace(state, places=kept or state.places, busy=""), place)
    paused = Trouble(message=f"paused: {signed(run.paused, run.paused_by, 1000)}") if is_paused(run) else None
    opened = there.data.opened | {run.id: run}
    return replace(there, data=replace(there.data, opened=opened), notice=paused), (OpenRun(run=run.id),)


def _refused(state: State, refused: Refused) -> Outcome:
    told = replace(state, busy="", notice=refused.trouble)
    match refused.command:
        case Apply() as apply if refused.stale and isinstance(state.place, Planned):
            anew, asks = planning(told, apply.task, apply.goal)
            because = f"Nothing was done: {refused.trouble.message}. This is the plan of now; read it again."
            return replace(anew, notice=Trouble(message=because, evidence=refused.trouble.evidence)), asks
        case Apply():
            return told, (Examine(),)
        case Explain() | Examine():
            return state, ()
        case _:
            return told, ()

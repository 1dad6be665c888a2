"""The daemon's side: commands are carried out, and how things stand is read again whenever something happened.

It runs in threads of its own, because every call may last; what comes of it goes to `tell`.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, assert_never

from appliance.client import Client
from appliance.errors import ConflictError, InnervateError
from appliance.frontend.preflight import PATIENCE
from appliance.frontend.provision import is_worth
from appliance.frontend.whole import all_machines, all_runs
from appliance.model.goal import ASK
from appliance.model.views import EventsView, PlanView, RunState, RunView
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
    Read,
    Refused,
)
from appliance.tui.state import (
    EVENTS_KEPT,
    Apply,
    Command,
    Examine,
    Explain,
    Leave,
    MakePlan,
    OpenRun,
    PlaceHold,
    ReleaseHold,
    SetPower,
    ShowPlan,
    Steer,
    Steering,
    TakeOver,
    Task,
    Trouble,
)

PAGE = 1000
_AT_WORK_SECONDS = 1.0
_IDLE_SECONDS = 25.0
_AWAY_SECONDS = 2.0

Tell = Callable[[Message], None]


class Stop(Protocol):
    """`threading.Event`: true when it is time to end."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


def answers(client: Client, command: Command, now: Callable[[], float]) -> Iterator[Message]:
    """What came of it; and how things stand now, where something was changed."""
    if isinstance(command, Examine):
        yield from _examined(client, now)
        return
    answer = carried_out(client, command)
    yield answer
    if isinstance(answer, Did):
        with suppress(InnervateError):
            yield reading(client, now())


def _examined(client: Client, now: Callable[[], float]) -> Iterator[Message]:
    """Findings as they come."""
    try:
        view = client.start_doctor()
        yield Examined(view=view)
        end = now() + PATIENCE
        while view.running and (left := end - now()) > 0:
            view = client.doctor(seen=view.version, wait=left)
            yield Examined(view=view)
    except InnervateError as error:
        yield Refused(command=Examine(), trouble=trouble(error))


def carried_out(client: Client, command: Command) -> Message:
    """What came of it; an error of the daemon is an answer too."""
    try:
        return _done(client, command)
    except InnervateError as error:
        return Refused(command=command, trouble=trouble(error), stale=isinstance(error, ConflictError))


def _done(client: Client, command: Command) -> Message:
    match command:
        case MakePlan():
            plan = _plan(client, command.task)
            worth = is_worth(plan, all_machines(client))
            return PlanMade(task=command.task, plan=plan, worth=worth, goal=command.goal)
        case ShowPlan():
            return PlanMade(task=command.task, plan=client.plan(command.digest), worth=True, goal=command.goal)
        case Apply():
            then = None if command.goal else replace(ASK, despite=command.despite)
            run = client.apply(command.plan.digest, then, command.despite)
            return Began(run=run, task=command.task)
        case Steer():
            return _steered(client, command)
        case SetPower():
            run = client.power(command.machine, command.action)
            return Did(
                says=f"{command.machine}: power {command.action.value} is run {run.id}; its page shows the rest."
            )
        case PlaceHold():
            client.hold(command.machine, command.reason)
            return Did(says=f"{command.machine} is held.")
        case ReleaseHold():
            client.release(command.machine)
            return Did(says=f"{command.machine} is released.")
        case TakeOver():
            client.take_over()
            return Did(says="Asked who serves DHCP; what came of it is told here.")
        case Explain():
            return Explained(view=client.explain(command.machine))
        case OpenRun():
            run = client.run(command.run)
            over = run.goal and run.state is not RunState.RUNNING
            return Opened(run=run, goal=client.goal(run.goal) if over else None)
        case Examine():
            return Examined(view=client.start_doctor())
        case Leave():
            return Did(says="")
        case _:
            assert_never(command)


def _plan(client: Client, task: Task) -> PlanView:
    return client.make_plan() if task.errand is None else client.plan_errand(task.machine, task.errand)


def _steered(client: Client, command: Steer) -> Message:
    match command.verb:
        case Steering.PAUSE:
            view = client.pause(command.run, command.reason)
            return Did(says=f"Run {view.id} is paused.")
        case Steering.RESUME:
            return Did(says=f"Run {client.resume(command.run).id} goes on.")
        case Steering.CANCEL:
            return Did(says=f"Run {client.cancel(command.run).id} is cancelled; F3 plans what is left.")
        case Steering.SET_ASIDE:
            view = client.set_aside(command.run, command.machine, command.reason)
            return Did(says=f"Run {view.id} goes on without {command.machine}; t takes it in again.")
        case Steering.RETRY:
            view = client.retry(command.run, command.machine)
            return Did(says=f"Run {view.id} tries {command.machine} again.")
        case _:
            assert_never(command.verb)


def trouble(error: InnervateError) -> Trouble:
    return Trouble(message=str(error), evidence=error.evidence, next_action=error.next_action)


def follow(client: Client, tell: Tell, stop: Stop, now: Callable[[], float]) -> None:
    """Until `stop`. How things stand is told first, and after everything that happened; a daemon that is away, and has
    `stale` what is shown, is asked again."""
    after, busy, stale = -1, False, True
    while not stop.is_set():
        try:
            first = after < 0
            page = _latest(client) if first else _quiet(after) if stale else _events(client, after, busy=busy)
            after, stale = page.last, True
            if page.events:
                tell(Happened(events=page.events))
            if first or len(page.events) < PAGE:
                busy = _told(client, tell, now())
            stale = False
        except InnervateError as error:
            tell(Absent(trouble=trouble(error)))
            stop.wait(_AWAY_SECONDS)


def _latest(client: Client) -> EventsView:
    """Of what happened before, as much as is kept."""
    view = client.latest_events(limit=EVENTS_KEPT)
    return EventsView(events=view.events[::-1], last=view.last)


def _quiet(after: int) -> EventsView:
    return EventsView(events=(), last=after)


def _events(client: Client, after: int, *, busy: bool) -> EventsView:
    """The progress of a task is no event: while something is at work, the wait for one is short."""
    return client.events(after=after, limit=PAGE, wait=_AT_WORK_SECONDS if busy else _IDLE_SECONDS)


def _told(client: Client, tell: Tell, now: float) -> bool:
    """Tells how things stand; whether it is to be asked again soon: something is at work, or the first admin is to be
    made, of which no event tells."""
    read = reading(client, now)
    tell(read)
    return bool(read.running) or read.setup.needed


def reading(client: Client, now: float) -> Read:
    runs = all_runs(client)
    running = tuple(_runs(client, tuple(run.id for run in runs.runs if run.state is RunState.RUNNING)))
    return Read(
        now=now,
        health=client.health(),
        machines=all_machines(client),
        runs=runs,
        running=running,
        goals=client.goals(),
        setup=client.setup(),
    )


def _runs(client: Client, names: tuple[str, ...]) -> tuple[RunView, ...]:
    views = (client.run(name) for name in names)
    return tuple(run for run in views if run.state is RunState.RUNNING)

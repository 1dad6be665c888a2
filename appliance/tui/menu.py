"""A numbered menu, line by line, for the worst serial line: it moves no cursor, and writes little at a time."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from appliance.client import Client
from appliance.errors import ConflictError, InnervateError, NotFoundError, RefusedError
from appliance.frontend.errands import is_harmless, outcome_of
from appliance.frontend.preflight import PATIENCE, accepted, blocking, demand, followed, in_the_way, matters
from appliance.frontend.provision import Outcome, Person, carry_out, confirm, follow_run, is_name
from appliance.frontend.whole import all_machines
from appliance.frontend.words import changes, run_changes, told
from appliance.model.doctor import Check, DoctorView
from appliance.model.standing import standing
from appliance.model.views import MachinesView, MachineView, PlanView, RunState, RunView
from appliance.tui.asking import YES
from appliance.tui.choices import Choice, choices, question
from appliance.tui.doctor import finding_lines
from appliance.tui.figures import badge
from appliance.tui.link import carried_out, reading
from appliance.tui.log import event_lines
from appliance.tui.machine import explanation, machine_page
from appliance.tui.messages import Did, Refused
from appliance.tui.overview import head, says
from appliance.tui.plan import plan_lines
from appliance.tui.state import Ask, Data, Machine, MakePlan, PlaceHold, SetPower, State, Task
from appliance.tui.text import Line, fitted, line, plain, span, wrapped
from appliance.tui.update import known

WIDTH = 78
LINES = 20
"""At once: with `WIDTH` less than 2 kB, two seconds at 9600 baud."""

_EVENTS = 40
_LOOK_SECONDS = 2.0
_MENU = (
    "",
    "1 status   2 provision  3 machine  4 explain",
    "5 events   6 power      7 hold or release",
    "8 errand: reinstall, wipe, erase, rescue, decommission, replace    0 leave",
)


class Leaving(Exception):  # noqa: N818  nothing went wrong
    """The person does not want what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the menu stands on. `ask` shows a question and returns a line, or raises `EOFError`; `pause` lets some time
    pass; `now` in seconds since the epoch."""

    client: Client
    ask: Callable[[str], str]
    out: TextIO
    now: Callable[[], float]
    pause: Callable[[], None]

    def say(self, rows: Iterable[Line]) -> None:
        """A screenful at a time; whoever does not want the rest says q."""
        for at, row in enumerate(rows):
            if at and at % LINES == 0 and self.ask("-- Enter: more, q: enough -- ").strip().lower() == "q":
                return
            print(plain(fitted(row, WIDTH)), file=self.out)
        self.out.flush()

    def tell(self, text: str) -> None:
        self.say(row for part in text.splitlines() for row in wrapped(part, WIDTH, rest="    "))


def run(desk: Desk) -> None:
    """Until the person leaves, or the line is cut."""
    deeds = {"1": status, "2": provisioning, "3": details, "4": why, "5": events, "6": power, "7": hold, "8": errand}
    while True:
        try:
            desk.say(map(line, _MENU))
            number = desk.ask("Number: ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if number in ("0", "q"):
            return
        if (deed := deeds.get(number)) is not None:
            _do(desk, deed)


def _do(desk: Desk, deed: Callable[[Desk], None]) -> None:
    try:
        deed(desk)
    except InnervateError as error:
        desk.tell(told(error))
    except (Leaving, KeyboardInterrupt, EOFError):
        desk.tell("Left.")


def status(desk: Desk) -> None:
    read = reading(desk.client, desk.now())
    state = State(now=read.now, width=WIDTH, data=known(Data(), read))
    desk.say((*head(state), *_numbered(state.data.machines, state.now)))


def _numbered(machines: tuple[MachineView, ...], now: float) -> Iterator[Line]:
    for number, machine in enumerate(machines, 1):
        lead = f"{number:>3} {badge(machine).text} "
        text = f"{machine.name} {standing(machine).value}: {says(machine, now)}"
        yield from wrapped(text, WIDTH, first=lead, rest="        ")
        for condition in machine.conditions[-1:]:
            if condition.next_action:
                yield from wrapped(condition.next_action, WIDTH, first="        next: ", rest="              ")


def provisioning(desk: Desk) -> None:
    _carry_out(desk, Task(), desk.client.make_plan)


def errand(desk: Desk) -> None:
    machine = _asked(desk)
    one = _chosen(desk, [one for one in choices(machine.name, machine) if isinstance(one.deed, MakePlan)])
    if isinstance(one.deed, MakePlan) and (wanted := one.deed.task.errand) is not None:
        _carry_out(desk, one.deed.task, lambda: desk.client.plan_errand(machine.name, wanted))


def _carry_out(desk: Desk, task: Task, make_plan: Callable[[], PlanView]) -> None:
    """A plan that went stale between reading and approving is shown anew."""
    while True:
        try:
            outcome = carry_out(desk.client, make_plan, _person(desk, task))
        except ConflictError as error:
            desk.tell(f"{told(error)}\nNothing of that plan was done. This is the plan of now:")
        else:
            _finish(desk, outcome if task.errand is None else outcome_of(task.errand, outcome))
            return


def _person(desk: Desk, task: Task) -> Person:
    return Person(
        approve=lambda plan: _approve(desk, plan, task),
        told=lambda plan: desk.say(plan_lines(plan, task, WIDTH)),
        follow=lambda run: _follow(desk, run),
        pause=desk.pause,
        now=desk.now,
    )


def _approve(desk: Desk, view: PlanView, task: Task) -> tuple[Check, ...]:
    desk.say(plan_lines(view, task, WIDTH))
    found = _examined(desk, view)
    if task.errand is None:
        confirm("site", demand(view.site, found), desk.ask)
    elif blocking(found) or not is_harmless(task.errand, view):
        confirm("machine", demand(task.machine, found), desk.ask)
    elif desk.ask("y and Enter applies it, Enter alone leaves: ").strip().lower() not in YES:
        raise Leaving
    return accepted(found)


def _examined(desk: Desk, plan: PlanView) -> DoctorView:
    """Tells what matters."""
    found = followed(desk.client, desk.client.start_doctor(), desk.now, PATIENCE)
    desk.say(row for finding in matters(found, plan) for row in finding_lines(finding, WIDTH))
    if standing := blocking(found):
        desk.tell(in_the_way(standing))
    return found


def _follow(desk: Desk, run: RunView) -> RunView:
    desk.tell(f"run {run.id}: Ctrl-C ends the watching, not the run")
    try:
        run = follow_run(desk.client, run, _Lines(desk), desk.now, desk.pause)
    except KeyboardInterrupt:
        desk.tell(f"run {run.id} goes on; 1 shows it")
        raise
    desk.tell(f"run {run.id} {run.state.value}")
    return run


def _finish(desk: Desk, outcome: Outcome) -> None:
    if not outcome.runs:
        desk.tell("Nothing has to be done.")
    for deferred in outcome.deferred:
        desk.tell(f"still waiting  {deferred.score}: {deferred.reason}")
    for lack in outcome.missing:
        desk.tell(f"note  {lack}")


class _Lines:
    """A line per change, a screenful at most: who wants all of it asks for the status."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._before: MachinesView | None = None
        self._run: RunView | None = None
        self._start = desk.now()

    def update(self, machines: MachinesView, now: float, run: RunView) -> None:
        elapsed = now - self._start
        texts = (*changes(self._before, machines, elapsed), *run_changes(self._run, run, elapsed, now))
        rows = [row for text in texts for row in wrapped(text, WIDTH, rest="    ")]
        rest = [line(f"and {len(rows) - LINES + 1} lines more")] if len(rows) > LINES else []
        self._desk.say(rows[: LINES - len(rest)] + rest)
        self._before, self._run = machines, run


def details(desk: Desk) -> None:
    machine = _asked(desk)
    runs = (desk.client.run(run.id) for run in desk.client.runs(RunState.RUNNING).runs)
    data = Data(machines=(machine,), opened={run.id: run for run in runs}, explained=desk.client.explain(machine.name))
    page = machine_page(State(now=desk.now(), width=WIDTH, data=data), Machine(name=machine.name))
    desk.say(((span(machine.name),), *page.head, *page.body))


def why(desk: Desk) -> None:
    desk.say(explanation(desk.client.explain(_asked(desk).name), WIDTH))


def events(desk: Desk) -> None:
    """The latest, oldest first."""
    name = desk.ask("Of which machine? Enter: of all: ").strip()
    latest = desk.client.latest_events(machine=name, limit=_EVENTS).events
    desk.say(row for event in reversed(latest) for row in event_lines(event, WIDTH))
    if not latest:
        desk.tell("Nothing happened yet.")


def power(desk: Desk) -> None:
    machine = _asked(desk)
    offered = [one for one in choices(machine.name, machine) if isinstance(one.deed, SetPower)]
    _ask_and_do(desk, _chosen(desk, offered), machine.name)


def hold(desk: Desk) -> None:
    machine = _asked(desk)
    _ask_and_do(desk, choices(machine.name, machine)[-1], machine.name)


def _chosen(desk: Desk, offered: Sequence[Choice]) -> Choice:
    for number, one in enumerate(offered, 1):
        desk.tell(f"{number} {one.label}: {one.says}")
    answer = desk.ask("Number, Enter alone leaves: ").strip()
    if not answer.isdecimal() or not 1 <= int(answer) <= len(offered):
        raise Leaving
    return offered[int(answer) - 1]


def _ask_and_do(desk: Desk, one: Choice, name: str) -> None:
    prompt = question(one, name)
    if prompt is None or isinstance(one.deed, MakePlan):
        raise Leaving
    for text in prompt.says:
        desk.tell(text)
    deed = one.deed
    answer = desk.ask(prompt.label).strip()
    match prompt.ask:
        case Ask.NAME if not is_name(answer, prompt.wanted):
            raise RefusedError("not done: the name was not typed", next_action="nothing was done")
        case Ask.YES if answer.lower() not in YES:
            raise Leaving
        case Ask.TEXT if not answer:
            raise Leaving
    if isinstance(deed, PlaceHold):
        deed = PlaceHold(machine=name, reason=answer)
    match carried_out(desk.client, deed):
        case Did(says=text):
            desk.tell(text)
        case Refused(trouble=trouble):
            raise InnervateError(trouble.message, evidence=trouble.evidence, next_action=trouble.next_action)


def _asked(desk: Desk) -> MachineView:
    """By its name, or by its number in the status."""
    machines = all_machines(desk.client).machines
    names = ", ".join(f"{number} {machine.name}" for number, machine in enumerate(machines[: 2 * LINES], 1))
    desk.tell(names or "no machine is known")
    answer = desk.ask("Machine, Enter alone leaves: ").strip()
    if not answer:
        raise Leaving
    for number, machine in enumerate(machines, 1):
        if answer in (machine.name, str(number)):
            return machine
    raise NotFoundError(f"no machine is called {answer}", next_action="1 lists them")


def main(client: Client) -> int:
    desk = Desk(client=client, ask=_ask, out=sys.stdout, now=time.time, pause=lambda: time.sleep(_LOOK_SECONDS))
    _do(desk, status)
    run(desk)
    return 0


def _ask(question: str) -> str:
    """No line editor: it would move the cursor."""
    sys.stdout.write(plain(line(question)) + " ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise EOFError
    return answer

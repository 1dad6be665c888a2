"""What the terminal interface knows and where the person is: one value, replaced with every key and every answer."""

from dataclasses import dataclass, field, replace
from enum import Enum

from appliance.model.access_views import SetupView
from appliance.model.doctor import Check, DoctorView
from appliance.model.filter import Filter
from appliance.model.views import (
    Errand,
    EventView,
    ExplainView,
    GoalView,
    HealthView,
    MachineView,
    PlanView,
    PowerAction,
    RunSummaryView,
    RunView,
    SegmentView,
)

EVENTS_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error of the daemon, or its absence, in words."""

    message: str
    evidence: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What the daemon said last. `heard` is when, in seconds since the epoch; `absent` why it says nothing now.
    `opened` are runs with their steps, by name: those that run, and the one that is looked at."""

    heard: float = 0.0
    health: HealthView | None = None
    machines: tuple[MachineView, ...] = ()
    segment: tuple[SegmentView, ...] = ()
    runs: tuple[RunSummaryView, ...] = ()
    goals: tuple[GoalView, ...] = ()
    opened: dict[str, RunView] = field(default_factory=dict)
    explained: ExplainView | None = None
    events: tuple[EventView, ...] = ()
    absent: Trouble | None = None
    setup: SetupView | None = None
    examined: DoctorView | None = None

    def machine(self, name: str) -> MachineView | None:
        return next((machine for machine in self.machines if machine.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is planned: all that the site program wants, or an errand of one machine."""

    machine: str = ""
    errand: Errand | None = None


class Steering(Enum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SET_ASIDE = "set aside"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`at` is the name of the machine under the cursor, "" for the first."""

    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`top` is the first line that is shown, here and below."""

    name: str
    top: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What can be done with a machine."""

    machine: str
    at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan to be read and approved; None while it is made. `worth`: to carry it out would change something.
    `goal` is what waits for its approval, "" for a plan of one's own."""

    task: Task
    plan: PlanView | None = None
    worth: bool = True
    goal: str = ""
    top: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`task` is what was approved here, while it may go on with another plan."""

    run: str
    at: str = ""
    task: Task | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`back` counts lines from the end; `until` is the last event that is shown while it is paused."""

    machine: str = ""
    back: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    top: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doctor:
    """What the last examination has found by now."""

    top: int = 0


Place = Overview | Machine | Choices | Planned | Runs | Run | Log | Help | Doctor


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePlan:
    task: Task
    goal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowPlan:
    """The plan with this digest, for which the goal waits."""

    task: Task
    goal: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    task: Task
    plan: PlanView
    goal: str = ""
    despite: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Steer:
    verb: Steering
    run: str
    machine: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPower:
    machine: str
    action: PowerAction


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHold:
    machine: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examine:
    """The doctor looks for what keeps machines from booting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """The person goes; what runs in the daemon goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """The boot network is asked again who serves DHCP."""


Command = (
    MakePlan
    | ShowPlan
    | Apply
    | Steer
    | TakeOver
    | SetPower
    | PlaceHold
    | ReleaseHold
    | Explain
    | OpenRun
    | Examine
    | Leave
)


class Ask(Enum):
    """`NAME`: the wanted name, and nothing else is a yes. `YES`: the letter y. `TEXT`: a reason, not empty."""

    NAME = "name"
    YES = "yes"
    TEXT = "text"
    FILTER = "filter"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question at the bottom of the screen. `says` is what will be done; Enter on an empty line leaves it."""

    ask: Ask
    label: str
    says: tuple[str, ...] = ()
    wanted: str = ""
    then: Command | None = None
    typed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`width` and `height` in cells; `now` in seconds since the epoch. The last of `places` is shown, Esc goes back.
    `busy` says what is asked of the daemon just now."""

    now: float
    width: int = 80
    height: int = 24
    data: Data = field(default_factory=Data)
    places: tuple[Place, ...] = (Overview(),)
    prompt: Prompt | None = None
    filter: Filter = field(default_factory=Filter)
    busy: str = ""
    notice: Trouble | None = None

    @property
    def place(self) -> Place:
        return self.places[-1]

    @property
    def chosen(self) -> tuple[MachineView, ...]:
        """The machines that fit the filter."""
        return tuple(machine for machine in self.data.machines if self.filter.fits(machine))


def moved(state: State, place: Place) -> State:
    """Another value of the place where the person is."""
    return replace(state, places=(*state.places[:-1], place))


def entered(state: State, place: Place) -> State:
    """A place of the same kind is not entered twice in a row: going back leads elsewhere."""
    kept = state.places[:-1] if type(state.place) is type(place) else state.places
    return replace(state, places=(*kept, place) if kept else (place,), notice=None)

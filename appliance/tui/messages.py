"""What reaches the terminal interface from outside: keys, the clock, and answers of the daemon."""

from dataclasses import dataclass

from appliance.model.access_views import SetupView
from appliance.model.doctor import DoctorView
from appliance.model.views import (
    EventView,
    ExplainView,
    GoalsView,
    GoalView,
    HealthView,
    MachinesView,
    PlanView,
    RunsView,
    RunView,
)
from appliance.tui.state import Command, Task, Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """`character` is what the key types, "" where it types nothing."""

    key: str
    character: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """All that stands on the pages; `running` are the runs under way, with their steps."""

    now: float
    health: HealthView
    machines: MachinesView
    runs: RunsView
    running: tuple[RunView, ...]
    goals: GoalsView
    setup: SetupView


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """The daemon could not be read."""

    trouble: Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    view: ExplainView


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`goal` is what the run is one step of, once it is over."""

    run: RunView
    goal: GoalView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """`worth`: to carry it out would change something."""

    task: Task
    plan: PlanView
    worth: bool
    goal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """By now, or to its end."""

    view: DoctorView


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """An approved plan is a run now."""

    run: RunView
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`stale`: what was approved is not what would be done now."""

    command: Command
    trouble: Trouble
    stale: bool = False


Message = (
    Pressed
    | Resized
    | Ticked
    | Read
    | Happened
    | Absent
    | Explained
    | Opened
    | PlanMade
    | Examined
    | Began
    | Did
    | Refused
)

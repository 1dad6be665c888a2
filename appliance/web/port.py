"""What the pages need of the appliance: a part of what the API needs, so that one application serves both.

Every method raises `InnervateError`; pages show its cause, evidence and next action.
"""

from collections.abc import Iterable
from typing import Protocol

from appliance.access.model import Caller
from appliance.api.entering import Named
from appliance.model.asked import SOMEBODY, Asked
from appliance.model.doctor import DoctorRequest, DoctorView
from appliance.model.filter import Filter
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.paging import EVERY_MACHINE, MachinesQuery
from appliance.model.views import (
    Errand,
    EventsView,
    ExplainView,
    GoalsView,
    GoalView,
    HealthView,
    MachinesView,
    MachineView,
    PlanView,
    PowerAction,
    RunsView,
    RunView,
    SummaryView,
)


class Doctor(Protocol):
    """A part of `appliance.api.port.Doctor`."""

    def start(self, request: DoctorRequest) -> DoctorView: ...

    def doctor(self) -> DoctorView: ...

    async def look(self, seen: int, wait: float) -> DoctorView: ...


class Looking(Protocol):
    """What changes nothing."""

    @property
    def doctor_desk(self) -> Doctor: ...

    def health(self) -> HealthView: ...

    def machines(self, query: MachinesQuery = EVERY_MACHINE) -> MachinesView: ...

    def summary(self, wanted: Filter) -> SummaryView: ...

    def machine(self, name: MachineName) -> MachineView: ...

    def explain(self, name: MachineName) -> ExplainView: ...

    async def events(self, *, after: int, machine: MachineName | None, limit: int, wait: float) -> EventsView: ...

    async def latest(
        self, *, before: int | None = None, machine: MachineName | None = None, limit: int = 100
    ) -> EventsView: ...

    def plan(self, digest: PlanDigest) -> PlanView: ...

    def run(self, run: RunId) -> RunView: ...

    def runs(self) -> RunsView: ...

    def goals(self) -> GoalsView: ...

    def goal(self, goal: GoalId) -> GoalView: ...


class Appliance(Looking, Protocol):
    async def make_plan(self) -> PlanView: ...

    async def plan_errand(self, name: MachineName, errand: Errand) -> PlanView: ...

    async def apply(self, digest: PlanDigest, asked: Asked = SOMEBODY, then: Consent | None = None) -> RunView: ...

    async def drop(self, goal: GoalId, asked: Asked = SOMEBODY) -> GoalView: ...

    async def pause(self, run: RunId, reason: str, asked: Asked = SOMEBODY) -> RunView: ...

    async def resume(self, run: RunId, asked: Asked = SOMEBODY) -> RunView: ...

    async def cancel(self, run: RunId, asked: Asked = SOMEBODY) -> RunView: ...

    async def set_aside(self, run: RunId, machine: MachineName, reason: str, asked: Asked = SOMEBODY) -> RunView: ...

    async def retry(self, run: RunId, machine: MachineName, asked: Asked = SOMEBODY) -> RunView: ...

    async def power(self, name: MachineName, action: PowerAction, asked: Asked = SOMEBODY) -> RunView: ...

    async def hold(self, name: MachineName, reason: str, asked: Asked = SOMEBODY) -> MachineView: ...

    async def release(self, name: MachineName, asked: Asked = SOMEBODY) -> MachineView: ...


class Entered(Protocol):
    """A session that was opened; `cookie` is what the browser keeps."""

    @property
    def cookie(self) -> str: ...


class Doors(Protocol):
    """Who comes in, and whether they may stay."""

    @property
    def setup_code(self) -> str: ...

    def users(self) -> Iterable[Named]: ...

    async def set_up(self, name: str, code: str, password: str, source: str) -> Named: ...

    async def log_in(self, name: str, password: str, code: str, source: str) -> Entered: ...

    def log_out(self, caller: Caller) -> None: ...

    def csrf_of(self, caller: Caller) -> str: ...

    def is_csrf(self, caller: Caller, token: str) -> bool: ...

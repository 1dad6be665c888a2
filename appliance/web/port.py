"""What the pages need of the appliance: a part of what the API needs, so that one application serves both.

Every method raises `InnervateError`; pages show its cause, evidence and next action.
"""

from typing import Protocol

from appliance.access.audit import AuditLog
from appliance.access.desk import Desk
from appliance.model.asked import SOMEBODY, Asked
from appliance.model.bmc_views import SensorsView
from appliance.model.console_views import ConsoleView
from appliance.model.doctor import DoctorRequest, DoctorView
from appliance.model.filter import Filter
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.image_views import ImagesView
from appliance.model.network_views import HistoryView, LeasesView, NetworksView
from appliance.model.paging import EVERY_LEASE, EVERY_MACHINE, LeasesQuery, MachinesQuery
from appliance.model.site_views import SiteView
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


class Recorded(Protocol):
    """A serial console."""

    @property
    def view(self) -> ConsoleView: ...

    def tail(self, most: int) -> bytes: ...


class Stores(Protocol):
    """What the appliance has to give: images, networks, addresses."""

    async def images(self) -> ImagesView: ...

    def networks(self) -> NetworksView: ...

    def leases(self, query: LeasesQuery = EVERY_LEASE) -> LeasesView: ...

    def history(self) -> HistoryView: ...


class Measuring(Protocol):
    async def sensors(self, machine: MachineName) -> SensorsView: ...


class Doctor(Protocol):
    """A part of `appliance.api.port.Doctor`."""

    def start(self, request: DoctorRequest) -> DoctorView: ...

    def doctor(self) -> DoctorView: ...

    async def look(self, seen: int, wait: float) -> DoctorView: ...


class Looking(Protocol):
    """What changes nothing."""

    @property
    def bmc_desk(self) -> Measuring: ...

    @property
    def stores(self) -> Stores: ...

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
    async def program(self) -> SiteView: ...

    def plan(self, digest: PlanDigest) -> PlanView: ...

    def run(self, run: RunId) -> RunView: ...

    def runs(self) -> RunsView: ...

    def goals(self) -> GoalsView: ...

    def goal(self, goal: GoalId) -> GoalView: ...
    def console(self, name: MachineName) -> Recorded: ...


class Appliance(Looking, Protocol):
    async def reload(self, digest: str) -> SiteView: ...

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


class Doors(Protocol):
    """Who comes in and who may what, and the log of it: the API's own, so that each decision has one home."""

    @property
    def desk(self) -> Desk: ...

    @property
    def audit(self) -> AuditLog: ...

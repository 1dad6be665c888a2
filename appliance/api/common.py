"""What the API and the pages both need of the appliance, so that one application serves both.

Every method raises `InnervateError`: the API turns its `code` into a status and a problem document, pages show its
cause, evidence and next action.
"""

from collections.abc import Mapping
from typing import Protocol

from appliance.console.console import Console
from appliance.model.asked import SOMEBODY, Asked
from appliance.model.bmc_views import SensorsView
from appliance.model.cluster_views import ClustersView, ClusterView
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding
from appliance.model.filter import Filter
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.image_views import ImagesView, ImageView
from appliance.model.network_views import HistoryView, LeasesView, NetworksView
from appliance.model.paging import (
    EVERY_CLUSTER,
    EVERY_LEASE,
    EVERY_MACHINE,
    EVERY_RUN,
    ClustersQuery,
    LeasesQuery,
    MachinesQuery,
    RunsQuery,
)
from appliance.model.report_views import ReportView
from appliance.model.secret import Secret
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


class Measuring(Protocol):
    async def sensors(self, machine: MachineName) -> SensorsView:
        """Read from its BMC, or what was read some seconds ago. Raises `BmcError`."""
        ...

    async def screen(self, machine: MachineName) -> bytes:
        """A PNG of what it shows, of now or of some seconds ago. Raises `BmcError`, and `NotFoundError` where its BMC
        gives none."""
        ...


class Stores(Protocol):
    """What the appliance has to give: images, networks, addresses."""

    async def images(self) -> ImagesView: ...

    async def image(self, name: str) -> ImageView:
        """By its name, or its version."""
        ...

    def networks(self) -> NetworksView: ...

    def leases(self, query: LeasesQuery = EVERY_LEASE) -> LeasesView: ...

    def history(self) -> HistoryView: ...


class Clusters(Protocol):
    """Those that runs of this appliance made, or make now."""

    def clusters(self, query: ClustersQuery = EVERY_CLUSTER) -> ClustersView: ...

    def cluster(self, name: str) -> ClusterView:
        """Raises `NotFoundError`."""
        ...

    def kubeconfig(self, name: str) -> Secret:
        """With which one may do everything in it. Raises `NotFoundError`, and `ConflictError` before it is founded."""
        ...


class Doctor(Protocol):
    def start(self, request: DoctorRequest) -> DoctorView:
        """Begins an examination; one that is under way goes on, and counts for this one, too."""
        ...

    def doctor(self) -> DoctorView:
        """What the last one has found by now."""
        ...

    def standing(self) -> tuple[Finding, ...]:
        """The same, and of checks that are still at work what they found before."""
        ...

    async def look(self, seen: int, wait: float) -> DoctorView:
        """At once where its `version` is another one than `seen`, else when it is or `wait` seconds have passed."""
        ...


class Support(Protocol):
    """What a support bundle needs of the daemon beside what everybody may ask."""

    def files(self) -> Mapping[str, str]:
        """Texts that only the daemon has, by the name of their file. May be called by any thread; so `secrets`."""
        ...

    def secrets(self) -> frozenset[str]:
        """What must not be in it, as far as the appliance knows it in clear."""
        ...


class Looking(Protocol):
    """What changes nothing."""

    @property
    def bmc_desk(self) -> Measuring: ...

    @property
    def stores(self) -> Stores: ...

    @property
    def cluster_desk(self) -> Clusters: ...

    @property
    def doctor_desk(self) -> Doctor: ...

    @property
    def support_desk(self) -> Support: ...

    def health(self) -> HealthView: ...

    def machines(self, query: MachinesQuery = EVERY_MACHINE) -> MachinesView: ...

    def summary(self, wanted: Filter) -> SummaryView: ...

    def machine(self, name: MachineName) -> MachineView: ...

    def explain(self, name: MachineName) -> ExplainView: ...

    def report(self, wanted: Filter, text: str) -> ReportView:
        """Of the machines that fit; `text` is the filter as it was written."""
        ...

    async def events(
        self,
        *,
        after: int,
        machine: MachineName | None,
        limit: int,
        wait: float,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        """Waits up to `wait` seconds for the first one; empty when none came. `kinds` None for all."""
        ...

    async def latest(
        self,
        *,
        before: int | None = None,
        machine: MachineName | None = None,
        limit: int = 100,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        """The latest come first, from before the event `before` on."""
        ...

    async def program(self) -> SiteView:
        """The site program on disk beside the one that runs. `NotFoundError` where the site is from no file."""
        ...

    def plan(self, digest: PlanDigest) -> PlanView: ...

    def goals(self, *, every: bool = False) -> GoalsView:
        """Those that are open, or also those that are over."""
        ...

    def goal(self, goal: GoalId) -> GoalView: ...

    def run(self, run: RunId) -> RunView: ...

    def runs(self, query: RunsQuery = EVERY_RUN) -> RunsView:
        """Raises `UsageError` when the query goes on behind a run that is not there."""
        ...

    def console(self, name: MachineName) -> Console:
        """`NotFoundError` where the site program names none."""
        ...


class Steering(Looking, Protocol):
    """What people and programs do to the rack."""

    async def reload(self, digest: str) -> SiteView:
        """Runs what is on disk, if it is still what has this digest. `ConflictError` where that needs a restart."""
        ...

    async def make_plan(self) -> PlanView:
        """Plans the site program against what is known now."""
        ...

    async def apply(
        self,
        digest: PlanDigest,
        asked: Asked = SOMEBODY,
        then: Consent | None = None,
        despite: tuple[Check, ...] = (),
    ) -> RunView:
        """Starts the run; `ConflictError` when the plan is stale or a run already touches one of its machines,
        `RefusedError` while the doctor's failures of the site stand in the way that are not in `despite`.

        With `then` what the plan defers is a goal, which goes on by itself as far as that consents. A plan with the
        purpose of an open goal takes that one further."""
        ...

    async def drop(self, goal: GoalId, asked: Asked = SOMEBODY) -> GoalView:
        """Nothing is planned for it any more; a run of it that goes on is left alone."""
        ...

    async def pause(self, run: RunId, reason: str, asked: Asked = SOMEBODY) -> RunView:
        """No machine begins a step; those under way go on to their end. Twice is as once."""
        ...

    async def resume(self, run: RunId, asked: Asked = SOMEBODY) -> RunView: ...

    async def cancel(self, run: RunId, asked: Asked = SOMEBODY) -> RunView:
        """Ends the run where it stands: `ConflictError` when it is over."""
        ...

    async def set_aside(self, run: RunId, machine: MachineName, reason: str, asked: Asked = SOMEBODY) -> RunView:
        """The machine is left as it is, the others go on."""
        ...

    async def retry(self, run: RunId, machine: MachineName, asked: Asked = SOMEBODY) -> RunView:
        """What failed on the machine is tried again in this run, also after it was set aside."""
        ...

    async def plan_errand(self, name: MachineName, errand: Errand) -> PlanView:
        """A plan for one machine, to be approved like any other. A plan whose `deferred` is not empty only finds out
        what has to be known first: when its run is done, plan the errand again."""
        ...

    async def plan_retirement(self) -> PlanView:
        """A plan for the end of all clusters and machines. Raises `ConflictError` while something else is wanted of the
        site. As with an errand, the first plan may only find out what has to be erased."""
        ...

    async def power(self, name: MachineName, action: PowerAction, asked: Asked = SOMEBODY) -> RunView: ...

    async def hold(self, name: MachineName, reason: str, asked: Asked = SOMEBODY) -> MachineView: ...

    async def release(self, name: MachineName, asked: Asked = SOMEBODY) -> MachineView: ...

    async def confirm(self, name: MachineName, code: str, asked: Asked = SOMEBODY) -> MachineView:
        """Somebody has read this code on the machine's console. Raises `ConflictError` when it is another one."""
        ...

"""What can be asked of the appliance and changes nothing: the world, as people and programs see it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from appliance import __version__
from appliance.conductor.explain import explain
from appliance.conductor.goals import Goal
from appliance.conductor.hands import Waiting
from appliance.conductor.machine import MachineState, model_of
from appliance.conductor.memory import Memory
from appliance.conductor.rollout import rollout_of
from appliance.conductor.runs import RunStatus
from appliance.errors import NotFoundError
from appliance.identity.bonds import Code
from appliance.metrics import catalogue
from appliance.metrics.machines import machine_families
from appliance.metrics.model import Family, by_label
from appliance.model.filter import Filter
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.paging import EVERY_MACHINE, EVERY_RUN, MachinesQuery, RunsQuery, machines_page, runs_page
from appliance.model.phase import Condition
from appliance.model.report_views import ReportView
from appliance.model.rollout import Rollout
from appliance.model.standing import summary
from appliance.model.views import (
    EventsView,
    ExplainView,
    GoalsView,
    GoalView,
    HealthView,
    MachinesView,
    MachineView,
    PlanView,
    RunState,
    RunsView,
    RunView,
    SummaryView,
)
from appliance.plan import Plan
from appliance.ports import Clock
from appliance.services.agents import Session
from appliance.services.cluster_members import member_view
from appliance.services.identity_views import identity_view
from appliance.services.outlook import Outlooks, plan_outlook
from appliance.services.program import Running
from appliance.services.report import handed_over
from appliance.services.segment_state import SegmentState
from appliance.services.views import (
    Around,
    event_view,
    goal_view,
    machine_card,
    machine_view,
    plan_view,
    run_summary,
    run_view,
)
from appliance.site import Site
from appliance.topology import Rack


class Looking:
    def __init__(
        self,
        memory: Memory,
        site: Site[Rack],
        clock: Clock,
        session_of: Callable[[MachineName], Session | None],
        segment: SegmentState,
        waiting: Waiting,
        measured: Callable[[], Iterable[Family]],
        code_of: Callable[[MachineName], Code | None],
    ) -> None:
        self._code_of = code_of
        self._memory = memory
        self._running_site = Running(site)
        self._servers = {server.name: server for server in site.topology.servers}
        self._clock = clock
        self._session_of = session_of
        self._segment = segment
        self._waiting = waiting
        self._measured = measured
        self._outlooks = Outlooks(memory.world)
        self._started = clock.now()

    @property
    def _site(self) -> Site[Rack]:
        return self._running_site.site

    def health(self) -> HealthView:
        return HealthView(
            version=__version__,
            ready=True,
            started=self._started,
            rss_bytes=_resident_bytes(),
            site=self._site.name,
        )

    def machines(self, query: MachinesQuery = EVERY_MACHINE) -> MachinesView:
        views, following = machines_page(self._servers, self._card, self._view, query)
        return MachinesView(
            machines=views, segment=self._segment.troubles, next=following, last=self._memory.world.last_seq
        )

    def summary(self, wanted: Filter) -> SummaryView:
        return summary([card for name in self._servers if wanted.fits(card := self._card(name))])

    def machine(self, name: MachineName) -> MachineView:
        return self._view(self._known(name))

    def metrics(self) -> tuple[Family, ...]:
        runs = self._memory.world.runs.values()
        states = Counter("paused" if run.paused is not None else run.state.value for run in runs)
        return (
            Family(metric=catalogue.BUILD, samples={(__version__,): 1}),
            Family(metric=catalogue.START, samples={(): self._started}),
            Family(metric=catalogue.MEMORY, samples={(): _resident_bytes()}),
            *machine_families(tuple(map(self._card, self._servers))),
            by_label(catalogue.RUNS, {state: states[state] for state in (*(one.value for one in RunState), "paused")}),
            *self._measured(),
        )

    async def events(
        self,
        *,
        after: int,
        machine: MachineName | None,
        limit: int,
        wait: float,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        deadline = self._clock.monotonic() + wait
        while True:
            tick, known = self._memory.tick, self._memory.world.last_seq
            entries = await self._memory.read(after=after, machine=machine, limit=limit, kinds=kinds)
            if entries:
                return EventsView(events=tuple(map(event_view, entries)), last=entries[-1].seq)
            after = max(after, known)  # none of those was wanted: they are not looked at again
            if (left := deadline - self._clock.monotonic()) <= 0:
                return EventsView(events=(), last=after)
            await self._memory.changed(tick, left)

    async def latest(
        self,
        *,
        before: int | None = None,
        machine: MachineName | None = None,
        limit: int = 100,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        known = self._memory.world.last_seq
        entries = await self._memory.latest(before=before, machine=machine, limit=limit, kinds=kinds)
        return EventsView(events=tuple(map(event_view, entries)), last=max((known, *(one.seq for one in entries[:1]))))

    def explain(self, name: MachineName) -> ExplainView:
        state = self._memory.world.machine(self._known(name))
        runs = tuple(run for run in self._memory.world.running if name in run.left)
        usual, now = self._usual(state), self._clock.now()
        return explain(state, runs, self._waiting.of(name), usual, now, self._in_its_way(name))

    def _usual(self, state: MachineState) -> float | None:
        run = self._memory.world.runs.get(state.attempt.run) if state.attempt else None
        if run is None or state.attempt is None:
            return None
        return self._memory.world.usual(state.name, run.index.by_id[state.attempt.step].do)

    def plan(self, digest: PlanDigest) -> PlanView:
        return self._shown(self._stored(digest))

    def _shown(self, plan: Plan) -> PlanView:
        return plan_view(plan, plan_outlook(plan, self._memory.world, self._rollout(plan)))

    def _rollout(self, plan: Plan) -> Rollout:
        models = {step.machine: model_of(self._memory.world.machine(step.machine)) for step in plan.steps}
        return rollout_of(plan, self._site.topology.limits, models)

    def goals(self, *, every: bool = False) -> GoalsView:
        world = self._memory.world
        return GoalsView(goals=tuple(map(goal_view, reversed(world.goals.values() if every else world.open_goals))))

    def goal(self, goal: GoalId) -> GoalView:
        return goal_view(self._goal(goal))

    def _goal(self, goal: GoalId) -> Goal:
        if (known := self._memory.world.goals.get(goal)) is None:
            raise NotFoundError(f"there is no goal {goal}", next_action="those that are open: innervate goals")
        return known

    def run(self, run: RunId) -> RunView:
        status = self._status(run)
        return run_view(status, self._waiting.of, self._outlooks.of(status, self._clock.now()))

    def runs(self, query: RunsQuery = EVERY_RUN) -> RunsView:
        latest = tuple(reversed(self._memory.world.runs.values()))
        found, following = runs_page(latest, lambda run: (run.id, run.state), query)
        return RunsView(runs=tuple(map(run_summary, found)), next=following)

    def report(self, wanted: Filter, text: str) -> ReportView:
        runs = tuple(self._memory.world.runs.values())
        names = [name for name in self._servers if wanted.fits(self._card(name))]
        concerned = [run for run in runs if any(name in run.index.by_machine for name in names)]
        return ReportView(
            site=self._site.name,
            made=self._clock.now(),
            version=__version__,
            wanted=text,
            machines=tuple(handed_over(self._view(one), self._memory.world.machine(one), concerned) for one in names),
            runs=tuple(map(run_summary, reversed(concerned))),
            segment=self._segment.troubles,
        )

    def _status(self, run: RunId) -> RunStatus:
        status = self._memory.world.runs.get(run)
        if status is None:
            raise NotFoundError(f"there is no run {run}", next_action="innervate events shows all runs")
        return status

    def _stored(self, digest: PlanDigest) -> Plan:
        if digest not in self._memory.world.plans:
            raise NotFoundError(f"there is no plan {digest[:12]}", next_action="make one: innervate plan")
        return self._memory.world.plans[digest]

    def _known(self, name: MachineName) -> MachineName:
        if name not in self._site.topology.machines:
            raise NotFoundError(
                f"{self._site.name} has no machine {name}",
                evidence=f"machines: {', '.join(self._site.topology.machines)}",
                next_action="name one of these",
            )
        return name

    def _view(self, name: MachineName) -> MachineView:
        state = self._memory.world.machine(name)
        run = self._run_of(state)
        session, wait, usual = self._session_of(name), self._waiting.of(name), self._usual(state)
        shown = machine_view(state, run, session, wait, usual, self._clock.now(), self._around(name))
        identity = identity_view(state, self._code_of(name), self._site.topology.identity)
        return replace(shown, identity=identity, member=member_view(state, self._memory.world))

    def _card(self, name: MachineName) -> MachineView:
        state = self._memory.world.machine(name)
        card = machine_card(state, self._run_of(state), self._clock.now(), self._around(name))
        return replace(card, member=member_view(state, self._memory.world)) if state.member is not None else card

    def _run_of(self, state: MachineState) -> RunStatus | None:
        return self._memory.world.runs.get(state.attempt.run) if state.attempt else None

    def _around(self, name: MachineName) -> Around:
        """`run` is the latest of the running runs that are not through with the machine."""
        runs = [run.id for run in self._memory.world.running_on((name,)) if run.left.get(name)]
        server = self._servers[name]
        return Around(
            place=server.place,
            bmc_url=server.bmc.url,
            run=runs[-1] if runs else "",
            conditions=self._in_its_way(name),
        )

    def _in_its_way(self, name: MachineName) -> tuple[Condition, ...]:
        found = (self._waiting.stopped(name), self._memory.world.unplanned.get(name))
        return tuple(condition for condition in found if condition is not None)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096

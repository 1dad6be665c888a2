"""An application in memory for tests of the API and its clients: the same contract, and nothing behind it.

`now` stands still; each look-up answers from what was put in; `plans`, and the `errands` of each kind, are handed out
one after the other, the last one for ever. A run goes as far as it can whenever it is looked at: what is held waits,
what is `broken` fails.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from fastapi import FastAPI

from appliance.access.access import Access, opened
from appliance.api.app import create_app
from appliance.api.fake_bmcs import FakeBmcs, find
from appliance.api.fake_clusters import FakeClusters
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.fake_leaving import FakeLeaving
from appliance.api.fake_report import SYSTEM, report_of
from appliance.api.fake_runs import begun, left, lost, summary_of, turned
from appliance.api.fake_sets import FakeSets
from appliance.api.fake_stores import FakeStores
from appliance.api.fake_support import FakeSupport
from appliance.api.fake_upgrades import FakeUpgrades
from appliance.api.port import Honoured
from appliance.api.server import Secure, serve
from appliance.console.console import Console
from appliance.errors import ConflictError, PlanError, StaleError
from appliance.frontend.preflight import refuse
from appliance.metrics import catalogue
from appliance.metrics.machines import machine_families
from appliance.metrics.model import Family
from appliance.model.asked import SOMEBODY, Asked
from appliance.model.doctor import Check
from appliance.model.filter import Filter
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.paging import EVERY_MACHINE, EVERY_RUN, MachinesQuery, RunsQuery, machines_page, runs_page
from appliance.model.phase import Condition, ConditionKind
from appliance.model.report_views import PortView, ReportView, SystemView
from appliance.model.site_views import SiteCheckView, SiteView
from appliance.model.standing import summary
from appliance.model.views import (
    Errand,
    EventsView,
    EventView,
    ExplainView,
    GoalState,
    GoalsView,
    GoalView,
    HealthView,
    MachinesView,
    MachineView,
    PlanView,
    PowerAction,
    RunState,
    RunsView,
    RunView,
    SegmentView,
    ShellView,
    SnapshotView,
    StepState,
    StepView,
    SummaryView,
)
from appliance.model.words import RETIREMENT, Destroys
from appliance.system import SystemClock, SystemRng

T = TypeVar("T")


PROGRAM = SiteView(
    name="lab",
    path="/etc/innervate/site.py",
    loaded=1_800_000_000.0,
    source="site = Site()\n",
    changed=False,
    diff="",
    check=SiteCheckView(summary="lab: 1 machines, 1 scores, all needs are met\n"),
)


@dataclass(kw_only=True)
class FakeApplication:
    """`fails` is raised by the next call, whichever it is; `broken` steps fail at once, `slow` ones go on for ever."""

    now: float = 1_800_000_000.0
    inventory: dict[str, MachineView] = field(default_factory=dict)
    segment: list[SegmentView] = field(default_factory=list)
    plans: list[PlanView] = field(default_factory=list)
    errands: dict[Errand, list[PlanView]] = field(default_factory=dict)
    retirements: list[PlanView] = field(default_factory=list)
    explained: dict[str, ExplainView] = field(default_factory=dict)
    shells: dict[str, ShellView] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()
    site_program: SiteView = field(default_factory=lambda: PROGRAM)
    fails: Exception | None = None
    powered: list[tuple[str, PowerAction]] = field(default_factory=list)
    _planned: dict[str, PlanView] = field(default_factory=dict)
    _latest: dict[str, str] = field(default_factory=dict)
    _runs: dict[str, RunView] = field(default_factory=dict)
    _goals: dict[str, GoalView] = field(default_factory=dict)
    _events: list[EventView] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    took_over: bool = False
    support_desk: FakeSupport = field(default_factory=FakeSupport)
    consoles: dict[str, Console] = field(default_factory=dict)
    systems: SystemView = SYSTEM
    wires: dict[str, tuple[PortView, ...]] = field(default_factory=dict)
    stores: FakeStores = field(default_factory=FakeStores)
    bmc_desk: FakeBmcs = field(default_factory=FakeBmcs)
    doctor_desk: FakeDoctor = field(default_factory=FakeDoctor)
    leaving_desk: FakeLeaving = field(default_factory=FakeLeaving)
    sets: FakeSets = field(default_factory=FakeSets)
    cluster_desk: FakeClusters = field(default_factory=FakeClusters)
    upgrade_desk: FakeUpgrades = field(default_factory=FakeUpgrades)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def honoured(self, key: str) -> Honoured | None:
        return None

    def health(self) -> HealthView:
        self._fail()
        return HealthView(version="0.1.0", ready=True, started=self.now, rss_bytes=64 << 20, site="lab")

    def machines(self, query: MachinesQuery = EVERY_MACHINE) -> MachinesView:
        self._fail()
        look = self.inventory.__getitem__
        views, following = machines_page(self.inventory, look, look, query)
        return MachinesView(machines=views, segment=tuple(self.segment), next=following, last=len(self._events))

    def report(self, wanted: Filter, text: str) -> ReportView:
        self._fail()
        machines = [view for view in self.inventory.values() if wanted.fits(view)]
        return report_of(machines, self.runs().runs, self.now, text, self.systems, self.wires)

    def summary(self, wanted: Filter) -> SummaryView:
        self._fail()
        return summary([view for view in self.inventory.values() if wanted.fits(view)])

    def machine(self, name: MachineName) -> MachineView:
        self._fail()
        return find(self.inventory, name, "machine")

    def metrics(self) -> tuple[Family, ...]:
        self._fail()
        version = Family(metric=catalogue.BUILD, samples={("0.1.0",): 1})
        return version, *machine_families(tuple(self.inventory.values()))

    async def events(
        self,
        *,
        after: int,
        machine: MachineName | None,
        limit: int,
        wait: float,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        self._fail()
        async with self._news:
            try:
                async with asyncio.timeout(wait):
                    while not (found := self._after(after, machine, kinds)):
                        self.waiting.set()
                        await self._news.wait()
            except TimeoutError:
                return EventsView(events=(), last=after)
        return EventsView(events=found[:limit], last=found[:limit][-1].seq)

    async def latest(
        self,
        *,
        before: int | None = None,
        machine: MachineName | None = None,
        limit: int = 100,
        kinds: frozenset[str] | None = None,
    ) -> EventsView:
        self._fail()
        found = reversed(self._after(0, machine, kinds))
        events = tuple(event for event in found if before is None or event.seq < before)[:limit]
        return EventsView(events=events, last=len(self._events))

    async def tell(self, machine: str, text: str, *, kind: str = "noted", **fields: str) -> None:
        """Appends an event and wakes those who wait for one."""
        async with self._news:
            seq = len(self._events) + 1
            event = EventView(seq=seq, time=self.now, machine=machine, run="", kind=kind, text=text, fields=fields)
            self._events.append(event)
            self._news.notify_all()

    async def program(self) -> SiteView:
        self._fail()
        return self.site_program

    async def reload(self, digest: str) -> SiteView:
        if digest != self.site_program.digest:
            raise StaleError("the program on disk has changed since it was looked at", next_action="look again")
        if not self.site_program.reloadable:
            raise ConflictError(
                "what there is differs, not only what is wanted of it", next_action="restart the daemon"
            )
        kept = replace(self.site_program, changed=False, diff="", reloadable=False, advice="", changes=())
        self.site_program = replace(kept, machines_added=(), machines_removed=())
        return self.site_program

    async def make_plan(self) -> PlanView:
        self._fail()
        return self._next(self.plans)

    async def plan_errand(self, name: MachineName, errand: Errand) -> PlanView:
        self.machine(name)
        if errand not in self.errands:
            raise PlanError(f"{name} cannot be planned to {errand.value}", next_action="name another machine")
        return self._next(self.errands[errand])

    async def plan_retirement(self) -> PlanView:
        self._fail()
        return self._next(self.retirements)

    def plan(self, digest: PlanDigest) -> PlanView:
        self._fail()
        return find(self._planned, digest, "plan")

    async def apply(
        self,
        digest: PlanDigest,
        asked: Asked = SOMEBODY,
        then: Consent | None = None,
        despite: tuple[Check, ...] = (),
    ) -> RunView:
        self._fail()
        plan = find(self._planned, digest, "plan")
        refuse(self.doctor_desk.standing() if plan.steps else (), despite)
        if digest != self._latest[plan.purpose]:
            raise ConflictError(
                "the plan is stale", evidence=f"digest {digest[:12]}", next_action="plan again and read it"
            )
        self._refuse_busy(plan)
        open_ = next((goal for goal in self.goals().goals if goal.purpose == plan.purpose), None)
        if open_ is None and then is not None and plan.deferred:
            name, state = f"goal-{len(self._goals) + 1}", GoalState.WORKING
            open_ = GoalView(
                id=name, purpose=plan.purpose, state=state, consent=then, since=self.now, by=asked.by, plan=""
            )
        return self._start(plan, asked) if open_ is None else self._take_further(open_, plan, asked)

    def _take_further(self, goal: GoalView, plan: PlanView, asked: Asked) -> RunView:
        run = self._keep(replace(self._start(plan, asked), goal=goal.id))
        self._goals[goal.id] = replace(goal, state=GoalState.WORKING, runs=(*goal.runs, run.id), plan="")
        return run

    def goals(self, *, every: bool = False) -> GoalsView:
        self._fail()
        latest = reversed([self.goal(GoalId(name)) for name in self._goals])
        return GoalsView(goals=tuple(goal for goal in latest if every or goal.ended is None))

    def goal(self, goal: GoalId) -> GoalView:
        """The daemon's work is done when somebody looks."""
        self._fail()
        view = find(self._goals, goal, "goal")
        run = self._runs[view.runs[-1]]
        if view.state is GoalState.WORKING and run.state is not RunState.RUNNING:
            self._go_on(view, run)
        return self._goals[goal]

    def _go_on(self, goal: GoalView, run: RunView) -> None:
        """A destructive step is covered by a consent to anything alone: views say nothing of what a disk holds."""
        plan = self._planned[run.plan]
        if run.state is RunState.DONE and plan.deferred:
            errand = next((one for one in self.errands if plan.purpose.startswith(one.value)), None)
            for_all = self.retirements if plan.purpose == RETIREMENT else self.plans
            plan = self._next(for_all if errand is None else self.errands[errand])
            done = plan.digest == run.plan or not plan.steps
            covered = goal.consent.destroys is Destroys.ANYTHING or all(s.kind != "destructive" for s in plan.steps)
            if not done and covered:
                self._take_further(goal, plan, Asked(by=goal.by))
                return
            if not done:
                self._goals[goal.id] = replace(goal, state=GoalState.ASKING, plan=plan.digest)
                return
        state = GoalState.REACHED if run.state is RunState.DONE else GoalState(run.state.value)
        self._goals[goal.id] = replace(goal, state=state, plan=plan.digest, ended=self.now)

    async def drop(self, goal: GoalId, asked: Asked = SOMEBODY) -> GoalView:
        view = self.goal(goal)
        if view.ended is not None:
            raise ConflictError(f"goal {goal} is over", next_action="list those that are open")
        self._goals[goal] = replace(view, state=GoalState.CANCELLED, plan="", ended=self.now)
        return self._goals[goal]

    def run(self, run: RunId) -> RunView:
        self._fail()
        view = find(self._runs, run, "run")
        if view.state is RunState.RUNNING and not view.paused:
            self._runs[run] = self._worked(view)
        return self._runs[run]

    def runs(self, query: RunsQuery = EVERY_RUN) -> RunsView:
        self._fail()
        latest = tuple(reversed(self._runs.values()))
        found, following = runs_page(latest, lambda run: (run.id, run.state), query)
        return RunsView(runs=tuple(map(summary_of, found)), next=following)

    async def pause(self, run: RunId, reason: str, asked: Asked = SOMEBODY) -> RunView:
        view = self._running(run)
        return self._keep(view if view.paused else replace(view, paused=reason, paused_by=asked.by))

    async def resume(self, run: RunId, asked: Asked = SOMEBODY) -> RunView:
        return self._keep(replace(self._running(run), paused="", paused_by=""))

    async def cancel(self, run: RunId, asked: Asked = SOMEBODY) -> RunView:
        view = self._running(run)
        steps = (turned(step, StepState.RUNNING, StepState.CANCELLED) for step in view.steps)
        return self._keep(replace(view, state=RunState.CANCELLED, ended=self.now, steps=tuple(steps), outlook=None))

    async def set_aside(self, run: RunId, machine: MachineName, reason: str, asked: Asked = SOMEBODY) -> RunView:
        view = self._running(run, machine)
        return self._keep(replace(view, set_aside=view.set_aside | {machine: reason}))

    async def retry(self, run: RunId, machine: MachineName, asked: Asked = SOMEBODY) -> RunView:
        view = self._running(run, machine)
        steps = (
            turned(step, StepState.FAILED, StepState.PENDING) if step.machine == machine else step
            for step in view.steps
        )
        aside = {name: reason for name, reason in view.set_aside.items() if name != machine}
        return self._keep(replace(view, steps=tuple(steps), set_aside=aside))

    def explain(self, name: MachineName) -> ExplainView:
        self.machine(name)
        return find(self.explained, name, "explained machine")

    async def power(self, name: MachineName, action: PowerAction, asked: Asked = SOMEBODY) -> RunView:
        self.machine(name)
        self.powered.append((name, action))
        return self._start(PlanView(digest="0" * 64, site="lab", steps=(), deferred=()), asked)

    async def hold(self, name: MachineName, reason: str, asked: Asked = SOMEBODY) -> MachineView:
        held = Condition(kind=ConditionKind.HOLD, since=self.now, reason=reason, by=asked.by)
        self.inventory[name] = replace(self.machine(name), conditions=(held,))
        return self.inventory[name]

    async def release(self, name: MachineName, asked: Asked = SOMEBODY) -> MachineView:
        self.inventory[name] = replace(self.machine(name), conditions=())
        return self.inventory[name]

    async def confirm(self, name: MachineName, code: str, asked: Asked = SOMEBODY) -> MachineView:
        view = self.machine(name)
        if view.identity is None or view.identity.code != code:
            raise ConflictError(f"{name} is not confirmed: its console shows another code", next_action="read it again")
        shown = replace(view.identity, rung="L3", code="", secrets=True, why=f"{asked.by} compared the code")
        self.inventory[name] = replace(view, identity=shown)
        return self.inventory[name]

    def console(self, name: MachineName) -> Console:
        self._fail()
        return find(self.consoles, name, "console")

    def take_over(self) -> MachinesView:
        self.took_over = True
        return self.machines()

    async def snapshot(self) -> SnapshotView:
        self._fail()
        return SnapshotView(file="/var/lib/innervate/backup/records.db", site="lab", records=len(self._events))

    async def shell(self, name: MachineName) -> ShellView:
        self.machine(name)
        return find(self.shells, name, "shell")

    def _start(self, plan: PlanView, asked: Asked) -> RunView:
        run = RunView(
            id=f"run-{len(self._runs) + 1}",
            plan=plan.digest,
            state=RunState.RUNNING,
            started=self.now,
            ended=None,
            steps=plan.steps,
            by=asked.by,
            outlook=begun(plan.outlook, self.now),
        )
        self._runs[run.id] = run
        return run

    def _next(self, plans: list[PlanView]) -> PlanView:
        if not plans:
            raise PlanError("there is nothing to plan", next_action="put a plan in")
        view = plans.pop(0) if len(plans) > 1 else plans[0]
        self._planned[view.digest] = view
        self._latest[view.purpose] = view.digest
        return view

    def _running(self, run: RunId, machine: MachineName | None = None) -> RunView:
        self._fail()
        view = find(self._runs, run, "run")
        if view.state is not RunState.RUNNING:
            raise ConflictError(f"run {run} is over: {view.state.value}", next_action="plan again")
        if machine is not None:
            find({step.machine: step for step in view.steps}, machine, "machine of this run")
        return view

    def _keep(self, view: RunView) -> RunView:
        self._runs[view.id] = view
        return view

    def _refuse_busy(self, plan: PlanView) -> None:
        wanted = {step.machine for step in plan.steps}
        for run in self._runs.values():
            if run.state is RunState.RUNNING and (both := wanted & left(run)):
                raise ConflictError(f"run {run.id} works on {', '.join(sorted(both))}", next_action="wait for its end")

    def _worked(self, run: RunView) -> RunView:
        for at, step in enumerate(run.steps):
            if self._may_begin(step, run):
                run = replace(run, steps=(*run.steps[:at], self._tried(step), *run.steps[at + 1 :]))
        if left(run):
            return run
        return replace(run, state=RunState.FAILED if lost(run) else RunState.DONE, ended=self.now, outlook=None)

    def _tried(self, step: StepView) -> StepView:
        if step.id in self.slow:
            return replace(step, state=StepState.RUNNING, started=self.now)
        state = StepState.FAILED if step.id in self.broken else StepState.DONE
        return replace(step, state=state, ended=self.now)

    def _may_begin(self, step: StepView, run: RunView) -> bool:
        done = {other.id for other in run.steps if other.state is StepState.DONE}
        machine = self.inventory.get(step.machine)
        held = machine is not None and any(c.kind is ConditionKind.HOLD for c in machine.conditions)
        return not held and step.id not in done | lost(run) and done.issuperset(step.needs)

    def _after(self, after: int, machine: MachineName | None, kinds: frozenset[str] | None) -> tuple[EventView, ...]:
        found = (e for e in self._events if e.seq > after and machine in (None, e.machine))
        return tuple(e for e in found if kinds is None or e.kind in kinds)

    def _fail(self) -> None:
        error, self.fails = self.fails, None
        if error is not None:
            raise error


class Served:
    """A daemon's stand-in: the real API, on a real socket, in an event loop on a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def do(self, work: Coroutine[object, object, T]) -> T:
        """Runs it where the application lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def fake_access() -> Iterator[Access]:
    """The real one, on a disk that is gone afterwards; its passwords are hashed quickly."""
    with (
        TemporaryDirectory() as folder,
        opened(Path(folder), SystemClock(), SystemRng(), issuer="lab", scrypt_cost=16) as access,
    ):
        yield access


@contextmanager
def served(application: FakeApplication, socket_path: Path) -> Iterator[Served]:
    with fake_access() as access, served_app(create_app(application, access, SystemRng()), socket_path) as server:
        yield server


@contextmanager
def served_app(app: FastAPI, socket_path: Path, secure: Secure | None = None) -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    stop, ready = asyncio.Event(), threading.Event()

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(app, socket_path, stop, secure))
            await asyncio.sleep(0)  # one turn of the loop: `serve` listens before it first waits
            ready.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)  # noqa: S101  a stand-in is for tests
        yield Served(loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()

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
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.port import Asked, Honoured
from appliance.api.server import Secure, serve
from appliance.bmc.vault import Entry, factory_defaults
from appliance.console.console import Console
from appliance.errors import ConflictError, NotFoundError, PlanError
from appliance.metrics import catalogue
from appliance.metrics.machines import machine_families
from appliance.metrics.model import Family
from appliance.model.bmc_views import (
    BmcSearchRequest,
    BmcsView,
    BmcView,
    LoginState,
    VaultEntryView,
    VaultScope,
    VaultView,
)
from appliance.model.filter import Filter
from appliance.model.ids import MachineName, PlanDigest, RunId
from appliance.model.paging import EVERY_MACHINE, EVERY_RUN, MachinesQuery, RunsQuery, machines_page, runs_page
from appliance.model.phase import Condition, ConditionKind
from appliance.model.standing import summary
from appliance.model.views import (
    Errand,
    EventsView,
    EventView,
    ExplainView,
    HealthView,
    MachinesView,
    MachineView,
    PlanView,
    PowerAction,
    RunState,
    RunSummaryView,
    RunsView,
    RunView,
    SegmentView,
    ShellView,
    StepState,
    StepView,
    SummaryView,
)
from appliance.system import SystemClock, SystemRng

T = TypeVar("T")


@dataclass(kw_only=True)
class FakeBmcs:
    """A search is over when it is looked at for the second time."""

    known: dict[str, BmcView] = field(default_factory=dict)
    asked: list[BmcSearchRequest] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)
    kept: dict[tuple[VaultScope, str, str], Entry] = field(default_factory=dict)
    _looks: int = 0

    def search(self, request: BmcSearchRequest) -> BmcsView:
        self.asked.append(request)
        self._looks = 1
        return self.bmcs()

    def bmcs(self) -> BmcsView:
        self._looks -= 1
        return BmcsView(searching=self._looks >= 0, bmcs=tuple(self.known.values()))

    async def rotate(self, url: str) -> BmcView:
        self.known[url] = replace(_find(self.known, url, "BMC"), login=LoginState.WORKS, must_change=False)
        return self.known[url]

    async def forgive(self, url: str) -> BmcView:
        self.forgiven.append(url)
        return _find(self.known, url, "BMC")

    async def forget(self, url: str) -> BmcView:
        return _find(self.known, url, "BMC")

    def vault(self) -> VaultView:
        entries = (
            VaultEntryView(scope=kept.scope, value=kept.value, user=kept.user, priority=kept.priority)
            for kept in self.kept.values()
        )
        return VaultView(entries=tuple(entries))

    def add_entry(self, entry: Entry) -> VaultView:
        self.kept[entry.scope, entry.value, entry.user] = entry
        return self.vault()

    def add_defaults(self) -> VaultView:
        for entry in factory_defaults():
            self.add_entry(entry)
        return self.vault()

    def remove_entry(self, scope: VaultScope, value: str, user: str) -> VaultView:
        if self.kept.pop((scope, value, user), None) is None:
            raise NotFoundError("the vault has no such entry", next_action="list its entries")
        return self.vault()


@dataclass(kw_only=True)
class FakeApplication:
    """`fails` is raised by the next call, whichever it is; `broken` steps fail at once, `slow` ones go on for ever."""

    now: float = 1_800_000_000.0
    inventory: dict[str, MachineView] = field(default_factory=dict)
    segment: list[SegmentView] = field(default_factory=list)
    plans: list[PlanView] = field(default_factory=list)
    errands: dict[Errand, list[PlanView]] = field(default_factory=dict)
    explained: dict[str, ExplainView] = field(default_factory=dict)
    shells: dict[str, ShellView] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()
    fails: Exception | None = None
    powered: list[tuple[str, PowerAction]] = field(default_factory=list)
    _planned: dict[str, PlanView] = field(default_factory=dict)
    _latest: dict[str, str] = field(default_factory=dict)
    _runs: dict[str, RunView] = field(default_factory=dict)
    _events: list[EventView] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    took_over: bool = False
    consoles: dict[str, Console] = field(default_factory=dict)
    bmc_desk: FakeBmcs = field(default_factory=FakeBmcs)
    doctor_desk: FakeDoctor = field(default_factory=FakeDoctor)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def under(self, asked: Asked) -> "FakeApplication":
        """It forgets everything when it dies."""
        return self

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

    def summary(self, wanted: Filter) -> SummaryView:
        self._fail()
        return summary([view for view in self.inventory.values() if wanted.fits(view)])

    def machine(self, name: MachineName) -> MachineView:
        self._fail()
        return _find(self.inventory, name, "machine")

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

    async def tell(self, machine: str, text: str, *, kind: str = "noted", **fields: str) -> None:
        """Appends an event and wakes those who wait for one."""
        async with self._news:
            seq = len(self._events) + 1
            event = EventView(seq=seq, time=self.now, machine=machine, run="", kind=kind, text=text, fields=fields)
            self._events.append(event)
            self._news.notify_all()

    async def make_plan(self) -> PlanView:
        self._fail()
        return self._next(self.plans)

    async def plan_errand(self, name: MachineName, errand: Errand) -> PlanView:
        self.machine(name)
        if errand not in self.errands:
            raise PlanError(f"{name} cannot be planned to {errand.value}", next_action="name another machine")
        return self._next(self.errands[errand])

    def plan(self, digest: PlanDigest) -> PlanView:
        self._fail()
        return _find(self._planned, digest, "plan")

    async def apply(self, digest: PlanDigest) -> RunView:
        self._fail()
        plan = _find(self._planned, digest, "plan")
        if digest != self._latest[plan.purpose]:
            raise ConflictError(
                "the plan is stale", evidence=f"digest {digest[:12]}", next_action="plan again and read it"
            )
        self._refuse_busy(plan)
        return self._start(plan)

    def run(self, run: RunId) -> RunView:
        self._fail()
        view = _find(self._runs, run, "run")
        if view.state is RunState.RUNNING and not view.paused:
            self._runs[run] = self._worked(view)
        return self._runs[run]

    def runs(self, query: RunsQuery = EVERY_RUN) -> RunsView:
        self._fail()
        latest = tuple(reversed(self._runs.values()))
        found, following = runs_page(latest, lambda run: (run.id, run.state), query)
        return RunsView(runs=tuple(map(_summary, found)), next=following)

    async def pause(self, run: RunId, reason: str) -> RunView:
        view = self._running(run)
        return self._keep(replace(view, paused=view.paused or reason))

    async def resume(self, run: RunId) -> RunView:
        return self._keep(replace(self._running(run), paused=""))

    async def cancel(self, run: RunId) -> RunView:
        view = self._running(run)
        steps = (_turned(step, StepState.RUNNING, StepState.CANCELLED) for step in view.steps)
        return self._keep(replace(view, state=RunState.CANCELLED, ended=self.now, steps=tuple(steps)))

    async def set_aside(self, run: RunId, machine: MachineName, reason: str) -> RunView:
        view = self._running(run, machine)
        return self._keep(replace(view, set_aside=view.set_aside | {machine: reason}))

    async def retry(self, run: RunId, machine: MachineName) -> RunView:
        view = self._running(run, machine)
        steps = (
            _turned(step, StepState.FAILED, StepState.PENDING) if step.machine == machine else step
            for step in view.steps
        )
        aside = {name: reason for name, reason in view.set_aside.items() if name != machine}
        return self._keep(replace(view, steps=tuple(steps), set_aside=aside))

    def explain(self, name: MachineName) -> ExplainView:
        self.machine(name)
        return _find(self.explained, name, "explained machine")

    async def power(self, name: MachineName, action: PowerAction) -> RunView:
        self.machine(name)
        self.powered.append((name, action))
        return self._start(PlanView(digest="0" * 64, site="lab", steps=(), deferred=()))

    async def hold(self, name: MachineName, reason: str) -> MachineView:
        held = Condition(kind=ConditionKind.HOLD, since=self.now, reason=reason)
        self.inventory[name] = replace(self.machine(name), conditions=(held,))
        return self.inventory[name]

    async def release(self, name: MachineName) -> MachineView:
        self.inventory[name] = replace(self.machine(name), conditions=())
        return self.inventory[name]

    def console(self, name: MachineName) -> Console:
        self._fail()
        return _find(self.consoles, name, "console")

    def take_over(self) -> MachinesView:
        self.took_over = True
        return self.machines()

    async def shell(self, name: MachineName) -> ShellView:
        self.machine(name)
        return _find(self.shells, name, "shell")

    def _start(self, plan: PlanView) -> RunView:
        run = RunView(
            id=f"run-{len(self._runs) + 1}",
            plan=plan.digest,
            state=RunState.RUNNING,
            started=self.now,
            ended=None,
            steps=plan.steps,
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
        view = _find(self._runs, run, "run")
        if view.state is not RunState.RUNNING:
            raise ConflictError(f"run {run} is over: {view.state.value}", next_action="plan again")
        if machine is not None:
            _find({step.machine: step for step in view.steps}, machine, "machine of this run")
        return view

    def _keep(self, view: RunView) -> RunView:
        self._runs[view.id] = view
        return view

    def _refuse_busy(self, plan: PlanView) -> None:
        wanted = {step.machine for step in plan.steps}
        for run in self._runs.values():
            if run.state is RunState.RUNNING and (both := wanted & _left(run)):
                raise ConflictError(f"run {run.id} works on {', '.join(sorted(both))}", next_action="wait for its end")

    def _worked(self, run: RunView) -> RunView:
        for at, step in enumerate(run.steps):
            if self._may_begin(step, run):
                run = replace(run, steps=(*run.steps[:at], self._tried(step), *run.steps[at + 1 :]))
        if _left(run):
            return run
        return replace(run, state=RunState.FAILED if _lost(run) else RunState.DONE, ended=self.now)

    def _tried(self, step: StepView) -> StepView:
        if step.id in self.slow:
            return replace(step, state=StepState.RUNNING, started=self.now)
        state = StepState.FAILED if step.id in self.broken else StepState.DONE
        return replace(step, state=state, ended=self.now)

    def _may_begin(self, step: StepView, run: RunView) -> bool:
        done = {other.id for other in run.steps if other.state is StepState.DONE}
        machine = self.inventory.get(step.machine)
        held = machine is not None and any(c.kind is ConditionKind.HOLD for c in machine.conditions)
        return not held and step.id not in done | _lost(run) and done.issuperset(step.needs)

    def _after(self, after: int, machine: MachineName | None, kinds: frozenset[str] | None) -> tuple[EventView, ...]:
        found = (e for e in self._events if e.seq > after and machine in (None, e.machine))
        return tuple(e for e in found if kinds is None or e.kind in kinds)

    def _fail(self) -> None:
        error, self.fails = self.fails, None
        if error is not None:
            raise error


def _lost(run: RunView) -> frozenset[str]:
    """Steps that can no longer be done: failed, set aside, or behind such a one."""
    lost: set[str] = set()
    for step in run.steps:
        bad = step.state is StepState.FAILED or step.machine in run.set_aside or not lost.isdisjoint(step.needs)
        if bad and step.state is not StepState.DONE:
            lost.add(step.id)
    return frozenset(lost)


def _left(run: RunView) -> frozenset[str]:
    """Machines of which something can still be done."""
    lost = _lost(run)
    return frozenset(step.machine for step in run.steps if step.state is not StepState.DONE and step.id not in lost)


def _turned(step: StepView, before: StepState, after: StepState) -> StepView:
    return replace(step, state=after) if step.state is before else step


def _summary(run: RunView) -> RunSummaryView:
    machines, lost = {step.machine for step in run.steps}, _lost(run)
    return RunSummaryView(
        id=run.id,
        plan=run.plan,
        state=run.state,
        started=run.started,
        ended=run.ended,
        paused=run.paused,
        machines=len(machines),
        settled=len(machines - _left(run)),
        failed=len({step.machine for step in run.steps if step.id in lost} - _left(run)),
    )


def _find(table: dict[str, T], key: str, what: str) -> T:
    try:
        return table[key]
    except KeyError:
        raise NotFoundError(
            f"no {what} is called {key[:70]}", evidence=f"{len(table)} known", next_action="list what there is"
        ) from None


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

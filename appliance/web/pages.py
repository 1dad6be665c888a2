"""One page each: look, draw. Nothing here changes anything. A page of a thousand machines is drawn on another thread.

`..._parts` are the pieces of a page that change, by element id: the page is drawn from them, and so is what is sent to
those who look at it. They are asked for by machine name, or with `SITE` for what belongs to no machine.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from appliance.api.common import Looking
from appliance.errors import InnervateError, NotFoundError
from appliance.frontend.timeline import stages
from appliance.frontend.transcript import transcript
from appliance.frontend.words import asking
from appliance.model.filter import Filter
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId
from appliance.model.network_views import AddressState
from appliance.model.paging import MachinesQuery
from appliance.model.standing import Standing, summary
from appliance.model.views import (
    EventView,
    GoalView,
    MachinesView,
    MachineView,
    PlanView,
    RunState,
    RunSummaryView,
    RunView,
    SegmentView,
    StepState,
    StepView,
    SummaryView,
)
from appliance.model.words import RETIREMENT, SITE_PURPOSE
from appliance.web import chart
from appliance.web.clusters import ClusterParts
from appliance.web.doctor import findings_before
from appliance.web.elevation import frames, size_of, unplaced
from appliance.web.giving import Chosen, Giving
from appliance.web.lines import traffic
from appliance.web.live import METER, SITE
from appliance.web.render import render

EVENTS = 200
ROWS = 250
LINES, _SAID = 500, 1 << 16

Parts = Mapping[str, str]
Running = tuple[RunSummaryView, ...]
Asking = tuple[GoalView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one machine of many; `problem` is None where it went well."""

    machine: str
    problem: InnervateError | None = None


class Pages:
    def __init__(self, appliance: Looking, now: Callable[[], float]) -> None:
        self._appliance = appliance
        self._now = now
        self._site = appliance.health().site
        self._giving = Giving(appliance.stores)
        self._clusters = ClusterParts(appliance.cluster_desk)
        self._shelf: Parts = {}

    async def rack(self, mark: str) -> str:
        return await asyncio.to_thread(self._rack, mark, self._appliance.machines(), self._running())

    def _rack(self, mark: str, view: MachinesView, running: Running) -> str:
        return self._page(
            "rack",
            mark,
            live="rack",
            frames=frames(view.machines),
            unplaced=unplaced(view.machines),
            cells={machine.name: _cell(machine) for machine in view.machines},
            parts=_summary(summary(view.machines), view.segment, running, self._asking()),
            stage_times=chart.stage_times(view.machines),
        )

    def rack_parts(self, key: str) -> Parts:
        if key == SITE:
            segment = self._appliance.machines(MachinesQuery(limit=1)).segment
            return _summary(self._appliance.summary(Filter()), segment, self._running(), self._asking())
        return {f"cell-{key}": _cell(self._machine(key))}

    async def machines(self, mark: str, wanted: Filter, text: str, *, everything: bool) -> str:
        """The first `ROWS` that fit: a browser takes a second to lay out a thousand."""
        shown = self._appliance.machines(MachinesQuery(wanted=wanted, limit=None if everything else ROWS)).machines
        count, total = (self._appliance.summary(some).total for some in (wanted, Filter()))
        more = count - len(shown)
        rows = await asyncio.to_thread(lambda: "".join(map(_row, shown)))
        return self._page("machines", mark, live="machines", rows=rows, count=count, total=total, text=text, more=more)

    def machines_parts(self, key: str) -> Parts:
        return {} if key == SITE else {f"row-{key}": _row(self._machine(key))}

    async def machine(self, mark: str, name: MachineName) -> str:
        parts = self.machine_parts(name)
        latest = await self._appliance.latest(machine=name, limit=EVENTS)
        return self._page(
            "machine",
            mark,
            live=f"machine/{name}",
            machine=name,
            parts=parts,
            events="".join(map(self.event, latest.events)),
            has_console=self._has_console(name),
        )

    def machine_parts(self, name: str) -> Parts:
        view = self._machine(name)
        explained = self._appliance.explain(MachineName(name))
        passed = tuple(stage for stage in stages(view, self._now()) if stage.took is not None)
        return {"panel": render("_panel", machine=view, explained=explained, stages=passed, now=self._now())}

    async def console(self, name: MachineName) -> str:
        console = self._appliance.console(name)
        said = await asyncio.to_thread(console.tail, _SAID)
        lines = transcript(said, LINES)
        return self._page("console", "", machine=name, console=console.view, lines=lines)

    async def sensors(self, name: MachineName) -> str:
        view = await self._appliance.bmc_desk.sensors(name)
        return self._page("sensors", "", machine=name, view=view)

    async def screen(self, name: MachineName) -> str:
        """With the BMC's own page where it gives no picture."""
        view, problem = self._machine(name), None
        try:
            await self._appliance.bmc_desk.screen(name)
        except InnervateError as error:
            problem = error
        return self._page("screen", "", machine=name, bmc=view.bmc, problem=problem)

    def _has_console(self, name: MachineName) -> bool:
        try:
            self._appliance.console(name)
        except NotFoundError:
            return False
        return True

    def runs(self, mark: str) -> str:
        return self._page("runs", mark, live="runs", parts=self.runs_parts(SITE))

    def runs_parts(self, key: str) -> Parts:
        return {"runs": render("_runs", runs=self._appliance.runs().runs)} if key == SITE else {}

    def run(self, mark: str, run: RunId) -> str:
        parts = {**self.run_parts(run), **self.run_traffic(run)}
        return self._page("run", mark, live=f"run/{run}", run=run, parts=parts)

    def run_traffic(self, run: str) -> Parts:
        view = self._appliance.run(RunId(run))
        drawn = traffic(
            self._appliance.stores.history(), view.started, self._now() if view.ended is None else view.ended
        )
        return {"traffic": render("_chart", id="traffic", chart=drawn)}

    def run_parts(self, run: str) -> Parts:
        view, now = self._appliance.run(RunId(run)), self._now()
        goal = self._appliance.goal(GoalId(view.goal)) if view.goal else None
        return {
            "run": render("_run", run=view, chart=chart.gantt(view, now), goal=goal, failed=failed_of(view), now=now)
        }

    def plan(self, digest: PlanDigest, problem: str = "") -> str:
        view = self._appliance.plan(digest)
        found, groups = findings_before(self._appliance.doctor_desk.doctor(), view), _by_machine(view)
        return self._page("plan", "", plan=view, to_type=to_type(view), problem=problem, groups=groups, findings=found)

    async def images(self, mark: str) -> str:
        return self._page("images", mark, live="images", parts=await self._giving.images())

    async def look_ahead(self, page: str) -> None:
        """What cannot be drawn without waiting for a disk."""
        if page == "images":
            self._shelf = await self._giving.images()

    def images_parts(self, key: str) -> Parts:
        return self._shelf if key == SITE else {}

    async def networks(self, mark: str, chosen: Chosen) -> str:
        view, leases = self._appliance.stores.networks(), self._appliance.stores.leases(chosen.query())
        return self._page(
            "networks",
            mark,
            live=f"networks/{chosen.text}",
            parts=await self._giving.networks(view, leases, self._now()),
            networks=tuple(one.network for one in view.networks),
            states=tuple(AddressState),
            chosen=chosen,
            more=leases.total - len(leases.leases),
        )

    def networks_parts(self, key: str, chosen: Chosen) -> Parts:
        if key == METER:
            return self._giving.measured(chosen, self._now())
        return self._giving.now(self._now()) if key == SITE else {}

    def clusters(self, mark: str) -> str:
        return self._page("clusters", mark, live="clusters", parts=self.clusters_parts(SITE))

    def clusters_parts(self, key: str) -> Parts:
        return self._clusters.all(key, self._now())

    def cluster(self, mark: str, name: str) -> str:
        parts = self._clusters.one(name, self._now())
        return self._page("cluster", mark, live=f"cluster/{name}", cluster=name, parts=parts)

    def cluster_parts(self, key: str, name: str) -> Parts:
        return self._clusters.still(name, key, self._now())

    async def events(self, mark: str, after: int | None) -> str:
        """The latest, or those after an event."""
        if after is None:
            found = (await self._appliance.latest(limit=EVENTS)).events
        else:
            found = (await self._appliance.events(after=after, machine=None, limit=EVENTS, wait=0)).events[::-1]
        events = "".join(map(self.event, found))
        return self._page("events", mark, live="events", events=events)

    def event(self, view: EventView) -> str:
        return render("_event", event=view)

    def results(self, verb: str, results: Sequence[Result]) -> str:
        return self._page("results", "", verb=verb, results=results)

    def keys(self) -> str:
        return self._page("keys", "")

    def draw(self, name: str, **context: object) -> str:
        """A page that does not change while it is looked at."""
        return render(name, site=self._site, mark="", live="", now=self._now(), **context)

    def _page(self, name: str, mark: str, live: str = "", **context: object) -> str:
        return render(name, site=self._site, mark=mark, live=live, now=self._now(), **context)

    def _running(self) -> Running:
        return tuple(run for run in self._appliance.runs().runs if run.state is RunState.RUNNING)

    def _asking(self) -> Asking:
        return tuple(asking(self._appliance.goals().goals))

    def _machine(self, name: str) -> MachineView:
        return self._appliance.machine(MachineName(name))


def to_type(plan: PlanView) -> str:
    """The name that has to be typed before the plan is carried out, "" where it destroys nothing."""
    if not any(step.kind == "destructive" for step in plan.steps):
        return ""
    return plan.site if plan.purpose in (SITE_PURPOSE, RETIREMENT) else plan.purpose.rpartition(" ")[2]


def _summary(view: SummaryView, troubles: tuple[SegmentView, ...], running: Running, asking: Asking) -> Parts:
    found = [(word, count) for word in Standing if (count := view.states[word.value])]
    return {
        "counts": render("_counts", counts=found, total=view.total),
        "running": render("_running", runs=running, troubles=troubles, goals=asking),
    }


def _cell(machine: MachineView) -> str:
    width, height = size_of(machine.place) if machine.place is not None else (0, 0)
    return render("_cell", machine=machine, width=width, height=height)


def _row(machine: MachineView) -> str:
    return render("_row", machine=machine)


def failed_of(run: RunView) -> tuple[str, ...]:
    """Machines with a step that failed."""
    return tuple(dict.fromkeys(step.machine for step in run.steps if step.state is StepState.FAILED))


def _by_machine(plan: PlanView) -> Mapping[str, tuple[StepView, ...]]:
    names = dict.fromkeys(step.machine for step in plan.steps)
    return {name: tuple(step for step in plan.steps if step.machine == name) for name in names}


def draw_of(pages: Pages, page: str) -> Callable[[str], Parts]:
    """What is sent to those who look at `page`. Raises `NotFoundError` for one that there is not."""
    kind, _, name = page.partition("/")
    match kind:
        case "rack":
            return _unmeasured(pages.rack_parts)
        case "machines":
            return _unmeasured(pages.machines_parts)
        case "machine":
            return lambda key: pages.machine_parts(name) if key in (name, METER) else {}
        case "runs":
            return pages.runs_parts
        case "run":
            return lambda key: {SITE: pages.run_parts, METER: pages.run_traffic}.get(key, _nothing)(name)
        case "images":
            return pages.images_parts
        case "networks":
            chosen = Chosen.parse(name)
            return lambda key: pages.networks_parts(key, chosen)
        case "clusters":
            return pages.clusters_parts
        case "cluster":
            return lambda key: pages.cluster_parts(key, name)
        case "events":
            return _nothing
        case _:
            raise NotFoundError(f"there is no page {page[:70]}", next_action="begin at /")


def _unmeasured(draw: Callable[[str], Parts]) -> Callable[[str], Parts]:
    return lambda key: {} if key == METER else draw(key)


def _nothing(_key: str) -> Parts:
    return {}

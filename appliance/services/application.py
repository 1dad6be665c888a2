"""What people and programs can ask of the appliance: the API's port, over the world and the conductor."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path

from appliance.api.common import Clusters, Doctor, Stores, Support
from appliance.api.port import Bmcs, Honoured, Leaving, Sets, Upgrades
from appliance.conductor.goals import Goal, end_with, joined, proposed
from appliance.conductor.hands import Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.runs import RunStatus
from appliance.console.console import Console
from appliance.errors import ConflictError, MachineryError, NotFoundError, PlanError
from appliance.identity.bonds import Bonds
from appliance.inventory.model import Inventory
from appliance.metrics.clusters import cluster_families
from appliance.metrics.model import Family
from appliance.model.asked import SOMEBODY, Asked
from appliance.model.bmc import PowerCommand
from appliance.model.doctor import Check
from appliance.model.goal import Consent
from appliance.model.ids import GoalId, ImageName, MachineName, PlanDigest, RunId, StepId
from appliance.model.site_views import SiteView
from appliance.model.views import (
    Errand,
    GoalView,
    MachinesView,
    MachineView,
    PlanView,
    PowerAction,
    RunState,
    RunView,
    ShellView,
    SnapshotView,
)
from appliance.model.words import GoalState
from appliance.plan import InstallerRef, OsRef, Plan, Purpose, SetPower, Step
from appliance.ports import Clock, Rng
from appliance.services.agents import Session
from appliance.services.cluster_views import NoClusters
from appliance.services.looking import Looking
from appliance.services.preflight import Preflight
from appliance.services.program import SiteProgram
from appliance.services.pursuit import why_not
from appliance.services.segment_state import SegmentState
from appliance.services.sets import NoRegistry
from appliance.services.stores import StoreDesk
from appliance.services.support import SupportDesk
from appliance.services.upgrades import NoSlots
from appliance.site import Site, plan_purpose
from appliance.store.identity_records import CodeRefused, IdentityConfirmed
from appliance.store.records import (
    GoalAsked,
    GoalEnded,
    GoalSet,
    HoldPlaced,
    HoldReleased,
    MachineRetried,
    MachineSetAside,
    PlanStored,
    RequestHonoured,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
)
from appliance.topology import Rack
from appliance.tracing import here

_LOGGER = logging.getLogger(__name__)
_POWER_BUDGET = 1000.0
"""Large servers test their memory for a quarter of an hour before they are heard."""
_SSH_PORT = 22
_RESCUE_USER = "root"

_Steering = RunStarted | RunPaused | RunResumed | RunEnded | MachineSetAside | MachineRetried

_COMMANDS = {
    PowerAction.ON: PowerCommand.ON,
    PowerAction.OFF: PowerCommand.GRACEFUL_OFF,
    PowerAction.FORCE_OFF: PowerCommand.FORCE_OFF,
    PowerAction.CYCLE: PowerCommand.CYCLE,
}


class Appliance(Looking):
    def __init__(
        self,
        *,
        memory: Memory,
        site: Site[Rack],
        images: Mapping[ImageName, OsRef],
        ignition: InstallerRef | None = None,
        clock: Clock,
        rng: Rng,
        session_of: Callable[[MachineName], Session | None],
        segment: SegmentState,
        take_over: Callable[[], None],
        consoles: Mapping[MachineName, Console],
        bmc_desk: Bmcs,
        doctor_desk: Doctor,
        waiting: Waiting,
        bonds: Bonds,
        ssh_key: Path,
        measured: Callable[[], Iterable[Family]] = tuple,
        snapshot: Callable[[], Future[SnapshotView]] | None = None,
        program: SiteProgram | None = None,
        stores: Stores | None = None,
        leaving_desk: Leaving | None = None,
        support_desk: Support | None = None,
        upgrades: Upgrades | None = None,
        sets: Sets | None = None,
        clusters: Clusters | None = None,
    ) -> None:
        self.cluster_desk = clusters or NoClusters()
        super().__init__(memory, site, clock, session_of, segment, waiting, measured, bonds.code)
        self._bonds = bonds
        self.bmc_desk = bmc_desk
        self.stores = stores or StoreDesk(site.topology, memory, segment, clock)
        self.doctor_desk = doctor_desk
        self._preflight = Preflight(doctor_desk, clock)
        self._leaving = leaving_desk
        self.support_desk = support_desk or SupportDesk(log=str, known=tuple, folders={})
        self.upgrade_desk = upgrades or NoSlots()
        self.sets = sets or NoRegistry()
        self._images = images
        self._ignition = ignition
        self._rng = rng
        self._take_over = take_over
        self._consoles = consoles
        self._ssh_key = ssh_key
        self._snapshot = snapshot
        self._program = program
        self._starting = asyncio.Lock()

    def metrics(self) -> tuple[Family, ...]:
        return (*super().metrics(), *cluster_families(self.cluster_desk.clusters().clusters))

    @property
    def leaving_desk(self) -> Leaving:
        if self._leaving is None:
            raise MachineryError("this appliance keeps nothing", next_action="ask the daemon of the site")
        return self._leaving

    def honoured(self, key: str) -> Honoured | None:
        done = self._memory.world.honoured.get(key)
        return None if done is None else Honoured(print=done.print, location=done.location, status=done.status)

    async def _carry_out(self, record: _Steering, asked: Asked, *before: GoalSet) -> None:
        """One commit, so that a request which is asked again after a crash is known to have done this."""
        await self._memory.remember(*before, record, *_honoured(asked, record.run))

    async def program(self) -> SiteView:
        return await self._known_program().look(self._site, self._site_plan)

    async def reload(self, digest: str) -> SiteView:
        async with self._starting:  # no plan of the old one is approved meanwhile
            self._running_site.site = await self._known_program().take(self._site, digest)
        return await self.program()

    def _known_program(self) -> SiteProgram:
        if self._program is None:
            raise NotFoundError("the site of this appliance is from no file", next_action="look at `innervate status`")
        return self._program

    async def make_plan(self) -> PlanView:
        return await self._proposed(Purpose())

    async def plan_errand(self, name: MachineName, errand: Errand) -> PlanView:
        return await self._proposed(Purpose(errand=errand, machine=self._known(name)))

    async def plan_retirement(self) -> PlanView:
        purpose = Purpose(errand=Errand.DECOMMISSION)
        if others := [goal.id for goal in self._memory.world.open_goals if goal.purpose != purpose]:
            raise ConflictError(
                f"something else is wanted of the site: goal {', '.join(others)}",
                evidence="what is retired would be installed again",
                next_action="look at it: innervate goals; drop it: innervate drop GOAL",
            )
        return await self._proposed(purpose)

    async def _proposed(self, purpose: Purpose) -> PlanView:
        return self._shown(await self._store(self._plan_now(purpose)))

    async def see_through(self, name: MachineName, errand: Errand, by: str) -> None:
        """Plans and runs the errand until nothing of it is left. Raises as `apply` does, and `PlanError`."""
        while (plan := self._plan_now(Purpose(errand=errand, machine=name))).steps or plan.roles:
            await self._preflight.allow(plan)
            await self._store(plan)
            async with self._starting:
                run = await self._start(plan, Asked(by=by))
            while self._memory.world.runs[run].state is RunState.RUNNING:
                await self._memory.changed(self._memory.tick, None)
            if not plan.deferred or self._memory.world.runs[run].state is not RunState.DONE:
                return

    async def _store(self, plan: Plan) -> Plan:
        if plan.digest not in self._memory.world.plans:
            await self._memory.remember(PlanStored(plan=plan))
        return plan

    async def apply(
        self,
        digest: PlanDigest,
        asked: Asked = SOMEBODY,
        then: Consent | None = None,
        despite: tuple[Check, ...] = (),
    ) -> RunView:
        plan = self._stored(digest)
        await self._preflight.allow(plan, despite)
        async with self._starting:
            if self._plan_now(plan.purpose).digest != digest:
                await self._ask_anew(digest)
                raise ConflictError(
                    f"plan {digest[:12]} is stale: what is known has changed since it was made",
                    next_action="look at the new plan and approve that one",
                )
            goal, wanted = self._aim(plan, asked, then)
            return self.run(await self._start(plan, asked, goal, *wanted))

    def _aim(self, plan: Plan, asked: Asked, then: Consent | None) -> tuple[GoalId | None, tuple[GoalSet, ...]]:
        """`then` None is a consent to this plan and no other, though it may take an open goal further; whoever states
        another consent for that goal changes it."""
        open_ = joined(self._memory.world.open_goals, plan)
        if open_ is not None and then in (None, open_.consent):
            return open_.id, ()
        if then is None or (open_ is None and not plan.deferred):
            return None, ()
        goal, machines = GoalId(self._rng.token(4)) if open_ is None else open_.id, self._site.topology.machines
        wanted = GoalSet(goal=goal, purpose=plan.purpose, consent=then, machines=machines, by=asked.by)
        return goal, (wanted,)

    async def _ask_anew(self, digest: PlanDigest) -> None:
        """What waits for approval is a plan of now."""
        for goal in self._memory.world.open_goals:
            if goal.asked == digest:
                await self._go_on(goal)

    async def go_on(self, goal: GoalId) -> None:
        """Where the goal's runs are over: its next plan is carried out, or asked for; or the goal ends. Raises
        `ConflictError` while another run works on one of the plan's machines."""
        if self._memory.world.is_at_rest(self._memory.world.goals[goal]):
            await self._preflight.examined(destroys=True)
        async with self._starting:
            if self._memory.world.is_at_rest(known := self._memory.world.goals[goal]):
                await self._go_on(known)

    async def _go_on(self, goal: Goal) -> None:
        runs = [self._memory.world.runs[run] for run in goal.runs]
        if (end := end_with(goal, runs[-1])) is not None:
            await self._memory.remember(end)
            return
        try:
            plan = self._plan_now(goal.purpose)
        except Exception as error:  # a score is the site's own program: whatever it raises is an answer
            _LOGGER.exception("goal=%s cannot be planned", goal.id)
            ended = GoalEnded(goal=goal.id, state=GoalState.FAILED, problem=why_not(error), machine=_whose(error))
            await self._memory.remember(ended)
            return
        await self._store(plan)
        word = proposed(goal, plan, (run.digest for run in runs), self._memory.world.machine)
        if word is None and (found := self._preflight.against(plan, goal.consent.despite)) is not None:
            word = GoalAsked(goal=goal.id, plan=plan.digest, why=found.cause)
        if word is None:
            await self._start(plan, Asked(by=goal.by), goal.id)
        elif not (isinstance(word, GoalAsked) and word.plan == goal.asked):
            await self._memory.remember(word)

    async def drop(self, goal: GoalId, asked: Asked = SOMEBODY) -> GoalView:
        """A run of it that goes on is left alone."""
        if self._goal(goal).end is not None:
            raise ConflictError(f"goal {goal} is over", next_action="those that are open: innervate goals")
        await self._memory.remember(GoalEnded(goal=goal, state=GoalState.CANCELLED, by=asked.by))
        return self.goal(goal)

    async def pause(self, run: RunId, reason: str, asked: Asked = SOMEBODY) -> RunView:
        if self._running(run).paused is None:
            await self._carry_out(RunPaused(run=run, reason=reason, by=asked.by), asked)
        return self.run(run)

    async def resume(self, run: RunId, asked: Asked = SOMEBODY) -> RunView:
        if self._running(run).paused is not None:
            await self._carry_out(RunResumed(run=run, by=asked.by), asked)
        return self.run(run)

    async def cancel(self, run: RunId, asked: Asked = SOMEBODY) -> RunView:
        self._running(run)
        await self._carry_out(RunEnded(run=run, state=RunState.CANCELLED, by=asked.by), asked)
        return self.run(run)

    async def set_aside(self, run: RunId, machine: MachineName, reason: str, asked: Asked = SOMEBODY) -> RunView:
        self._member(run, machine)
        await self._carry_out(MachineSetAside(run=run, machine=machine, reason=reason, by=asked.by), asked)
        return self.run(run)

    async def retry(self, run: RunId, machine: MachineName, asked: Asked = SOMEBODY) -> RunView:
        self._member(run, machine)
        await self._carry_out(MachineRetried(run=run, machine=machine, by=asked.by), asked)
        return self.run(run)

    def _running(self, run: RunId) -> RunStatus:
        status = self._status(run)
        if status.state is not RunState.RUNNING:
            raise ConflictError(f"run {run} is over: {status.state.value}", next_action="plan again: innervate plan")
        return status

    def _member(self, run: RunId, machine: MachineName) -> None:
        if machine not in (status := self._running(run)).left:
            raise NotFoundError(
                f"{machine} has no part in run {run}",
                evidence=f"its machines: {', '.join(status.left)}"[:500],
                next_action="name one of these",
            )

    async def power(self, name: MachineName, action: PowerAction, asked: Asked = SOMEBODY) -> RunView:
        if (hold := self._memory.world.machine(self._known(name)).hold) is not None:
            raise ConflictError(
                f"{name} is held: {hold.reason}", next_action=f"innervate release {name} lets steps run again"
            )
        command = _COMMANDS[action]
        step = Step(
            id=StepId(f"power.{name}.{command.value}.{self._rng.token(4)}"),
            machine=name,
            score="operator",
            summary=f"power {action.value} {name}",
            do=SetPower(command=command),
            budget=_POWER_BUDGET,
        )
        plan = Plan(site=self._site.name, steps=(step,))
        async with self._starting:
            self._refuse_busy(plan)
            await self._memory.remember(PlanStored(plan=plan))
            return self.run(await self._start(plan, asked))

    async def hold(self, name: MachineName, reason: str, asked: Asked = SOMEBODY) -> MachineView:
        await self._memory.remember(HoldPlaced(machine=self._known(name), reason=reason, by=asked.by))
        return self._view(name)

    async def release(self, name: MachineName, asked: Asked = SOMEBODY) -> MachineView:
        await self._memory.remember(HoldReleased(machine=self._known(name), by=asked.by))
        return self._view(name)

    async def confirm(self, name: MachineName, code: str, asked: Asked = SOMEBODY) -> MachineView:
        state, shows = self._memory.world.machine(self._known(name)), self._bonds.code(name) is not None
        bound = self._bonds.compare(name, code)
        if bound is None or state.bound is None or state.bound.key != bound.key:
            why = "its console shows another code" if shows else "its console shows no code that still counts"
            await self._memory.remember(CodeRefused(machine=name, why=why, by=asked.by))
            raise ConflictError(
                f"{name} is not confirmed: {why}",
                evidence=f"rung {state.bound.rung.value}" if state.bound is not None else "no agent speaks for it",
                next_action=f"read its console again, a new code comes by itself: innervate status {name}",
            )
        self._bonds.rise(name, bound, asked.by)
        await self._memory.remember(IdentityConfirmed(machine=name, nonce=bound.nonce, key=bound.key, by=asked.by))
        return self._view(name)

    def console(self, name: MachineName) -> Console:
        if (console := self._consoles.get(self._known(name))) is None:
            raise NotFoundError(
                f"nobody knows where the serial console of {name} is",
                next_action="name it in the site program: Server(console=...)",
            )
        return console

    def take_over(self) -> MachinesView:
        if not self._segment.stands_back:
            raise ConflictError("this appliance serves DHCP already", next_action="look at `innervate status`")
        self._take_over()
        return self.machines()

    async def snapshot(self) -> SnapshotView:
        if self._snapshot is None:
            raise MachineryError("there is no record log to copy", next_action="ask the daemon of the site")
        return await asyncio.wrap_future(self._snapshot())

    async def shell(self, name: MachineName) -> ShellView:
        state = self._memory.world.machine(self._known(name))
        host_keys = state.rescue_keys or (state.installed.host_keys if state.installed else ())
        address = state.reached_at
        if not host_keys or address is None:
            raise NotFoundError(
                f"{name} has no system to enter",
                evidence=f"phase {state.phase.value}",
                next_action="install it first: innervate apply; or start its rescue system: innervate rescue",
            )
        return ShellView(
            machine=name,
            user=_RESCUE_USER if state.rescue_keys else self._site.topology.shell.user,
            address=str(address),
            port=_SSH_PORT,
            host_keys=host_keys,
            identity_file=str(self._ssh_key),
        )

    def _plan_now(self, purpose: Purpose) -> Plan:
        return plan_purpose(self._site, self._known_of(self._site), purpose)

    def _site_plan(self, site: Site[Rack]) -> Plan:
        """What would be planned if this were the site."""
        return plan_purpose(site, self._known_of(site), Purpose())

    def _known_of(self, site: Site[Rack]) -> Inventory:
        world = self._memory.world
        machines = {name: world.machine(name).record for name in site.topology.machines}
        sets = {name: held.described for name, held in world.sets.items()}
        return Inventory(
            machines=machines,
            images=self._images,
            ignition=self._ignition,
            sets=sets,
            registry=self.sets.place,
            applications=world.applications,
        )

    async def _start(self, plan: Plan, asked: Asked, goal: GoalId | None = None, *before: GoalSet) -> RunId:
        """Under the lock: of two approvals at once, the second has to see the first one's run."""
        self._refuse_busy(plan)
        run_id, rollout = RunId(self._rng.token(4)), self._rollout(plan)
        started = RunStarted(run=run_id, plan=plan.digest, rollout=rollout, by=asked.by, goal=goal, trace=here())
        await self._carry_out(started, asked, *before)
        return run_id

    def _refuse_busy(self, plan: Plan) -> None:
        wanted = {step.machine for step in plan.steps}
        for run in self._memory.world.running:
            if both := wanted & run.left.keys():
                raise ConflictError(
                    f"run {run.id} already works on {', '.join(sorted(both))}",
                    next_action="wait for its end: innervate status",
                )


def _whose(error: Exception) -> MachineName | None:
    return MachineName(error.machine) if isinstance(error, PlanError) and error.machine else None


def _honoured(asked: Asked, run: RunId) -> tuple[RequestHonoured, ...]:
    if (once := asked.once) is None:
        return ()
    location = f"/v1/runs/{run}"
    return (RequestHonoured(key=once.key, print=once.print, location=location, status=once.status),)

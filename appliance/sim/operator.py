"""The person on site: presses provision, which goes on by itself, until nothing is left to do; and looks after what
broke."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum, auto
from typing import Any, TypeVar, assert_never

from appliance.errors import ConflictError, InnervateError, MachineryError, PlanError
from appliance.model.goal import EVERYTHING
from appliance.model.ids import MachineName, PlanDigest, RunId
from appliance.model.phase import Condition
from appliance.model.views import PlanView, PowerAction, RunView
from appliance.sim.appliance import Life
from appliance.sim.chance import Stream
from appliance.sim.faults import MachineFault, Scenario, SiteFault, Steer, Steering
from appliance.sim.ground import Ground
from appliance.sim.machine import Machine

T = TypeVar("T")

_PAUSE = 60.0
_LOOK = 5.0


class _End(Enum):
    """Of one press of the button."""

    ALL_DONE = auto()
    RAN = auto()
    TROUBLE = auto()


class Operator:
    """`life` is the appliance that runs now; None while there is none. `deadline`: when to give up."""

    def __init__(
        self,
        machines: Mapping[str, Machine],
        life: Callable[[], Life | None],
        scenario: Scenario,
        ground: Ground,
        deadline: Callable[[], float],
    ) -> None:
        self._machines, self._life, self._ground = machines, life, ground
        self._scenario, self._deadline = scenario, deadline
        self._stream: Stream = ground.chance.stream("operator")
        self._old: PlanDigest | None = None
        self._one_wish = asyncio.Lock()
        self.quarantined: set[str] = set()

    async def provision(self) -> None:
        """Until all that can be active is, or the time is over."""
        while self._ground.loop.time() < self._deadline():
            end = await self._press()
            if end is _End.ALL_DONE:
                return
            if end is _End.TROUBLE or self._failed():
                await asyncio.sleep(_PAUSE)
                self._look_after()
            await asyncio.sleep(_LOOK)

    async def _press(self) -> _End:
        life = await self._up()
        try:
            plan = await self._attended(life, life.application.make_plan())
            if plan is None:
                return _End.TROUBLE
            if all(step.machine in self.quarantined for step in plan.steps):
                return _End.ALL_DONE
            self._ground.trace.say("operator", "", f"applies {plan.digest[:8]} of {len(plan.steps)} steps")
            await self._apply(life, plan)
        except PlanError as error:
            self._ground.trace.say("operator", "", f"no plan: {error}")
            await self._attended(life, self._free_disk(life, str(error)))
            return _End.TROUBLE
        except (ConflictError, MachineryError) as error:
            self._ground.trace.say("operator", "", f"refused: {error}")
        await self._ended()
        return _End.RAN

    async def _apply(self, life: Life, plan: PlanView) -> None:
        digest = PlanDigest(plan.digest)
        if SiteFault.STALE_PLAN in self._scenario.faults and self._old not in (None, digest):
            await self._try_old(life)
        self._old = digest
        if SiteFault.TWO_OPERATORS in self._scenario.faults:
            other = self._ground.loop.create_task(self._second(life, digest))
            await self._attended(life, life.application.apply(digest, then=EVERYTHING))
            await asyncio.wait({other}, timeout=60.0)
            other.cancel()
        else:
            await self._attended(life, life.application.apply(digest, then=EVERYTHING))

    async def _try_old(self, life: Life) -> None:
        try:
            await self._attended(life, life.application.apply(self._old or PlanDigest("")))
        except InnervateError as error:
            self._ground.trace.say("operator", "", f"the old plan is refused: {error}")

    async def _second(self, life: Life, digest: PlanDigest) -> None:
        try:
            await life.application.apply(digest, then=EVERYTHING)
        except InnervateError as error:
            self._ground.trace.say("operator", "", f"the second is refused: {error}")

    async def _attended(self, life: Life, asked: Coroutine[Any, Any, T]) -> T | None:
        """None when the appliance died meanwhile."""
        answer = self._ground.loop.create_task(asked)
        while not answer.done() and not life.is_dead:
            await asyncio.wait({answer}, timeout=_LOOK)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _ended(self) -> None:
        """Returns when no run goes on, and none is to follow."""
        while self._ground.loop.time() < self._deadline():
            life = await self._up()
            if not life.memory.world.running and not life.memory.world.open_goals:
                return
            await self._go_on(life)
            await asyncio.sleep(_LOOK)

    async def _go_on(self, life: Life) -> None:
        """A run that paused by itself is looked at, and goes on."""
        for run in life.memory.world.running:
            if run.paused is not None:
                self._ground.trace.say("operator", "", f"resumes {run.id}: {run.paused.reason}")
                await asyncio.sleep(_PAUSE)
                try:
                    await self._attended(life, life.application.resume(run.id))
                except (ConflictError, MachineryError) as error:
                    self._ground.trace.say("operator", "", f"refused: {error}")

    async def _up(self) -> Life:
        while (life := self._life()) is None:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(_LOOK)
        return life

    async def hold(self, name: str, placed: bool) -> None:
        """Places or releases a hold, as soon as the appliance takes it; what was wanted first comes first."""
        async with self._one_wish:
            while not await self._held(MachineName(name), placed):  # noqa: ASYNC110  virtual time
                await asyncio.sleep(_LOOK)

    async def _held(self, machine: MachineName, placed: bool) -> bool:
        life = await self._up()
        wanted = life.application.hold(machine, "somebody works on it") if placed else life.application.release(machine)
        try:
            return await self._attended(life, wanted) is not None
        except MachineryError:
            return False

    async def steer(self, steering: Steering) -> None:
        """Once: where it comes too late, or the appliance is away, nothing is done."""
        life = self._life()
        if life is None:
            return
        name = MachineName(list(self._machines)[steering.machine - 1])
        for run in life.memory.world.running:
            self._ground.trace.say("operator", name, f"{steering.what.value} {run.id}")
            try:
                await self._attended(life, self._steered(life, steering.what, run.id, name))
            except InnervateError as error:
                self._ground.trace.say("operator", name, f"refused: {error}")

    @staticmethod
    async def _steered(life: Life, what: Steer, run: RunId, machine: MachineName) -> RunView:
        match what:
            case Steer.PAUSE:
                return await life.application.pause(run, "let us look")
            case Steer.RESUME:
                return await life.application.resume(run)
            case Steer.CANCEL:
                return await life.application.cancel(run)
            case Steer.SET_ASIDE:
                return await life.application.set_aside(run, machine, "let us look at this one")
            case Steer.RETRY:
                return await life.application.retry(run, machine)
            case _:
                assert_never(what)

    # what broke ----------------------------------------------------------------------------------------------

    def _failed(self) -> list[tuple[Machine, Condition]]:
        life = self._life()
        if life is None:
            return []
        named = ((machine, life.memory.world.machine(MachineName(name))) for name, machine in self._machines.items())
        return [(machine, state.failed) for machine, state in named if state.failed is not None]

    def _look_after(self) -> None:
        for machine, failed in self._failed():
            if machine.name in self.quarantined:
                continue
            if "duplicate" in failed.reason or "traits of" in failed.reason:
                self._separate(machine)
            elif machine.disks[1].broken:
                machine.replace_disk()

    def _separate(self, machine: Machine) -> None:
        """Two machines show one identity: sometimes a person can correct it, else the machine stays out."""
        if machine.character.fault is MachineFault.DUPLICATE and self._stream.happens(0.5):
            machine.get_own_identity()
            self._ground.watch.struck(machine.name, "own identity")
        else:
            self.quarantined.add(machine.name)
        self._ground.trace.say("operator", machine.name, "looked after the identity")

    async def _free_disk(self, life: Life, why: str) -> None:
        """A plan is refused because a machine has no usable disk: it gets one, and is started to be looked at."""
        name = why.partition(":")[0]
        machine = self._machines.get(name)
        if machine is None:
            return
        machine.replace_disk()
        try:
            await life.application.power(MachineName(name), PowerAction.ON)
        except InnervateError as error:
            self._ground.trace.say("operator", name, f"power refused: {error}")

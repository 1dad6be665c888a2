"""One run of the simulation: a seed, a number of machines, and what came of it."""

import asyncio
import logging
import resource
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from appliance.model.goal import EVERYTHING
from appliance.model.ids import MachineName, PlanDigest
from appliance.model.phase import Phase
from appliance.services.application import Appliance
from appliance.sim.appliance import Life, Parts, Storage
from appliance.sim.chance import Chance
from appliance.sim.dhcp import LeaseDisk
from appliance.sim.faults import Death, Faults, Injected, MachineFault, Scenario, Steering, draw
from appliance.sim.ground import Ground
from appliance.sim.image import small_image
from appliance.sim.invariants import Watch, is_healthy
from appliance.sim.journal import Condition, RecordDisk
from appliance.sim.loop import SimClock, run
from appliance.sim.machine import Machine
from appliance.sim.network import Network
from appliance.sim.operator import Operator
from appliance.sim.rogue import RogueServer
from appliance.sim.topology import site_of
from appliance.sim.trace import Trace
from appliance.sim.violations import Invariant, Judge, Violation
from appliance.site import Site
from appliance.topology import Rack

T = TypeVar("T")

_AFTER_FAULTS = 6 * 3600.0
"""Seconds after the last fault in which every machine that can has to be active."""

_TICK = 60.0
_LOOK = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to; `violations` has one at most, the run ends there."""

    machines: int
    active: int
    virtual_minutes: float
    cpu_seconds_per_machine: float
    max_rss_mb: float
    event_hash: str
    seed: int
    events: int
    quarantined: int
    faults: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`scenario`: instead of the one that the seed draws."""

    machines: int
    seed: int
    faults: Faults = Faults.ALL
    scenario: Scenario | None = None
    parts: Parts = field(default_factory=Parts)


def simulate(wanted: Wanted) -> Report:
    """The same for the same values, but for the CPU time and memory."""
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="innervate-sim-") as folder, _quiet():
        simulation, active = run(_run(wanted, Path(folder)))
    watch = simulation.judge.found
    spent = time.process_time() - began
    return Report(
        machines=wanted.machines,
        active=active,
        virtual_minutes=round(simulation.ended / 60, 2),
        cpu_seconds_per_machine=round(spent / wanted.machines, 4),
        max_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        event_hash=simulation.trace.digest,
        seed=wanted.seed,
        events=simulation.trace.count,
        quarantined=len(simulation.operator.quarantined.difference(simulation.active_names())),
        faults=simulation.drawn(),
        violations=() if watch is None else (watch,),
    )


def watched(wanted: Wanted, seen: Callable[[Appliance, float], T | None], seconds: float) -> T | None:
    """What `seen` finds in the application within so many virtual seconds of one press of the button; it is told the
    time, in seconds since the epoch. An invariant that does not hold is an error."""
    with tempfile.TemporaryDirectory(prefix="innervate-sim-") as folder, _quiet():
        return run(_watched(wanted, Path(folder), seen, seconds))


async def _watched(
    wanted: Wanted, folder: Path, seen: Callable[[Appliance, float], T | None], seconds: float
) -> T | None:
    simulation = Simulation(wanted, folder)
    found = await simulation.watch(seen, seconds)
    if simulation.judge.found is not None:
        raise AssertionError(str(simulation.judge.found))
    return found


def _site_of(machines: int, scenario: Scenario) -> Site[Rack]:
    unplugged = (number for number, one in scenario.characters.items() if one.injected is Injected.NO_LINK)
    return site_of(machines, alone=scenario.rogue is None, on_second=frozenset(unplugged))


@contextmanager
def _quiet() -> Iterator[None]:
    """What the product would log of the faults that it is shown; whoever runs simulations in a process logs too."""
    logger = logging.getLogger("appliance")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _run(wanted: Wanted, folder: Path) -> tuple["Simulation", int]:
    simulation = Simulation(wanted, folder)
    await simulation.play()
    return simulation, len(simulation.active_names())


class Simulation:
    """The site of one run. Must be made on its loop."""

    def __init__(self, wanted: Wanted, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        clock, chance = SimClock(loop), Chance(wanted.seed)
        self.scenario = wanted.scenario or draw(chance, wanted.machines, wanted.faults)
        self.trace = Trace(clock)
        self.judge = Judge(wanted.seed, clock, self.trace)
        condition = Condition()
        records = RecordDisk(condition=condition)
        self.storage = Storage(
            condition=condition, records=records, leases=LeaseDisk(condition=condition), folder=folder
        )
        image = small_image()
        self.ground = Ground(
            loop=loop,
            clock=clock,
            chance=chance,
            trace=self.trace,
            network=Network(loop, chance, self.scenario.weather),
            watch=Watch(self.judge, self.trace, self.scenario, records, image, clock),
            image=image,
            agent=wanted.parts.agent,
        )
        self._site, self._parts = _site_of(wanted.machines, self.scenario), wanted.parts
        if (rogue := self.scenario.rogue) is not None:
            self.ground.network.rogue = RogueServer(rogue, clock, self.ground.network.reply)
        self.machines = self._machines()
        self.life: Life | None = None
        self.ended = 0.0
        self._error: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deaths = [death for death in self.scenario.deaths if death.at is None]
        self._stopped = asyncio.Event()
        self.operator = Operator(self.machines, lambda: self.life, self.scenario, self.ground, self._deadline)

    def _machines(self) -> dict[str, Machine]:
        characters, machines = self.scenario.characters, dict[str, Machine]()
        twins = self._twins()
        for number, name in enumerate(self._site.topology.machines, start=1):
            machines[name] = Machine(name, number, characters[number], self.ground, twins.get(number))
        names = list(machines)
        healthy = {name: machines[name].character for name in names if is_healthy(machines[name].character)}
        for number in twins.values():
            healthy.pop(names[number - 1], None)
        self.ground.watch.healthy = healthy
        return machines

    def _twins(self) -> dict[int, int]:
        """Whose identity the duplicates show: that of the next machine, round to the first."""
        characters = self.scenario.characters
        doubled = [number for number, one in characters.items() if one.is_double]
        count = len(characters)
        return {number: number % count + 1 for number in doubled if count > 1}

    def drawn(self) -> tuple[str, ...]:
        own = {c.fault.name for c in self.scenario.characters.values()} - {MachineFault.NONE.name}
        return tuple(sorted({fault.name for fault in self.scenario.faults} | own))

    def active_names(self) -> list[str]:
        if self.life is None:
            return []
        world = self.life.memory.world
        return [name for name in self.machines if world.machine(MachineName(name)).phase is Phase.ACTIVE]

    # the course of it ----------------------------------------------------------------------------------------

    async def play(self) -> None:
        if await self._run(self.operator.provision()):
            await self._settle()
        self._over()

    async def watch(self, seen: Callable[[Appliance, float], T | None], seconds: float) -> T | None:
        """One press of the button, and nobody looks after anything: what `seen` found first, if it did in time."""
        found: list[T] = []
        await self._run(self._press_and_watch(seen, seconds, found))
        self._over()
        return found[0] if found else None

    async def _press_and_watch(
        self, seen: Callable[[Appliance, float], T | None], seconds: float, found: list[T]
    ) -> None:
        assert self.life is not None  # noqa: S101  it was started just now
        application = self.life.application
        plan = await application.make_plan()
        await application.apply(PlanDigest(plan.digest), then=EVERYTHING)
        while not found and self.ground.loop.time() < seconds:
            await asyncio.sleep(_LOOK)
            shown = seen(application, self.ground.clock.now())
            found += [] if shown is None else [shown]

    async def _run(self, course: Coroutine[None, None, None]) -> bool:
        """Whether it came to its end: a violation stops it."""
        self.judge.on_violation(self._stopped.set)
        for machine in self.machines.values():
            if machine.character.is_on:
                machine.power_on()
        self._start()
        self._plan_faults()
        self._spawn(self._tick())
        working = self.ground.loop.create_task(course)
        stopped = self.ground.loop.create_task(self._stopped.wait())
        self._tasks += [working]
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if working.done():
            working.result()
        return working.done()

    def _over(self) -> None:
        self.ended = self.ground.loop.time()
        for task in self._tasks:
            task.cancel()
        if self._error is not None:
            raise self._error

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """An error of the simulation itself ends it."""
        task = self.ground.loop.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._look)

    def _look(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
            self._stopped.set()

    async def _settle(self) -> None:
        while self.life is None:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(1.0)
        self.ground.watch.check_world(self.life.memory.world, always=True)
        expected = [name for name in self.machines if name not in self.operator.quarantined]
        self.ground.watch.check_end(self.active_names(), expected)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.ground.watch.tick(self.ground.clock.now())
            if self.life is not None and self.life.failed is not None:
                self.judge.demand(False, Invariant.FAULT, "", f"the conductor ended: {self.life.failed!r}")

    def _deadline(self) -> float:
        return max(self.scenario.last_planned(), self.ground.watch.last_fault) + _AFTER_FAULTS

    def _start(self) -> None:
        self.trace.say("appliance", "", "starts")
        self.life = life = Life(self._site, self.storage, self.machines, self.ground, self._parts)
        self.ground.network.doors = life
        self._die_at_next()

    # faults --------------------------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        loop, scenario = self.ground.loop, self.scenario
        for death in scenario.deaths:
            if death.at is not None:
                loop.call_at(death.at, self._die, death)
        for begin, end in scenario.full:
            loop.call_at(begin, self._fill, True)
            loop.call_at(end, self._fill, False)
        for begin, end in scenario.slow:
            loop.call_at(begin, self._slow, scenario.fsync_seconds)
            loop.call_at(end, self._slow, Condition().fsync_seconds)
        for hold in scenario.holds:
            name = list(self.machines)[hold.machine - 1]
            loop.call_at(hold.begins, self._hold, name, True)
            loop.call_at(hold.begins + hold.seconds, self._hold, name, False)
        for steering in scenario.steering:
            loop.call_at(steering.at, self._steer, steering)

    def _die(self, death: Death) -> None:
        life = self.life
        if life is None:
            return
        self.life = self.ground.network.doors = None
        self.ground.network.returns = self.ground.loop.time() + death.away
        self._fault("appliance dies")
        self._spawn(self._replace(life, death))

    async def _replace(self, life: Life, death: Death) -> None:
        await life.die(death.loss)
        await asyncio.sleep(max(0.0, self.ground.network.returns - self.ground.loop.time()))
        self._start()

    def _die_at_next(self) -> None:
        """The next death that waits for a commit."""
        if not self._deaths:
            self.ground.watch.die_at(None, lambda: None)
            return
        death = self._deaths.pop(0)
        self.ground.watch.die_at((death.commit, death.boundary), lambda: self.ground.loop.call_soon(self._die, death))

    def _fill(self, full: bool) -> None:
        self._fault("disk full" if full else "disk has room")
        self.storage.condition.full = full
        if not full:
            self.ground.watch.recovered(self.ground.clock.now())

    def _slow(self, seconds: float) -> None:
        self._fault(f"fsync takes {seconds:.3f} s")
        self.storage.condition.fsync_seconds = seconds

    def _hold(self, name: str, placed: bool) -> None:
        self._fault(f"{name} {'held' if placed else 'released'}")
        self._spawn(self.operator.hold(name, placed))

    def _steer(self, steering: Steering) -> None:
        self._fault(f"operator: {steering.what.value}")
        self._spawn(self.operator.steer(steering))

    def _fault(self, what: str) -> None:
        self.ground.watch.struck("", what)

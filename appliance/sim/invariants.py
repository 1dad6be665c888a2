"""Checks, after every event, what must be true: seen from outside, from what machines did and what is on disks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address

from appliance.conductor.world import World
from appliance.model.ids import MachineName, Nonce, RunId, StepId
from appliance.plan import Step, Wipe, WriteImage, WriteSeed
from appliance.ports import Clock
from appliance.sim.disk import Disk, Kind, Op, Pages
from appliance.sim.faults import Character, MachineFault, Scenario, SiteFault
from appliance.sim.image import Image
from appliance.sim.journal import Boundary, RecordDisk
from appliance.sim.past import Course, Past, Run, Try
from appliance.sim.trace import Trace
from appliance.sim.violations import Invariant, Judge
from appliance.store.records import Entry, StepResult
from images.agent.protocol import Task
from pxe.client import Mac
from pxe.dhcp.address import Address
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.packet import DhcpPacket, MessageType, Option

SLACK = 120.0
"""Seconds in which the appliance must have taken the next step after the last."""

_MODEST = frozenset({SiteFault.HOLD, SiteFault.TWO_OPERATORS, SiteFault.STALE_PLAN})
"""Faults of the site that are no excuse for a machine that is healthy."""

_ASKED_BEFORE = 8.0
"""A lease counts from when it was asked for (RFC 2131, section 4.4.1): before the disk took its time."""

_FRESH_FOLD = 64


class How(Enum):
    """How a task stands with the agent that began it."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    CUT = auto()
    """The agent's life ended before it."""


@dataclass(slots=True, kw_only=True)
class _Effect:
    """The last time that a step was begun on its machine."""

    life: str
    how: How = How.RUNNING


@dataclass(slots=True, kw_only=True)
class _Writing:
    """What the machine's agent does now. `looked`: what the disk held was compared with the plan, before the first byte
    was written."""

    step: Step | None = None
    effect: _Effect | None = None
    looked: bool = False


class Watch:
    """The one observer. Whoever makes something happen tells it, before it happens where that matters."""

    def __init__(
        self, judge: Judge, trace: Trace, scenario: Scenario, records: RecordDisk, image: Image, clock: Clock
    ) -> None:
        self.past = Past()
        self._judge, self._trace, self._scenario = judge, trace, scenario
        self._records, self._image, self._clock = records, image, clock
        self._leases: dict[Address, Lease] = {}
        self._given: dict[bytes, tuple[Address, float]] = {}
        self._holders: dict[Address, tuple[bytes, float]] = {}
        self._effects: dict[tuple[RunId, StepId], _Effect] = {}
        self._attempts: set[tuple[str, int]] = set()
        self._handed: dict[tuple[str, str, int], bool] = {}
        self._writing: dict[str, _Writing] = {}
        self._acknowledged = 0
        self._durable = 0
        self._next_fold = _FRESH_FOLD
        self._awake: float | None = None
        self._boundary: tuple[int, Boundary] | None = None
        self._fatal: Callable[[], object] = lambda: None
        self.healthy: Mapping[str, Character] = {}
        self.last_fault = 0.0

    # the appliance's disk ------------------------------------------------------------------------------------

    def durable(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._trace.say("record", str(getattr(entry.record, "machine", "")), f"{entry.seq} {entry.record.record}")
            if isinstance(entry.record, StepResult):
                self._check_result(entry.record)
        self._trace.mix(self._records.latest())
        self.past.learn(entries)
        self._durable = entries[-1].seq

    def acknowledged(self, entries: Sequence[Entry]) -> None:
        self._acknowledged = max(self._acknowledged, entries[-1].seq)

    def boundary(self, commit: int) -> Boundary | None:
        if self._boundary is None or commit < self._boundary[0]:
            return None
        boundary, self._boundary = self._boundary[1], None
        self._fatal()
        return boundary

    def die_at(self, boundary: tuple[int, Boundary] | None, fatal: Callable[[], object]) -> None:
        """`fatal` is called when that commit is reached."""
        self._boundary, self._fatal = boundary, fatal

    def came_up(self, recovered: Sequence[Entry], now: float) -> None:
        """The appliance read its disk again."""
        self._check_kept(recovered[-1].seq if recovered else 0)
        self._awake = now

    def _check_kept(self, last: int) -> None:
        seen = f"records up to {self._acknowledged} were acknowledged, the disk has them up to {last}"
        self._judge.demand(last >= self._acknowledged, Invariant.I4, "", seen)

    def went_down(self) -> None:
        self._awake = None
        self._check_kept(self._durable)

    def recovered(self, now: float) -> None:
        """The disk takes records again."""
        if self._awake is not None:
            self._awake = now

    def _check_result(self, result: StepResult) -> None:
        attempt = self.past.runs[result.run].courses[result.machine].tries[result.step]
        known = f"{result.step} fence {result.fence}"
        self._judge.demand(
            attempt.fence == result.fence, Invariant.I4, result.machine, f"{known} ended, {attempt.fence} is the latest"
        )
        self._judge.demand(not attempt.done, Invariant.I4, result.machine, f"{known} ended twice")
        problem = result.problem
        if problem is None:
            return
        self._judge.demand(problem.code != "fault", Invariant.FAULT, result.machine, f"{known}: {problem.evidence}")
        if self._is_calm(result.machine) and result.retry_after is None:
            self._judge.demand(False, Invariant.I7, result.machine, f"{known} failed: {problem.message}")

    def _is_calm(self, machine: str) -> bool:
        is_quiet = self._scenario.rogue is None and _MODEST.issuperset(self._scenario.faults)
        return machine in self.healthy and is_quiet

    # I8 ------------------------------------------------------------------------------------------------------

    def check_world(self, world: World, *, always: bool = False) -> None:
        """At growing intervals, and when asked."""
        if not always and world.last_seq < self._next_fold:
            return
        self._next_fold = world.last_seq * 2
        fresh = World()
        fresh.fold_all(entry for entry in self._records.entries() if entry.seq <= world.last_seq)
        for name in ("machines", "plans", "runs", "last_seq"):
            same = getattr(fresh, name) == getattr(world, name)
            self._judge.demand(same, Invariant.I8, "", f"{name} at record {world.last_seq} is not what the disk says")

    # leases --------------------------------------------------------------------------------------------------

    def lease_durable(self, lease: Lease) -> None:
        self._leases[lease.address] = lease
        if lease.state is not LeaseState.BOUND:
            self._holders.pop(lease.address, None)

    def reply_left(self, packet: DhcpPacket, now: float) -> None:
        """`now` since the epoch, as leases have it."""
        seconds = packet.options.get(Option.LEASE_TIME)
        if packet.message_type is not MessageType.ACK or seconds is None:
            return
        until, mac, address = now + int.from_bytes(seconds), packet.chaddr, packet.yiaddr
        text = f"{IPv4Address(address)} to {mac.hex(':')}"
        kept = self._leases.get(address)
        is_kept = kept is not None and kept.mac == mac and kept.expires >= until - _ASKED_BEFORE
        self._judge.demand(is_kept, Invariant.I2, "", f"ACK of {text}, which is not on disk")
        holder, ends = self._holders.get(address, (mac, 0.0))
        self._judge.demand(
            holder == mac or ends <= now, Invariant.I1, "", f"ACK of {text}, which {holder.hex(':')} holds"
        )
        before = self._given.get(mac)
        if before is not None and before[0] != address:
            self._holders.pop(before[0], None)
        self._given[mac], self._holders[address] = (address, until), (mac, until)

    # what leaves ---------------------------------------------------------------------------------------------

    def nonce_left(self, nonce: str, machine: str, mac: Mac) -> None:
        owner = self.past.owners.get(Nonce(nonce), "nobody on disk")
        self._judge.demand(
            owner == machine, Invariant.I6, machine, f"{machine} ({mac}) got the nonce {nonce[:8]} of {owner}"
        )

    def file_left(self, path: str, machine: str) -> None:
        words = path.split("/")
        if "seed" in words:
            owner = words[words.index("seed") + 1]
            self._judge.demand(owner == machine, Invariant.I6, machine, f"{machine} got the seed of {owner}")

    # what agents do ------------------------------------------------------------------------------------------

    def handed(self, machine: str, task: Task) -> None:
        """The task leaves the appliance; the machine's agent begins it when it has come."""
        found = self.past.attempt(MachineName(machine), task.do.replace("_", "-"))
        self._handed[machine, task.id, task.fence] = found is not None and not found[0].over

    def begun(self, machine: str, life: str, task: Task) -> None:
        self._trace.say("task", machine, f"{task.do} {task.id} fence {task.fence} begins in {life}")
        writing = self._writing[machine] = _Writing()
        found = self.past.attempt(MachineName(machine), task.do.replace("_", "-"))
        if found is None:
            self._judge.demand(False, Invariant.I3, machine, f"{task.do} {task.id}, which no step asks for")
            return
        run, attempt, intent = found
        writing.step = attempt.step if self._handed.get((machine, task.id, task.fence), not run.over) else None
        if isinstance(attempt.step.do, WriteImage | WriteSeed | Wipe):
            writing.effect = self._check_effect((intent.run, intent.step), attempt, machine, life, task)

    def _check_effect(self, key: tuple[RunId, StepId], attempt: Try, machine: str, life: str, task: Task) -> _Effect:
        what, before = f"{key[1]} fence {task.fence}", self._effects.get(key)
        demand = self._judge.demand
        demand(not attempt.done, Invariant.I4, machine, f"{what} is begun, and its end is on disk already")
        demand(attempt.fence == task.fence, Invariant.I4, machine, f"{what} is begun, {attempt.fence} is the latest")
        demand((task.id, task.fence) not in self._attempts, Invariant.I4, machine, f"{what} is begun twice")
        if before is not None and before.life == life:
            demand(before.how is How.FAILED, Invariant.I4, machine, f"{what} is begun again, it was {before.how.name}")
        self._attempts.add((task.id, task.fence))
        effect = self._effects[key] = _Effect(life=life)
        return effect

    def ended(self, machine: str, how: How) -> None:
        """The task that was begun last."""
        effect = self._writing[machine].effect
        if effect is not None:
            effect.how = how

    def wrote(self, machine: str, disk: Disk, op: Op, task: Task) -> None:
        """Called before the operation reaches the disk."""
        if op.kind is Kind.FLUSH:
            return
        writing = self._writing.get(machine)
        step = writing.step if writing is not None else None
        action = None if step is None else step.do
        if writing is None or not isinstance(action, WriteImage | WriteSeed | Wipe):
            self._judge.demand(False, Invariant.I3, machine, f"{task.do} wrote to {disk.serial}, no step is open")
            return
        named = action.disk
        self._judge.demand(
            (disk.serial, disk.size) == (named.serial, named.size_bytes),
            Invariant.I3,
            machine,
            f"{task.do} wrote to {disk.serial}, the plan names {named.serial}",
        )
        if not writing.looked and isinstance(action, WriteImage | Wipe):
            writing.looked = True
            held = disk.contents()
            self._judge.demand(
                held in ("blank", named.contents),
                Invariant.I3,
                machine,
                f"{task.do} wrote over {held}, the plan names {named.contents}",
            )

    # machines ------------------------------------------------------------------------------------------------

    def started_disk(self, machine: str, content: Pages) -> None:
        holds = not self._image.is_on(content) or self._image.is_whole(content)
        self._judge.demand(holds, Invariant.WHOLE, machine, "half an image was started")

    def struck(self, machine: str, fault: str) -> None:
        """A fault that had no time of its own has come."""
        self._trace.say("fault", machine, fault)
        self.last_fault = self._clock.monotonic()

    # time ----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Every minute or so. `now` since the epoch, as records have it."""
        if self._awake is None:
            return
        for run in list(self.past.running.values()):
            if not run.paused:
                self._check_stuck(run, now)

    def _check_stuck(self, run: Run, now: float) -> None:
        acting = False
        settled = True
        for machine, course in run.courses.items():
            if course.settled:
                continue
            settled = False
            if machine in self.past.held:
                acting = True
                continue
            latest = course.latest
            if latest is None:
                continue
            acting = True
            due = self._due(latest)
            seen = f"{latest.step.id} fence {latest.fence}, and then nothing since {now - due + SLACK:.0f} s"
            self._judge.demand(now <= due, Invariant.I5, machine, seen)
            self._check_time(machine, course, now)
        waits = max(run.changed, self._awake or now) + SLACK
        what = "is not ended" if settled else "begins nothing"
        self._judge.demand(acting or now <= waits, Invariant.I5, "", f"run {run.id} {what}")

    def _due(self, latest: Try) -> float:
        """When something must have been recorded at the latest."""
        awake = self._awake or 0.0
        if (due := latest.due) is not None:
            return max(due, awake) + SLACK
        return max(latest.began, awake) + latest.step.budget + SLACK

    def _check_time(self, machine: MachineName, course: Course, now: float) -> None:
        """I7: from its first step on, within a run."""
        if course.entered is None or machine in self.past.ever_held or not self._is_calm(machine):
            return
        late = now - course.entered > bound_of(self.healthy[machine])
        seen = f"not done {now - course.entered:.0f} s after its first step"
        self._judge.demand(not late, Invariant.I7, machine, seen)

    def check_end(self, active: Iterable[str], expected: Iterable[str]) -> None:
        """I9."""
        there = set(active)
        for machine in expected:
            self._judge.demand(machine in there, Invariant.I9, machine, "all faults are over, and it is not active")


def bound_of(character: Character) -> float:
    """In how many seconds a healthy machine is done with its steps of one run, with good measure."""
    boots = 2 * (character.post + character.ramdisk + character.system)
    return boots + 60 * character.block + 20 * character.bmc + 300.0


def is_healthy(character: Character) -> bool:
    return character.injected is None and character.fault in (
        MachineFault.NONE,
        MachineFault.NIC_ORDER,
        MachineFault.SLOW_POST,
    )

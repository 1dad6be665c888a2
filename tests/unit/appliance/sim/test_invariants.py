"""Each invariant holds for what is right, and is seen to fail for what is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.conductor.world import World
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.views import RunState
from appliance.plan import DiskRef, Plan, StepKind, WriteImage
from appliance.scores.score import Move, chain
from appliance.sim.disk import Disk, Kind, Op, paged
from appliance.sim.faults import Character, MachineFault, Scenario, SiteFault
from appliance.sim.foreign import foreign_system
from appliance.sim.image import small_image
from appliance.sim.invariants import SLACK, How, Watch, bound_of
from appliance.sim.journal import RecordDisk
from appliance.sim.past import Past
from appliance.sim.topology import mac_of
from appliance.sim.trace import Trace
from appliance.sim.violations import Invariant, Judge
from appliance.store.records import (
    Entry,
    HoldPlaced,
    HoldReleased,
    PlanStored,
    Problem,
    Record,
    RunEnded,
    RunPaused,
    RunStarted,
    StepIntent,
    StepResult,
)
from images.agent import protocol
from pxe.dhcp.address import Address
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.packet import BOOTREPLY, DhcpPacket, MessageType, Option

NODE, OTHER = MachineName("node-0001"), MachineName("node-0002")
RUN = RunId("r1")
IMAGE = small_image()
DISK = DiskRef(serial="S1", wwn="", size_bytes=64 << 20, contents="blank")
STEPS = chain("install", NODE, (Move(do=WriteImage(image=IMAGE.ref, disk=DISK), summary="write", budget=600.0),))
STEP = STEPS[0].id
PLAN = Plan(site="sim", steps=STEPS)
NONCE = Nonce("ab" * 16)
NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return NOW + self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class Scene:
    """A watch, and a log that is written as the product would."""

    def __init__(self, *faults: SiteFault) -> None:
        self.clock = Clock()
        trace = Trace(self.clock)
        self.judge = Judge(7, self.clock, trace)
        self.records = RecordDisk()
        scenario = Scenario(characters={1: Character()}, faults=faults)
        self.watch = Watch(self.judge, trace, scenario, self.records, IMAGE, self.clock)
        self.watch.healthy = {NODE: Character()}
        self.watch.came_up((), NOW)
        self._seq = 0

    def log(self, *records: Record, told: bool = True) -> None:
        entries = []
        for record in records:
            self._seq += 1
            entries.append(Entry(seq=self._seq, time=self.clock.now(), record=record))
        self.records.write(entries)
        self.watch.durable(entries)
        if told:
            self.watch.acknowledged(entries)

    def begun(self, fence: int = 1) -> "Scene":
        self.log(PlanStored(plan=PLAN), RunStarted(run=RUN, plan=PLAN.digest), intent(fence))
        return self

    @property
    def broken(self) -> Invariant | None:
        return self.judge.found.invariant if self.judge.found else None


def intent(fence: int = 1) -> StepIntent:
    return StepIntent(run=RUN, step=STEP, machine=NODE, kind=StepKind.DESTRUCTIVE, fence=Fence(fence), nonce=NONCE)


def result(fence: int = 1, **changes: Any) -> StepResult:
    return StepResult(run=RUN, step=STEP, machine=NODE, fence=Fence(fence), **changes)


FAILED = Problem(code="agent", message="it failed")


def task(fence: int = 1, name: str = "r1.x") -> protocol.WriteImage:
    return protocol.WriteImage(
        id=name,
        fence=fence,
        manifest=protocol.HashedFile(path="/m", sha256="0" * 64),
        blob=protocol.BlobFile(path="/b"),
        disk=protocol.DiskName(serial="S1", wwn="", size_bytes=64 << 20),
        expect_contents="blank",
    )


def ack(mac: bytes, address: str = "\n\0\0\5") -> DhcpPacket:
    return DhcpPacket(
        op=BOOTREPLY,
        xid=1,
        chaddr=mac,
        yiaddr=Address(address.encode()),
        options={Option.MESSAGE_TYPE: bytes((MessageType.ACK,)), Option.LEASE_TIME: (3600).to_bytes(4)},
    )


def lease(mac: bytes, address: str = "\n\0\0\5", expires: float = NOW + 3600) -> Lease:
    return Lease(Address(address.encode()), mac, LeaseState.BOUND, expires)  # type: ignore[arg-type]


A, B = bytes(mac_of(1)), bytes(mac_of(2))


# I1, I2 ----------------------------------------------------------------------------------------------------------


def test_leases_that_are_right() -> None:
    scene = Scene()
    for mac, address in ((A, "\n\0\0\5"), (B, "\n\0\0\6"), (A, "\n\0\0\5"), (A, "\n\0\0\7"), (B, "\n\0\0\5")):
        scene.watch.lease_durable(lease(mac, address))
        scene.watch.reply_left(ack(mac, address), NOW)
    assert scene.broken is None


def test_i1_one_address_for_two() -> None:
    scene = Scene()
    scene.watch.lease_durable(lease(A))
    scene.watch.reply_left(ack(A), NOW)
    scene.watch.lease_durable(lease(B))
    scene.watch.reply_left(ack(B), NOW)
    assert scene.broken is Invariant.I1


@pytest.mark.parametrize("kept", [None, lease(B), lease(A, expires=NOW + 600)])
def test_i2_an_ack_before_its_lease(kept: Lease | None) -> None:
    scene = Scene()
    if kept is not None:
        scene.watch.lease_durable(kept)
    scene.watch.reply_left(ack(A), NOW)
    assert scene.broken is Invariant.I2


# I3 --------------------------------------------------------------------------------------------------------------

WRITE = paged(0, b"x", {})


def good_disk() -> Disk:
    return Disk("sda", "S1", 64 << 20)


def test_a_write_that_the_plan_names() -> None:
    scene = Scene().begun()
    scene.watch.begun(NODE, "life", task())
    scene.watch.wrote(NODE, good_disk(), WRITE, task())
    assert scene.broken is None


@pytest.mark.parametrize(
    "disk",
    [
        Disk("sda", "S2", 64 << 20),
        Disk("sda", "S1", 32 << 20),
        Disk("sda", "S1", 64 << 20, pages=foreign_system(1)),
    ],
    ids=["serial", "size", "contents"],
)
def test_i3_another_disk(disk: Disk) -> None:
    scene = Scene().begun()
    scene.watch.begun(NODE, "life", task())
    scene.watch.wrote(NODE, disk, Op(kind=Kind.FLUSH), task())
    assert scene.broken is None, "a flush writes nothing"
    scene.watch.wrote(NODE, disk, WRITE, task())
    assert scene.broken is Invariant.I3


def test_i3_a_run_that_is_over() -> None:
    scene = Scene().begun()
    scene.log(RunEnded(run=RUN, state=RunState.FAILED))
    scene.watch.begun(NODE, "life", task())
    scene.watch.wrote(NODE, good_disk(), WRITE, task())
    assert scene.broken is Invariant.I3


def test_i3_no_step_at_all() -> None:
    scene = Scene()
    scene.watch.begun(NODE, "life", task())
    assert scene.broken is Invariant.I3


# I4 --------------------------------------------------------------------------------------------------------------


def test_a_step_may_be_begun_again_by_another_life_or_after_a_failure() -> None:
    scene = Scene().begun()
    scene.watch.begun(NODE, "life", task(1))
    scene.watch.ended(NODE, How.CUT)
    scene.log(intent(2))
    scene.watch.begun(NODE, "next life", task(2))
    scene.watch.ended(NODE, How.FAILED)
    scene.log(intent(3))
    scene.watch.begun(NODE, "next life", task(3))
    assert scene.broken is None


@pytest.mark.parametrize("how", [How.RUNNING, How.DONE])
def test_i4_begun_again_in_one_life(how: How) -> None:
    scene = Scene().begun()
    scene.watch.begun(NODE, "life", task(1))
    scene.watch.ended(NODE, how)
    scene.log(intent(2))
    scene.watch.begun(NODE, "life", task(2, name="another task"))
    assert scene.broken is Invariant.I4


def test_i4_one_fence_twice() -> None:
    scene = Scene().begun()
    scene.watch.begun(NODE, "life", task(1))
    scene.watch.begun(NODE, "next life", task(1))
    assert scene.broken is Invariant.I4


def test_i4_an_old_fence() -> None:
    scene = Scene().begun(fence=2)
    scene.watch.begun(NODE, "life", task(1))
    assert scene.broken is Invariant.I4


def test_i4_what_is_done_is_not_begun() -> None:
    scene = Scene().begun()
    scene.log(result())
    scene.watch.begun(NODE, "life", task(1))
    assert scene.broken is Invariant.I4


@pytest.mark.parametrize("records", [(result(2),), (result(1), result(1))])
def test_i4_results_count_once_and_under_the_latest_fence(records: tuple[Record, ...]) -> None:
    scene = Scene().begun()
    for record in records:
        scene.log(record)
    assert scene.broken is Invariant.I4


def test_i4_what_was_acknowledged_is_there_after_a_crash() -> None:
    scene = Scene().begun()
    scene.watch.went_down()
    scene.watch.came_up(scene.records.entries(), NOW)
    assert scene.broken is None
    scene.records.frames.pop()
    scene.watch.came_up(scene.records.entries(), NOW)
    assert scene.broken is Invariant.I4


# I5 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "quiet", "stuck"),
    [
        ((), 600.0 + SLACK, False),
        ((), 601.0 + SLACK, True),
        ((result(problem=FAILED, retry_after=30.0),), 30.0 + SLACK, False),
        ((result(problem=FAILED, retry_after=30.0),), 31.0 + SLACK, True),
        ((result(),), SLACK, False),
        ((result(),), SLACK + 1.0, True),
        ((HoldPlaced(machine=NODE, reason="hands off"),), 1e6, False),
        ((RunPaused(run=RUN, reason="look"),), 1e6, False),
        ((result(), RunEnded(run=RUN, state=RunState.DONE)), 1e6, False),
    ],
)
def test_i5_nothing_is_stuck(records: tuple[Record, ...], quiet: float, stuck: bool) -> None:
    scene = Scene(SiteFault.KILLED).begun()
    for record in records:
        scene.log(record)
    scene.watch.tick(NOW + quiet)
    assert scene.broken is (Invariant.I5 if stuck else None)


def test_i5_counts_from_when_the_appliance_was_there() -> None:
    scene = Scene(SiteFault.KILLED).begun()
    scene.watch.went_down()
    scene.watch.tick(NOW + 1e6)
    scene.watch.came_up(scene.records.entries(), NOW + 1e6)
    scene.watch.tick(NOW + 1e6 + 600.0)
    assert scene.broken is None
    scene.watch.tick(NOW + 1e6 + 601.0 + SLACK)
    assert scene.broken is Invariant.I5


# I6 to I9, and more ----------------------------------------------------------------------------------------------


def test_i6_nonces_and_seeds_go_home() -> None:
    scene = Scene().begun()
    scene.watch.nonce_left(NONCE, NODE, mac_of(1))
    scene.watch.file_left(f"/artifact/seed/{NODE}/00", NODE)
    scene.watch.file_left("/artifact/00", OTHER)
    assert scene.broken is None


@pytest.mark.parametrize(
    "leak",
    [
        lambda watch: watch.nonce_left(NONCE, OTHER, mac_of(2)),
        lambda watch: watch.nonce_left("00" * 16, NODE, mac_of(1)),
        lambda watch: watch.file_left(f"/artifact/seed/{NODE}/00", OTHER),
    ],
)
def test_i6_a_leak(leak: Callable[[Watch], None]) -> None:
    scene = Scene().begun()
    leak(scene.watch)
    assert scene.broken is Invariant.I6


def test_i7_a_healthy_machine_fails() -> None:
    scene = Scene().begun()
    scene.log(result(problem=FAILED))
    assert scene.broken is Invariant.I7


def test_i7_a_healthy_machine_is_late() -> None:
    scene = Scene().begun()
    scene.clock.time = bound_of(Character()) - 1.0
    scene.log(intent(2))
    scene.watch.tick(NOW + bound_of(Character()))
    assert scene.broken is None
    scene.watch.tick(NOW + bound_of(Character()) + 1.0)
    assert scene.broken is Invariant.I7


def test_i7_a_machine_that_was_held_has_an_excuse() -> None:
    scene = Scene().begun()
    scene.log(HoldPlaced(machine=NODE, reason="hands off"), HoldReleased(machine=NODE))
    scene.watch.tick(NOW + bound_of(Character()) + 1.0)
    assert scene.broken is None


@pytest.mark.parametrize("excuse", ["site", "machine"])
def test_i7_is_for_the_healthy(excuse: str) -> None:
    scene = Scene(*([SiteFault.KILLED] if excuse == "site" else []))
    if excuse == "machine":
        scene.watch.healthy = {}
    scene.begun().log(result(problem=FAILED))
    assert scene.broken is None


def test_i8_the_world_is_its_records() -> None:
    scene = Scene().begun()
    world = World()
    world.fold_all(scene.records.entries())
    scene.watch.check_world(world, always=True)
    assert scene.broken is None
    world.machines[NODE] = replace(world.machine(NODE), boots_disk=True)
    scene.watch.check_world(world)
    assert scene.broken is None, "not yet time to look"
    scene.watch.check_world(world, always=True)
    assert scene.broken is Invariant.I8


def test_i9_everybody_is_active_in_the_end() -> None:
    scene = Scene()
    scene.watch.check_end([NODE], [NODE])
    assert scene.broken is None
    scene.watch.check_end([NODE], [NODE, OTHER])
    assert scene.broken is Invariant.I9


def test_half_an_image_is_never_started() -> None:
    scene = Scene()
    scene.watch.started_disk(NODE, IMAGE.pages)
    scene.watch.started_disk(NODE, foreign_system(3))
    assert scene.broken is None
    half = {number: page for number, page in IMAGE.pages.items() if number < 600}
    scene.watch.started_disk(NODE, half)
    assert scene.broken is Invariant.WHOLE


def test_a_fault_of_the_appliance_is_one() -> None:
    scene = Scene(SiteFault.KILLED).begun()
    scene.log(result(problem=Problem(code="fault", message="KeyError")))
    assert scene.broken is Invariant.FAULT


def test_the_first_violation_is_told_with_what_came_before() -> None:
    scene = Scene().begun()
    stopped: list[bool] = []
    scene.judge.on_violation(lambda: stopped.append(True))
    scene.watch.struck(NODE, MachineFault.POWER_CUT.name)
    scene.watch.check_end([], [NODE])
    scene.watch.check_end([], [OTHER])
    found = scene.judge.found
    assert found is not None
    assert (found.machine, found.seed, stopped) == (NODE, 7, [True])
    assert "POWER_CUT" in str(found)
    assert str(found).startswith("I9: when all faults are over")


def test_the_past_is_read_from_the_records_alone() -> None:
    past = Past()
    records = (PlanStored(plan=PLAN), RunStarted(run=RUN, plan=PLAN.digest), intent(), result())
    past.learn(Entry(seq=i, time=NOW + i, record=record) for i, record in enumerate(records, start=1))
    course = past.runs[RUN].courses[NODE]
    assert course.settled
    assert course.tries[StepId(STEP)].done
    assert past.owners == {NONCE: NODE}
    assert past.attempt(NODE, "write-image") is not None
    assert past.attempt(NODE, "write-seed") is None
    assert past.attempt(OTHER, "write-image") is None

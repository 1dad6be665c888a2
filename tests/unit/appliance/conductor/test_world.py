"""What is known after which records."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from appliance.conductor.machine import MachineState
from appliance.conductor.world import World
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.links import MachineNetwork, NicLink
from appliance.model.phase import PHASES, Phase
from appliance.model.stated_links import static
from appliance.model.views import RunState
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    DiskRef,
    Enrol,
    Inspect,
    Plan,
    SetPower,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.store.records import (
    AddressLeased,
    BootSeen,
    BootStage,
    Entry,
    FactsReceived,
    FirstBootSeen,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    MachineSetAside,
    Noted,
    PlanStored,
    PowerCommanded,
    Problem,
    Record,
    RunEnded,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
)
from pxe.client import Mac
from tests.unit.appliance.conductor.rack import IMAGE
from tests.unit.appliance.store.samples import ADDRESS, FACTS, IDENTITY, NODE

DISK = DiskRef(serial="DISK0001", wwn="", size_bytes=4 << 30, contents="blank")
RUN = RunId("r")
ENROL, AGENT, INSPECT = Enrol(), BootAgent(), Inspect()
WRITE = WriteImage(image=IMAGE, disk=DISK)
SEED = WriteSeed(disk=DISK, hostname="node-0", domain="d", authorized_keys=())
BOOT = BootDisk(disk=DISK, image=IMAGE)
CONFIRM = ConfirmShell(user="root", checks=())
POWER = SetPower(command=PowerCommand.ON)
PROBLEM = Problem(code="c", message="broken", evidence="seen", next_action="look")
PLAN = Plan(
    site="lab",
    steps=tuple(
        Step(id=StepId(f"{score}.{do.action}"), machine=NODE, score=score, summary=do.action, do=do, budget=1.0)
        for score, do in (
            *(("s", do) for do in (ENROL, AGENT, INSPECT, WRITE, SEED, BOOT, CONFIRM, POWER)),
            ("smoke-test", CONFIRM),
        )
    ),
)
START: tuple[Record, ...] = (PlanStored(plan=PLAN), RunStarted(run=RUN, plan=PLAN.digest))


def begin(do: Action, fence: int = 1, score: str = "s") -> StepIntent:
    step = PLAN.step(StepId(f"{score}.{do.action}"))
    nonce = Nonce(f"{do.action}#{fence}")
    return StepIntent(run=RUN, step=step.id, machine=NODE, kind=step.kind, fence=Fence(fence), nonce=nonce)


def end(
    do: Action, fence: int = 1, problem: Problem | None = None, again: float | None = None, score: str = "s"
) -> StepResult:
    return StepResult(
        run=RUN,
        step=StepId(f"{score}.{do.action}"),
        machine=NODE,
        fence=Fence(fence),
        evidence={} if problem else {"k": "v"},
        problem=problem,
        retry_after=again,
    )


def hello(nonce: str = "boot-agent#1") -> HelloSeen:
    return HelloSeen(machine=NODE, nonce=Nonce(nonce), boot_id="b", firmware=Firmware.UEFI, detail="d")


def first_boot(nonce: str = "write-seed#1") -> FirstBootSeen:
    return FirstBootSeen(
        machine=NODE,
        nonce=Nonce(nonce),
        boot_id="c",
        hostname="node-0",
        serial="SN0001",
        address=ADDRESS,
        host_keys=("ssh-ed25519 AAAA",),
    )


def on(boots: bool = True) -> PowerCommanded:
    return PowerCommanded(machine=NODE, command="on", boots=boots)


def seen(stage: BootStage) -> BootSeen:
    return BootSeen(machine=NODE, stage=stage, detail="x")


def folded(records: Iterable[Record]) -> World:
    """Entry i (from 1) happened at second i; the first record after START is number 3."""
    world = World()
    world.fold_all(Entry(seq=seq, time=float(seq), record=record) for seq, record in enumerate((*START, *records), 1))
    return world


def state_after(*records: Record) -> MachineState:
    return folded(records).machine(NODE)


FACTS_SEEN = FactsReceived(machine=NODE, nonce=Nonce("boot-agent#1"), facts=FACTS, raw_sha256="00" * 32)
DISCOVERED: tuple[Record, ...] = (
    begin(ENROL),
    IdentityRead(machine=NODE, identity=IDENTITY),
    end(ENROL),
    begin(AGENT),
    on(),
    seen(BootStage.DHCP),
    seen(BootStage.TFTP),
    seen(BootStage.SCRIPT),
    hello(),
    FACTS_SEEN,
    end(AGENT),
    begin(INSPECT),
    end(INSPECT),
)
WRITTEN: tuple[Record, ...] = (*DISCOVERED, begin(WRITE), end(WRITE), begin(SEED), end(SEED))
BOOTED: tuple[Record, ...] = (*WRITTEN, begin(BOOT), first_boot(), end(BOOT))
ACTIVE: tuple[Record, ...] = (*BOOTED, begin(CONFIRM), end(CONFIRM))
SMOKED: tuple[Record, ...] = (*ACTIVE, begin(CONFIRM, score="smoke-test"), end(CONFIRM, score="smoke-test"))


@pytest.mark.parametrize(
    ("records", "phase", "since"),
    [
        ((), Phase.UNKNOWN, 0.0),
        ((begin(ENROL),), Phase.ENROLLING, 3.0),
        ((begin(ENROL), end(ENROL), begin(AGENT)), Phase.ENROLLING, 3.0),
        (DISCOVERED[:12], Phase.INSPECTING, 14.0),
        (DISCOVERED, Phase.AVAILABLE, 15.0),
        ((*DISCOVERED, begin(ENROL, 2)), Phase.AVAILABLE, 15.0),
        ((*DISCOVERED, begin(AGENT, 2)), Phase.AVAILABLE, 15.0),
        ((*DISCOVERED, begin(WRITE)), Phase.DEPLOYING, 16.0),
        (WRITTEN, Phase.DEPLOYING, 16.0),
        ((*WRITTEN, begin(BOOT)), Phase.BOOTING, 20.0),
        (BOOTED, Phase.CONFIGURING, 22.0),
        ((*BOOTED, begin(CONFIRM)), Phase.CONFIGURING, 22.0),
        (ACTIVE, Phase.ACTIVE, 24.0),
        (SMOKED, Phase.ACTIVE, 24.0),
        ((*SMOKED, begin(AGENT, 2)), Phase.ENROLLING, 27.0),
        ((*SMOKED, begin(POWER), on(), end(POWER)), Phase.ACTIVE, 24.0),
        ((begin(ENROL), end(ENROL, 1, PROBLEM)), Phase.ENROLLING, 3.0),
    ],
)
def test_phases(records: tuple[Record, ...], phase: Phase, since: float) -> None:
    state = state_after(*records)
    assert (state.phase, state.since) == (phase, since)


CHAIN: tuple[Action, ...] = (AGENT, WRITE, SEED, BOOT, CONFIRM)


def install(fence: int, fails: Action | None = None) -> list[Record]:
    """The real order of InstallLinux's steps; `fails` for good and nothing comes after it."""
    records: list[Record] = []
    for do in CHAIN:
        records += [begin(do, fence), *([first_boot()] if do is BOOT and do is not fails else [])]
        records.append(end(do, fence, PROBLEM if do is fails else None))
        if do is fails:
            break
    return records


def discover(fence: int, fails: Action | None = None) -> list[Record]:
    records: list[Record] = []
    for do in (ENROL, AGENT, INSPECT):
        records += [begin(do, fence), end(do, fence, PROBLEM if do is fails else None)]
        if do is fails:
            break
    return records


def resumed(do: Action) -> list[Record]:
    return [begin(do), begin(do, 2)]


def retried(do: Action) -> list[Record]:
    return [begin(do), end(do, 1, PROBLEM, 0), begin(do, 2)]


def twice(how: Callable[[Action], list[Record]]) -> list[Record]:
    records: list[Record] = []
    for do in (ENROL, AGENT, INSPECT, *CHAIN[1:]):
        records += [*how(do), *([first_boot()] if do is BOOT else []), end(do, 2)]
    return records


SMOKE: list[Record] = [begin(CONFIRM, score="smoke-test"), end(CONFIRM, score="smoke-test")]
WAYS: dict[str, list[Record]] = {
    "straight": [*discover(1), *install(1), *SMOKE],
    "installed again": [*discover(1), *install(1), *SMOKE, *install(2)],
    **{
        f"discover fails at {do.action}": [*discover(1, do), *discover(2), *install(1)]
        for do in (ENROL, AGENT, INSPECT)
    },
    **{f"install fails at {do.action}": [*discover(1), *install(1, do), *install(2), *SMOKE] for do in CHAIN[:-1]},
    "not confirmed": [*discover(1), *install(1, CONFIRM), begin(CONFIRM, 2), end(CONFIRM, 2), *SMOKE],
    "resumed everywhere": twice(resumed),
    "tried again everywhere": twice(retried),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_move_is_one_that_the_table_allows(way: str) -> None:
    state = state_after(*WAYS[way])
    assert state.phase is Phase.ACTIVE
    steps = [Phase.UNKNOWN, *(phase for phase, _ in state.phases)]
    assert not [(a, b) for a, b in pairwise(steps) if b not in PHASES[a].exits]


@pytest.mark.parametrize(
    ("records", "stages"),
    [
        ([], {}),
        ([on(), seen(BootStage.DHCP), seen(BootStage.TFTP)], {"dhcp": 4.0, "tftp": 5.0}),
        ([on(), seen(BootStage.DHCP), seen(BootStage.DHCP)], {"dhcp": 4.0}),
        ([on(), seen(BootStage.DHCP), on(boots=False)], {"dhcp": 4.0}),
        ([on(), seen(BootStage.DHCP), on()], {}),
        ([on(), seen(BootStage.DHCP), on(), seen(BootStage.DHCP)], {"dhcp": 6.0}),
        ([on(), hello(), first_boot()], {"hello": 4.0, "first_boot": 5.0}),
    ],
)
def test_stages(records: list[Record], stages: dict[str, float]) -> None:
    assert state_after(*records).stages == stages


def test_all_stages_of_an_installation() -> None:
    state = state_after(*SMOKED)
    assert list(state.stages) == ["dhcp", "tftp", "script", "hello", "written", "first_boot", "ssh"]
    assert state.power_on == 7.0
    assert [e.what for e in state.evidence] == [
        "bmc",
        "dhcp",
        "tftp",
        "script",
        "hello",
        "facts",
        "written",
        "first_boot",
        "ssh",
        "ssh",
    ]
    assert state.evidence[5].detail == "serial SN0001, 1 cores, 967 MiB, disks DISK0001"


def test_evidence_is_bounded() -> None:
    state = state_after(*([seen(BootStage.DHCP)] * 200))
    assert len(state.evidence) == 60
    assert state.evidence[-1].time == 202.0


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (WRITTEN, None),
        (BOOTED, (False, False)),
        (ACTIVE, (True, False)),
        (SMOKED, (True, True)),
        ((*SMOKED, begin(AGENT, 2)), (True, True)),
        ((*SMOKED, begin(WRITE, 2)), None),
        ((*WRITTEN, begin(BOOT), end(BOOT)), None),
        ((*WRITTEN, begin(CONFIRM), end(CONFIRM)), None),
    ],
)
def test_installed(records: tuple[Record, ...], expected: tuple[bool, bool] | None) -> None:
    installed = state_after(*records).installed
    assert (installed and (installed.confirmed, installed.smoke_passed)) == expected
    if installed is not None:
        assert (installed.image, installed.hostname, installed.address) == (IMAGE, "node-0", ADDRESS)


def reached(address: str, *records: Record) -> str:
    """Where a machine answers whose seed states `address`, while DHCP gave its firmware 10.77.0.99."""
    nic = NicLink(name="lan0", mac=Mac("52:54:00:77:00:01"), ip=static(f"{address}/24"))
    steps = (
        replace(step, do=replace(SEED, network=MachineNetwork(links=(nic,)))) if step.do is SEED else step
        for step in PLAN.steps
    )
    plan, world = replace(PLAN, steps=tuple(steps)), World()
    leased = AddressLeased(machine=NODE, address=IPv4Address("10.77.0.99"))
    told = (PlanStored(plan=plan), RunStarted(run=RUN, plan=plan.digest), *records[:8], leased, *records[8:])
    world.fold_all(Entry(seq=seq, time=float(seq), record=record) for seq, record in enumerate(told, 1))
    return str(world.machine(NODE).reached_at)


@pytest.mark.parametrize(
    ("stated", "records", "where"),
    [
        (str(ADDRESS), DISCOVERED, "10.77.0.99"),
        (str(ADDRESS), WRITTEN, "10.77.0.99"),
        (str(ADDRESS), BOOTED, str(ADDRESS)),
        (str(ADDRESS), (*ACTIVE, AddressLeased(machine=NODE, address=IPv4Address("10.77.0.98"))), str(ADDRESS)),
        (str(ADDRESS), (*ACTIVE, begin(AGENT, 2), on(), hello("boot-agent#2")), "10.77.0.99"),
        ("10.5.0.9", ACTIVE, "10.77.0.99"),
    ],
)
def test_a_machine_is_reached_where_it_is(stated: str, records: tuple[Record, ...], where: str) -> None:
    """Its own address only once it reported from there."""
    assert reached(stated, *records) == where


@pytest.mark.parametrize(
    ("records", "boot", "seed", "disk"),
    [
        ((), None, None, False),
        ((begin(ENROL),), None, None, False),
        ((begin(AGENT),), "boot-agent#1", None, False),
        ((begin(AGENT), begin(AGENT, 2)), "boot-agent#2", None, False),
        (WRITTEN[:-1], "write-seed#1", "write-seed#1", False),
        ((*WRITTEN, begin(BOOT)), "write-seed#1", "write-seed#1", True),
        (SMOKED, "write-seed#1", "write-seed#1", True),
        ((*SMOKED, begin(AGENT, 2)), "boot-agent#2", "write-seed#1", False),
    ],
)
def test_nonces(records: tuple[Record, ...], boot: str | None, seed: str | None, disk: bool) -> None:
    state = state_after(*records)
    assert (state.boot_nonce, state.seed_nonce, state.boots_disk) == (boot, seed, disk)


@pytest.mark.parametrize(
    ("records", "hello_nonce", "reported"),
    [
        ((on(), hello("n")), "n", False),
        ((on(), hello("n"), on()), None, False),
        ((on(), hello("n"), first_boot()), None, True),
        ((on(), hello("n"), first_boot(), on()), None, False),
        ((on(), hello("n"), on(boots=False)), "n", False),
    ],
)
def test_who_runs(records: tuple[Record, ...], hello_nonce: str | None, reported: bool) -> None:
    state = state_after(*records)
    assert (state.hello and state.hello.nonce) == hello_nonce
    assert (state.first_boot is not None) is reported


def test_hold_stands_beside_failure() -> None:
    held = (begin(ENROL), end(ENROL, 1, PROBLEM), HoldPlaced(machine=NODE, reason="fan"))
    state = state_after(*held)
    assert [(c.kind.value, c.reason, c.since) for c in state.conditions] == [
        ("hold", "fan", 5.0),
        ("failed", "broken", 4.0),
    ]
    assert (state.conditions[1].step, state.conditions[1].evidence, state.conditions[1].next_action) == (
        "enrol",
        "seen",
        "look",
    )
    assert state_after(*held, HoldReleased(machine=NODE)).hold is None


@pytest.mark.parametrize(
    ("records", "failed"),
    [
        ([begin(ENROL), end(ENROL, 1, PROBLEM)], True),
        ([begin(ENROL), end(ENROL, 1, PROBLEM, 3.0)], False),
        ([begin(ENROL), end(ENROL, 1, PROBLEM), begin(ENROL, 2)], False),
    ],
)
def test_failed(records: list[Record], failed: bool) -> None:
    assert (state_after(*records).failed is not None) is failed


def test_observations() -> None:
    state = state_after(
        IdentityRead(machine=NODE, identity=IDENTITY),
        AddressLeased(machine=NODE, address=ADDRESS),
        AddressLeased(machine=NODE, address=IPv4Address("10.77.0.9")),
        Noted(machine=NODE, kind="k", text="t"),
        FACTS_SEEN,
    )
    assert (state.identity, state.address, state.facts) == (IDENTITY, IPv4Address("10.77.0.9"), FACTS)
    assert state.facts_nonce == "boot-agent#1"
    assert state.record.facts is FACTS


@pytest.mark.parametrize("fence", [1, 3])
@pytest.mark.parametrize("problem", [None, PROBLEM])
def test_a_result_with_another_fence_changes_nothing(fence: int, problem: Problem | None) -> None:
    before = folded((begin(WRITE), begin(WRITE, 2)))
    after = folded((begin(WRITE), begin(WRITE, 2), end(WRITE, fence, problem)))
    assert (after.machines, after.runs) == (before.machines, before.runs)


def test_a_result_of_a_step_that_never_began_changes_nothing() -> None:
    assert folded((end(WRITE),)).machines == {}


def test_only_the_named_machine_changes() -> None:
    world = folded((*SMOKED, Noted(machine=MachineName("node-1"), kind="k", text="t")))
    assert world.machine(MachineName("node-1")) == MachineState(name=MachineName("node-1"))
    assert set(world.machines) == {NODE, "node-1"}


def test_a_note_on_the_segment_changes_no_machine() -> None:
    world = folded((*SMOKED, SegmentNoted(kind="k", text="t")))
    assert world.machines == folded(SMOKED).machines


def test_runs() -> None:
    world = folded((begin(ENROL),))
    assert [run.id for run in world.running] == [RUN]
    attempt = world.runs[RUN].attempts[StepId("s.enrol")]
    assert (attempt.started, attempt.ended, attempt.done) == (3.0, None, False)
    world = folded((begin(ENROL), end(ENROL), RunEnded(run=RUN, state=RunState.DONE)))
    assert not world.running
    assert (world.runs[RUN].ended, world.runs[RUN].attempts[StepId("s.enrol")].done) == (5.0, True)


@pytest.mark.parametrize(
    "word",
    [RunEnded(run=RUN, state=RunState.CANCELLED), MachineSetAside(run=RUN, machine=NODE, reason="burnt smell")],
)
def test_an_intent_that_was_written_too_late_begins_nothing(word: Record) -> None:
    """Both were on their way to the log, and the person's word got there first."""
    before, after = folded((begin(ENROL), end(ENROL), word)), folded((begin(ENROL), end(ENROL), word, begin(WRITE)))
    assert after.machines == before.machines
    assert after.runs[RUN].attempts == before.runs[RUN].attempts

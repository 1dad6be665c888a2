"""The fold depends on nothing but the entries: whatever the log holds, replaying it gives the same world."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.conductor.position import Start, moves
from appliance.conductor.world import World
from appliance.model.ids import Fence, MachineName, Nonce, RunId
from appliance.model.views import RunState
from appliance.plan import Plan, Step
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
    Noted,
    PlanStored,
    PowerCommanded,
    Problem,
    Record,
    RunEnded,
    RunStarted,
    StepIntent,
    StepResult,
)
from tests.unit.appliance.store.samples import FACTS, IDENTITY, PLAN

MACHINES = st.sampled_from([MachineName("node-0"), MachineName("node-1")])
NONCES = st.sampled_from([Nonce("n1"), Nonce("n2")])
FENCES = st.integers(1, 3).map(Fence)
RUNS = st.sampled_from([RunId("r1"), RunId("r2")])
STEPS = st.sampled_from(PLAN.steps)
TEXT = st.text(max_size=5)
START: list[Record] = [PlanStored(plan=PLAN), *(RunStarted(run=RunId(r), plan=PLAN.digest) for r in ("r1", "r2"))]


def intent(step: Step, run: RunId, fence: Fence, nonce: Nonce) -> Record:
    return StepIntent(run=run, step=step.id, machine=step.machine, kind=step.kind, fence=fence, nonce=nonce)


def result(step: Step, run: RunId, fence: Fence, problem: Problem | None, again: float | None) -> Record:
    return StepResult(
        run=run,
        step=step.id,
        machine=step.machine,
        fence=fence,
        problem=problem,
        retry_after=again if problem else None,
    )


RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(intent, STEPS, RUNS, FENCES, NONCES),
    st.builds(
        result, STEPS, RUNS, FENCES, st.none() | st.just(Problem(code="c", message="m")), st.none() | st.just(5.0)
    ),
    st.builds(PowerCommanded, machine=MACHINES, command=st.just("on"), boots=st.booleans()),
    st.builds(IdentityRead, machine=MACHINES, identity=st.just(IDENTITY)),
    st.builds(AddressLeased, machine=MACHINES, address=st.ip_addresses(v=4)),
    st.builds(BootSeen, machine=MACHINES, stage=st.sampled_from(BootStage), detail=TEXT),
    st.builds(HelloSeen, machine=MACHINES, nonce=NONCES, boot_id=TEXT, detail=TEXT),
    st.builds(FactsReceived, machine=MACHINES, nonce=NONCES, facts=st.just(FACTS), raw_sha256=st.just("")),
    st.builds(FirstBootSeen, machine=MACHINES, nonce=NONCES, address=st.ip_addresses(v=4), host_keys=st.just(())),
    st.builds(HoldPlaced, machine=MACHINES, reason=TEXT),
    st.builds(HoldReleased, machine=MACHINES),
    st.builds(Noted, machine=MACHINES, kind=TEXT, text=TEXT),
    st.builds(RunEnded, run=RUNS, state=st.sampled_from([RunState.DONE, RunState.FAILED])),
)
LOGS = st.lists(RECORDS, max_size=60).map(
    lambda records: [Entry(seq=i, time=float(i), record=r) for i, r in enumerate([*START, *records], start=1)]
)


def folded(*parts: list[Entry]) -> World:
    world = World()
    for part in parts:
        world.fold_all(part)
    return world


def known(world: World) -> tuple[object, ...]:
    return world.machines, world.plans, world.runs, world.last_seq


@given(log=LOGS, cut=st.integers(0, 63))
def test_replaying_gives_the_same_world(log: list[Entry], cut: int) -> None:
    whole = folded(log)
    assert known(whole) == known(folded(log)) == known(folded(log[:cut], log[cut:]))
    assert whole.last_seq == log[-1].seq


@given(log=LOGS)
def test_one_machine_s_records_do_not_reach_another(log: list[Entry]) -> None:
    whole = folded(log)
    for name, state in whole.machines.items():
        alone = folded([e for e in log if getattr(e.record, "machine", name) == name])
        assert alone.machine(name) == state


@given(log=LOGS, now=st.floats(0, 100), busy=st.frozensets(MACHINES))
def test_whatever_happened_the_next_moves_are_safe(log: list[Entry], now: float, busy: frozenset[MachineName]) -> None:
    world = folded(log)
    started: list[str] = []
    for move in moves(world, busy, now):
        run = world.runs[move.run]
        assert run.state is RunState.RUNNING
        if isinstance(move, Start):
            started.append(move.step.machine)
            assert world.machine(move.step.machine).hold is None
            assert all(run.attempts[need].done for need in move.step.needs)
            before = run.attempts.get(move.step.id)
            assert move.fence == (before.fence + 1 if before else 1)
            assert before is None or not before.done
    assert len(set(started)) == len(started)
    assert not busy.intersection(started)


def test_the_plan_is_one_of_two_machines() -> None:
    assert isinstance(PLAN, Plan)
    assert {step.machine for step in PLAN.steps} == {"node-0", "node-1"}

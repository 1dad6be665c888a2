"""What may start, under which fence, and when a run is over: a table of little worlds."""

import pytest

from appliance.conductor.position import End, Move, Start, moves, retries, step_state, straight_on
from appliance.conductor.world import World
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.rollout import Rollout
from appliance.model.step import StepKind
from appliance.model.views import RunState, StepState
from appliance.plan import Inspect, Plan, Step
from appliance.store.records import (
    Entry,
    HoldPlaced,
    HoldReleased,
    MachineSetAside,
    PlanStored,
    Problem,
    Record,
    RunEnded,
    RunPaused,
    RunStarted,
    StepIntent,
    StepResult,
)

A, B = MachineName("a"), MachineName("b")
PROBLEM = Problem(code="c", message="m")


def step(name: str, *needs: str) -> Step:
    """On the machine that its first letter names."""
    return Step(
        id=StepId(name),
        machine=MachineName(name[0]),
        score="s",
        summary=name,
        do=Inspect(),
        budget=1.0,
        needs=tuple(map(StepId, needs)),
    )


def begin(name: str, fence: int = 1, run: str = "r") -> StepIntent:
    return StepIntent(
        run=RunId(run),
        step=StepId(name),
        machine=MachineName(name[0]),
        kind=StepKind.READ,
        fence=Fence(fence),
        nonce=Nonce("n"),
    )


def end(name: str, fence: int = 1, problem: Problem | None = None, again: float | None = None) -> StepResult:
    return StepResult(
        run=RunId("r"),
        step=StepId(name),
        machine=MachineName(name[0]),
        fence=Fence(fence),
        problem=problem,
        retry_after=again,
    )


def world(plan: Plan, *records: Record, runs: tuple[str, ...] = ("r",), rollout: Rollout = Rollout()) -> World:  # noqa: B008  frozen
    """Entry i (from 1) happened at second i."""
    world = World()
    starts = (RunStarted(run=RunId(run), plan=plan.digest, rollout=rollout) for run in runs)
    for seq, record in enumerate((PlanStored(plan=plan), *starts, *records), start=1):
        world.fold(Entry(seq=seq, time=float(seq), record=record))
    return world


def said(found: list[Move]) -> list[str]:
    return [
        f"{m.step.id}#{m.fence}" + (f" resumes {m.resumes}" if m.resumes else "")
        if isinstance(m, Start)
        else m.state.value
        for m in found
    ]


CHAIN = Plan(site="x", steps=(step("a1"), step("a2", "a1"), step("a3", "a2")))
TWO = Plan(site="x", steps=(step("a1"), step("a2", "a1"), step("b1"), step("b2", "b1")))
JOINED = Plan(site="x", steps=(step("a1"), step("b1"), step("b2", "a1", "b1")))
LOOSE = Plan(site="x", steps=(step("a1"), step("a2")))


@pytest.mark.parametrize(
    ("plan", "records", "busy", "expected"),
    [
        (CHAIN, [], "", ["a1#1"]),
        (CHAIN, [], "a", []),
        (CHAIN, [begin("a1")], "a", []),
        (CHAIN, [begin("a1")], "", ["a1#2 resumes 1"]),
        (CHAIN, [begin("a1"), begin("a1", 2)], "", ["a1#3 resumes 2"]),
        (CHAIN, [begin("a1"), end("a1")], "", ["a2#1"]),
        (CHAIN, [begin("a1"), end("a1", 7)], "", ["a1#2 resumes 1"]),
        (CHAIN, [begin("a1"), end("a1", 1, PROBLEM)], "", ["failed"]),
        (CHAIN, [begin("a1"), end("a1", 1, PROBLEM, 0)], "", ["a1#2"]),
        (CHAIN, [begin("a1"), end("a1", 1, PROBLEM, 96)], "", ["a1#2"]),
        (CHAIN, [begin("a1"), end("a1", 1, PROBLEM, 97)], "", []),
        (CHAIN, [r for n in ("a1", "a2", "a3") for r in (begin(n), end(n))], "", ["done"]),
        (CHAIN, [HoldPlaced(machine=A, reason="x")], "", []),
        (CHAIN, [HoldPlaced(machine=A, reason="x"), HoldReleased(machine=A)], "", ["a1#1"]),
        (CHAIN, [HoldPlaced(machine=A, reason="x"), begin("a1"), end("a1", 1, PROBLEM)], "", ["failed"]),
        (TWO, [], "", ["a1#1", "b1#1"]),
        (TWO, [], "b", ["a1#1"]),
        (TWO, [HoldPlaced(machine=A, reason="x")], "", ["b1#1"]),
        (TWO, [begin("a1"), end("a1", 1, PROBLEM)], "", ["b1#1"]),
        (TWO, [begin("a1"), end("a1", 1, PROBLEM), begin("b1")], "b", []),
        (
            TWO,
            [begin("a1"), end("a1", 1, PROBLEM), *(r for n in ("b1", "b2") for r in (begin(n), end(n)))],
            "",
            ["failed"],
        ),
        (JOINED, [begin("a1"), end("a1")], "b", []),
        (JOINED, [begin("a1"), end("a1"), begin("b1"), end("b1")], "", ["b2#1"]),
        (JOINED, [begin("a1"), end("a1", 1, PROBLEM), begin("b1"), end("b1")], "", ["failed"]),
        (LOOSE, [], "", ["a1#1"]),
        (LOOSE, [begin("a1"), end("a1", 1, PROBLEM)], "", ["a2#1"]),
        (Plan(site="x"), [], "", ["done"]),
        (CHAIN, [RunEnded(run=RunId("r"), state=RunState.FAILED)], "", []),
    ],
)
def test_moves(plan: Plan, records: list[Record], busy: str, expected: list[str]) -> None:
    assert said(list(moves(world(plan, *records), frozenset(busy), 100.0))) == expected


HELD = HoldPlaced(machine=A, reason="x")
PAUSED = RunPaused(run=RunId("r"), reason="x")
ASIDE = MachineSetAside(run=RunId("r"), machine=A, reason="x")
OVER = RunEnded(run=RunId("r"), state=RunState.CANCELLED)


@pytest.mark.parametrize(
    ("plan", "records", "expected"),
    [
        (CHAIN, [], "a2#1"),
        (CHAIN, [begin("a2")], "a2#2 resumes 1"),
        (CHAIN, [begin("a2"), end("a2")], "a3#1"),
        (CHAIN, [begin("a2"), end("a2", 1, PROBLEM)], ""),
        (CHAIN, [begin("a2"), end("a2", 1, PROBLEM, 500)], ""),
        (CHAIN, [HELD], ""),
        (CHAIN, [PAUSED], ""),
        (CHAIN, [ASIDE], ""),
        (CHAIN, [OVER], ""),
        (JOINED, [], ""),
        (LOOSE, [], "a2#1"),
        (LOOSE, [begin("a2"), end("a2", 1, PROBLEM)], ""),
        (Plan(site="x", steps=(step("a1"), step("b1"), step("a2", "a1", "b1"), step("a3"))), [], "a3#1"),
    ],
)
def test_what_is_begun_with_the_end_of_a_step_is_what_would_have_begun_after_it(
    plan: Plan, records: list[Record], expected: str
) -> None:
    ahead = straight_on(world(plan, begin("a1"), *records), RunId("r"), plan.steps[0], 100.0)
    assert said([ahead] if ahead is not None else []) == ([expected] if expected else [])
    after = moves(world(plan, begin("a1"), *records, end("a1")), frozenset("b"), 100.0)
    assert [move for move in after if isinstance(move, Start)] == ([ahead] if ahead is not None else [])


FOUNDS = Plan(
    site="x", steps=(step("a1"), step("a2", "a1"), step("b1"), step("b2", "b1", "a2"), step("a3", "b2"), step("c1"))
)
FIRST = (begin("a1"), end("a1"), begin("a2"), end("a2"))
ALONE, ONE = Rollout(canary=(A,)), Rollout(at_once=1)


@pytest.mark.parametrize(
    ("rollout", "records", "expected"),
    [
        (ALONE, [], ["a1#1"]),
        (ALONE, [begin("a1"), end("a1")], ["a2#1"]),
        (ALONE, [*FIRST], ["b1#1", "c1#1"]),
        (ALONE, [*FIRST, begin("b1")], ["b1#2 resumes 1"]),
        (ONE, [], ["a1#1"]),
        (ONE, [*FIRST], ["b1#1"]),
        (ONE, [*FIRST, begin("b1"), end("b1")], ["b2#1"]),
        (ONE, [*FIRST, begin("b1"), end("b1"), begin("b2"), end("b2")], ["a3#1"]),
    ],
)
def test_who_waits_for_others_keeps_none_of_them_out(
    rollout: Rollout, records: list[Record], expected: list[str]
) -> None:
    """A control plane goes first, and is confirmed when workers have joined: they have to come in before it is done."""
    assert said(list(moves(world(FOUNDS, *records, rollout=rollout), frozenset(), 100.0))) == expected


def test_one_handler_per_machine_over_all_runs() -> None:
    found = list(moves(world(TWO, runs=("r", "s")), frozenset(), 100.0))
    assert [(m.run, m.step.id) for m in found if isinstance(m, Start)] == [("r", "a1"), ("r", "b1")]
    assert not [m for m in found if isinstance(m, End)]


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ([], StepState.PENDING),
        ([begin("a1")], StepState.RUNNING),
        ([begin("a1"), end("a1", 1, PROBLEM, 5)], StepState.RUNNING),
        ([begin("a1"), end("a1", 1, PROBLEM)], StepState.FAILED),
        ([begin("a1"), end("a1")], StepState.DONE),
    ],
)
def test_step_state(records: list[Record], state: StepState) -> None:
    assert step_state(world(CHAIN, *records).runs[RunId("r")].attempts.get(StepId("a1"))) is state


def test_when_machines_may_try_again() -> None:
    waiting = world(TWO, begin("a1"), end("a1", 1, PROBLEM, 10), begin("b1"), end("b1", 1, PROBLEM, 20))
    assert sorted(retries(waiting)) == [(14.0, A), (26.0, B)]
    assert not list(retries(world(TWO)))

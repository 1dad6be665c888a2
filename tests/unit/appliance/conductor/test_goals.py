"""What a consent covers, and what becomes of a goal."""

from dataclasses import replace

import pytest

from appliance.conductor.goals import Goal, covers, end_with, folded, joined, proposed, started
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import RunStatus
from appliance.model.goal import ASK, EVERYTHING, Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest, RunId, StepId
from appliance.model.views import Errand, RunState
from appliance.model.words import Destroys, GoalState
from appliance.plan import (
    BootAgent,
    Deferred,
    DiskRef,
    Enrol,
    Plan,
    PlanIndex,
    Purpose,
    RoleChoice,
    Step,
    Wipe,
)
from appliance.store.records import GoalAsked, GoalEnded, GoalSet, RunStarted
from images.agent.protocol import WipeLevel

NODE, OTHER = MachineName("node-0"), MachineName("node-1")
GOAL = GoalId("g")
BLANK_DISK = DiskRef(serial="S1", wwn="naa.1", size_bytes=8 << 30, contents="blank")
FULL_DISK = replace(BLANK_DISK, serial="S2", wwn="naa.2", contents="ext4:0000")
BLANK = Consent(destroys=Destroys.BLANK)


def wiping(disk: DiskRef, machine: MachineName = NODE) -> Step:
    return step(machine, Wipe(disk=disk, level=WipeLevel.DISCARD))


def step(machine: MachineName, do: Enrol | BootAgent | Wipe) -> Step:
    name = StepId(f"{machine}.{do.action}")
    return Step(id=name, machine=machine, score="s", summary="", do=do, budget=1.0)


def plan(*steps: Step, deferred: bool = False) -> Plan:
    later = (Deferred(score="install", reason="its hardware is not known yet"),) if deferred else ()
    return Plan(site="lab", steps=steps, deferred=later)


def goal(consent: Consent = ASK, *runs: RunId) -> Goal:
    return Goal(id=GOAL, purpose=Purpose(), consent=consent, machines=(NODE,), by="anna", since=1.0, runs=runs)


def named(*disks: str, destroys: Destroys = Destroys.NOTHING) -> Consent:
    return Consent(destroys=destroys, disks=disks)


@pytest.mark.parametrize(
    ("consent", "steps", "covered"),
    [
        (ASK, (step(NODE, Enrol()), step(NODE, BootAgent())), True),
        (ASK, (wiping(BLANK_DISK),), False),
        (BLANK, (wiping(BLANK_DISK),), True),
        (BLANK, (wiping(FULL_DISK),), False),
        (BLANK, (wiping(replace(BLANK_DISK, contents="empty")),), False),
        (BLANK, (wiping(BLANK_DISK, OTHER),), False),
        (BLANK, (wiping(BLANK_DISK), replace(wiping(FULL_DISK), id=StepId("x"))), False),
        (named("S2"), (wiping(FULL_DISK),), True),
        (named("naa.2"), (wiping(FULL_DISK),), True),
        (named("S2"), (wiping(BLANK_DISK),), False),
        (named("S2", destroys=Destroys.BLANK), (wiping(BLANK_DISK), replace(wiping(FULL_DISK), id=StepId("x"))), True),
        (named("S2"), (wiping(FULL_DISK, OTHER),), False),
        (named(""), (wiping(replace(FULL_DISK, wwn="")),), False),
        (EVERYTHING, (wiping(FULL_DISK),), True),
        (EVERYTHING, (wiping(FULL_DISK, OTHER),), False),
    ],
)
def test_what_a_consent_covers(consent: Consent, steps: tuple[Step, ...], covered: bool) -> None:
    """A machine that the site got later is never covered, and a blank name names no disk."""
    assert covers(goal(consent), plan(*steps)) is covered


@pytest.mark.parametrize(
    ("state", "deferred", "ends"),
    [
        (RunState.DONE, True, None),
        (RunState.DONE, False, GoalState.REACHED),
        (RunState.FAILED, True, GoalState.FAILED),
        (RunState.CANCELLED, True, GoalState.CANCELLED),
    ],
)
def test_a_run_takes_its_goal_further_or_ends_it(state: RunState, deferred: bool, ends: GoalState | None) -> None:
    done = plan(step(NODE, Enrol()), deferred=deferred)
    run = RunStatus(
        id=RunId("r"), plan=done, digest=done.digest, index=PlanIndex.of(done), started=1.0, state=state, ended=2.0
    )
    end = end_with(goal(), run)
    assert (None if end is None else (end.state, end.plan)) == (None if ends is None else (ends, done.digest))


def test_what_becomes_of_the_next_plan() -> None:
    nobody = MachineState(name=NODE)
    harmless, wipe = plan(step(NODE, Enrol())), plan(wiping(BLANK_DISK))

    def word(consent: Consent, made: Plan, *applied: PlanDigest, state: MachineState = nobody) -> object:
        return proposed(goal(consent), made, applied, lambda _name: state)

    assert word(ASK, harmless) is None
    assert word(ASK, wipe) == GoalAsked(goal=GOAL, plan=wipe.digest)
    assert word(BLANK, wipe) is None
    for nothing in (word(BLANK, wipe, wipe.digest), word(BLANK, plan(deferred=True))):
        assert isinstance(nothing, GoalEnded)
        assert nothing.state is GoalState.REACHED
    role = replace(plan(), roles=(RoleChoice(machine=NODE, role="worker", spare=False, why=""),))
    assert word(ASK, role) is None
    assert isinstance(word(ASK, role, state=MachineState(name=NODE, role="worker")), GoalEnded)


def test_folding() -> None:
    wanted = GoalSet(goal=GOAL, purpose=Purpose(), consent=ASK, machines=(NODE,), by="anna")
    first = folded({}, wanted, 5.0)
    assert (first.state, first.since, first.by) == (GoalState.WORKING, 5.0, "anna")
    asked = folded({GOAL: first}, GoalAsked(goal=GOAL, plan=PlanDigest("p")), 6.0)
    assert (asked.state, asked.asked) == (GoalState.ASKING, "p")
    wider = folded({GOAL: asked}, replace(wanted, consent=BLANK, by="ben"), 7.0)
    assert (wider.consent, wider.by, wider.since, wider.asked) == (BLANK, "ben", 5.0, "p")
    approved = started(wider, RunStarted(run=RunId("r"), plan=PlanDigest("p"), goal=GOAL))
    assert (approved.state, approved.runs) == (GoalState.WORKING, ("r",))
    over = folded({GOAL: approved}, GoalEnded(goal=GOAL, state=GoalState.CANCELLED), 8.0)
    assert (over.state, over.ended) == (GoalState.CANCELLED, 8.0)


def test_a_plan_joins_the_goal_with_its_purpose() -> None:
    errand = replace(goal(), id=GoalId("e"), purpose=Purpose(errand=Errand.WIPE, machine=NODE))
    assert joined((errand, goal()), plan()) == goal()
    assert joined((errand,), plan()) is None

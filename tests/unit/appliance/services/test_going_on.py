"""The daemon itself goes on from discovery to installation: as far as was consented to, and whoever dies meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ConflictError, InnervateError, NotFoundError
from appliance.inventory.model import Inventory
from appliance.model.asked import Asked
from appliance.model.goal import ASK, EVERYTHING, Consent
from appliance.model.ids import GoalId, MachineName, PlanDigest
from appliance.model.phase import Phase
from appliance.model.views import GoalView, PowerAction, RunState
from appliance.model.words import Destroys, GoalState
from appliance.plan import Plan
from appliance.store.records import FactsReceived, GoalSet, PlanStored, RunStarted
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import NODE

ANNA = Asked(by="anna")
BLANK = Consent(destroys=Destroys.BLANK)


def play(folder: Path, scene: Callable[[FakeRack, Net], Awaitable[None]], machines: int = 1) -> None:
    async def whole() -> None:
        rack = FakeRack(folder, machines)
        try:
            await scene(rack, Net(rack))
        finally:
            await rack.close()

    run(whole())


async def press(net: Net, then: Consent | None, by: Asked = ANNA) -> GoalView:
    """Approves what can be planned now, and waits until the daemon stops or asks."""
    plan = await net.application.make_plan()
    started = await net.application.apply(PlanDigest(plan.digest), by, then)
    await net.ended()
    return net.application.goal(GoalId(started.goal))


def phase(net: Net) -> Phase:
    return net.memory.world.machine(NODE).phase


@pytest.mark.parametrize("then", [EVERYTHING, BLANK])
def test_one_approval_leads_to_the_end(then: Consent, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        goal = await press(net, then)
        assert (goal.state, goal.by, len(goal.runs), phase(net)) == (GoalState.REACHED, "anna", 2, Phase.ACTIVE)
        runs = [entry.record for entry in await rack.entries() if isinstance(entry.record, RunStarted)]
        assert [(one.by, one.goal) for one in runs] == [("anna", goal.id)] * 2
        assert net.application.goals().goals == ()
        assert net.application.goals(every=True).goals == (goal,)

    play(tmp_path, scene)


def test_nothing_is_destroyed_before_its_digest_is_approved(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app = net.application
        goal = await press(net, ASK)
        assert (goal.state, phase(net), len(goal.runs)) == (GoalState.ASKING, Phase.AVAILABLE, 1)
        plan = app.plan(PlanDigest(goal.plan))
        assert any(step.kind == "destructive" for step in plan.steps)
        assert app.goals().goals == (goal,)
        said = (await app.events(after=0, machine=None, limit=1000, wait=0)).events
        assert [event.text for event in said if event.kind == "goal-asked"] == [
            f"goal {goal.id} waits for approval of plan {goal.plan[:12]}: innervate apply --digest {goal.plan}"
        ]
        approved = await app.apply(PlanDigest(goal.plan), Asked(by="ben"))
        await net.ended()
        goal = app.goal(GoalId(goal.id))
        assert (goal.state, goal.runs[-1], phase(net)) == (GoalState.REACHED, approved.id, Phase.ACTIVE)
        assert (app.runs().runs[0].by, app.runs().runs[1].by) == ("ben", "anna")

    play(tmp_path, scene)


def test_a_plan_and_no_other(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        plan = await net.application.make_plan()
        started = await net.application.apply(PlanDigest(plan.digest), ANNA)
        await net.ended()
        assert (started.goal, net.memory.world.goals, phase(net)) == ("", {}, Phase.AVAILABLE)

    play(tmp_path, scene)


async def facts_change(net: Net, contents: str) -> None:
    """Somebody's data is found on every disk, or none."""
    state = net.memory.world.machine(NODE)
    assert state.facts is not None
    assert state.facts_nonce is not None
    disks = tuple(replace(disk, contents=contents) for disk in state.facts.disks)
    facts = replace(state.facts, disks=disks)
    await net.memory.remember(FactsReceived(machine=NODE, nonce=state.facts_nonce, facts=facts, raw_sha256=""))


def test_a_stale_approval_is_asked_anew(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        goal = await press(net, ASK)
        state = net.memory.world.machine(NODE)
        assert state.facts is not None
        disks = tuple(replace(disk, serial=f"{disk.serial}X") for disk in state.facts.disks)
        facts = replace(state.facts, disks=disks)
        assert state.facts_nonce is not None
        await net.memory.remember(FactsReceived(machine=NODE, nonce=state.facts_nonce, facts=facts, raw_sha256=""))
        with pytest.raises(ConflictError, match="stale"):
            await app.apply(PlanDigest(goal.plan), ANNA)
        again = app.goal(GoalId(goal.id))
        assert (again.state, len(again.runs)) == (GoalState.ASKING, 1)
        assert again.plan != goal.plan
        assert any(f"{disks[0].serial}" in step.summary for step in app.plan(PlanDigest(again.plan)).steps)

    play(tmp_path, scene)


def test_what_cannot_be_planned_ends_the_goal_with_the_reason(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        goal = await press(net, ASK)
        await facts_change(net, "ext4:0000")
        with pytest.raises(InnervateError):
            await net.application.apply(PlanDigest(goal.plan), ANNA)
        await net.application.go_on(GoalId(goal.id))
        over = net.application.goal(GoalId(goal.id))
        assert over.state is GoalState.FAILED
        assert over.trouble is not None
        assert over.trouble.code == "plan"
        assert "not blank" in over.trouble.evidence

    play(tmp_path, scene)


class Faulty:
    """A score with a fault, which shows when there are facts."""

    name = "faulty"

    def plan(self, site: object, inventory: Inventory) -> Plan:
        if inventory.record(NODE).facts is not None:
            raise ValueError("no rack is called that")
        return Plan(site=self.name)


def test_a_fault_in_a_score_ends_the_goal_and_nothing_else(tmp_path: Path) -> None:
    async def whole() -> None:
        rack = FakeRack(tmp_path, 1)
        rack.site = replace(rack.site, scores=[*rack.site.scores, Faulty()])
        net = Net(rack)
        try:
            goal = await press(net, EVERYTHING)
            assert (goal.state, goal.trouble.code if goal.trouble else "") == (GoalState.FAILED, "fault")
            assert not net.pursuing.done()
        finally:
            await rack.close()

    run(whole())


def test_dropping(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        goal = GoalId((await press(net, ASK)).id)
        dropped = await app.drop(goal, Asked(by="ben"))
        assert (dropped.state, app.goals().goals) == (GoalState.CANCELLED, ())
        with pytest.raises(ConflictError, match="is over"):
            await app.drop(goal)
        with pytest.raises(NotFoundError):
            app.goal(GoalId("x"))
        plan = await app.make_plan()
        started = await app.apply(PlanDigest(plan.digest), ANNA, BLANK)
        assert started.goal == "", "nothing is put off: the run is all of it"

    play(tmp_path, scene)


async def consent(net: Net, goal: GoalView, machines: tuple[MachineName, ...]) -> None:
    """To everything, without a word to the daemon's application."""
    purpose = net.memory.world.goals[GoalId(goal.id)].purpose
    await net.memory.remember(
        GoalSet(goal=GoalId(goal.id), purpose=purpose, consent=EVERYTHING, machines=machines, by="anna")
    )


def test_it_waits_for_a_run_of_somebody_else(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        goal = await press(net, ASK)
        power = await net.application.power(NODE, PowerAction.CYCLE, Asked(by="ben"))
        await consent(net, goal, (NODE,))
        with pytest.raises(ConflictError, match="already works on node-0"):
            await net.application.go_on(GoalId(goal.id))
        while net.memory.world.open_goals:
            await net.memory.changed(net.memory.tick, None)
        reached = net.application.goal(GoalId(goal.id))
        assert (reached.state, phase(net)) == (GoalState.REACHED, Phase.ACTIVE), "when that run was over"
        assert power.id not in reached.runs

    play(tmp_path, scene)


def test_a_wider_consent_takes_the_waiting_goal_further(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        goal = await press(net, ASK)
        wider = await press(net, BLANK, Asked(by="ben"))
        assert (wider.id, wider.state, wider.consent, wider.by) == (goal.id, GoalState.REACHED, BLANK, "ben")

    play(tmp_path, scene)


def test_a_machine_of_another_site_program_is_not_consented_to(tmp_path: Path) -> None:
    """The daemon was restarted with another machine in its site program, in the middle of the goal."""

    async def scene(rack: FakeRack, net: Net) -> None:
        goal = await press(net, ASK)
        await consent(net, goal, ())
        await net.application.go_on(GoalId(goal.id))
        assert net.application.goal(GoalId(goal.id)).state is GoalState.ASKING
        assert phase(net) is Phase.AVAILABLE

    play(tmp_path, scene)


async def life(rack: FakeRack, records: int | None) -> bool:
    """The daemon is killed when that many records are durable, or lives until nothing goes on by itself."""
    net = Net(rack)

    def look(_machines: frozenset[MachineName]) -> None:
        if records is not None and net.memory.world.last_seq >= records:
            net.conductor.cancel()
            net.pursuing.cancel()

    net.memory.on_change(look)
    if not net.memory.world.runs:
        plan = await net.application.make_plan()
        await net.application.apply(PlanDigest(plan.digest), ANNA, EVERYTHING)
    ended = asyncio.create_task(net.ended())
    await asyncio.wait({ended, net.conductor}, return_when=asyncio.FIRST_COMPLETED)
    killed = not ended.done()
    ended.cancel()
    if killed:
        await net.close()
        await asyncio.sleep(7)
    return killed


def between(folder: Path) -> range:
    """The records from the end of the discovery to the first step of the installation, with what stands around them."""
    found: list[int] = []

    async def scene(rack: FakeRack, net: Net) -> None:
        await press(net, EVERYTHING)
        seqs = {entry.seq: entry.record for entry in await rack.entries()}
        ended = min(seq for seq, record in seqs.items() if record.record == "run-ended")
        second = max(seq for seq, record in seqs.items() if record.record == "run-started")
        assert [seqs[seq].record for seq in range(ended, second + 1) if isinstance(seqs[seq], PlanStored)]
        found.extend((ended - 2, second + 3))

    play(folder, scene)
    return range(*found)


def test_killed_between_discovery_and_the_next_plan(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()

    async def killed(folder: Path, at: int) -> None:
        rack = FakeRack(folder, 1)
        try:
            assert await life(rack, at), at
            assert not await life(rack, None)
            assert rack.net is not None
            world = rack.net.memory.world
            assert [goal.state for goal in world.goals.values()] == [GoalState.REACHED]
            assert [one.state for one in world.runs.values()] == [RunState.DONE] * 2, "nobody pressed again"
            assert phase(rack.net) is Phase.ACTIVE
        finally:
            await rack.close()

    for at in between(tmp_path / "whole"):
        (tmp_path / str(at)).mkdir()
        run(killed(tmp_path / str(at), at))

"""No plan begins while the doctor finds a failure of the site: not by the API, not by the daemon, not by a reflex."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.api.fake_doctor import FakeDoctor
from appliance.api.fake_findings import DEAD_BMC, NO_LINK, ROGUE_DHCP, SLOW_PORT
from appliance.doctor.desk import DoctorDesk
from appliance.doctor.say import good
from appliance.errors import RefusedError
from appliance.model.asked import Asked
from appliance.model.doctor import Check, DoctorRequest, Finding
from appliance.model.goal import EVERYTHING, Consent
from appliance.model.ids import GoalId, PlanDigest
from appliance.model.phase import Phase
from appliance.model.views import GoalState, PowerAction
from appliance.model.words import Destroys, Errand
from appliance.plan import Plan
from appliance.services.preflight import FRESH_SECONDS, Preflight
from appliance.sim.loop import SimClock
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import VirtualLoop, run
from tests.unit.appliance.services.test_going_on import play
from tests.unit.appliance.store.samples import NODE, PLAN

ANNA = Asked(by="anna")


def doctor_of(net: Net) -> FakeDoctor:
    assert isinstance(net.application.doctor_desk, FakeDoctor)
    return net.application.doctor_desk


def test_a_plan_is_refused_with_the_finding_and_the_override(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        doctor_of(net).finds = (ROGUE_DHCP, NO_LINK, DEAD_BMC, SLOW_PORT)
        digest = PlanDigest((await net.application.make_plan()).digest)
        with pytest.raises(RefusedError) as caught:
            await net.application.apply(digest, ANNA)
        for cause in (ROGUE_DHCP.cause, NO_LINK.cause):
            assert cause in f"{caught.value} {caught.value.evidence}"
        assert DEAD_BMC.cause not in caught.value.evidence, "it stands in the way of its machine alone"
        assert '"despite": ["other-dhcp", "link"]' in caught.value.next_action
        with pytest.raises(RefusedError, match=NO_LINK.cause):
            await net.application.apply(digest, ANNA, None, (ROGUE_DHCP.check,))
        assert not net.memory.world.runs
        await net.application.apply(digest, ANNA, None, (ROGUE_DHCP.check, NO_LINK.check))
        assert net.memory.world.runs

    play(tmp_path, scene)


def test_what_the_daemon_plans_itself_waits_with_the_reason(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        started = await app.apply(PlanDigest((await app.make_plan()).digest), ANNA, EVERYTHING)
        doctor_of(net).finds = (ROGUE_DHCP,)
        await net.ended()
        goal = app.goal(GoalId(started.goal))
        assert (goal.state, goal.why, len(goal.runs)) == (GoalState.ASKING, ROGUE_DHCP.cause, 1)
        assert any(ROGUE_DHCP.cause in event.text for event in (await app.latest()).events)
        with pytest.raises(RefusedError):
            await app.apply(PlanDigest(goal.plan), ANNA)
        await app.apply(PlanDigest(goal.plan), ANNA, None, (ROGUE_DHCP.check,))
        await net.ended()
        goal = app.goal(GoalId(goal.id))
        assert (goal.state, goal.why) == (GoalState.REACHED, "")
        assert net.memory.world.machine(NODE).phase is Phase.ACTIVE

    play(tmp_path, scene)


def test_it_goes_on_by_itself_when_it_is_looked_at_again(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        started = await app.apply(PlanDigest((await app.make_plan()).digest), ANNA, EVERYTHING)
        doctor_of(net).finds = (ROGUE_DHCP,)
        await net.ended()
        doctor_of(net).finds = ()
        await app.power(NODE, PowerAction.ON, ANNA)
        while app.goal(GoalId(started.goal)).state is not GoalState.REACHED:
            await net.memory.changed(net.memory.tick, None)
        assert net.memory.world.machine(NODE).phase is Phase.ACTIVE

    play(tmp_path, scene)


def test_what_was_accepted_for_the_goal_stops_none_of_its_plans(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app, despite = net.application, (ROGUE_DHCP.check,)
        doctor_of(net).finds = (ROGUE_DHCP,)
        then = Consent(destroys=Destroys.ANYTHING, despite=despite)
        await app.apply(PlanDigest((await app.make_plan()).digest), ANNA, then, despite)
        await net.ended()
        assert net.memory.world.machine(NODE).phase is Phase.ACTIVE
        assert any("; despite other-dhcp" in event.text for event in (await app.latest(limit=1000)).events)

    play(tmp_path, scene)


def test_an_errand_that_nobody_asked_for_is_refused_too(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        await net.finish()
        doctor_of(net).finds = (ROGUE_DHCP,)
        runs = len(net.memory.world.runs)
        with pytest.raises(RefusedError):
            await net.application.see_through(NODE, Errand.RESCUE, "reflex")
        assert len(net.memory.world.runs) == runs

    play(tmp_path, scene)


class Desk:
    """The real desk, with one check that takes `seconds` and finds `finds`."""

    def __init__(self, clock: SimClock) -> None:
        self.seconds, self.finds, self.looks = 3.0, ROGUE_DHCP, 0
        self._clock = clock
        self.desk = DoctorDesk({Check.DHCP: self._examine}, clock)
        self.preflight = Preflight(self.desk, clock)

    async def _examine(self, _request: DoctorRequest) -> tuple[Finding, ...]:
        self.looks += 1
        await self._clock.sleep(self.seconds)
        return (self.finds,)


def examine(scene: Callable[[Desk, SimClock], Awaitable[None]]) -> None:
    async def whole() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        desk = Desk(clock := SimClock(loop))
        try:
            await scene(desk, clock)
        finally:
            await desk.desk.close()

    run(whole())


HARMLESS = Plan(site="lab", steps=PLAN.steps[:1])


def test_the_samples_are_what_they_are_used_for() -> None:
    assert [step.kind.value == "destructive" for step in HARMLESS.steps] == [False]
    assert any(step.kind.value == "destructive" for step in PLAN.steps)


def test_who_destroys_waits_for_the_findings() -> None:
    async def scene(desk: Desk, clock: SimClock) -> None:
        with pytest.raises(RefusedError):
            await desk.preflight.allow(PLAN)
        assert desk.looks == 1
        desk.finds = good(Check.DHCP, "nobody else")
        await clock.sleep(6)
        await desk.preflight.allow(PLAN)
        assert desk.looks == 2, "what stood in the way is looked at again"
        await clock.sleep(FRESH_SECONDS - 10)
        await desk.preflight.allow(PLAN)
        assert desk.looks == 2, "what was well is not"
        await clock.sleep(20)
        await desk.preflight.allow(PLAN)
        assert desk.looks == 3

    examine(scene)


def test_who_destroys_nothing_waits_a_second_unless_something_stood_in_the_way() -> None:
    async def scene(desk: Desk, clock: SimClock) -> None:
        began = clock.monotonic()
        await desk.preflight.allow(HARMLESS)
        assert clock.monotonic() - began == pytest.approx(1.0)
        await clock.sleep(20)
        with pytest.raises(RefusedError):
            await desk.preflight.allow(HARMLESS)

    examine(scene)


def test_a_check_that_takes_too_long_says_what_it_said_before() -> None:
    async def scene(desk: Desk, clock: SimClock) -> None:
        desk.seconds = 30.0
        await desk.preflight.allow(PLAN)  # nothing is known, which stops nobody
        await clock.sleep(40)
        began = clock.monotonic()
        with pytest.raises(RefusedError):
            await desk.preflight.allow(PLAN)
        assert clock.monotonic() - began == pytest.approx(8.0)

    examine(scene)


def test_a_plan_without_steps_asks_nobody() -> None:
    async def scene(desk: Desk, _clock: SimClock) -> None:
        await desk.preflight.allow(Plan(site="lab", steps=()))
        assert desk.looks == 0

    examine(scene)

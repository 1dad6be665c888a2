"""From a powered-off rack to running machines, by keys alone; and everything that is asked before something is done."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served
from appliance.model.phase import ConditionKind
from appliance.model.views import Errand, PowerAction, RunState
from tests.unit.appliance.tui.rack import Play, Screen, begin, discover, errand, install, play


@pytest.fixture
def rack(application: FakeApplication) -> FakeApplication:
    """First the hardware is read, then what had to wait is planned; nothing goes wrong."""
    machines = ("node-0", "node-2")
    application.plans = [discover(*machines), install(*machines)]
    application.broken = application.slow = frozenset()
    return application


def applied(application: FakeApplication) -> list[str]:
    return [run.plan for run in reversed(application.runs().runs)]


@pytest.fixture
def watch(socket_path: Path, server: Served, application: FakeApplication) -> "Watch":
    return Watch(socket_path, server, application)


class Watch:
    def __init__(self, socket_path: Path, server: Served, application: FakeApplication) -> None:
        self._all = (socket_path, server, application)

    def __call__(self, what: Play) -> None:
        play(*self._all, what)


def test_discovery_goes_on_into_installation(rack: FakeApplication, watch: Watch) -> None:
    first, second = rack.plans

    async def provision(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees(f"plan {first.digest[:12]}", "Nothing is destroyed", "needs facts of node-0, node-2")
        await screen.press("enter")
        await screen.sees("Type the site's name (lab)")
        await screen.type("lab")
        await screen.press("enter")
        await screen.sees(f"plan {second.digest[:12]}", "These steps destroy", "DISK0000")
        await screen.press("y")
        await screen.type("lab")
        await screen.press("enter")
        await screen.sees("Run run-2", "is done", "8 of 8 steps")

    watch(provision)
    assert applied(rack) == [first.digest, second.digest]


@pytest.mark.parametrize("typed", ["", "y", "yes", "la", "node-0", "LAB"])
def test_only_the_name_approves(rack: FakeApplication, watch: Watch, typed: str) -> None:
    async def refuse(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("Nothing is destroyed")
        await screen.press("enter")
        await screen.type(typed)
        await screen.press("enter")
        await screen.sees("Left: nothing is done")

    watch(refuse)
    assert applied(rack) == []


def test_esc_leaves(rack: FakeApplication, watch: Watch) -> None:
    async def leave(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("Nothing is destroyed")
        await screen.press("enter", "l", "a", "b", "escape", "escape")
        await screen.sees("Overview")

    watch(leave)
    assert applied(rack) == []


def test_a_stale_plan_shows_the_new_one(rack: FakeApplication, server: Served, watch: Watch) -> None:
    """Somebody has planned again meanwhile, and learnt more."""
    first, second = rack.plans

    async def approve(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees(f"plan {first.digest[:12]}")
        server.do(rack.make_plan())
        await screen.press("enter", *"lab", "enter")
        await screen.sees(f"plan {second.digest[:12]}", "Nothing was done: the plan is stale", "These steps destroy")

    watch(approve)
    assert applied(rack) == []


def test_a_run_that_fails_is_told(rack: FakeApplication, watch: Watch) -> None:
    rack.plans = [install("node-0", "node-2")]
    rack.broken = frozenset({"node-0.write"})

    async def provision(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("These steps destroy")
        await screen.press("enter", *"lab", "enter")
        await screen.sees("Run run-1 ended: failed", "1/4 failed", "4/4 done")

    watch(provision)


def test_nothing_to_do(rack: FakeApplication, watch: Watch) -> None:
    rack.plans = [replace(install(), roles=())]

    async def provision(screen: Screen) -> None:
        await screen.press("f3")
        await screen.sees("No step has to be done", "Nothing has to be done")
        await screen.press("enter")
        await screen.sees("There is nothing to approve")

    watch(provision)
    assert applied(rack) == []


def test_an_errand_asks_for_the_machines_name(rack: FakeApplication, watch: Watch) -> None:
    rack.errands[Errand.WIPE] = [errand("node-0", "wipe node-0")]

    async def wipe(screen: Screen) -> None:
        await screen.sees("5 machines")
        await screen.press("f6", "j", "enter")
        await screen.sees("wipe node-0: Let a machine's disks forget", "! node-0: wipe disk DISK0001")
        await screen.press("enter")
        await screen.sees("Type the machine's name (node-0)")
        await screen.type("node-0")
        await screen.press("enter")
        await screen.sees("Run run-1 is done")

    watch(wipe)
    assert applied(rack) == ["cd" * 32]


def test_a_rescue_asks_for_a_yes(rack: FakeApplication, watch: Watch) -> None:
    plan = errand("node-0", "rescue node-0")
    rack.errands[Errand.RESCUE] = [replace(plan, steps=plan.steps[:1])]

    async def rescue(screen: Screen) -> None:
        await screen.sees("5 machines")
        await screen.press("f6", "j", "j", "j", "enter")
        await screen.sees("Nothing is destroyed")
        await screen.press("enter", "enter")
        await screen.sees("Left: nothing is done")
        await screen.press("enter", "y", "enter")
        await screen.sees("Run run-1 is done")

    watch(rescue)


def test_an_errand_that_cannot_be_planned_says_why(rack: FakeApplication, watch: Watch) -> None:
    async def reinstall(screen: Screen) -> None:
        await screen.sees("5 machines")
        await screen.press("f6", "enter")
        await screen.sees("! node-0 cannot be planned to reinstall", "next: name another machine")

    watch(reinstall)


def test_power_is_cut_by_name_only(rack: FakeApplication, watch: Watch) -> None:
    async def cycle(screen: Screen) -> None:
        await screen.sees("5 machines")
        await screen.press("f6", *"jjjjjjjjj", "enter")
        await screen.sees("power cycle node-0: The BMC cuts the power", "Type the machine's name")
        await screen.press("y", "enter")
        await screen.sees("Left: nothing is done. 'y' is not the name.")
        assert rack.powered == []
        await screen.press("enter")
        await screen.type("node-0")
        await screen.press("enter")
        await screen.sees("power cycle is run run-1")

    watch(cycle)
    assert rack.powered == [("node-0", PowerAction.CYCLE)]


def test_hold_and_release(rack: FakeApplication, watch: Watch) -> None:
    async def hold(screen: Screen) -> None:
        await screen.sees("5 machines")
        await screen.press("f6", "G", "enter", *"loud", "enter")
        await screen.sees("node-0 is held")
        assert rack.inventory["node-0"].conditions[0].reason == "loud"
        await screen.sees("release: End the hold")
        await screen.press("enter", "y", "enter")
        await screen.sees("node-0 is released")

    watch(hold)
    assert not any(c.kind is ConditionKind.HOLD for c in rack.inventory["node-0"].conditions)


def test_a_run_is_steered(application: FakeApplication, server: Served, watch: Watch) -> None:
    application.slow |= {"node-2.write"}
    begin(server, application)

    async def steer(screen: Screen) -> None:
        await screen.sees("run run-1")
        await screen.press("f4", "enter")
        await screen.sees("Run run-1", "0/4 failed")
        await screen.press("p")
        await screen.sees("No machine of run run-1 begins a step")
        await screen.press(*"smoke", "enter")
        await screen.sees("Run run-1 is paused")
        await screen.press("r", "y", "enter")
        await screen.sees("Run run-1 goes on.")
        await screen.press("s")
        await screen.sees("goes on without node-0")
        await screen.press(*"fan", "enter")
        await screen.sees("goes on without node-0; t takes it in again")
        await screen.press("t", "y", "enter")
        await screen.sees("tries node-0 again")
        await screen.press("c", "n", "enter")
        await screen.sees("Left: nothing is done")
        assert application.runs().runs[0].state is RunState.RUNNING
        await screen.press("c", "y", "enter")
        await screen.sees("Run run-1 is cancelled")

    watch(steer)
    assert application.runs().runs[0].state is RunState.CANCELLED


def test_the_log_pauses_and_follows(application: FakeApplication, server: Served, watch: Watch) -> None:
    async def read(screen: Screen) -> None:
        server.do(application.tell("node-0", "first"))
        await screen.press("f5")
        await screen.sees("node-0 noted: first", "Events, follows")
        await screen.press("p")
        server.do(application.tell("node-2", "second"))
        await screen.until(lambda: len(screen.console.state.data.events) == 2)
        assert "second" not in screen.text
        await screen.press("f")
        await screen.sees("node-2 noted: second", "Events, follows")
        await screen.press("slash")
        await screen.type("node-2")
        await screen.press("enter")
        await screen.sees("Events of machines that fit node-2, follows", "second")
        assert "first" not in screen.text

    watch(read)


def test_commands(application: FakeApplication, watch: Watch) -> None:
    async def command(screen: Screen) -> None:
        await screen.sees("5 machines")
        pages = (("runs", "No run was started"), ("node-2", "active for"), ("log node-1", "Events of node-1"))
        for typed, sees in pages:
            await screen.press("colon")
            await screen.type(typed)
            await screen.press("enter")
            await screen.sees(sees)
        await screen.press("colon", *"nothing", "enter")
        await screen.sees("There is no command and no machine 'nothing'")
        await screen.press("colon")
        await screen.type("take-over")
        await screen.press("enter")
        await screen.sees("asked who serves DHCP")
        await screen.press("y", "enter")
        await screen.sees("Asked who serves DHCP")

    watch(command)
    assert application.took_over

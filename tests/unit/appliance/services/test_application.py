"""What people may ask for, when it is refused, and in which words."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ConflictError, InnervateError, NotFoundError
from appliance.model.asked import Asked
from appliance.model.bmc import PowerCommand
from appliance.model.filter import parse
from appliance.model.ids import MachineName, PlanDigest, RunId
from appliance.model.paging import MachinesQuery, last_of
from appliance.model.views import PowerAction, RunState
from appliance.services.program import SiteProgram
from appliance.services.segment_state import told
from appliance.store.records import FactsReceived, HoldPlaced, HoldReleased, PlanStored, RunStarted
from images.processes import HostProcesses
from pxe.dhcp.rivals import Passive, Stands
from tests.unit.appliance.conductor.rack import HOST_KEY, FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import FACTS, NODE

NOBODY = MachineName("nobody")


def play(folder: Path, scene: Callable[[FakeRack, Net], Awaitable[None]], machines: int = 1) -> None:
    async def whole() -> None:
        rack = FakeRack(folder, machines)
        try:
            await scene(rack, Net(rack))
        finally:
            await rack.close()

    run(whole())


async def refusal(asked: Awaitable[object], kind: type[InnervateError]) -> str:
    with pytest.raises(kind) as caught:
        await asked
    assert caught.value.next_action
    return str(caught.value)


async def digest(net: Net) -> PlanDigest:
    return PlanDigest((await net.application.make_plan()).digest)


def test_plans(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app = net.application
        first = await app.make_plan()
        assert await app.make_plan() == app.plan(PlanDigest(first.digest)) == first
        assert len([e for e in await rack.entries() if isinstance(e.record, PlanStored)]) == 1
        assert "no plan" in await refusal(app.apply(PlanDigest("0" * 64)), NotFoundError)
        facts = replace(FACTS, serial="x")
        await net.memory.remember(FactsReceived(machine=NODE, nonce="n", facts=facts, raw_sha256=""))  # type: ignore[arg-type]
        assert "stale" in await refusal(app.apply(PlanDigest(first.digest)), ConflictError)
        assert not net.memory.world.runs

    play(tmp_path, scene)


def test_two_approvals_at_once_start_one_run(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        wanted = await digest(net)
        asked = (
            net.application.apply(wanted),
            net.application.apply(wanted),
            net.application.power(NODE, PowerAction.ON),
        )
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer).__name__ for answer in said] == ["RunView", "ConflictError", "ConflictError"]
        assert len([e for e in await rack.entries() if isinstance(e.record, RunStarted)]) == 1
        assert len([e for e in await rack.entries() if isinstance(e.record, PlanStored)]) == 1
        await net.ended()

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("action", "command"),
    [
        (PowerAction.ON, PowerCommand.ON),
        (PowerAction.OFF, PowerCommand.GRACEFUL_OFF),
        (PowerAction.FORCE_OFF, PowerCommand.FORCE_OFF),
        (PowerAction.CYCLE, PowerCommand.CYCLE),
    ],
)
def test_power(action: PowerAction, command: PowerCommand, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        if action is not PowerAction.ON:
            await rack.first.bmc.command(PowerCommand.ON)
            rack.first.bmc.commands.clear()
        started = await net.application.power(NODE, action)
        await net.ended()
        assert net.application.run(RunId(started.id)).state is RunState.DONE
        assert rack.first.bmc.commands == [command]
        again = await net.application.power(NODE, action)
        await net.ended()
        assert net.application.run(RunId(again.id)).state is RunState.DONE
        assert len(rack.first.bmc.commands) == (2 if action is PowerAction.CYCLE else 1)

    play(tmp_path, scene)


def test_a_bmc_that_lies_about_power(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.bmc.deaf = True
        rack.first.bmc.on_command = lambda _command: None
        started = await net.application.power(NODE, PowerAction.ON)
        await net.ended()
        assert net.application.run(RunId(started.id)).state is RunState.FAILED
        assert "accepted on but the power did not follow" in net.failures()[0]

    play(tmp_path, scene)


def test_the_machine_itself_is_believed_before_its_bmc(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.bmc.deaf = True  # it goes on to say "off", and the machine boots all the same
        started = await net.application.power(NODE, PowerAction.ON)
        await net.ended()
        assert net.application.run(RunId(started.id)).state is RunState.DONE

    play(tmp_path, scene)


def test_power_that_only_the_bmc_saw_is_not_called_done(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.bmc.on_command = lambda _command: None
        started = await net.application.power(NODE, PowerAction.ON)
        await net.ended()
        assert net.application.run(RunId(started.id)).state is RunState.FAILED
        assert "accepted on but the machine itself was not seen to follow" in net.failures()[0]

    play(tmp_path, scene)


def test_a_hold_refuses_power(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        held = await net.application.hold(NODE, "fan")
        assert [c.reason for c in held.conditions] == ["fan"]
        assert "held: fan" in await refusal(net.application.power(NODE, PowerAction.ON), ConflictError)
        assert (await net.application.release(NODE)).conditions == ()
        await net.application.power(NODE, PowerAction.ON)
        await net.ended()

    play(tmp_path, scene)


def test_take_over_only_from_behind_another_server(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        with pytest.raises(ConflictError, match="serves DHCP already"):
            net.application.take_over()
        net.segment.follow(told(Stands(standing=Passive(identity=bytes(16), mac=bytes(6)))), 5.0)
        [trouble] = net.application.take_over().segment
        assert (trouble.since, rack.taken_over.is_set()) == (5.0, True)

    play(tmp_path, scene)


def test_who_is_not_there(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        for asked in (app.hold(NOBODY, "x"), app.release(NOBODY), app.power(NOBODY, PowerAction.ON), app.shell(NOBODY)):
            assert "no machine nobody" in await refusal(asked, NotFoundError)
        with pytest.raises(NotFoundError):
            app.machine(NOBODY)
        with pytest.raises(NotFoundError):
            app.run(RunId("x"))

    play(tmp_path, scene)


def test_shell(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        assert "no system to enter" in await refusal(net.application.shell(NODE), NotFoundError)
        await net.finish()
        view = await net.application.shell(NODE)
        assert (view.user, view.address, view.port, view.host_keys) == ("root", "10.77.0.51", 22, (HOST_KEY,))
        assert net.application.machine(NODE) in net.application.machines().machines

    play(tmp_path, scene)


def test_events_wait_for_news(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        app = net.application
        nothing = await app.events(after=0, machine=None, limit=10, wait=5.0)
        assert (nothing.events, nothing.last) == ((), 0)
        waiting = asyncio.create_task(app.events(after=0, machine=None, limit=10, wait=500.0))
        await asyncio.sleep(1)
        await app.hold(NODE, "fan")
        assert [event.text for event in (await waiting).events] == ["held: fan"]
        assert (await app.events(after=0, machine=NOBODY, limit=10, wait=0)).events == ()
        health = app.health()
        assert (health.site, health.ready) == ("lab", True)
        assert health.rss_bytes > 1 << 20

    play(tmp_path, scene)


def test_waiting_for_a_kind_passes_over_all_others(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app, wanted = net.application, frozenset({"hold-released"})
        rest = asyncio.create_task(app.events(after=0, machine=None, limit=10, wait=500.0, kinds=wanted))
        await net.memory.remember(HoldPlaced(machine=NODE, reason="fan"))
        nothing = await app.events(after=0, machine=None, limit=10, wait=5.0, kinds=wanted)
        assert (nothing.events, nothing.last) == ((), net.memory.world.last_seq), "not to be looked at again"
        assert not rest.done()
        await net.memory.remember(HoldReleased(machine=NODE))
        assert [event.kind for event in (await rest).events] == ["hold-released"]
        both = await app.events(after=0, machine=NODE, limit=10, wait=0, kinds=wanted | {"hold-placed"})
        assert [event.kind for event in both.events] == ["hold-placed", "hold-released"]

    play(tmp_path, scene)


def test_the_latest_come_first(tmp_path: Path) -> None:
    async def scene(_rack: FakeRack, net: Net) -> None:
        for reason in ("a", "b", "c"):
            await net.application.hold(NODE, reason)
        view = await net.application.latest(machine=NODE, limit=2)
        assert ([event.text for event in view.events], view.last) == (["held: c", "held: b"], 3)
        before = await net.application.latest(before=view.events[-1].seq, kinds=frozenset({"hold-placed"}))
        assert [event.text for event in before.events] == ["held: a"]

    play(tmp_path, scene)


def test_machines_in_pages_and_counted(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app = net.application
        await net.memory.remember(HoldPlaced(machine=NODE, reason="fan"))
        everyone = app.machines().machines
        first = app.machines(MachinesQuery(limit=2))
        rest = app.machines(MachinesQuery(limit=2, after=last_of(first.next)))
        assert (first.machines + rest.machines, rest.next) == (everyone, "")
        assert [view.name for view in app.machines(MachinesQuery(wanted=parse("state:held"))).machines] == [NODE]
        assert (app.summary(parse("")).total, app.summary(parse("state:held")).states["held"]) == (3, 1)

    play(tmp_path, scene, machines=3)


def test_who_wanted_it_is_in_the_log_and_in_the_views(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app, anna, ben = net.application, Asked(by="anna"), Asked(by="ben")
        run = RunId((await app.apply(await digest(net), anna)).id)
        paused = await app.pause(run, "smoke", ben)
        assert (paused.by, paused.paused_by, app.runs().runs[0].by) == ("anna", "ben", "anna")
        assert (await app.resume(run, anna)).paused_by == ""
        assert [condition.by for condition in (await app.hold(NODE, "fan", ben)).conditions] == ["ben"]
        await app.release(NODE, anna)
        await app.set_aside(run, NODE, "fan", ben)
        await app.retry(run, NODE, anna)
        await app.cancel(run, ben)
        said = [event.text for event in (await app.events(after=0, machine=None, limit=1000, wait=0)).events]
        for text in (
            "started by anna",
            "paused by ben: smoke",
            "goes on by anna",
            "held by ben: fan",
            "released by anna",
            f"set aside in run {run} by ben: fan",
            f"tried again in run {run} by anna",
            "cancelled by ben",
        ):
            assert any(text in one for one in said), text

    play(tmp_path, scene, machines=2)


def test_a_machine_names_its_place_and_the_run_that_has_work_for_it(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        app = net.application
        before = app.machine(NODE)
        assert (before.place, before.run) == (rack.site.topology.servers[0].place, "")
        assert before.bmc
        assert f"//{before.bmc}" in rack.site.topology.bmc_of(NODE).url
        run = await app.apply(await digest(net))
        assert app.machine(NODE).run == run.id
        await net.ended()
        assert app.machine(NODE).run == ""

    play(tmp_path, scene)


RUNS = "from tests.unit.appliance.conductor.rack import site as rack_of\n\nsite = rack_of(1)\n"
LESS = RUNS.replace("site = rack_of(1)", "from dataclasses import replace\n\nsite = replace(rack_of(1), scores=())")


def test_a_site_program_is_reloaded_for_all_who_ask(tmp_path: Path) -> None:
    """A plan of before is stale."""
    path = tmp_path / "site.py"
    path.write_text(RUNS)

    async def scene(rack: FakeRack, net: Net) -> None:
        app = net.application
        assert "from no file" in await refusal(app.program(), NotFoundError)
        app._program = SiteProgram(path, HostProcesses(), net.hands.clock)
        before = await digest(net)
        path.write_text(LESS)
        view = await app.program()
        assert (view.changed, view.reloadable) == (True, True)
        assert {(one.change, one.machine) for one in view.changes} == {("removed", NODE)}
        assert not (await app.reload(view.digest)).changed
        assert (await app.make_plan()).steps == ()
        assert "stale" in await refusal(app.apply(before), ConflictError)
        assert "changed since" in await refusal(app.reload("0" * 64), ConflictError)

    play(tmp_path, scene)

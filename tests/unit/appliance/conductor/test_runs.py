"""Runs over many machines: canaries, limits, pauses, machines set aside and tried again, holds, cancelling."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from appliance.errors import ConflictError, NotFoundError
from appliance.model.ids import MachineName, PlanDigest, RunId
from appliance.model.phase import Phase
from appliance.model.site import RackLimits
from appliance.model.views import RunState, StepState
from appliance.store.records import Entry, Record, RunPaused, StepIntent
from images.agent import protocol
from tests.unit.appliance.conductor.rack import FakeRack, Net, intents
from tests.unit.appliance.conductor.test_conductor import play, written


async def discovered(net: Net) -> None:
    assert (await net.approve()).state is RunState.DONE


async def started(net: Net) -> RunId:
    view = await net.application.apply(PlanDigest((await net.application.make_plan()).digest))
    return RunId(view.id)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  virtual time
        await asyncio.sleep(0.5)


def begun(entries: tuple[object, ...], run: RunId) -> list[str]:
    """Machines in the order in which they entered the run."""
    names = [i.machine for i in entries if isinstance(i, StepIntent) and i.run == run]
    return list(dict.fromkeys(names))


def test_the_canary_goes_first_and_alone(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        view = net.application.run(run)
        assert view.canary == ("node-0",)
        status = net.memory.world.runs[run]
        alone: list[list[str]] = []
        net.memory.on_change(lambda _: alone.append([*status.entered]) if not status.settled else None)
        await until(lambda: "node-0" in status.settled)
        assert alone[-1] == ["node-0"]
        assert status.settled[MachineName("node-0")].well
        await net.ended()
        assert net.application.run(run).state is RunState.DONE
        assert {m.phase for m in net.application.machines().machines} == {Phase.ACTIVE}

    play(tmp_path, scene, machines=6)


def test_no_more_machines_are_under_way_than_the_rack_bears(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        status, most = net.memory.world.runs[run], 0
        assert "2 machines at once: the uplink carries 2500 Mb/s" in net.application.run(run).rollout

        def count(_machines: frozenset[MachineName]) -> None:
            nonlocal most
            most = max(most, status.under_way)

        net.memory.on_change(count)
        await net.ended()
        assert net.application.run(run).state is RunState.DONE
        assert most == 2

    play(tmp_path, scene, machines=7, limits=RackLimits(uplink_mbps=2500, power_ons=3))


def test_a_canary_that_fails_pauses_the_run_and_a_person_rolls_on(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        rack.first.crashes = 5
        run = await started(net)
        await until(lambda: net.memory.world.runs[run].paused)
        view = net.application.run(run)
        assert view.paused == "1 of 1 canary machines failed"
        assert view.state is RunState.RUNNING
        await asyncio.sleep(7200)
        assert list(net.memory.world.runs[run].entered) == ["node-0"]
        await net.application.resume(run)
        await net.ended()
        assert net.application.run(run).state is RunState.FAILED
        phases = [machine.phase for machine in net.application.machines().machines]
        assert phases == [Phase.DEPLOYING, *[Phase.ACTIVE] * 5]

    play(tmp_path, scene, machines=6)


def test_a_wave_that_fails_more_than_the_canary_pauses_the_run_by_itself(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        for name in ("node-1", "node-2"):
            rack.machines[MachineName(name)].crashes = 99
        run = await started(net)
        await until(lambda: net.memory.world.runs[run].paused)
        assert net.application.run(run).paused == "2 of the last 2 machines failed; of the canary it was 0%"
        assert len(net.memory.world.runs[run].waiting) == 4
        paused = [entry for entry in await rack.entries() if isinstance(entry.record, RunPaused)]
        assert len(paused) == 1
        for name in ("node-1", "node-2"):
            rack.machines[MachineName(name)].crashes = 0
            await net.application.retry(run, MachineName(name))
        await net.application.resume(run)
        await net.ended()
        assert net.application.run(run).state is RunState.DONE

    play(tmp_path, scene, machines=8, limits=RackLimits(power_ons=2))


def test_paused_by_a_person_steps_under_way_go_on_to_their_end(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        await until(lambda: written(rack))
        assert (await net.application.pause(run, "lunch")).paused == "lunch"
        await asyncio.sleep(7200)
        states = {step.id.rpartition(".")[2]: step.state for step in net.application.run(run).steps[:5]}
        assert states["write-image"] is StepState.DONE
        assert states["write-seed"] is StepState.PENDING
        await net.application.resume(run)
        await net.ended()
        assert net.application.run(run).state is RunState.DONE

    play(tmp_path, scene)


def test_a_hold_takes_hands_off_at_once_and_release_goes_on_under_a_new_fence(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        await until(lambda: written(rack))
        await net.application.hold(rack.first.name, "smoke")
        await asyncio.sleep(3600)
        assert net.waiting.of(rack.first.name) is None
        assert [task for task in rack.first.started if not isinstance(task, protocol.WriteImage)] == []
        await net.application.release(rack.first.name)
        await net.ended()
        assert net.application.run(run).state is RunState.DONE
        writes = [i for i in intents(await rack.entries()) if i.step.endswith("write-image")]
        assert [(i.fence, i.resumes) for i in writes] == [(1, None), (2, 1)]
        assert len(written(rack)) == 1

    play(tmp_path, scene)


def test_a_cancelled_run_leaves_its_machines_where_they_stand_and_free(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        await until(lambda: written(rack))
        view = await net.application.cancel(run)
        assert view.state is RunState.CANCELLED
        assert {step.state for step in view.steps} >= {StepState.CANCELLED, StepState.PENDING}
        assert net.memory.world.machine(rack.first.name).attempt is None
        with pytest.raises(ConflictError, match="is over: cancelled"):
            await net.application.cancel(run)
        await net.finish()
        assert net.application.machine(rack.first.name).phase is Phase.ACTIVE

    play(tmp_path, scene)


def test_a_machine_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        await until(lambda: written(rack))
        view = await net.application.set_aside(run, rack.first.name, "burnt smell")
        assert view.set_aside == {"node-0": "burnt smell"}
        await net.ended()
        assert net.application.run(run).state is RunState.FAILED
        phases = [machine.phase for machine in net.application.machines().machines]
        assert phases == [Phase.DEPLOYING, Phase.ACTIVE]
        other = await started(net)
        with pytest.raises(NotFoundError, match="has no part in run"):
            await net.application.retry(other, MachineName("node-1"))

    play(tmp_path, scene, machines=2)


Word = Callable[[Net, MachineName, RunId], Awaitable[object]]
WORDS: dict[str, tuple[Word, RunState]] = {
    "hold": (lambda net, machine, _run: net.application.hold(machine, "smoke"), RunState.RUNNING),
    "pause": (lambda net, _machine, run: net.application.pause(run, "smoke"), RunState.RUNNING),
    "set aside": (lambda net, machine, run: net.application.set_aside(run, machine, "smoke"), RunState.FAILED),
    "cancel": (lambda net, _machine, run: net.application.cancel(run), RunState.CANCELLED),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_reaches_the_log_before_the_next_intent_comes_in_time(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seed is not written, though the intent to write it is in the log behind the word."""
    say, state = WORDS[word]

    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        append, late = net.log.append, list[asyncio.Task[None]]()
        arrived = Future[tuple[Entry, ...]]()

        def overtaken(*records: Record) -> Future[tuple[Entry, ...]]:
            intent = records[-1]
            if late or not (isinstance(intent, StepIntent) and intent.step.endswith("seed")):
                return append(*records)
            late.append(asyncio.create_task(deliver(intent.run, records)))
            return arrived

        async def deliver(run: RunId, records: tuple[Record, ...]) -> None:
            await say(net, rack.first.name, run)
            append(*records).add_done_callback(lambda done: arrived.set_result(done.result()))

        monkeypatch.setattr(net.log, "append", overtaken)
        run = await started(net)
        await asyncio.sleep(600)
        assert late
        assert written(rack)
        assert not [task for task in rack.first.started if isinstance(task, protocol.WriteSeed)]
        assert net.application.run(run).state is state

    play(tmp_path, scene)


def test_of_two_runs_that_want_one_machine_the_second_is_refused_by_name(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        digest = PlanDigest((await net.application.make_plan()).digest)
        both = await asyncio.gather(
            net.application.apply(digest), net.application.apply(digest), return_exceptions=True
        )
        refused = [one for one in both if isinstance(one, ConflictError)]
        assert len(refused) == 1
        assert "already works on node-0, node-1" in str(refused[0])

    play(tmp_path, scene, machines=2)


def test_steering_survives_a_crash(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        await until(lambda: written(rack))
        await net.application.pause(run, "look")
        await net.application.set_aside(run, MachineName("node-1"), "noise")
        await net.close()
        after = Net(rack)
        view = after.application.run(run)
        assert (view.paused, view.set_aside) == ("look", {"node-1": "noise"})
        await after.application.retry(run, MachineName("node-1"))
        await after.application.resume(run)
        await after.ended()
        assert after.application.run(run).state is RunState.DONE

    play(tmp_path, scene, machines=2)


def test_the_past_tells_how_long_a_step_usually_takes(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await discovered(net)
        run = await started(net)
        status = net.memory.world.runs[run]
        await until(lambda: len(status.settled) == 5)
        last = next(iter(status.entered.keys() - status.settled.keys()), None) or next(iter(status.waiting))
        await until(lambda: net.waiting.of(last))
        step = net.application.machine(last).step
        assert step is not None
        assert step.usual is not None
        assert step.deadline is not None
        assert any("usually" in line.evidence for line in net.application.explain(last).lines)
        await net.ended()

    play(tmp_path, scene, machines=6, limits=RackLimits(power_ons=1))


def test_how_long_a_run_goes_on_is_known_from_what_was_timed(tmp_path: Path) -> None:
    """The first machines were seen through, the others go two by two: what is said then is when it ends."""

    async def scene(rack: FakeRack, net: Net) -> None:
        first = await net.application.make_plan()
        assert first.outlook is not None
        assert (first.outlook.untimed, first.outlook.seconds) == (len(first.steps), 0.0)
        await discovered(net)
        plan = await net.application.make_plan()
        assert plan.outlook is not None
        assert 0 < plan.outlook.untimed < plan.outlook.steps == len(plan.steps)
        run = await started(net)
        status = net.memory.world.runs[run]
        await until(lambda: len(status.settled) >= 2)
        left = net.application.run(run).outlook
        assert left is not None
        assert (left.untimed, left.borrowed) == (0, 0)
        assert left.until is not None
        await net.application.pause(run, "look")
        paused = net.application.run(run).outlook
        assert paused is not None
        assert paused.until is None
        await net.application.resume(run)
        await net.ended()
        assert status.ended is not None
        assert left.until == pytest.approx(status.ended, rel=0, abs=0.2 * (status.ended - status.started))
        assert net.application.run(run).outlook is None

    play(tmp_path, scene, machines=7, limits=RackLimits(power_ons=2))

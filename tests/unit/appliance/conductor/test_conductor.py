"""Whole runs against scripted machines under a virtual clock: what goes well, what fails, and a crash anywhere."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.bmc.fake import FakeBmc
from appliance.conductor.conductor import CarryOut, Conductor
from appliance.conductor.decision import Done, Outcome, Wait
from appliance.conductor.hands import Hands
from appliance.conductor.runs import Attempt
from appliance.errors import BmcError, BmcSilentError, MachineryError
from appliance.model.bmc import BootTarget, PowerCommand
from appliance.model.hardware import Firmware
from appliance.model.ids import MachineName
from appliance.model.phase import PHASES, Phase
from appliance.model.views import RunState, StepState
from appliance.plan import Step
from appliance.store.records import (
    BootSeen,
    BootStage,
    Entry,
    IdentityRead,
    OrderAnswered,
    OrderSent,
    PowerCommanded,
    Record,
    RunEnded,
    StepIntent,
    StepResult,
)
from images.agent import protocol
from tests.unit.appliance.conductor.rack import FakeRack, Net, intents
from tests.unit.appliance.conductor.virtual import run

JOURNAL = (StepIntent, StepResult, OrderSent, OrderAnswered, RunEnded)
Scene = Callable[[FakeRack, Net], Awaitable[None]]


def play(folder: Path, scene: Scene, machines: int = 1, **topology: object) -> None:
    async def whole() -> None:
        rack = FakeRack(folder, machines, topology)
        net = Net(rack)
        try:
            await scene(rack, net)
        finally:
            await rack.close()

    run(whole())


def answers(entries: tuple[Entry, ...]) -> list[OrderAnswered]:
    return [entry.record for entry in entries if isinstance(entry.record, OrderAnswered)]


def written(rack: FakeRack) -> list[tuple[str, int]]:
    return [(task.id, task.fence) for task in rack.first.started if isinstance(task, protocol.WriteImage)]


def test_two_machines_from_nothing_to_active(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        for machine in rack.machines.values():
            state = net.memory.world.machine(machine.name)
            assert state.phase is Phase.ACTIVE
            assert [phase for phase, _ in state.phases] == [
                Phase.ENROLLING,
                Phase.INSPECTING,
                Phase.AVAILABLE,
                Phase.DEPLOYING,
                Phase.BOOTING,
                Phase.CONFIGURING,
                Phase.ACTIVE,
            ]
            assert list(state.stages) == ["dhcp", "tftp", "script", "hello", "written", "first_boot", "ssh"]
            assert state.facts is not None
            assert (state.facts.firmware, state.facts.serial) == (Firmware.UEFI, machine.serial)
            assert state.installed is not None
            assert state.installed.smoke_passed
            assert [type(task) for task in machine.started] == [
                protocol.WriteImage,
                protocol.WriteSeed,
                protocol.BootDisk,
            ]
            assert (machine.bmc.commands, machine.bmc.boots) == ([PowerCommand.ON], [BootTarget.NETWORK])
        assert not any(net.waiting.of(machine.name) for machine in rack.machines.values())
        assert not (await net.application.make_plan()).steps

    play(tmp_path, scene, machines=2)


def test_progress_names_what_is_waited_for(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        said = [text for _, text in net.said if text]
        assert said[:8] == [
            "waiting for the BMC to say which machine it controls",
            "start: telling the BMC to boot once from the network",
            "start: asking the BMC for the power state",
            "start: telling the BMC on",
            "powered on; waiting for the firmware's first DHCP packet",
            "address given; waiting for the firmware to fetch iPXE",
            "iPXE fetched; waiting for it to ask for its boot script",
            "boot script served; waiting for the agent's hello from the ramdisk",
        ]
        assert "waiting for SSH: 10.77.0.51 does not answer yet" in said

    play(tmp_path, scene)


def test_a_bmc_that_refuses_fails_its_machine_alone(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.bmc.failures.append(BmcError("login refused", evidence="401", next_action="check the password"))
        ended = await net.approve()
        assert ended.state is RunState.FAILED
        states = Counter((step.machine, step.state) for step in ended.steps)
        assert states == {
            ("node-0", StepState.FAILED): 1,
            ("node-0", StepState.PENDING): 2,
            ("node-1", StepState.DONE): 3,
        }
        failed = net.memory.world.machine(rack.first.name).failed
        assert failed is not None
        assert (failed.reason, failed.evidence, failed.next_action) == ("login refused", "401", "check the password")
        await net.finish()  # planning again tries again
        assert net.memory.world.machine(rack.first.name).conditions == ()

    play(tmp_path, scene, machines=2)


@pytest.mark.parametrize(
    ("dies_at", "seen", "action"),
    [
        ("power", "nothing", "check the network cable"),
        ("dhcp", "dhcp", "check that TFTP and HTTP reach the machine"),
        ("script", "dhcp, tftp, script", "read the machine's serial console"),
    ],
)
def test_a_silent_agent_climbs_the_ladder(dies_at: str, seen: str, action: str, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.dies_at = dies_at
        if dies_at == "power":
            rack.first.bmc.on_command = lambda _command: None
        assert (await net.approve()).state is RunState.FAILED
        assert rack.first.bmc.commands == [PowerCommand.ON, PowerCommand.FORCE_OFF, PowerCommand.ON]
        assert rack.first.bmc.boots == [BootTarget.NETWORK, BootTarget.NETWORK]
        failed = net.memory.world.machine(rack.first.name).failed
        assert failed is not None
        assert failed.evidence == f"seen since power-on: {seen}"
        assert failed.next_action.startswith(action)

    play(tmp_path, scene)


def test_a_power_command_whose_answer_got_lost_is_decided_by_the_machine(tmp_path: Path) -> None:
    class Lossy(FakeBmc):
        async def command(self, command: PowerCommand) -> None:
            await super().command(command)
            raise BmcSilentError("no answer", next_action="wait")

    async def scene(rack: FakeRack, net: Net) -> None:
        machine = rack.first
        machine.bmc = Lossy(await machine.bmc.identify(), machine.bmc.on_command)
        await net.finish()
        assert machine.bmc.commands == [PowerCommand.ON]
        assert [answer.lost for answer in answers(await rack.entries())] == [False, True]

    play(tmp_path, scene)


@pytest.mark.parametrize(("known", "patience"), [(0, 810), (8, 60)])
def test_a_model_that_is_known_to_be_quick_is_given_up_sooner(known: int, patience: float, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        identity, name = await rack.first.bmc.identify(), rack.first.name
        await net.memory.remember(IdentityRead(machine=name, identity=identity))
        for _ in range(known):
            await net.memory.remember(PowerCommanded(machine=name, command="on", boots=True))
            await asyncio.sleep(20)
            await net.memory.remember(BootSeen(machine=name, stage=BootStage.DHCP, detail=""))
        told: list[float] = []
        rack.first.bmc.on_command = lambda _command: told.append(net.hands.clock.monotonic())
        assert (await net.approve()).state is RunState.FAILED
        assert rack.first.bmc.commands == [PowerCommand.ON, PowerCommand.FORCE_OFF, PowerCommand.ON]
        assert told[1] - told[0] == pytest.approx(patience, abs=1)

    play(tmp_path, scene)


@pytest.mark.parametrize("what", ["crashes", "falls"])
def test_an_agent_that_restarts_gets_its_task_under_a_new_fence(what: str, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        setattr(rack.first, what, 1)
        await net.finish()
        assert [fence for _, fence in written(rack)] == [1, 2]
        results = [e.record for e in await rack.entries() if isinstance(e.record, StepResult)]
        lost = [result for result in results if result.problem is not None]
        assert [(r.step, r.fence, r.retry_after) for r in lost] == [("install-linux.node-0.write-image", 1, 0)]

    play(tmp_path, scene)


def test_an_agent_that_always_restarts_fails_the_step_for_good(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        assert (await net.approve()).state is RunState.DONE
        rack.first.crashes = 99
        assert (await net.approve()).state is RunState.FAILED
        assert [fence for _, fence in written(rack)] == [1, 2, 3, 4, 5]

    play(tmp_path, scene)


def test_a_seed_that_an_agent_wrote_while_it_was_away_still_counts(tmp_path: Path) -> None:
    """The agent says "done" for the older attempt's seed: what the system reports with must be that one's nonce."""

    async def scene(rack: FakeRack, net: Net) -> None:
        assert (await net.approve()).state is RunState.DONE
        going = asyncio.create_task(net.finish())
        while not any(isinstance(task, protocol.WriteSeed) for task in rack.first.started):  # noqa: ASYNC110  virtual time
            await asyncio.sleep(1)
        rack.first.silent_seconds = 100.0
        await going
        fences = [i.fence for i in intents(await rack.entries()) if i.step.endswith("write-seed")]
        assert fences == [1, 2]
        assert len([task for task in rack.first.started if isinstance(task, protocol.WriteSeed)]) == 1

    play(tmp_path, scene)


def test_the_same_step_of_another_run_is_another_task_to_the_agent(tmp_path: Path) -> None:
    """The agent remembers that it failed; a new approval has to make it try again."""

    async def scene(rack: FakeRack, net: Net) -> None:
        assert (await net.approve()).state is RunState.DONE
        rack.shells.answers["cat"] = "another serial"
        assert (await net.approve()).state is RunState.FAILED
        first = [task.id for task in rack.first.started]
        assert len(set(first)) == 3
        assert all(task.split(".")[0] in net.memory.world.runs for task in first)

    play(tmp_path, scene)


def test_over_budget(tmp_path: Path) -> None:
    async def never(hands: Hands, step: Step, _attempt: Attempt) -> Outcome:
        hands.waiting.say(step.machine, Wait(why="its second coming"))
        hands.waiting.say(step.machine, None)
        await asyncio.sleep(1e6)
        return Done()

    waited = "it waited for this at last: its second coming"
    assert problem_of_first_step(tmp_path, never) == ("budget", "ask the BMC who node-0 is took longer", waited)


def test_a_fault_of_ours_is_told_apart(tmp_path: Path) -> None:
    async def broken(_hands: Hands, _step: Step, _attempt: Attempt) -> Outcome:
        raise KeyError("oops")

    async def timed_out(_hands: Hands, _step: Step, _attempt: Attempt) -> Outcome:
        raise TimeoutError("of a library, not of the budget")

    (tmp_path / "b").mkdir()
    fault = ("fault", "a fault in the appliance itself stopp", "KeyError: 'oops'")
    assert problem_of_first_step(tmp_path, broken) == fault
    assert problem_of_first_step(tmp_path / "b", timed_out)[0] == "fault"


def problem_of_first_step(folder: Path, carry_out: CarryOut) -> tuple[str, str, str]:
    found: list[tuple[str, str, str]] = []

    async def scene(rack: FakeRack, net: Net) -> None:
        net.conductor.cancel()
        net.conductor = asyncio.create_task(Conductor(net.hands, carry_out, rack.rng).run())
        assert (await net.approve()).state is RunState.FAILED
        result = next(e.record for e in await rack.entries() if isinstance(e.record, StepResult))
        assert result.problem is not None
        found.append((result.problem.code, result.problem.message[:37], result.problem.evidence))

    play(folder, scene)
    return found[0]


def test_a_log_that_refuses_stops_the_world_until_it_takes_records_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every kind of record is refused twice: no verdict on a machine comes of it, and nothing is lost."""

    async def scene(rack: FakeRack, net: Net) -> None:
        refused = Counter[str]()
        append = net.log.append

        def full(*records: object) -> object:
            kind = type(records[0]).__name__
            refused[kind] += 1
            if refused[kind] <= 2 and isinstance(records[0], JOURNAL):
                future: Future[object] = Future()
                future.set_exception(MachineryError("disk full"))
                return future
            return append(*records)  # type: ignore[arg-type]

        monkeypatch.setattr(net.log, "append", full)
        await net.finish()
        assert not net.failures()
        assert all(refused[kind.__name__] >= 2 for kind in JOURNAL), refused

    play(tmp_path, scene)


def test_a_result_and_the_next_intent_are_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        append, appended = net.log.append, list[tuple[Record, ...]]()

        def noted(*records: Record) -> Future[tuple[Entry, ...]]:
            appended.append(records)
            return append(*records)

        monkeypatch.setattr(net.log, "append", noted)
        await net.approve()
        told = [[one for one in records if isinstance(one, StepIntent | StepResult)] for records in appended]
        first, *between, last = [[type(one) for one in records] for records in told if records]
        assert (first, last) == ([StepIntent], [StepResult])
        assert between
        assert all(kinds == [StepResult, StepIntent] for kinds in between)

    play(tmp_path, scene)


def test_a_held_machine_waits_and_costs_nothing(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.application.hold(rack.first.name, "disk is being changed")
        started = asyncio.create_task(net.approve())
        await asyncio.sleep(3600)
        assert not intents(await rack.entries())
        await net.application.release(rack.first.name)
        assert (await started).state is RunState.DONE

    play(tmp_path, scene)


def test_a_hold_that_outlasts_a_retry_does_not_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        assert (await net.approve()).state is RunState.DONE
        rack.first.crashes = 1
        started = asyncio.create_task(net.approve())
        while not written(rack):  # noqa: ASYNC110  virtual time
            await asyncio.sleep(1)
        await net.application.hold(rack.first.name, "look")
        waits: list[float | None] = []
        changed = net.memory.changed

        async def counted(tick: int, seconds: float | None) -> None:
            waits.append(seconds)
            await changed(tick, seconds)

        monkeypatch.setattr(net.memory, "changed", counted)
        await asyncio.sleep(3600)
        assert len(waits) < 50
        await net.application.release(rack.first.name)
        assert (await started).state is RunState.DONE

    play(tmp_path, scene)


def test_a_machine_that_is_in_its_first_boot_is_not_restarted_after_our_crash(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.approve()
        going = asyncio.create_task(net.approve())
        while not any(isinstance(task, protocol.BootDisk) for task in rack.first.started):  # noqa: ASYNC110  virtual time
            await asyncio.sleep(1)
        await asyncio.sleep(25)  # the agent has left
        going.cancel()
        await net.close()
        rack.first.stop()
        after = Net(rack)
        rack.first.dies_at = "script"
        waiting = asyncio.create_task(after.ended())
        await asyncio.sleep(200)  # a long firmware self-test
        assert rack.first.bmc.commands == [PowerCommand.ON]
        rack.first.dies_at = ""
        rack.first.restart()
        await waiting
        await after.finish()
        assert rack.first.bmc.commands == [PowerCommand.ON]

    play(tmp_path, scene)


# a crash anywhere ----------------------------------------------------------------------------------------------


async def crash_after(rack: FakeRack, records: int) -> bool:
    """Runs until that many more records are durable and folded, and stops there. False if all was done before."""
    net = Net(rack)
    records += net.memory.world.last_seq

    def look(_machines: frozenset[MachineName]) -> None:
        if net.memory.world.last_seq >= records:
            net.conductor.cancel()

    net.memory.on_change(look)
    going = asyncio.create_task(net.finish())
    await asyncio.wait({going, net.conductor}, return_when=asyncio.FIRST_COMPLETED)
    crashed = not going.done()
    going.cancel()
    await asyncio.wait({going})
    if crashed:
        await net.close()
        await asyncio.sleep(7)
    return crashed


def check_invariants(rack: FakeRack, entries: tuple[object, ...], net: Net) -> None:
    begun: dict[tuple[str, str], list[int]] = {}
    for intent in (record for record in entries if isinstance(record, StepIntent)):
        begun.setdefault((intent.run, intent.step), []).append(intent.fence)
    assert all(fences == list(range(1, len(fences) + 1)) for fences in begun.values())
    results = Counter((r.run, r.step, r.fence) for r in entries if isinstance(r, StepResult))
    assert set(results.values()) == {1}
    done = Counter((r.run, r.step) for r in entries if isinstance(r, StepResult) and r.problem is None)
    assert set(done.values()) == {1}
    for machine in rack.machines.values():
        started = Counter((task.id, task.fence) for task in machine.started)
        assert set(started.values()) == {1}
        state = net.memory.world.machine(machine.name)
        assert (state.phase, state.failed) == (Phase.ACTIVE, None)
        steps = [Phase.UNKNOWN, *(phase for phase, _ in state.phases)]
        assert all(b in PHASES[a].exits for a, b in pairwise(steps))
    assert all(run.state is RunState.DONE for run in net.memory.world.runs.values())


def whole_length(folder: Path) -> int:
    length: list[int] = []

    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        length.append(net.memory.world.last_seq)

    play(folder, scene, machines=2)
    return length[0]


@pytest.mark.parametrize("remainder", range(4))
def test_a_crash_after_any_record_is_survived(remainder: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    length = whole_length(tmp_path / "whole")
    assert length > 50

    async def once(folder: Path, records: int) -> None:
        rack = FakeRack(folder, 2)
        try:
            assert await crash_after(rack, records), records
            net = Net(rack)
            await net.finish()
            entries = tuple(entry.record for entry in await rack.entries())
            check_invariants(rack, entries, net)
        finally:
            await rack.close()

    # One run may be some records shorter than another: which of them share a commit is the threads' business.
    for records in range(3 + remainder, length - 4, 4):
        (tmp_path / str(records)).mkdir()
        run(once(tmp_path / str(records), records))


@pytest.mark.parametrize("deaths", [(10, 2), (12, 2, 2), (16, 2, 2, 2)])
def test_a_boot_is_begun_once_however_often_the_daemon_dies_in_it(deaths: tuple[int, ...], tmp_path: Path) -> None:
    async def whole() -> None:
        rack = FakeRack(tmp_path, 1)
        try:
            for records in deaths:
                assert await crash_after(rack, records)
            await Net(rack).finish()
            assert rack.first.bmc.commands == [PowerCommand.ON]
        finally:
            await rack.close()

    run(whole())


def test_crashes_again_and_again(tmp_path: Path) -> None:
    async def whole() -> None:
        rack = FakeRack(tmp_path, 2)
        try:
            # Each life is longer than the one before: one that ends before a boot can end starts that boot for ever.
            for records in range(5, 100):
                if not await crash_after(rack, records):
                    break
            else:
                pytest.fail("it never came to an end")
            assert rack.net is not None
            check_invariants(rack, tuple(entry.record for entry in await rack.entries()), rack.net)
        finally:
            await rack.close()

    run(whole())

"""Power commands are believed when their effect is seen: the BMC that lies, answers that got lost, silence."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.bmc.fake import FakeBmc
from appliance.errors import BmcError, BmcSilentError, BmcUnsupportedError
from appliance.model.bmc import PowerCommand, PowerState
from appliance.model.ids import StepId
from appliance.plan import Plan, SetPower, Step
from appliance.store.records import BootSeen, BootStage, PlanStored, RunStarted, StepResult
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.test_conductor import play

ON, OFF = PowerState.ON, PowerState.OFF
LOST = BmcSilentError("no answer", next_action="wait")
UNSEEN = "the BMC accepted {} but the machine itself was not seen to follow"
FALSE = "the BMC accepted {} but the power did not follow"


class Lossy(FakeBmc):
    async def command(self, command: PowerCommand) -> None:
        await super().command(command)
        raise LOST


class Mute(FakeBmc):
    async def power_state(self) -> PowerState:
        if self.commands:
            raise LOST
        return await super().power_state()


class Shy(FakeBmc):
    looks = 0

    async def power_state(self) -> PowerState:
        self.looks += 1
        if 1 < self.looks <= 4:
            raise LOST
        return await super().power_state()


async def told(rack: FakeRack, net: Net, command: PowerCommand) -> StepResult:
    name = rack.first.name
    step = Step(
        id=StepId("power"), machine=name, score="operator", summary="power", do=SetPower(command=command), budget=1000
    )
    plan = Plan(site="lab", steps=(step,))
    await net.memory.remember(PlanStored(plan=plan), RunStarted(run=rack.run_id(), plan=plan.digest))
    await net.ended()
    results = [entry.record for entry in await rack.entries() if isinstance(entry.record, StepResult)]
    return results[-1]


def seen(rack: FakeRack, net: Net, stage: BootStage) -> Callable[[PowerCommand], None]:
    """The machine shows this 9 s after it was told anything."""
    record = BootSeen(machine=rack.first.name, stage=stage, detail="")
    return lambda _command: void(asyncio.get_running_loop().call_later(9, net.memory.note, record))


def void(_timer: object) -> None:
    pass


def quiet(_rack: FakeRack, _net: Net) -> Callable[[PowerCommand], None]:
    return lambda _command: None


def dhcp(rack: FakeRack, net: Net) -> Callable[[PowerCommand], None]:
    return seen(rack, net, BootStage.DHCP)


def lease(rack: FakeRack, net: Net) -> Callable[[PowerCommand], None]:
    return seen(rack, net, BootStage.LEASE)


@pytest.mark.parametrize(
    ("kind", "power", "command", "machine", "problem", "commands"),
    [
        (FakeBmc, ON, PowerCommand.FORCE_OFF, quiet, "", 1),
        (FakeBmc, OFF, PowerCommand.FORCE_OFF, quiet, "", 0),
        (FakeBmc, ON, PowerCommand.ON, quiet, "", 0),
        (FakeBmc, OFF, PowerCommand.ON, quiet, UNSEEN, 1),
        (FakeBmc, OFF, PowerCommand.ON, dhcp, "", 1),
        (FakeBmc, ON, PowerCommand.CYCLE, lease, UNSEEN, 1),
        (FakeBmc, ON, PowerCommand.CYCLE, dhcp, "", 1),
        (FakeBmc, ON, PowerCommand.NMI, quiet, "", 1),
        (Lossy, ON, PowerCommand.FORCE_OFF, quiet, "", 1),
        (Lossy, OFF, PowerCommand.ON, quiet, "no answer", 1),
        (Mute, ON, PowerCommand.FORCE_OFF, quiet, "no answer", 1),
        (Shy, ON, PowerCommand.FORCE_OFF, quiet, "", 1),
    ],
)
def test_what_is_believed(
    kind: type[FakeBmc],
    power: PowerState,
    command: PowerCommand,
    machine: Callable[[FakeRack, Net], Callable[[PowerCommand], None]],
    problem: str,
    commands: int,
    tmp_path: Path,
) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        bmc = rack.first.bmc = kind(rack.first.bmc.identity, machine(rack, net))
        bmc.set_power(power)
        result = await told(rack, net, command)
        assert (result.problem.message if result.problem else "") == problem.format(command.value)
        assert len(bmc.commands) == commands

    play(tmp_path, scene)


def test_a_bmc_that_shows_power_and_does_nothing_is_contradicted(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        rack.first.bmc.deaf, rack.first.bmc.on_command = True, quiet(rack, net)
        result = await told(rack, net, PowerCommand.ON)
        assert result.problem is not None
        assert result.problem.message == FALSE.format("on")

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "error",
    [
        BmcUnsupportedError("no NMI", next_action="none"),
        BmcError("refused", next_action="see what it says"),
    ],
)
def test_a_refusal_is_told_at_once(error: BmcError, tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        began = net.hands.clock.now()
        rack.first.bmc.failures.append(error)
        result = await told(rack, net, PowerCommand.NMI)
        assert result.problem is not None
        assert result.problem.message == str(error)
        assert net.hands.clock.now() - began < 2
        assert rack.first.bmc.commands == []

    play(tmp_path, scene)


@pytest.mark.parametrize("liars", [30, pytest.param(200, marks=pytest.mark.long)])
def test_bmcs_that_lie_convince_nobody(liars: int, tmp_path: Path) -> None:
    """Each accepts everything, does nothing, and shows what it was told."""

    class Liar(FakeBmc):
        async def command(self, command: PowerCommand) -> None:
            self.commands.append(command)
            self.set_power(ON if command.boots else OFF)

    async def scene(rack: FakeRack, net: Net) -> None:
        for number in range(liars):
            bmc = rack.first.bmc = Liar(rack.first.bmc.identity)
            command = (PowerCommand.ON, PowerCommand.CYCLE, PowerCommand.FORCE_RESTART)[number % 3]
            bmc.set_power(OFF)
            result = await told(rack, net, command)
            assert result.problem is not None
            assert bmc.commands == [command]

    play(tmp_path, scene)

"""Active machines that stop answering are noticed; machines in somebody's hands are left alone."""

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

from appliance.model.ids import MachineName
from appliance.model.phase import ConditionKind
from appliance.services.watch import Watch, answers
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.test_conductor import play

A = MachineName("node-0")


class Line:
    """Who answers; `asked` counts."""

    def __init__(self) -> None:
        self.down: set[IPv4Address] = set()
        self.asked: list[IPv4Address] = []

    async def probe(self, address: IPv4Address) -> bool:
        self.asked.append(address)
        await asyncio.sleep(0.1)
        return address not in self.down


def test_silence_is_noticed_and_its_end_too(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        line = Line()
        watching = asyncio.create_task(Watch(net.memory, line.probe, net.hands.clock).run())
        await asyncio.sleep(120)
        assert net.memory.world.machine(A).silent is None
        address = net.memory.world.machine(A).address
        assert address is not None
        line.down.add(address)
        await asyncio.sleep(80)
        assert net.memory.world.machine(A).silent is None
        await asyncio.sleep(60)
        silent = net.memory.world.machine(A).silent
        assert silent is not None
        assert (silent.kind, silent.reason) == (ConditionKind.UNREACHABLE, f"{address} has not answered for 2 minutes")
        assert silent in net.application.machine(A).conditions
        line.down.clear()
        await asyncio.sleep(60)
        assert net.memory.world.machine(A).silent is None
        watching.cancel()

    play(tmp_path, scene, machines=2)


def test_a_machine_in_hand_is_left_alone(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        line = Line()
        watching = asyncio.create_task(Watch(net.memory, line.probe, net.hands.clock).run())
        await net.finish()
        assert line.asked == []
        await net.application.hold(A, "mine")
        await asyncio.sleep(300)
        assert line.asked == []
        watching.cancel()

    play(tmp_path, scene)


def test_a_port_that_answers_and_one_that_does_not() -> None:
    async def scene() -> None:
        assert not await answers(IPv4Address("127.77.9.9"))

    asyncio.run(scene())

"""The fleet behind one Redfish service: hung, refusing and busy machines, and what is asked of BMCs how often."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.bmc.fake import FakeBmc
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.fleet.backend import Fleet, Member
from appliance.model.bmc import (
    BmcEndpoint,
    BootOverride,
    BootTarget,
    BootTerm,
    Health,
    Indicator,
    PowerCommand,
    PowerState,
)
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.redfish.errors import AbsentResourceError, RefusedActionError, UnavailableError
from appliance.redfish.model import ManagerProtocol
from appliance.store.records import PowerCommanded
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run

SILENT = BmcError("https://10.0.0.9 does not answer", evidence="timed out", next_action="look at its cable")
NAME, OTHER = MachineName("node-0"), MachineName("node-1")
PXE = BootOverride(target=BootTarget.NETWORK, term=BootTerm.ONCE)


class Counting(FakeBmc):
    asked = 0
    hangs = False

    async def power_state(self) -> PowerState:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        return await super().power_state()


class Scene:
    """Two machines, the second of which knows IPMI only."""

    def __init__(self, net: Net, bmcs: dict[MachineName, Counting]) -> None:
        self.net, self.bmcs = net, bmcs
        self.bmc = bmcs[NAME]
        self.clock = net.hands.clock
        members = {name: Member(endpoint=endpoint(scheme), console=False) for name, scheme in SCHEMES.items()}
        self.fleet = Fleet(members, lambda name: bmcs[name], net.memory, self.clock)

    async def commanded(self) -> list[PowerCommanded]:
        entries = await self.net.memory.read(after=0, machine=NAME, limit=100)
        return [entry.record for entry in entries if isinstance(entry.record, PowerCommanded)]


SCHEMES = {NAME: "https", OTHER: "ipmi"}


def endpoint(scheme: str) -> BmcEndpoint:
    return BmcEndpoint(url=f"{scheme}://10.0.0.9", user="root", password=Secret("x"), fingerprint="")


def play(folder: Path, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        rack = FakeRack(folder, len(SCHEMES))
        try:
            net = Net(rack)
            identity = await rack.first.bmc.identify()
            await scene(Scene(net, {name: Counting(identity) for name in SCHEMES}))
        finally:
            await rack.close()

    run(whole())


def test_one_look_serves_a_client_that_reads_many_resources(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        views = await asyncio.gather(*(s.fleet.system(NAME) for _ in range(20)))
        assert s.bmc.asked == 1
        assert {view.power for view in views} == {PowerState.OFF}
        await s.clock.sleep(1.5)
        await s.fleet.system(NAME)
        assert s.bmc.asked == 2

    play(tmp_path, scene)


def test_a_change_is_seen_at_once(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        assert (await s.fleet.system(NAME)).boot.target is BootTarget.NONE
        await s.fleet.set_boot(NAME, PXE)
        assert (await s.fleet.system(NAME)).boot.target is BootTarget.NETWORK
        await s.fleet.reset(NAME, PowerCommand.ON)
        view = await s.fleet.system(NAME)
        assert (view.power, view.boot.term) == (PowerState.ON, BootTerm.DISABLED)
        assert [(record.command, record.boots) for record in await s.commanded()] == [("on", True)]

    play(tmp_path, scene)


def test_a_hung_bmc_costs_its_own_machine_one_look(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        s.bmc.hangs = True
        began = s.clock.monotonic()
        hung, well = await asyncio.gather(s.fleet.system(NAME), s.fleet.system(OTHER))
        assert s.clock.monotonic() - began <= 5
        assert (hung.power, hung.health, hung.manager.health) == (PowerState.UNKNOWN, Health.UNKNOWN, Health.CRITICAL)
        assert (well.power, well.manager.health) == (PowerState.OFF, Health.OK)
        again = s.clock.monotonic()
        await s.fleet.system(NAME)
        assert s.clock.monotonic() == again

    play(tmp_path, scene)


def test_errors_of_drivers_become_answers_of_the_service(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        s.bmc.failures.append(SILENT)
        with pytest.raises(UnavailableError, match="does not answer"):
            await s.fleet.reset(NAME, PowerCommand.ON)
        s.bmc.failures.append(BmcUnsupportedError("it has no LED", next_action="use a torch"))
        with pytest.raises(RefusedActionError, match="no LED"):
            await s.fleet.set_indicator(NAME, Indicator.LIT)
        s.bmc.failures.append(BmcUnsupportedError("it has no drive", next_action="none"))
        assert await s.fleet.media(NAME) == ()
        s.bmc.failures.append(SILENT)
        with pytest.raises(UnavailableError):
            await s.fleet.media(NAME)
        with pytest.raises(AbsentResourceError):
            await s.fleet.system("node-77")

    play(tmp_path, scene)


def test_a_held_machine_and_one_at_work_are_left_alone(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.net.application.hold(NAME, "fan")
        with pytest.raises(RefusedActionError, match="held: fan"):
            await s.fleet.reset(NAME, PowerCommand.ON)
        await s.net.application.release(NAME)
        await s.net.application.apply((await s.net.application.make_plan()).digest)  # type: ignore[arg-type]
        while s.net.memory.world.machine(NAME).attempt is None:
            await s.net.memory.changed(s.net.memory.tick, None)
        with pytest.raises(RefusedActionError, match="a run works on node-0") as caught:
            await s.fleet.set_boot(NAME, PXE)
        assert "step" in caught.value.evidence
        await s.fleet.set_indicator(NAME, Indicator.LIT)  # harms nobody
        assert s.bmc.commands == []

    play(tmp_path, scene)


def test_what_a_machine_can_be_told_follows_from_what_its_bmc_speaks(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        redfish, ipmi = await s.fleet.system(NAME), await s.fleet.system(OTHER)
        assert BootTarget.HTTP in redfish.targets - ipmi.targets
        assert PowerCommand.GRACEFUL_RESTART in redfish.commands - ipmi.commands
        assert (redfish.manager.protocol, ipmi.manager.protocol) == (ManagerProtocol.REDFISH, ManagerProtocol.IPMI)

    play(tmp_path, scene)


def test_inventory_is_shown_with_what_the_agent_found(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.net.approve()
        view = await s.fleet.system(NAME)
        facts = s.net.memory.world.machine(NAME).facts
        assert facts is not None
        assert [drive.serial for drive in view.drives] == [disk.serial for disk in facts.disks]
        assert view.macs == tuple(nic.mac for nic in facts.nics)
        assert (view.serial, view.cpus[0].cores) == (facts.serial, facts.cores)

    play(tmp_path, scene)


def test_subscribers_hear_what_the_appliance_learns(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        changes = s.fleet.changes()
        first = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        await s.net.application.hold(OTHER, "fan")
        assert await first == OTHER

    play(tmp_path, scene)


def test_an_update_reports_its_progress(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        told: list[int | None] = []
        await s.fleet.update(NAME, "https://images/bios.bin", (), told.append)
        assert told == [100]
        assert s.bmc.images == ["https://images/bios.bin"]

    play(tmp_path, scene)

"""A machine's life beyond its installation, on scripted machines: wiped, rescued, replaced, taken out of service."""

import asyncio
from pathlib import Path

import pytest

from appliance.api.fake_doctor import FakeDoctor
from appliance.api.fake_findings import ROGUE_DHCP
from appliance.conductor.machine import MachineState
from appliance.errors import ConflictError, PlanError
from appliance.model.bmc import PowerCommand, PowerState
from appliance.model.goal import EVERYTHING
from appliance.model.ids import MachineName, PlanDigest
from appliance.model.orders import Trace
from appliance.model.phase import Phase
from appliance.model.reflex import Policy, Reflexes
from appliance.model.views import Errand, PowerAction, RunState
from appliance.model.words import RETIREMENT
from appliance.plan import ShellCheck
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import ANY_MACHINE
from appliance.services.reflexes import ReflexArc
from images.agent import protocol
from images.agent.protocol import WipeLevel
from pxe.boot import Wait
from pxe.client import Client, Stage
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.test_conductor import play

A, B, C = (MachineName(f"node-{number}") for number in range(3))
HOOK = ShellCheck(name="leave the cluster", argv=("drain-me",))
ROLES = (
    Role(name=RoleName("control-plane"), count=1, where=ANY_MACHINE, spares=1),
    Role(name=RoleName("worker"), count=1, where=ANY_MACHINE),
)


async def done(net: Net, name: MachineName, errand: Errand) -> list[RunState]:
    """Plans and approves until the errand is done, as a person would."""
    ended: list[RunState] = []
    while (plan := await net.application.plan_errand(name, errand)).steps:
        run = await net.application.apply(PlanDigest(plan.digest))
        await net.ended()
        ended.append(net.application.run(run.id).state)  # type: ignore[arg-type]
        if not plan.deferred or ended[-1] is not RunState.DONE:
            return ended
    return ended


def state(net: Net, name: MachineName) -> MachineState:
    return net.memory.world.machine(name)


def wipes(rack: FakeRack, name: MachineName) -> list[tuple[str, WipeLevel, str]]:
    tasks = rack.machines[name].started
    return [(t.disk.serial, t.level, t.expect_contents) for t in tasks if isinstance(t, protocol.Wipe)]


def test_a_wipe_of_an_active_machine_looks_first(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        first = await net.application.plan_errand(A, Errand.WIPE)
        assert [step.id.split(".")[-1] for step in first.steps] == ["boot-agent", "inspect"]
        assert "wiped when they have been read" in first.deferred[0].reason
        assert await done(net, A, Errand.WIPE) == [RunState.DONE, RunState.DONE]
        assert wipes(rack, A) == [("DISK0001", WipeLevel.DISCARD, "blank")]
        after = state(net, A)
        assert (after.phase, after.installed) == (Phase.AVAILABLE, None)
        assert [phase for phase, _ in after.phases][-6:] == [
            Phase.PREPARING,
            Phase.INSPECTING,
            Phase.AVAILABLE,
            Phase.PREPARING,
            Phase.INSPECTING,
            Phase.AVAILABLE,
        ]
        (shown,) = net.application.machine(A).certificates
        assert (shown.serial, shown.findings) == ("DISK0001", {"verified": "1"})
        assert [(c.disk.serial, c.run in net.memory.world.runs) for c in after.certificates] == [("DISK0001", True)]

    play(tmp_path, scene)


def test_an_erased_machine_is_installed_anew_by_the_site_program(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        await done(net, A, Errand.ERASE)
        assert wipes(rack, A)[0][1] is WipeLevel.ERASE
        await net.finish()
        assert state(net, A).phase is Phase.ACTIVE

    play(tmp_path, scene)


def test_reinstalled_on_the_disk_that_it_ran_from(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        assert await done(net, A, Errand.REINSTALL) == [RunState.DONE, RunState.DONE]
        writes = [task for task in rack.machines[A].started if isinstance(task, protocol.WriteImage)]
        assert [task.disk.serial for task in writes] == ["DISK0001", "DISK0001"]
        assert state(net, A).phase is Phase.ACTIVE
        assert state(net, B).phase is Phase.ACTIVE
        assert len(rack.machines[B].started) == 3

    play(tmp_path, scene, machines=2)


def test_rescued_and_back(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        assert await done(net, A, Errand.RESCUE) == [RunState.DONE]
        assert state(net, A).phase is Phase.RESCUE
        assert not (await net.application.make_plan()).steps
        await net.application.power(A, PowerAction.CYCLE)
        await net.ended()
        assert state(net, A).phase is Phase.CONFIGURING
        await net.finish()
        assert state(net, A).phase is Phase.ACTIVE

    play(tmp_path, scene)


def test_decommissioned_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        rack.shells.answers["drain-me"] = "left"
        assert await done(net, A, Errand.DECOMMISSION) == [RunState.DONE, RunState.DONE]
        assert wipes(rack, A) == [("DISK0001", WipeLevel.ERASE, "blank")]
        after = state(net, A)
        assert (after.phase, after.installed, after.address) == (Phase.RETIRED, None, None)
        assert rack.traces.forgotten == [(A, trace) for trace in Trace]
        assert rack.machines[A].bmc.power is PowerState.OFF
        assert after.facts is not None  # the record is kept
        assert "drained" in [proof.what for proof in after.evidence]
        intent = net.snapshot.intent_for(Client(mac=rack.machines[A].mac, stage=Stage.IPXE))
        assert isinstance(intent, Wait)
        assert "taken out of service" in intent.reason
        assert not (await net.application.make_plan()).steps
        assert A not in net.snapshot.agents.values()

    play(tmp_path, scene, machines=2, drain=HOOK)


def test_a_whole_site_is_given_back(tmp_path: Path) -> None:
    """By one consent; what was asked for before has to be dropped first."""

    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        plan = await net.application.plan_retirement()
        assert plan.purpose == RETIREMENT
        await net.application.apply(PlanDigest(plan.digest), then=EVERYTHING)
        await net.ended()
        assert not net.memory.world.open_goals
        assert {state(net, name).phase for name in (A, B)} == {Phase.RETIRED}
        assert {rack.machines[name].bmc.power for name in (A, B)} == {PowerState.OFF}
        assert not (await net.application.plan_retirement()).steps

    play(tmp_path, scene, machines=2)


def test_who_wants_a_site_and_its_end_is_asked_which(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        plan = await net.application.make_plan()
        await net.application.apply(PlanDigest(plan.digest), then=EVERYTHING)
        with pytest.raises(ConflictError, match="something else is wanted"):
            await net.application.plan_retirement()

    play(tmp_path, scene)


def test_a_retired_machine_comes_back_when_it_is_wanted_again(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        await done(net, A, Errand.DECOMMISSION)
        assert state(net, A).forgotten == frozenset(Trace)
        assert await done(net, A, Errand.REINSTALL) == [RunState.DONE, RunState.DONE]
        assert (state(net, A).phase, state(net, A).forgotten) == (Phase.ACTIVE, frozenset())

    play(tmp_path, scene)


def test_a_machine_that_refuses_to_be_drained_is_not_taken_from_its_users(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        rack.shells.answers["drain-me"] = "no: last replica"
        assert await done(net, A, Errand.DECOMMISSION) == [RunState.FAILED]
        assert wipes(rack, A) == []
        assert rack.machines[A].bmc.commands == [PowerCommand.ON]
        failed = state(net, A).failed
        assert failed is not None
        assert failed.reason == "the machine is not drained: leave the cluster"

    play(tmp_path, scene, drain=ShellCheck(name="leave the cluster", argv=("drain-me",), expected="left"))


def test_a_machine_that_is_dead_is_drained_of_nothing(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.finish()
        rack.shells.unreachable = 1_000_000
        assert await done(net, A, Errand.DECOMMISSION) == [RunState.DONE, RunState.DONE]
        drained = next(proof for proof in state(net, A).evidence if proof.what == "drained")
        assert "not reached" in drained.detail

    play(tmp_path, scene, drain=HOOK)


def test_an_errand_that_is_stale_is_refused(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.approve()
        plan = await net.application.plan_errand(A, Errand.WIPE)
        await net.finish()
        with pytest.raises(ConflictError, match="stale"):
            await net.application.apply(PlanDigest(plan.digest))
        assert wipes(rack, A) == []

    play(tmp_path, scene)


def test_roles_are_given_with_the_plan_and_spares_stay_empty(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        await net.approve()
        plan = await net.application.make_plan()
        assert [(role.machine, role.role, role.spare) for role in plan.roles] == [
            ("node-0", "control-plane", False),
            ("node-1", "worker", False),
            ("node-2", "control-plane", True),
        ]
        assert {step.machine for step in plan.steps} == {"node-0", "node-1"}
        await net.finish()
        machines = net.application.machines().machines
        assert [(m.role, m.spare_of, m.phase) for m in machines] == [
            ("control-plane", "", Phase.ACTIVE),
            ("worker", "", Phase.ACTIVE),
            ("", "control-plane", Phase.AVAILABLE),
        ]

    play(tmp_path, scene, machines=3, roles=ROLES)


def reflexes(rack: FakeRack, net: Net) -> asyncio.Task[None]:
    arc = ReflexArc(net.memory, rack.site.topology.reflexes, net.application.see_through, net.hands.clock)
    return asyncio.create_task(arc.run())


def test_a_failed_installation_is_answered_by_the_spare_without_a_hand(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        acting = reflexes(rack, net)
        await net.approve()
        rack.machines[A].crashes = 99
        assert (await net.approve()).state is RunState.FAILED
        async with asyncio.timeout(7200):
            while state(net, C).phase is not Phase.ACTIVE:  # noqa: ASYNC110  virtual time
                await asyncio.sleep(5)
        assert (state(net, A).role, state(net, C).role) == ("", "control-plane")
        assert state(net, A).replaced is not None
        assert [task for task in rack.machines[C].started if isinstance(task, protocol.WriteImage)]
        assert {run.plan.purpose.errand for run in net.memory.world.runs.values()} == {None, Errand.REPLACE}
        assert not (await net.application.make_plan()).steps
        acting.cancel()

    play(tmp_path, scene, machines=3, roles=ROLES, reflexes=Reflexes(on_failure=Policy.REPLACE))


def test_without_a_spare_the_reflex_says_so_once(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        acting = reflexes(rack, net)
        await net.approve()
        rack.machines[A].crashes = 99
        await net.approve()
        await asyncio.sleep(3600)
        notes = [str(e.record) for e in await rack.entries() if "is not possible" in str(e.record)]
        assert len(notes) == 1
        with pytest.raises(PlanError, match="no spare"):
            await net.application.plan_errand(A, Errand.REPLACE)
        acting.cancel()

    play(tmp_path, scene, machines=2, roles=ROLES, reflexes=Reflexes(on_failure=Policy.REPLACE))


def test_a_failed_installation_is_held_where_the_site_says_so(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        acting = reflexes(rack, net)
        await net.approve()
        rack.machines[A].crashes = 99
        await net.approve()
        await asyncio.sleep(60)
        hold = state(net, A).hold
        assert hold is not None
        assert hold.reason.startswith("reflex: its installation failed")
        acting.cancel()

    play(tmp_path, scene, machines=3, roles=ROLES, reflexes=Reflexes(on_failure=Policy.HOLD))


def test_a_reflex_waits_for_what_stands_in_its_way_and_says_so_once(tmp_path: Path) -> None:
    async def scene(rack: FakeRack, net: Net) -> None:
        acting, doctor = reflexes(rack, net), net.application.doctor_desk
        await net.approve()
        rack.machines[A].crashes = 99
        await net.approve()
        assert isinstance(doctor, FakeDoctor)
        doctor.finds = (ROGUE_DHCP,)
        await asyncio.sleep(3600)
        notes = [str(e.record) for e in await rack.entries() if "is not possible" in str(e.record)]
        assert len(notes) == 1
        assert ROGUE_DHCP.cause in notes[0]
        doctor.finds = ()
        async with asyncio.timeout(7200):
            while state(net, C).phase is not Phase.ACTIVE:  # noqa: ASYNC110  virtual time
                await asyncio.sleep(5)
        assert len([entry for entry in await rack.entries() if "replace: its installation" in str(entry.record)]) == 1
        acting.cancel()

    play(tmp_path, scene, machines=3, roles=ROLES, reflexes=Reflexes(on_failure=Policy.REPLACE))

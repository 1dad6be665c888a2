"""What the boot services keep of a machine follows the world, and goes when the machine retires."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import InnervateError, MachineryError
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.orders import ForgetOrder, Trace
from appliance.model.step import StepKind
from appliance.plan import Enrol, Plan, Retire, Step
from appliance.services.traces import ServiceTraces
from appliance.store.records import IdentityRead, OrderSent, PlanStored, RunStarted, StepIntent
from appliance.topology import Rack
from pxe.client import Mac
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.subnet import DhcpConfig
from pxe.dns.responder import Zone
from pxe.errors import ServiceError
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.test_conductor import play

A, B = MachineName("node-0"), MachineName("node-1")
RUN = RunId("r")
ELSEWHERE = Mac("52:54:00:99:00:01")


class FakeSegment:
    """`deaf` does nothing of what it is told."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.reserved: set[str] = set()
        self.bound: dict[str, Lease] = {}
        self.deaf = False
        self.disk_full = False

    def set_zone(self, zone: Zone) -> None:
        self.names = set(zone.hosts)

    def set_dhcp(self, dhcp: DhcpConfig) -> None:
        self.reserved = {reservation.hostname for reservation in dhcp.local[0].reservations.values()}

    def forget_lease(self, mac: Mac) -> None:
        if self.disk_full:
            raise ServiceError("the journal cannot be written", evidence="ENOSPC", next_action="free space")
        if not self.deaf:
            self.bound.pop(str(mac), None)

    def leases(self) -> tuple[Lease, ...]:
        return tuple(self.bound.values())

    def lease(self, mac: Mac) -> None:
        address = packed(IPv4Address("10.77.0.51"))
        self.bound[str(mac)] = Lease(address, Hardware(bytes(mac)), LeaseState.BOUND, 2e9)


class FakeLogins:
    def __init__(self) -> None:
        self.forgotten: list[MachineName] = []

    def forget_login(self, machine: MachineName) -> str:
        self.forgotten.append(machine)
        return "none in the vault"


Scene = Callable[[Net, Rack, FakeSegment, ServiceTraces], Awaitable[None]]


def act(folder: Path, scene: Scene) -> None:
    async def whole(rack: FakeRack, net: Net) -> None:
        segment = FakeSegment()
        traces = ServiceTraces(rack.site.topology, net.memory, segment, FakeLogins())
        net.conductor.cancel()
        await scene(net, rack.site.topology, segment, traces)

    play(folder, whole, machines=2)


async def ordered(net: Net, *traces: Trace) -> None:
    """The journal says that these of node-0 are to be forgotten."""
    steps = tuple(
        Step(id=StepId(do.action), machine=A, score="s", summary="", do=do, budget=1.0) for do in (Retire(), Enrol())
    )
    plan = Plan(site="lab", steps=steps)
    await net.memory.remember(PlanStored(plan=plan), RunStarted(run=RUN, plan=plan.digest))
    for number, trace in enumerate(traces, start=1):
        order = ForgetOrder(trace=trace)
        await net.memory.remember(
            OrderSent(run=RUN, step=StepId("retire"), machine=A, fence=Fence(1), number=number, order=order)
        )


def test_names_and_reservations_follow_the_world(tmp_path: Path) -> None:
    async def scene(net: Net, rack: Rack, segment: FakeSegment, traces: ServiceTraces) -> None:
        await ordered(net, Trace.NAME)
        assert segment.names == {B}
        assert await traces.forget(A, Trace.NAME) == "node-0.rack.test does not resolve"
        await ordered(net, Trace.LEASE)
        assert segment.reserved == {B}
        again = FakeSegment()
        ServiceTraces(rack, net.memory, again, FakeLogins())  # after a restart
        assert (again.names, again.reserved) == ({B}, {B})
        await net.memory.remember(
            StepIntent(run=RUN, step=StepId("enrol"), machine=A, kind=StepKind.READ, fence=Fence(1), nonce=Nonce("n"))
        )
        assert (segment.names, segment.reserved) == ({A, B}, {A, B})

    act(tmp_path, scene)


def test_a_name_that_nobody_ordered_away_is_still_there(tmp_path: Path) -> None:
    async def scene(net: Net, rack: Rack, segment: FakeSegment, traces: ServiceTraces) -> None:
        with pytest.raises(MachineryError, match="still resolves"):
            await traces.forget(A, Trace.NAME)

    act(tmp_path, scene)


def test_leases_of_all_its_nics_go(tmp_path: Path) -> None:
    async def scene(net: Net, rack: Rack, segment: FakeSegment, traces: ServiceTraces) -> None:
        stated = rack.servers[0].mac
        assert stated is not None
        identity = await net.hands.bmc_of(A).identify()
        await net.memory.remember(IdentityRead(machine=A, identity=replace(identity, macs=(stated, ELSEWHERE))))
        for mac in (stated, ELSEWHERE):
            segment.lease(mac)
        assert await traces.forget(A, Trace.LEASE) == "no lease, no reservation"
        assert segment.bound == {}
        segment.lease(ELSEWHERE)
        segment.deaf = True
        with pytest.raises(MachineryError, match="still holds a lease"):
            await traces.forget(A, Trace.LEASE)
        segment.disk_full = True
        with pytest.raises(InnervateError, match="cannot be written"):
            await traces.forget(A, Trace.LEASE)

    act(tmp_path, scene)


def test_the_log_in_goes(tmp_path: Path) -> None:
    async def scene(net: Net, rack: Rack, segment: FakeSegment, traces: ServiceTraces) -> None:
        assert await traces.forget(A, Trace.LOGIN) == "none in the vault"

    act(tmp_path, scene)

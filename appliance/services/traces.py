"""What the boot services and the vault keep of machines, and how it goes when they retire.

The services follow the world: a machine whose trace is forgotten there has no reservation and no name, also after a
restart; one that is enrolled anew has them again.
"""

import asyncio
from typing import Protocol, assert_never

from appliance.conductor.memory import Memory
from appliance.errors import InnervateError, MachineryError
from appliance.model.ids import MachineName
from appliance.model.orders import Trace
from appliance.services.segment import dhcp_of, zone_of
from appliance.topology import Rack
from pxe.boot import Mode
from pxe.client import Mac
from pxe.dhcp.leases import Lease, LeaseState
from pxe.dhcp.subnet import DhcpConfig
from pxe.dns.responder import Zone
from pxe.errors import PxeError


class Segment(Protocol):
    """Of the boot services, what machines leave traces in."""

    def set_zone(self, zone: Zone) -> None: ...

    def set_dhcp(self, dhcp: DhcpConfig) -> None: ...

    def forget_lease(self, mac: Mac) -> None: ...

    def leases(self) -> tuple[Lease, ...]: ...


class Logins(Protocol):
    def forget_login(self, machine: MachineName) -> str: ...


class ServiceTraces:
    """Implements `appliance.conductor.hands.Traces`."""

    def __init__(self, rack: Rack, memory: Memory, segment: Segment, logins: Logins) -> None:
        self._rack, self._memory, self._segment, self._logins = rack, memory, segment, logins
        self._gone: dict[Trace, frozenset[MachineName]] = {trace: frozenset() for trace in Trace}
        self._follow(frozenset(rack.machines))
        memory.on_change(self._follow)

    async def forget(self, machine: MachineName, trace: Trace) -> str:
        match trace:
            case Trace.LEASE:
                return await asyncio.to_thread(self._forget_leases, machine)
            case Trace.NAME:
                return self._name_of(machine)
            case Trace.LOGIN:
                return self._logins.forget_login(machine)
            case _:
                assert_never(trace)

    def _forget_leases(self, machine: MachineName) -> str:
        macs = self._macs(machine)
        try:
            for mac in macs:
                self._segment.forget_lease(mac)
        except PxeError as error:
            raise InnervateError(str(error), evidence=error.evidence, next_action=error.next_action) from error
        held = [lease for lease in self._segment.leases() if lease.state is LeaseState.BOUND and _of(lease, macs)]
        if held:
            raise MachineryError(f"{machine} still holds a lease", evidence=str(held[0]), next_action="try again")
        return "no lease, no reservation"

    def _name_of(self, machine: MachineName) -> str:
        zone = zone_of(self._rack, self._gone[Trace.NAME])
        if machine in zone.hosts:
            raise MachineryError(f"the name {machine} still resolves", next_action="report this as a fault")
        return f"{machine}.{zone.domain} does not resolve"

    def _macs(self, machine: MachineName) -> tuple[Mac, ...]:
        stated = [server.mac for server in self._rack.servers if server.name == machine and server.mac is not None]
        identity = self._memory.world.machine(machine).identity
        return tuple(dict.fromkeys((*stated, *(identity.macs if identity else ()))))

    def _follow(self, machines: frozenset[MachineName]) -> None:
        world = self._memory.world
        for trace, gone in self._gone.items():
            now = {name for name in machines if trace in world.machine(name).forgotten}
            after = frozenset((gone - machines) | now)
            if after != gone:
                self._gone[trace] = after
                self._serve(trace)

    def _serve(self, trace: Trace) -> None:
        match trace:
            case Trace.LEASE if self._rack.boot_network.mode is Mode.FULL:
                self._segment.set_dhcp(dhcp_of(self._rack, self._gone[trace]))
            case Trace.NAME:
                self._segment.set_zone(zone_of(self._rack, self._gone[trace]))
            case Trace.LEASE | Trace.LOGIN:
                pass
            case _:
                assert_never(trace)


def _of(lease: Lease, macs: tuple[Mac, ...]) -> bool:
    return bytes(lease.mac) in {bytes(mac) for mac in macs}

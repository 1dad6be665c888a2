"""Ports, cables and primary addresses: what was discovered beside what NetBox has. Pure.

NetBox's documents are added to, never corrected: where it says otherwise, that is told and left as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Wire(Enum):
    PORT = "port"
    MAC = "mac"
    CABLE = "cable"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPort:
    """A NIC as the agent saw it; `switch` and `socket` are what LLDP told of its other end, "" where nothing."""

    name: str
    mac: str
    switch: str = ""
    socket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine of ours. `address` is IPv4 with a prefix length, `at` the NIC that has it; both "" where not known."""

    machine: str
    ports: tuple[FoundPort, ...] = ()
    address: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPort:
    """An interface of NetBox; `peer` is what its cable leads to ("leaf-1 swp7"), "" without a cable."""

    id: int
    name: str
    mac: str = ""
    peer: str = ""
    management: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAddress:
    """`port` is the interface that has it, 0 for none."""

    id: int
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`ports` by the device's name in lower case, switches too; `addresses` by IPv4 without a prefix length; `primary`
    are the primary addresses of devices that have one."""

    ports: Mapping[str, tuple[KnownPort, ...]]
    addresses: Mapping[str, KnownAddress]
    primary: Mapping[str, str]


NOTHING = Known(ports={}, addresses={}, primary={})


@dataclass(frozen=True, slots=True, kw_only=True)
class PortChange:
    """Of one port of one machine; `far` is NetBox's number of the interface at the other end of a cable."""

    machine: str
    port: str
    what: Wire
    after: str
    far: int = 0

    def __str__(self) -> str:
        if self.what is Wire.PORT:
            return f"+ {self.machine} port {self.port}"
        return f"~ {self.machine} port {self.port} {self.what.value}: - -> {self.after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    changes: tuple[PortChange, ...]
    left_out: tuple[str, ...]


def wiring(known: Known, found: Iterable[Found]) -> Wiring:
    """Of machines that both know. A port is the one with its MAC, else the one with its name."""
    told = [one for machine in sorted(found, key=lambda one: one.machine) for one in _of_machine(known, machine)]
    changes = tuple(one for one in told if isinstance(one, PortChange))
    return Wiring(changes=changes, left_out=tuple(one for one in told if isinstance(one, str)))


def port_of(ports: Iterable[KnownPort], name: str, mac: str) -> KnownPort | None:
    ours = tuple(port for port in ports if not port.management)
    by_mac = (port for port in ours if mac and port.mac == mac)
    by_name = (port for port in ours if port.name.casefold() == name.casefold())
    return next(by_mac, next(by_name, None))


def socket_of(known: Known, switch: str, socket: str) -> KnownPort | None:
    """The switch's port: switches tell their name with or without its domain."""
    for name in (switch.casefold(), switch.casefold().partition(".")[0]):
        for port in known.ports.get(name, ()):
            if port.name.casefold() == socket.casefold():
                return port
    return None


def _of_machine(known: Known, machine: Found) -> Iterator[PortChange | str]:
    if (theirs := known.ports.get(machine.machine)) is None:
        return
    for port in machine.ports:
        there = port_of(theirs, port.name, port.mac)
        yield from _of_port(known, machine.machine, port, there)
    yield from _of_address(known, machine, theirs)


def _of_port(known: Known, machine: str, port: FoundPort, there: KnownPort | None) -> Iterator[PortChange | str]:
    name = there.name if there is not None else port.name
    if there is None:
        yield PortChange(machine=machine, port=name, what=Wire.PORT, after=name)
    if port.mac and (there is None or not there.mac):
        yield PortChange(machine=machine, port=name, what=Wire.MAC, after=port.mac)
    elif there is not None and port.mac and there.mac != port.mac:
        yield f"{machine} port {name}: NetBox has the MAC {there.mac}, the machine {port.mac}"
    if port.switch:
        yield from _of_cable(known, machine, port, there, name)


def _of_cable(
    known: Known, machine: str, port: FoundPort, there: KnownPort | None, name: str
) -> Iterator[PortChange | str]:
    seen = f"{port.switch} {port.socket}"
    far = socket_of(known, port.switch, port.socket)
    here = there.peer if there is not None else ""
    if far is None:
        yield f"{machine} port {name}: it is plugged into {seen}, which NetBox does not have"
    elif not here and not far.peer:
        yield PortChange(machine=machine, port=name, what=Wire.CABLE, after=seen, far=far.id)
    elif here.casefold().partition(" ")[2] != far.name.casefold():
        said = f"a cable from there to {here}" if here else f"another cable in {far.name}"
        yield f"{machine} port {name}: it is plugged into {seen}, and NetBox has {said}"


def _of_address(known: Known, machine: Found, theirs: Iterable[KnownPort]) -> Iterator[PortChange | str]:
    if not machine.address or (primary := known.primary.get(machine.machine)) == _bare(machine.address):
        return
    if primary:
        yield f"{machine.machine}: NetBox has the primary address {primary}, the machine {_bare(machine.address)}"
        return
    if not machine.at:
        yield f"{machine.machine}: it has {_bare(machine.address)}, and nobody knows by which of its ports"
        return
    mac = next((port.mac for port in machine.ports if port.name == machine.at), "")
    there = port_of(theirs, machine.at, mac)
    held = known.addresses.get(_bare(machine.address))
    if held is not None and held.port and (there is None or held.port != there.id):
        yield f"{machine.machine}: it has {_bare(machine.address)}, which another port has in NetBox"
        return
    name = there.name if there is not None else machine.at
    yield PortChange(machine=machine.machine, port=name, what=Wire.ADDRESS, after=machine.address)


def _bare(address: str) -> str:
    return address.partition("/")[0]

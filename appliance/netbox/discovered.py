"""What an export gives, from the hand-over report. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from appliance.model.network_views import NetworksView
from appliance.model.report_views import HandedOver, PortView, ReportView
from appliance.netbox.model import Device
from appliance.netbox.rest import mac, text
from appliance.netbox.wiring import Found, FoundPort

_ALONE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    device: Device
    found: Found


def machines_of(report: ReportView, networks: NetworksView) -> tuple[Machine, ...]:
    known = tuple(IPv4Network(one.network) for one in networks.networks)
    return tuple(_machine(one, known) for one in report.machines)


def _machine(one: HandedOver, networks: tuple[IPv4Network, ...]) -> Machine:
    name, address = one.machine.name, one.machine.address
    device = Device(name=name, serial=text(one.machine.serial))
    ports = tuple(map(_port, one.ports))
    whole = _with_length(address, one, networks) if address else ""
    return Machine(device=device, found=Found(machine=name, ports=ports, address=whole, at=_at(one, address)))


def _port(port: PortView) -> FoundPort:
    heard = bool(port.switch and port.port)
    return FoundPort(
        name=text(port.nic),
        mac=mac(port.mac),
        switch=text(port.switch) if heard else "",
        socket=text(port.port) if heard else "",
    )


def _with_length(address: str, one: HandedOver, networks: tuple[IPv4Network, ...]) -> str:
    """As the machine's own network says, else as the boot network that it is in."""
    stated = one.installed.addresses if one.installed else ()
    if (whole := next((said for said in stated if said.partition("/")[0] == address), "")) != "":
        return whole
    length = next((net.prefixlen for net in networks if IPv4Address(address) in net), _ALONE)
    return f"{address}/{length}"


def _at(one: HandedOver, address: str) -> str:
    """The NIC that had the address when it was looked at, else the only one with a link."""
    if (had := next((port.nic for port in one.ports if address in port.addresses), "")) != "":
        return text(had)
    linked = [port.nic for port in one.ports if port.up]
    return text(linked[0]) if len(linked) == 1 else ""

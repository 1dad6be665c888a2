"""A hand-over report in memory for tests of the API and its clients."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from appliance.model.report_views import HandedOver, InstalledView, PortView, ReportView, SystemView, WorkView
from appliance.model.views import MachineView, RunSummaryView

_SHA256 = "5e" * 32


def report_of(
    machines: Iterable[MachineView],
    runs: Iterable[RunSummaryView],
    now: float,
    wanted: str,
    systems: SystemView,
    wires: Mapping[str, tuple[PortView, ...]] = MappingProxyType({}),
) -> ReportView:
    """`systems`: what all of them are; `wires` the ports of those that have others than all."""
    handed = tuple(_handed_over(machine, systems, wires.get(machine.name)) for machine in machines)
    return ReportView(site="lab", made=now, version="0.1.0", wanted=wanted, machines=handed, runs=tuple(runs))


def _handed_over(machine: MachineView, system: SystemView, ports: tuple[PortView, ...] | None) -> HandedOver:
    """Whoever has an address is installed; the step that it has now is its work."""
    step, mac = machine.step, machine.macs[0] if machine.macs else ""
    installed = InstalledView(
        image="debian-13",
        sha256=_SHA256,
        hostname=machine.name,
        address=machine.address,
        disk_serial="DISK0001",
        host_keys=("SHA256:" + "k" * 43,),
        confirmed=True,
    )
    problem = machine.conditions[-1].reason if machine.conditions else ""
    return HandedOver(
        machine=machine,
        system=system,
        ports=(PortView(nic="eno1", mac=mac, up=True, speed_mbps=25000, switch="leaf-1", port="swp7"),)
        if ports is None
        else ports,
        installed=installed if machine.address else None,
        work=()
        if step is None
        else (
            WorkView(
                run=machine.run,
                summary=step.summary,
                state=step.state.value,
                kind=step.kind,
                started=step.started or 0.0,
                ended=step.ended,
                problem=problem,
            ),
        ),
    )


SYSTEM = SystemView(
    manufacturer="Innervate Lab",
    product="Virtual Server",
    board_serial="B0001",
    firmware="uefi",
    firmware_version="2.19.1 (06/04/2026)",
    cpu="Xeon",
    sockets=1,
    threads=4,
)

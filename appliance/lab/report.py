"""The demo's report: what the API said of every machine, as one JSON document."""

from dataclasses import dataclass

from appliance.model.phase import Phase
from appliance.model.views import EvidenceView, HealthView, MachinesView, MachineView, PhaseView, RunView
from appliance.model.words import STAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReport:
    """`stages` in seconds from power-on, None where the proof never came."""

    name: str
    serial: str
    phase: Phase
    address: str
    stages: dict[str, float | None]
    phases: tuple[PhaseView, ...]
    evidence: tuple[EvidenceView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReport:
    """`ready_seconds` from its start to its first answer as ready; `rss_mb` at the end, in 10^6 bytes."""

    ready_seconds: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """`seconds` from the start of the rack to the last machine's end."""

    seconds: float
    machines: tuple[MachineReport, ...]
    daemon: DaemonReport
    run: tuple[RunView, ...]

    @property
    def all_active(self) -> bool:
        return bool(self.machines) and all(machine.phase is Phase.ACTIVE for machine in self.machines)


def report(
    machines: MachinesView, health: HealthView, runs: tuple[RunView, ...], *, seconds: float, ready_seconds: float
) -> DemoReport:
    return DemoReport(
        seconds=round(seconds, 1),
        machines=tuple(_machine(view) for view in machines.machines),
        daemon=DaemonReport(ready_seconds=round(ready_seconds, 2), rss_mb=round(health.rss_bytes / 1e6, 1)),
        run=runs,
    )


def _machine(view: MachineView) -> MachineReport:
    return MachineReport(
        name=view.name,
        serial=view.serial,
        phase=view.phase,
        address=view.address,
        stages={stage: view.stages.get(stage) for stage in STAGES},
        phases=view.phases,
        evidence=view.evidence,
    )

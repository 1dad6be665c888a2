"""Appliances in memory to look at: a rack with every standing, and one whose hardware is hostile."""

from dataclasses import replace

from appliance.api.fake import FakeApplication
from appliance.api.fake_bmcs import FakeBmcs
from appliance.api.fake_stores import FakeStores
from appliance.model.bmc import Health, SensorKind
from appliance.model.bmc_views import SensorsView, SensorView
from appliance.model.cluster_views import Membership, MemberView
from appliance.model.image_views import ArtifactView, HashState, ImageView
from appliance.model.network_views import (
    AddressState,
    HistoryView,
    LeaseView,
    NetworksView,
    NetworkView,
    RivalView,
    SampleView,
)
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import (
    CertificateView,
    DeferredView,
    DiskView,
    Errand,
    EvidenceView,
    ExplainLine,
    ExplainView,
    MachineView,
    OutlookView,
    PhaseView,
    PlanView,
    ProgressView,
    RoleView,
    SegmentView,
    StepState,
    StepView,
)

NOW = 1_800_000_000.0
_STEP = StepView(
    id="install.node-1.write-image",
    machine="node-1",
    score="install-linux",
    summary="write debian-13 to DISK0001",
    kind="destructive",
    budget=3600.0,
    state=StepState.RUNNING,
    fence=1,
    started=NOW - 40,
    waiting="waiting for the agent to write",
    deadline=NOW + 600,
    usual=55.0,
)


def _condition(kind: ConditionKind) -> Condition:
    return Condition(
        kind=kind,
        since=NOW - 300,
        reason=f"it is {kind.value}",
        step="write debian-13",
        evidence="read back 4096 bytes",
        next_action="look at the disk",
    )


def _machine(number: int, phase: Phase, *kinds: ConditionKind) -> MachineView:
    return MachineView(
        name=f"node-{number}",
        phase=phase,
        since=NOW - 60 * number,
        serial=f"SN000{number}",
        uuid=f"00000077-0000-4000-8000-00000000000{number}",
        address=f"10.77.0.{50 + number}",
        product="Acme R7",
        conditions=tuple(map(_condition, kinds)),
        stages={
            "dhcp": 5.5,
            "tftp": 5.6,
            "script": 5.9,
            "hello": 21.4,
            "written": None,
            "first_boot": None,
            "ssh": None,
        },
        phases=(PhaseView(phase=Phase.ENROLLING, since=NOW - 900), PhaseView(phase=phase, since=NOW - 60)),
        evidence=(EvidenceView(what="hello", time=NOW - 70, detail="from the ramdisk"),),
        role="worker",
        place=Place(rack="r1", unit=2 * number + 1, height=2) if number < 9 else None,
        bmc="10.1.0.5",
        macs=("52:54:00:00:00:01",),
        cores=8,
        memory_bytes=64 << 30,
        disks=(
            DiskView(
                name="sda",
                serial="DISK0001",
                wwn="naa.5",
                size_bytes=8 << 30,
                model="X",
                rotational=False,
                contents="empty",
            ),
        ),
    )


def machines() -> dict[str, MachineView]:
    kinds = tuple(ConditionKind)
    found = [_machine(at, Phase.ACTIVE, kind) for at, kind in enumerate(kinds)]
    working = _machine(5, Phase.DEPLOYING)
    step = replace(_STEP, machine="node-5")
    progress = ProgressView(done=3 << 30, total=8 << 30, rate=3.2e8, eta=16.0)
    found.append(replace(working, step=step, progress=progress, run="run-1", step_number=3, step_count=7))
    found.extend(_machine(at, phase) for at, phase in enumerate((Phase.ACTIVE, Phase.UNKNOWN, Phase.RETIRED), 6))
    wiped = CertificateView(
        serial="DISK9", wwn="", size_bytes=8 << 30, time=NOW, run="run-1", findings={"method": "overwrite"}
    )
    found.append(replace(_machine(9, Phase.RESCUE), certificates=(wiped,)))
    member = MemberView(cluster="prod", role="worker", state=Membership.CONFIRMED, since=NOW - 600)
    found[1] = replace(found[1], member=member)
    return {machine.name: machine for machine in found}


def _chain(machine: str) -> tuple[StepView, ...]:
    first = replace(_STEP, id=f"a.{machine}", machine=machine, state=StepState.PENDING, started=None, waiting="")
    then = replace(first, id=f"b.{machine}", summary="confirm by SSH", kind="read", needs=(first.id,))
    return (first, then)


INSTALL = PlanView(
    digest="a" * 64,
    site="lab",
    purpose="provision the site",
    steps=(*_chain("node-6"), *_chain("node-7")),
    deferred=(),
    roles=(RoleView(machine="node-6", role="worker", spare=False, why="the only one with 8 cores"),),
    missing=("worker lacks one machine",),
    outlook=OutlookView(seconds=833.0, allowed=2300.0, steps=4, untimed=1),
)
DISCOVER = replace(
    INSTALL,
    digest="d" * 64,
    steps=tuple(replace(step, kind="read", summary="inspect") for step in INSTALL.steps),
    deferred=(DeferredView(score="install-linux", reason="no hardware is known yet"),),
    roles=(),
    missing=(),
)
WIPE = replace(INSTALL, digest="c" * 64, purpose="wipe node-6", steps=_chain("node-6"), roles=(), missing=())


def rack() -> FakeApplication:
    """The button first finds out, then installs."""
    found = machines()
    return FakeApplication(
        now=NOW,
        inventory=found,
        plans=[DISCOVER, INSTALL],
        errands={Errand.WIPE: [WIPE]},
        explained={name: _explained(machine) for name, machine in found.items()},
        stores=stores(),
        bmc_desk=FakeBmcs(measured={name: sensors(name) for name in found}),
    )


def _explained(machine: MachineView) -> ExplainView:
    line = ExplainLine(kind="phase", text="it got here", since=NOW, evidence="a packet", next_action="wait")
    return ExplainView(machine=machine.name, verdict=f"{machine.name} does what it should", lines=(line,))


GB = 1 << 30
IMAGES = (
    ImageView(
        name="debian-13",
        version="ab" * 32,
        size_bytes=GB,
        sha256="ef" * 32,
        served=True,
        state=HashState.WHOLE,
        looked=NOW,
        machines=tuple(f"node-{number}" for number in range(12)),
        artifacts=(
            ArtifactView(
                name="blob.zst", sha256="ef" * 32, size_bytes=GB, media_type="application/zstd", state=HashState.WHOLE
            ),
        ),
    ),
    ImageView(
        name="ramdisk",
        version="cd" * 32,
        size_bytes=9 << 20,
        sha256="01" * 32,
        served=False,
        state=HashState.MISSING,
        looked=NOW,
    ),
)
NETWORK = "10.77.0.0/24"
NETWORKS = NetworksView(
    networks=(
        NetworkView(
            network=NETWORK,
            mode="full",
            device="br0",
            address="10.77.0.1",
            domain="rack.test",
            first="10.77.0.100",
            last="10.77.0.199",
            lease_seconds=3600,
            size=100,
            used=42,
            declined=1,
            reserved=10,
        ),
        NetworkView(network="10.78.0.0/24", mode="full", device="", address="10.77.0.1", size=50, used=2),
    ),
    serves=False,
    troubles=(SegmentView(kind="pool", subject=NETWORK, text="42 of 100 addresses in use", since=NOW - 60),),
    rivals=(
        RivalView(server="10.77.0.254", text="a second DHCP server", since=NOW - 90, heard=NOW - 9, here=True),
        RivalView(server="10.77.0.253", text="has not been heard", since=NOW - 900, heard=NOW - 400, here=False),
    ),
)


def history(count: int = 60) -> HistoryView:
    samples = (
        SampleView(
            time=NOW - 10 * (count - at),
            http_bytes=at * at * (1 << 20),
            tftp_bytes=at * 50_000,
            used={NETWORK: 20 + at // 3, "10.78.0.0/24": 2},
        )
        for at in range(count)
    )
    return HistoryView(step=10.0, samples=tuple(samples))


def leases(count: int = 12) -> list[LeaseView]:
    states = tuple(AddressState)
    return [
        LeaseView(
            address=f"10.77.{at // 200}.{at % 200 + 1}",
            network=NETWORK,
            state=states[at % len(states)],
            mac=f"52:54:00:00:{at // 256:02x}:{at % 256:02x}",
            machine=f"node-{at}" if at % 3 else "",
            hostname=f"node-{at}",
            reserved=at % 2 == 0,
            until=NOW + 60 * at,
        )
        for at in range(count)
    ]


def stores() -> FakeStores:
    return FakeStores(shelf=list(IMAGES), network=NETWORKS, addresses=leases(), past=history())


def sensors(machine: str) -> SensorsView:
    kinds = {SensorKind.TEMPERATURE: "Cel", SensorKind.FAN: "{rev}/min", SensorKind.POWER: "W"}
    found = (
        SensorView(name=f"{kind.value} 1", kind=kind, reading=41.5, unit=unit, health=health)
        for (kind, unit), health in zip(kinds.items(), Health, strict=False)
    )
    lost = SensorView(name="Inlet", kind=SensorKind.OTHER, reading=None, unit="", health=Health.UNKNOWN)
    return SensorsView(machine=machine, read=NOW, sensors=(*found, lost))

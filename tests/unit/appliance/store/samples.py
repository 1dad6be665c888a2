"""One record of every kind."""

from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from appliance.model.bmc import BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.model.cluster import ClusterName
from appliance.model.codec import from_json
from appliance.model.goal import EVERYTHING
from appliance.model.hardware import Firmware, HardwareFacts
from appliance.model.identity import Rung
from appliance.model.ids import Fence, GoalId, MachineName, Nonce, RunId, StepId
from appliance.model.orders import BootOrder, ForgetOrder, PowerOrder, TokenOrder, Trace
from appliance.model.reflex import Stray
from appliance.model.rollout import Rollout
from appliance.model.step import StepKind
from appliance.model.views import RunState
from appliance.model.words import GoalState
from appliance.plan import Plan, Purpose
from appliance.store.identity_records import (
    AgentBound,
    CodeRefused,
    IdentityConfirmed,
    IdentityDisputed,
    TokenPlaced,
    TpmDisputed,
    TpmLacking,
    TpmProven,
)
from appliance.store.records import (
    AddressLeased,
    ApplianceNoted,
    BootSeen,
    BootStage,
    ClusterNoted,
    FactsReceived,
    FirstBootSeen,
    GoalAsked,
    GoalEnded,
    GoalSet,
    HelloSeen,
    HoldPlaced,
    HoldReleased,
    IdentityRead,
    InstallerSeen,
    InstallerStage,
    MachineAnswers,
    MachineRetried,
    MachineSetAside,
    MachineSilent,
    MachineStrayed,
    Noted,
    OrderAnswered,
    OrderSent,
    PlanStored,
    PowerCommanded,
    Problem,
    Record,
    RequestHonoured,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    SegmentNoted,
    StepIntent,
    StepResult,
    WebhookGaveUp,
)
from appliance.store.set_records import SetDropped, SetKept
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage
from pxe.client import Mac

GOLDEN = Path(__file__).parents[3] / "golden"
NODE = MachineName("node-0")
RUN = RunId("0badcafe")
GOAL = GoalId("1badcafe")
NONCE = Nonce("0123456789abcdef")
STEP = StepId("discover.node-0.enrol")
ADDRESS = IPv4Address("10.77.0.51")
SET = ArtifactSet(
    engine=Engine.KUBEADM,
    version="v1.20.2",
    arch="amd64",
    provenance=Provenance.REBUILT,
    files=(SetFile(name="kubelet", role="kubelet", size=7, sha256="b" * 64),),
    images=(SetImage(repository="k8s/pause", tag="3.2", digest="sha256:" + "a" * 64),),
)
PLAN = from_json(Plan, (GOLDEN / "plans/discovered-rack.json").read_bytes())
FACTS = from_json(HardwareFacts, (GOLDEN / "facts/qemu/facts.json").read_bytes())
IDENTITY = SystemIdentity(
    path="/redfish/v1/Systems/1",
    uuid=UUID("00000077-0000-4000-8000-000000000001"),
    serial="SN0001",
    manufacturer="Innervate Lab",
    product="Virtual Server",
    macs=(Mac("52:54:00:77:00:01"),),
    power=PowerState.OFF,
)

SAMPLES: tuple[Record, ...] = (
    PlanStored(plan=PLAN),
    RunStarted(run=RUN, plan=PLAN.digest, rollout=Rollout(canary=(NODE,), at_once=2, why="2 machines at once: inrush")),
    RunPaused(run=RUN, reason="2 of 3 failed"),
    RunResumed(run=RUN),
    MachineSetAside(run=RUN, machine=NODE, reason="fan"),
    MachineRetried(run=RUN, machine=NODE),
    RunEnded(run=RUN, state=RunState.FAILED),
    StepIntent(run=RUN, step=STEP, machine=NODE, kind=StepKind.READ, fence=Fence(2), nonce=NONCE, resumes=Fence(1)),
    StepResult(run=RUN, step=STEP, machine=NODE, fence=Fence(1), evidence={"serial": "SN0001"}),
    StepResult(
        run=RUN,
        step=STEP,
        machine=NODE,
        fence=Fence(1),
        problem=Problem(code="bmc", message="login refused", evidence="401", next_action="check the password"),
        retry_after=2.5,
    ),
    OrderSent(run=RUN, step=STEP, machine=NODE, fence=Fence(1), number=1, order=PowerOrder(command=PowerCommand.ON)),
    OrderSent(run=RUN, step=STEP, machine=NODE, fence=Fence(1), number=2, order=BootOrder(target=BootTarget.NETWORK)),
    OrderSent(run=RUN, step=STEP, machine=NODE, fence=Fence(1), number=3, order=ForgetOrder(trace=Trace.LEASE)),
    OrderSent(run=RUN, step=STEP, machine=NODE, fence=Fence(1), number=4, order=TokenOrder()),
    OrderAnswered(run=RUN, step=STEP, machine=NODE, number=2, shown="none"),
    OrderAnswered(
        run=RUN, step=STEP, machine=NODE, number=1, problem=Problem(code="bmc", message="silence"), lost=True
    ),
    OrderAnswered(run=RUN, step=STEP, machine=NODE, number=1, problem=Problem(code="bmc", message="login refused")),
    PowerCommanded(machine=NODE, command="on", boots=True),
    IdentityRead(machine=NODE, identity=IDENTITY),
    AddressLeased(machine=NODE, address=ADDRESS),
    BootSeen(machine=NODE, stage=BootStage.TFTP, detail="snponly.efi"),
    HelloSeen(machine=NODE, nonce=NONCE, boot_id="b", firmware=Firmware.UEFI, detail="serial SN0001"),
    TokenPlaced(machine=NODE, nonce=NONCE, number=1),
    AgentBound(
        machine=NODE, nonce=NONCE, key="aa" * 32, boot_id="b", rung=Rung.L1, client=ADDRESS, token="n.1", why="strange"
    ),
    IdentityConfirmed(machine=NODE, nonce=NONCE, key="aa" * 32, by="ann"),
    CodeRefused(machine=NODE, why="its console shows another code", by="ann"),
    IdentityDisputed(machine=NODE, nonce=NONCE, why="two agents speak for one machine", client=ADDRESS),
    TpmProven(
        machine=NODE,
        nonce=NONCE,
        key="aa" * 32,
        ek="ec" * 32,
        ak="000b" + "ab" * 32,
        issuer="CN=maker",
        pcrs=("00" * 32,) * 8,
    ),
    TpmLacking(machine=NODE, nonce=NONCE, why="it has no TPM, or its firmware hides it"),
    TpmDisputed(machine=NODE, nonce=NONCE, ek="ee" * 32, why="its TPM is another", client=ADDRESS),
    InstallerSeen(machine=NODE, nonce=NONCE, stage=InstallerStage.WORD, detail="partman: works"),
    FactsReceived(machine=NODE, nonce=NONCE, facts=FACTS, raw_sha256="00" * 32),
    FirstBootSeen(
        machine=NODE,
        nonce=NONCE,
        boot_id="c",
        hostname="node-0",
        serial="SN0001",
        address=ADDRESS,
        host_keys=("ssh-ed25519 AAAA",),
    ),
    HoldPlaced(machine=NODE, reason="fan"),
    HoldReleased(machine=NODE),
    MachineSilent(machine=NODE, text="10.77.0.51 has not answered for 2 minutes"),
    MachineAnswers(machine=NODE),
    MachineStrayed(machine=NODE, stray=Stray.RETURNS, text="it came back 4 times"),
    Noted(machine=NODE, kind="facts-refused", text="not JSON"),
    SegmentNoted(kind="rival", text="another DHCP server"),
    GoalSet(goal=GOAL, purpose=Purpose(), consent=EVERYTHING, machines=(NODE,), by="anna"),
    GoalAsked(goal=GOAL, plan=PLAN.digest),
    GoalEnded(goal=GOAL, state=GoalState.FAILED, problem=Problem(code="plan", message="no disk fits"), by="ben"),
    ApplianceNoted(text="version 0.2.0 in slot b is healthy, and stays", kept=True),
    ClusterNoted(cluster=ClusterName("prod"), text="prod: certificate csr-1 of node-9 refused: no token", refused=True),
    WebhookGaveUp(hook="chat", first=3, last=9, events=5),
    SetKept(described=SET, size=1234, by="ann"),
    SetDropped(name=SET.name, by="ann"),
    RequestHonoured(key="k" * 64, print="p" * 64, location="/v1/runs/3f2a", status=202),
)

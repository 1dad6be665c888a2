"""Racks in trouble for `FakeApplication`: ten failures of the field, each as the daemon words it.

Messages, evidence and next actions are those of the conductor's handlers, the agent, the BMC drivers and the guards of
the boot network.
"""

from dataclasses import dataclass, replace

from appliance.api.fake import FakeApplication
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import (
    EvidenceView,
    ExplainLine,
    ExplainView,
    MachineView,
    PhaseView,
    SegmentView,
    StepState,
    StepView,
)

_DHCP = {"dhcp": 5.5}
_SCRIPT = {**_DHCP, "tftp": 5.6, "script": 5.9}
_HELLO = {**_SCRIPT, "hello": 21.4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """`cause` and `action` are what a person has to be shown; `stages` in seconds from power-on."""

    name: str
    phase: Phase
    step: str
    cause: str
    evidence: str
    action: str
    stages: dict[str, float]
    kind: ConditionKind = ConditionKind.FAILED
    code: str = ""
    segment: str = ""


FAILURES = (
    Failure(
        name="dead-bmc",
        code="bmc",
        phase=Phase.ENROLLING,
        step="ask the BMC of dead-bmc which machine it controls",
        cause="no answer from https://10.9.0.11",
        evidence="GET /redfish/v1: connection timed out after 10 s, 3 times",
        action="check the BMC's address, cable and power; if it answers ping, reset it",
        stages={},
    ),
    Failure(
        name="no-dhcp",
        code="agent-silent",
        phase=Phase.ENROLLING,
        step="boot no-dhcp into the discovery system",
        cause="the machine was started but its agent never said hello",
        evidence="seen since power-on: nothing",
        action="check the network cable, the switch port (spanning tree, VLAN) and that PXE is on in the firmware",
        stages={},
    ),
    Failure(
        name="boot-order",
        code="first-boot-silent",
        phase=Phase.BOOTING,
        step="boot boot-order from its disk",
        cause="the installed system did not report: the machine came back to the boot server",
        evidence="DHCP request of the firmware 41 s after the restart from disk",
        action="put the disk before the network in the firmware's boot order, then try again",
        stages={**_HELLO, "written": 33.9},
    ),
    Failure(
        name="wrong-hash",
        code="agent",
        phase=Phase.DEPLOYING,
        step="write debian-13 to DISK0004",
        cause="block 17 of the image is damaged",
        evidence="block 17: sha256 expected 9f86d081884c7d65, got 2c26b46b68ffc68f, 3 times",
        action="Build or import the image again.",
        stages=_HELLO,
    ),
    Failure(
        name="disk-full",
        phase=Phase.DEPLOYING,
        step="write debian-13 to DISK0005",
        cause="the appliance cannot keep what machines report: its disk is full",
        evidence="write to /var/lib/innervate/log.db: No space left on device",
        action="free space on the appliance's disk; the run goes on by itself when there is some",
        stages=_HELLO,
        kind=ConditionKind.STUCK,
    ),
    Failure(
        name="same-mac",
        code="duplicate-identity",
        phase=Phase.ENROLLING,
        step="ask the BMC of same-mac which machine it controls",
        cause="it has MAC address 52:54:00:00:00:06, and so has node-0",
        evidence="/redfish/v1/Systems/1: serial SN0006, UUID 6f2c1d1e-0000-4000-8000-000000000006",
        action="correct the BMC address in the site program, or the cloned identity in the firmware",
        stages={},
    ),
    Failure(
        name="rogue-dhcp",
        code="agent-silent",
        phase=Phase.ENROLLING,
        step="boot rogue-dhcp into the discovery system",
        cause="the machine was started but its agent never said hello",
        evidence="seen since power-on: dhcp",
        action="check that TFTP and HTTP reach the machine (firewall, MTU), then read its console",
        stages=_DHCP,
        segment=(
            "the DHCP server 10.77.0.254 (MAC 00:11:22:33:44:55) answers on this network too; this appliance stands "
            "back: switch that server off, then give innervate take-over"
        ),
    ),
    Failure(
        name="other-disk",
        code="agent",
        phase=Phase.DEPLOYING,
        step="write debian-13 to DISK0008",
        cause="no disk has serial DISK0008 and WWN -",
        evidence="present: DISK9999/naa.5000c500a1b2c3d4 of 480103981056 bytes",
        action="Inspect the machine again and approve a new plan.",
        stages=_HELLO,
    ),
    Failure(
        name="small-disk",
        code="agent",
        phase=Phase.DEPLOYING,
        step="write debian-13 to DISK0009",
        cause="the image is larger than the disk",
        evidence="image 4294967296 bytes, disk 2147483648 bytes",
        action="Choose a larger disk or a smaller image.",
        stages=_HELLO,
    ),
    Failure(
        name="no-link",
        phase=Phase.INSPECTING,
        step="read the hardware of no-link",
        cause="no link on any NIC that the plan names",
        evidence="eno1: carrier 0; eno2: carrier 0; the agent talks over usb0",
        action="plug the cable into eno1, or name another NIC in the site program",
        stages=_HELLO,
        kind=ConditionKind.STUCK,
    ),
)


def fail(application: FakeApplication, failure: Failure) -> MachineView:
    """Puts the machine of that name, and what it does to the boot network, into the application."""
    machine = _machine(failure, application.now)
    application.inventory[machine.name] = machine
    application.explained[machine.name] = _explained(failure, application.now)
    if failure.segment:
        since = application.now - 300
        rival = SegmentView(kind="rival-server", subject="10.77.0.254", text=failure.segment, since=since)
        application.segment.append(rival)
    return machine


def _machine(failure: Failure, now: float) -> MachineView:
    started = now - 240
    proofs = (EvidenceView(what=what, time=started + at, detail="seen") for what, at in failure.stages.items())
    return MachineView(
        name=failure.name,
        phase=failure.phase,
        since=started,
        serial="SN-" + failure.name.upper(),
        conditions=(_condition(failure, now),),
        step=_step(failure, started) if failure.kind is ConditionKind.STUCK else None,
        stages=dict(failure.stages),
        phases=(PhaseView(phase=failure.phase, since=started),),
        evidence=tuple(proofs),
    )


def _condition(failure: Failure, now: float) -> Condition:
    return Condition(
        kind=failure.kind,
        since=now - 30,
        reason=failure.cause,
        step=failure.step,
        code=failure.code,
        evidence=failure.evidence,
        next_action=failure.action,
    )


def _step(failure: Failure, started: float) -> StepView:
    step = StepView(
        id=f"{failure.name}.step", machine=failure.name, score="", summary=failure.step, kind="", budget=900
    )
    return replace(step, state=StepState.RUNNING, started=started)


def _explained(failure: Failure, now: float) -> ExplainView:
    link = ExplainLine(
        kind="condition",
        text=f"{failure.kind.value}: {failure.cause}",
        since=now - 30,
        evidence=failure.evidence,
        next_action=failure.action,
    )
    return ExplainView(machine=failure.name, verdict=f"{failure.name} failed at: {failure.step}", lines=(link,))

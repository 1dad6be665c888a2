"""Steps that only the BMC is needed for."""

from typing import assert_never

from appliance.bmc.evidence import BudgetRule, Finding, Rung, Sighting, Verdict, budget
from appliance.bmc.proof import prove
from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome
from appliance.conductor.world import MachineState
from appliance.errors import BmcSilentError
from appliance.inventory.identity import duplicates
from appliance.model.bmc import PowerCommand, PowerState, SystemIdentity
from appliance.plan import SetPower
from appliance.store.records import BootStage, IdentityRead, Noted, PowerCommanded, Problem

BOOTS = frozenset({PowerCommand.ON, PowerCommand.GRACEFUL_RESTART, PowerCommand.FORCE_RESTART, PowerCommand.CYCLE})
_GOALS = {
    PowerCommand.ON: PowerState.ON,
    PowerCommand.GRACEFUL_OFF: PowerState.OFF,
    PowerCommand.FORCE_OFF: PowerState.OFF,
}
_QUICKEST = 60.0
_OFF_PATIENCE = 180.0
_SHOWS = {
    BootStage.DHCP.value: Rung.DHCP,
    BootStage.SYSTEM.value: Rung.DHCP,
    BootStage.LEASE.value: Rung.DHCP,
    "hello": Rung.AGENT,
    "first_boot": Rung.AGENT,
}


async def ensure_enrolled(hands: Hands, attempt: Attempt) -> Outcome:
    """Who is behind this BMC? Raises `BmcError` when it does not answer."""
    hands.waiting(attempt.machine, "waiting for the BMC to say which machine it controls")
    identity = await hands.bmc_of(attempt.machine).identify()
    if (clash := _clash(hands, attempt, identity)) is not None:
        return Failed(problem=clash)
    await hands.memory.remember(IdentityRead(machine=attempt.machine, identity=identity))
    return Done(
        evidence={
            "serial": identity.serial,
            "uuid": str(identity.uuid or ""),
            "power": identity.power.value,
        }
    )


def _clash(hands: Hands, attempt: Attempt, identity: SystemIdentity) -> Problem | None:
    """Two machines with one identity would be given each other's boots: neither is touched before a person looked."""
    states = hands.memory.world.machines.values()
    known = {state.name: state.identity for state in states if state.identity is not None}
    clashes = duplicates({**known, attempt.machine: identity})
    mine = next((clash for clash in clashes if attempt.machine in clash.names), None)
    if mine is None:
        return None
    return Problem(
        code="duplicate-identity",
        message=mine.why,
        evidence=f"{identity.path}: serial {identity.serial}, UUID {identity.uuid}",
        next_action="correct the BMC address in the site program, or the cloned identity in the firmware",
    )


async def command_power(hands: Hands, attempt: Attempt, command: PowerCommand) -> None:
    """The record goes first: whatever the machine does next is counted from it. An answer that got lost is noted: what
    the machine does then decides."""
    boots = command in BOOTS
    await hands.memory.remember(PowerCommanded(machine=attempt.machine, command=command.value, boots=boots))
    try:
        await hands.bmc_of(attempt.machine).command(command)
    except BmcSilentError as error:
        text = f"no answer to {command.value}: {error}; the machine itself shows whether it was done"
        hands.memory.note(Noted(machine=attempt.machine, kind="answer-lost", text=text))


async def ensure_power(hands: Hands, attempt: Attempt, do: SetPower) -> Outcome:
    bmc, command = hands.bmc_of(attempt.machine), do.command
    goal = _GOALS.get(command)
    if goal is not None and await bmc.power_state() is goal:
        return Done(evidence={"power": f"{goal.value} already"})
    boots = command in BOOTS
    patience = first_sign_patience(hands, attempt, attempt.step.budget * 0.9) if boots else _OFF_PATIENCE
    await hands.memory.remember(PowerCommanded(machine=attempt.machine, command=command.value, boots=boots))
    hands.waiting(
        attempt.machine, f"told the BMC {command.value}; waiting for {'the machine itself' if boots else 'it'}"
    )
    finding = await prove(
        bmc,
        command,
        sightings=lambda: sightings(hands.memory.world.machine(attempt.machine)),
        clock=hands.clock,
        budget=patience,
    )
    return _ended(command, finding, patience)


def first_sign_patience(hands: Hands, attempt: Attempt, most: float) -> float:
    """Seconds from power-on to a machine's first packet: `most`, until its model is known to be faster."""
    signs = hands.memory.world.first_signs(attempt.machine)
    return budget(signs, BudgetRule(floor=min(_QUICKEST, most), ceiling=most, first=most))


def sightings(state: MachineState) -> tuple[Sighting, ...]:
    """What the machine did by itself since it was last told to boot. A lease is renewed without a boot."""
    return tuple(
        Sighting(rung=_SHOWS[stage], power=PowerState.ON, at=at, fresh=stage != BootStage.LEASE.value)
        for stage, at in state.stages.items()
        if stage in _SHOWS
    )


def _ended(command: PowerCommand, finding: Finding, waited: float) -> Outcome:
    word = finding.rung.value if finding.rung else "nobody"
    if command is PowerCommand.NMI:
        return Done(evidence={"power": "command accepted; an NMI leaves no trace that the appliance sees"})
    match finding.verdict:
        case Verdict.CONFIRMED:
            return Done(evidence={"power": command.value, "seen by": word})
        case Verdict.UNCONFIRMED:
            message = f"the BMC accepted {command.value} but the machine itself was not seen to follow"
            action = "read its console: it may have started an operating system that asks for no address"
        case Verdict.CONTRADICTED:
            message = f"the BMC accepted {command.value} but the power did not follow"
            action = "try force-off, then on; if that changes nothing reset the BMC or press the button"
        case _:
            assert_never(finding.verdict)
    evidence = f"watched for {waited:.0f} s; last word: {word}"
    return Failed(problem=Problem(code="power", message=message, evidence=evidence, next_action=action))

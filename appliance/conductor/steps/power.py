"""Steps that only the BMC is needed for."""

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome
from appliance.inventory.identity import duplicates
from appliance.model.bmc import PowerCommand, PowerState, SystemIdentity
from appliance.plan import SetPower
from appliance.store.records import IdentityRead, PowerCommanded, Problem

_LOOK_EVERY = 2.0

_REACHES: dict[PowerCommand, PowerState | None] = {
    PowerCommand.ON: PowerState.ON,
    PowerCommand.GRACEFUL_OFF: PowerState.OFF,
    PowerCommand.FORCE_OFF: PowerState.OFF,
    PowerCommand.FORCE_RESTART: PowerState.ON,
    PowerCommand.CYCLE: PowerState.ON,
    PowerCommand.NMI: None,
}
_BOOTS = frozenset({PowerCommand.ON, PowerCommand.FORCE_RESTART, PowerCommand.CYCLE})


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
    """The record goes first: whatever the machine does next is counted from it."""
    boots = command in _BOOTS
    await hands.memory.remember(PowerCommanded(machine=attempt.machine, command=command.value, boots=boots))
    await hands.bmc_of(attempt.machine).command(command)


async def ensure_power(hands: Hands, attempt: Attempt, do: SetPower) -> Outcome:
    bmc = hands.bmc_of(attempt.machine)
    wanted = _REACHES[do.command]
    restarts = do.command in (PowerCommand.FORCE_RESTART, PowerCommand.CYCLE, PowerCommand.NMI)
    if not restarts and await bmc.power_state() is wanted:
        return Done(evidence={"power": f"{wanted.value if wanted else ''} already"})
    await command_power(hands, attempt, do.command)
    return await _see_power(hands, attempt, wanted)


async def _see_power(hands: Hands, attempt: Attempt, wanted: PowerState | None) -> Outcome:
    if wanted is None:
        return Done(evidence={"power": "command accepted"})
    bmc = hands.bmc_of(attempt.machine)
    deadline = hands.clock.monotonic() + attempt.step.budget * 0.9
    while (state := await bmc.power_state()) is not wanted:
        if hands.clock.monotonic() > deadline:
            return Failed(
                problem=Problem(
                    code="power",
                    message=f"the BMC accepted the command but the power is {state.value}, not {wanted.value}",
                    evidence=f"read every {_LOOK_EVERY:.0f} s for {attempt.step.budget * 0.9:.0f} s",
                    next_action="try force-off, then on; if that changes nothing reset the BMC or press the button",
                )
            )
        hands.waiting(attempt.machine, f"waiting for the BMC to read power {wanted.value}; it says {state.value}")
        await hands.clock.sleep(_LOOK_EVERY)
    return Done(evidence={"power": wanted.value})

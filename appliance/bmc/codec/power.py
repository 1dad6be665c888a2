"""ComputerSystem.Reset and Manager.Reset: which ResetType is which command. Pure."""

from collections.abc import Sequence

from appliance.bmc.redfish_codec import choose
from appliance.model.bmc import PowerCommand, PowerState

# First choice first. PushPowerButton is nobody's choice: what it does depends on the state.
_RESET_TYPES = {
    PowerCommand.ON: ("On", "ForceOn"),
    PowerCommand.GRACEFUL_OFF: ("GracefulShutdown",),
    PowerCommand.FORCE_OFF: ("ForceOff",),
    PowerCommand.GRACEFUL_RESTART: ("GracefulRestart",),
    PowerCommand.FORCE_RESTART: ("ForceRestart", "PowerCycle"),
    PowerCommand.CYCLE: ("PowerCycle",),
    PowerCommand.NMI: ("Nmi",),
}
_MANAGER = ("GracefulRestart", "ForceRestart")
_RESTARTS = (PowerCommand.GRACEFUL_RESTART, PowerCommand.FORCE_RESTART, PowerCommand.CYCLE)


def reset_type(command: PowerCommand, allowable: Sequence[str], power: PowerState) -> str:
    """The best ResetType; the first choice where the BMC does not say what it allows.

    Most BMCs refuse to restart what is off, which a restart is to end with: such a machine is switched on.
    """
    if command in _RESTARTS and power is PowerState.OFF:
        command = PowerCommand.ON
    return choose(_RESET_TYPES[command], allowable, f"the BMC offers no {command.value}")


def manager_reset_type(allowable: Sequence[str]) -> str:
    return choose(_MANAGER, allowable, "the BMC cannot be reset through Redfish")


def reached(command: PowerCommand, power: PowerState) -> bool:
    """Whether a refused command had nothing left to do."""
    match command:
        case PowerCommand.ON:
            return power is PowerState.ON
        case PowerCommand.FORCE_OFF | PowerCommand.GRACEFUL_OFF:
            return power is PowerState.OFF
        case _:
            return False

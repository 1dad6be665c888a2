"""Chassis commands (IPMI 2.0 section 28) and DCMI power reading <-> our values. Pure."""

from typing import assert_never

from appliance.bmc.ipmi.packet import Request
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.model.bmc import BootMode, BootOverride, BootTarget, BootTerm, Indicator, PowerCommand, PowerState

_CHASSIS, _DCMI = 0x00, 0x2C

STATUS = Request(netfn=_CHASSIS, command=0x01, data=b"")
GET_BOOT = Request(netfn=_CHASSIS, command=0x09, data=bytes((5, 0, 0)))
GET_WATTS = Request(netfn=_DCMI, command=0x02, data=bytes((0xDC, 1, 0, 0)))

# Parameter 3: "do not clear the boot flags when no chassis control comes within 60 s". A BMC may refuse it.
KEEP_BOOT = Request(netfn=_CHASSIS, command=0x08, data=bytes((3, 0x08)))
_USE_ALTERNATIVE = "use Redfish, or another command"

_ACTIONS = {
    PowerCommand.FORCE_OFF: 0,
    PowerCommand.ON: 1,
    PowerCommand.CYCLE: 2,
    PowerCommand.FORCE_RESTART: 3,
    PowerCommand.NMI: 4,
    PowerCommand.GRACEFUL_OFF: 5,
}
REPEATABLE = frozenset({PowerCommand.ON, PowerCommand.FORCE_OFF})
"""Those that do nothing the second time."""

# First choice first (table 28-14, boot device selector).
_DEVICES = {
    BootTarget.NONE: (0,),
    BootTarget.NETWORK: (1,),
    BootTarget.DISK: (2, 3),
    BootTarget.CD: (5, 8),
    BootTarget.FIRMWARE_SETUP: (6,),
    BootTarget.USB: (15, 7),
}
_VALID, _PERSISTENT, _EFI = 0x80, 0x40, 0x20


def control(command: PowerCommand) -> Request:
    if command not in _ACTIONS:
        raise BmcUnsupportedError(f"IPMI knows no {command.value}", next_action="power it off gracefully, then on")
    return Request(netfn=_CHASSIS, command=0x02, data=bytes((_ACTIONS[command],)))


def power_state(status: bytes) -> PowerState:
    """A power fault reads as off: what matters is that the machine does not run."""
    if len(status) < 3:
        return PowerState.UNKNOWN
    return PowerState.ON if status[0] & 1 else PowerState.OFF


def indicator(status: bytes) -> Indicator:
    if len(status) < 3 or not status[2] & 0x40:
        return Indicator.UNKNOWN
    return {0: Indicator.OFF, 1: Indicator.LIT, 2: Indicator.LIT}.get(status[2] >> 4 & 3, Indicator.UNKNOWN)


def identify(wanted: Indicator) -> Request:
    """Table 28-8: seconds, then "on until told otherwise"."""
    match wanted:
        case Indicator.LIT:
            return Request(netfn=_CHASSIS, command=0x04, data=bytes((0, 1)))
        case Indicator.OFF:
            return Request(netfn=_CHASSIS, command=0x04, data=bytes((0,)))
        case Indicator.BLINKING | Indicator.UNKNOWN:
            raise BmcUnsupportedError(f"IPMI cannot make the LED {wanted.value}", next_action="light it")
        case _:
            assert_never(wanted)


def set_boot(wanted: BootOverride) -> Request:
    if wanted.term is BootTerm.DISABLED or wanted.target is BootTarget.NONE:
        return Request(netfn=_CHASSIS, command=0x08, data=bytes((5, 0, 0, 0, 0, 0)))
    if wanted.target not in _DEVICES:
        raise BmcUnsupportedError(f"IPMI cannot boot from {wanted.target.value}", next_action=_USE_ALTERNATIVE)
    flags = _VALID
    flags |= _PERSISTENT if wanted.term is BootTerm.CONTINUOUS else 0
    flags |= 0 if wanted.mode is BootMode.LEGACY else _EFI
    return Request(netfn=_CHASSIS, command=0x08, data=bytes((5, flags, _DEVICES[wanted.target][0] << 2, 0, 0, 0)))


def boot(answer: bytes) -> BootOverride:
    """Table 28-14, parameter 5. A BMC clears the valid bit once it was used, or after 60 s without a power command."""
    if len(answer) < 4 or answer[1] & 0x7F != 5:
        raise BmcError("the BMC sent broken boot flags", evidence=answer[:16].hex(), next_action="use Redfish")
    flags, device = answer[2], answer[3] >> 2 & 0x0F
    if not flags & _VALID or device == 0:
        return BootOverride(target=BootTarget.NONE, term=BootTerm.DISABLED)
    term = BootTerm.CONTINUOUS if flags & _PERSISTENT else BootTerm.ONCE
    mode = BootMode.UEFI if flags & _EFI else BootMode.LEGACY
    for target, devices in _DEVICES.items():
        if device in devices:
            return BootOverride(target=target, term=term, mode=mode)
    raise BmcError("someone else set the boot override", evidence=f"device {device}", next_action="clear it on the BMC")


def boot_just_set(answer: bytes, wanted: BootOverride) -> BootOverride:
    """Read back right after it was set. Some BMCs, OpenIPMI's among them, keep the device but no flags. A clear valid
    bit cannot mean "used" so soon: the device that we asked for counts as set, for once as the clear flag says, and in
    a mode that the BMC does not tell. `boot` alone cannot know, and keeps to the bit."""
    shown = boot(answer)
    device = answer[3] >> 2 & 0x0F
    if device and not answer[2] & _VALID and device in _DEVICES.get(wanted.target, ()):
        return BootOverride(target=wanted.target, term=BootTerm.ONCE)
    return shown


def watts(answer: bytes) -> float:
    """DCMI 1.5 section 6.6.1. Raises `BmcUnsupportedError` where the BMC does not measure."""
    if len(answer) < 18 or answer[0] != 0xDC or not answer[17] & 0x40:
        raise BmcUnsupportedError("the BMC does not measure power", next_action="measure it at the outlet")
    return float(int.from_bytes(answer[1:3], "little"))

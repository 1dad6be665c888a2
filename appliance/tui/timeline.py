"""A boot as it went, stage by stage, with the gap named where it stopped. Pure.

The stages are those of `MachineView`; what is to be checked where one does not come is what firmware, spanning tree and
boot programs get wrong in the field.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.frontend import units
from appliance.model.phase import Phase
from appliance.model.views import MachineView

_PATIENCE = 30.0

# In the order of a boot: stage, what it is, and what to check where it does not come after the one before.
_STAGES = (
    (
        "dhcp",
        "DHCP request of the firmware",
        "check the cable, the switch port (VLAN, spanning tree without edge port, LACP) and that the firmware boots "
        "from this NIC first",
    ),
    (
        "tftp",
        "boot program fetched by TFTP",
        "another DHCP server may have answered, or the firmware asks for another architecture; check for a second "
        "server and that UDP port 69 gets through",
    ),
    (
        "script",
        "boot script asked for by HTTP",
        "the boot program started and got no link or was refused: check spanning tree on the port and Secure Boot",
    ),
    (
        "hello",
        "hello of the agent",
        "kernel or ramdisk stops: read the serial console; check memory and that TCP port 80 gets through",
    ),
    ("written", "image written and verified", "its step and its conditions say why"),
    (
        "first_boot",
        "report of the installed system",
        "check that the firmware boots from the disk, then read the serial console",
    ),
    ("ssh", "SSH, with its own serial number", "check the address, sshd and the network of the installed system"),
)

# A ROM that is iPXE already, and UEFI HTTP Boot, fetch nothing by TFTP.
_SKIPPED = frozenset({"tftp"})
# The phases in which the next stage is owed.
_AT_WORK = frozenset(
    {
        Phase.ENROLLING,
        Phase.INSPECTING,
        Phase.DEPLOYING,
        Phase.BOOTING,
        Phase.CONFIGURING,
        Phase.PREPARING,
        Phase.RESCUE,
    }
)
_INSTALLS = frozenset({Phase.DEPLOYING, Phase.BOOTING, Phase.CONFIGURING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """`at` in seconds from power-on, None where it was not seen; `took` since the stage before. `gap` says what is
    missing and what to check."""

    stage: str
    at: float | None
    took: float | None = None
    gap: str = ""


def timeline(machine: MachineView, now: float) -> tuple[Mark, ...]:
    """Empty while nothing of a boot is known and none is owed."""
    seen = {name: at for name, _, _ in _STAGES if (at := machine.stages.get(name)) is not None}
    if not seen and not _is_owed(machine):
        return ()
    return tuple(_marks(machine, seen, now))


def _marks(machine: MachineView, seen: dict[str, float], now: float) -> Iterator[Mark]:
    last = max((at for at, (name, _, _) in enumerate(_STAGES) if name in seen), default=-1)
    before: float | None = None
    for at, (name, what, check) in enumerate(_STAGES):
        when = seen.get(name)
        if when is not None:
            yield Mark(stage=name, at=when, took=None if before is None else when - before)
            before = when
        elif at < last:
            yield Mark(stage=name, at=None, gap=_passed(name))
        else:
            due = at == last + 1 and _is_owed(machine)
            yield Mark(stage=name, at=None, gap=_missing(machine, name, what, check, now) if due else "")


def _passed(stage: str) -> str:
    return "not needed: the firmware fetched by HTTP, or its own ROM is iPXE" if stage in _SKIPPED else "not seen"


def _is_owed(machine: MachineView) -> bool:
    """What failed before its first packet was perhaps never powered on: its condition says what to do."""
    at_work = machine.step is not None or (bool(machine.conditions) and bool(machine.stages))
    return machine.phase in _AT_WORK and at_work


def _missing(machine: MachineView, stage: str, what: str, check: str, now: float) -> str:
    """Nothing is missing yet before the wait is longer than boots take between two stages."""
    if stage in ("written", "first_boot", "ssh") and machine.phase not in _INSTALLS:
        return ""
    waited = now - _latest(machine)
    if stage == "written" and machine.step is not None and not machine.conditions:
        return "under way"
    if waited < _PATIENCE and not machine.conditions:
        return f"awaited for {units.duration(waited)}"
    return f"no {what} for {units.duration(waited)}: {check}"


def _latest(machine: MachineView) -> float:
    """Since when nothing new was seen of the machine."""
    started = machine.step.started if machine.step is not None else None
    return max((proof.time for proof in machine.evidence), default=started or machine.since)

"""A boot as it went, stage by stage, with the gap named where it stopped. Pure; times in seconds from power-on.

The stages are those of `MachineView`; what is to be checked where one does not come is what firmware, spanning tree and
boot programs get wrong in the field.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.frontend import units
from appliance.model.phase import Phase
from appliance.model.views import MachineView
from appliance.model.words import STAGES

_PATIENCE = 60.0

# What each stage is, and what to check where it does not come after the one before.
_MEANS = {
    "dhcp": (
        "DHCP request of the firmware",
        "check the cable, the switch port (VLAN, spanning tree without edge port, LACP) and that the firmware boots "
        "from this NIC first",
    ),
    "tftp": (
        "boot program fetched by TFTP",
        "another DHCP server may have answered, or the firmware asks for another architecture; check for a second "
        "server and that UDP port 69 gets through",
    ),
    "script": (
        "boot script asked for by HTTP",
        "the boot program got no link, was refused, or hangs in the NIC's driver; check spanning tree on the port and "
        "Secure Boot; the next try takes another boot program",
    ),
    "hello": (
        "hello of the agent",
        "kernel or ramdisk did not come up: read the serial console; check memory and that TCP port 80 gets through",
    ),
    "written": ("image written and verified", "its step and its conditions say why"),
    "first_boot": (
        "report of the installed system",
        "check that the firmware boots from the disk, then read the serial console",
    ),
    "ssh": ("SSH, with its own serial number", "check the address, sshd and the network of the installed system"),
}

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
_INSTALLING = frozenset({"written", "first_boot", "ssh"})
_FROM_DISK = frozenset({Phase.BOOTING, Phase.CONFIGURING})
_FIRST_BOOT = STAGES.index("first_boot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`at` is None where it was not seen. `took` is since the stage before; of the one that is awaited, so far; None
    where nothing is awaited. `gap` says what a stage that is not there means, and what to check."""

    name: str
    title: str
    at: float | None
    took: float | None = None
    gap: str = ""


def stages(machine: MachineView, now: float) -> tuple[Stage, ...]:
    """All of them; empty while nothing of a boot is known and none is owed."""
    seen = {name: at for name in STAGES if (at := machine.stages.get(name)) is not None}
    if not seen and not _is_owed(machine):
        return ()
    return tuple(_stages(machine, seen, now))


def _stages(machine: MachineView, seen: dict[str, float], now: float) -> Iterator[Stage]:
    last = max((STAGES.index(name) for name in seen), default=-1)
    awaited = max(last + 1, _FIRST_BOOT) if machine.phase in _FROM_DISK else last + 1
    before = 0.0
    for at, name in enumerate(STAGES):
        title, check = _MEANS[name]
        when = seen.get(name)
        if when is not None:
            yield Stage(name=name, title=title, at=when, took=max(0.0, when - before))
            before = when
        elif at < last:
            yield Stage(name=name, title=title, at=None, gap=_passed(name))
        elif at == awaited and _is_owed(machine) and _is_due(machine, name):
            waited = max(0.0, now - _latest(machine))
            gap = f"no {title} for {units.duration(waited)}: {check}" if _is_gap(machine, name, waited) else ""
            yield Stage(name=name, title=title, at=None, took=waited, gap=gap)
        else:
            yield Stage(name=name, title=title, at=None)


def _passed(stage: str) -> str:
    return "not needed: the firmware fetched by HTTP, or its own ROM is iPXE" if stage in _SKIPPED else "not seen"


def _is_owed(machine: MachineView) -> bool:
    """What failed before its first packet was perhaps never powered on: its condition says what to do."""
    was_on = machine.phase in _FROM_DISK or any(at is not None for at in machine.stages.values())
    at_work = machine.step is not None or (bool(machine.conditions) and was_on)
    return machine.phase in _AT_WORK and at_work


def _is_due(machine: MachineView, stage: str) -> bool:
    return stage not in _INSTALLING or machine.phase in _INSTALLS


def _is_gap(machine: MachineView, stage: str, waited: float) -> bool:
    """Nothing is missing before the wait is longer than boots take between two stages, nor while an image is written,
    which takes as long as it takes."""
    if machine.conditions:
        return True
    writes = stage == "written" and machine.step is not None
    return waited > _PATIENCE and not writes


def _latest(machine: MachineView) -> float:
    """Since when nothing new was seen of the machine."""
    started = machine.step.started if machine.step is not None else None
    return max((proof.time for proof in machine.evidence), default=started or machine.since)


def means(stage: str) -> str:
    """What a stage is, for people."""
    return _MEANS[stage][0]

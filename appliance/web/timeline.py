"""A boot as a line of stages, and what the first missing one means. Pure; times in seconds from power-on."""

from dataclasses import dataclass

from appliance.model.phase import Phase
from appliance.model.views import MachineView

_PATIENCE = 60.0

_TITLES = {
    "dhcp": "address by DHCP",
    "tftp": "boot program by TFTP",
    "script": "boot script",
    "hello": "agent's hello",
    "written": "image written",
    "first_boot": "first boot reported",
    "ssh": "SSH answers",
}
_GAPS = {
    "dhcp": "no DHCP packet: look at the cable, the boot order and the switch port (spanning tree, LACP)",
    "tftp": "an address was given and no boot program fetched: look for a firewall or another DHCP server",
    "script": "the boot program asks for no script: it may hang in the NIC's driver; the next try takes another one",
    "hello": "the script was served and no agent speaks: kernel or ramdisk did not come up; look at the console",
    "written": "the agent speaks and the image is not written yet",
    "first_boot": "the image is written and the installed system has not reported: look at the serial console",
    "ssh": "the installed system reported and SSH has not confirmed it",
}
_INSTALLS = frozenset({Phase.DEPLOYING, Phase.BOOTING, Phase.CONFIGURING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`at` is None while it was not seen; `took` is since the stage before. `gap` says what a long absence means."""

    name: str
    title: str
    at: float | None
    took: float | None
    gap: str = ""


def stages(machine: MachineView, now: float) -> tuple[Stage, ...]:
    """Those that were seen, and the one that is awaited, if one is."""
    found: list[Stage] = []
    before = 0.0
    for name, title in _TITLES.items():
        at = machine.stages.get(name)
        if at is not None:
            found.append(Stage(name=name, title=title, at=at, took=max(0.0, at - before)))
            before = at
    if (awaited := _awaited(machine, found)) and machine.step is not None and machine.step.started is not None:
        waited = now - machine.step.started
        gap = _GAPS[awaited] if waited > _PATIENCE else ""
        found.append(Stage(name=awaited, title=_TITLES[awaited], at=None, took=waited, gap=gap))
    return tuple(found)


def _awaited(machine: MachineView, found: list[Stage]) -> str:
    """The one after the last that was seen. A BIOS that is iPXE itself fetches no program: a later one proves it."""
    names = tuple(_TITLES)
    last = names.index(found[-1].name) if found else -1
    if last + 1 == len(names) or (names[last + 1] == "written" and machine.phase not in _INSTALLS):
        return ""
    return names[last + 1]

"""Disks, as the agent read them from sysfs."""

from appliance.errors import AgentError
from appliance.inventory.bogus import real_text
from appliance.model.hardware import Disk
from appliance.model.text import clean
from images.agent.protocol import DiskFacts

_MAX_BYTES = 1 << 60  # an exbibyte: no disk, a lie


def parse_disks(disks: tuple[DiskFacts, ...]) -> tuple[Disk, ...]:
    """In the order of their names. Raises `AgentError` for two disks of one name and for impossible sizes."""
    names = [disk.name for disk in disks]
    if len(set(names)) != len(names):
        raise AgentError(
            "two disks have the same name",
            evidence=clean(", ".join(sorted(names)), 400),
            next_action="boot the machine into the discovery system again",
        )
    return tuple(sorted((_disk(disk) for disk in disks), key=lambda disk: disk.name))


def _disk(raw: DiskFacts) -> Disk:
    if not 0 < raw.size_bytes < _MAX_BYTES:
        raise AgentError(
            "a disk cannot have this size",
            evidence=clean(f"{raw.name}: {raw.size_bytes} bytes", 200),
            next_action="check the disk and its controller on the machine",
        )
    return Disk(
        name=clean(raw.name, 32),
        serial=real_text(clean(raw.serial, 200)),
        wwn=real_text(clean(raw.wwn, 200)),
        size_bytes=raw.size_bytes,
        model=clean(raw.model, 200),
        rotational=raw.rotational,
        removable=raw.removable,
        contents=clean(raw.contents, 200),
    )

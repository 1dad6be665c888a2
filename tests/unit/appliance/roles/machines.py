"""Machines that are values, for the tests of roles."""

from collections.abc import Iterable

from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk, Firmware, HardwareFacts, Neighbour, Nic
from appliance.model.ids import MachineName
from appliance.model.phase import Condition, ConditionKind
from appliance.roles.assignment import Assignment, Holds
from appliance.roles.role import RoleName
from pxe.client import Mac

GB, GIB = 10**9, 1 << 30
CONTROL, WORKER = RoleName("control-plane"), RoleName("worker")
FAILED = Condition(kind=ConditionKind.FAILED, since=0.0, reason="the BMC is silent")
HELD = Condition(kind=ConditionKind.HOLD, since=0.0, reason="new fans")


def disk(
    serial: str, gigabytes: int = 480, *, rotational: bool = False, contents: str = "blank", removable: bool = False
) -> Disk:
    return Disk(
        name=f"sd-{serial}",
        serial=serial,
        wwn="",
        size_bytes=gigabytes * GB,
        model="",
        rotational=rotational,
        removable=removable,
        contents=contents,
    )


def nics(*speeds: int | None) -> tuple[Nic, ...]:
    return tuple(
        Nic(
            name=f"eth{at}",
            mac=Mac(f"52:54:00:00:00:{at:02x}"),
            driver="",
            carrier=speed is not None,
            speed_mbps=speed,
            addresses=(),
        )
        for at, speed in enumerate(speeds)
    )


def neighbour(system: str, chassis: str = "") -> Neighbour:
    return Neighbour(nic="", chassis=chassis or f"chassis of {system}", port="1", system=system)


def facts(
    *,
    cores: int = 4,
    gib: float = 16,
    disks: Iterable[Disk] = (disk("D"),),
    speeds: Iterable[int | None] = (1000,),
    switches: Iterable[str] = (),
    product: str = "",
    serial: str = "",
    board_serial: str = "",
    gaps: tuple[str, ...] = (),
) -> HardwareFacts:
    return HardwareFacts(
        uuid=None,
        serial=serial,
        manufacturer="",
        product=product,
        firmware=Firmware.UEFI,
        cpu_model="",
        cores=cores,
        memory_bytes=int(gib * GIB),
        disks=tuple(disks),
        nics=nics(*speeds),
        neighbours=tuple(map(neighbour, switches)),
        board_serial=board_serial,
        gaps=gaps,
    )


def machine(
    name: str, hardware: HardwareFacts | None = None, *conditions: Condition, unseen: bool = False
) -> MachineRecord:
    here = None if unseen else hardware or facts(disks=(disk(f"D-{name}"),))
    return MachineRecord(name=MachineName(name), facts=here, conditions=conditions)


def holders(assignment: Assignment) -> dict[str, str]:
    return {d.machine: d.outcome.role for d in assignment.decisions if isinstance(d.outcome, Holds)}

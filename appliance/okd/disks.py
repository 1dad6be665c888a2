"""By which link below /dev/disk/by-id SCOS finds a disk that the discovery system has seen. Pure.

Links: systemd, rules.d/60-persistent-storage.rules; the WWN as sysfs has it (`naa.`, `eui.`).
"""

import re

from appliance.errors import PlanError
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName

_NAA, _EUI = re.compile(r"naa\.([0-9a-f]{16}|[0-9a-f]{32})"), re.compile(r"eui\.[0-9a-f]{16,32}")
_PLAIN = re.compile(r"[A-Za-z0-9._:+=-]{1,64}")
_VIRTIO = 20
"""Characters of a serial number that a virtio disk tells."""


def device_of(machine: MachineName, disk: Disk) -> str:
    """Raises `PlanError` for a disk that has no such name that can be told beforehand."""
    if found := _NAA.fullmatch(disk.wwn):
        return f"/dev/disk/by-id/wwn-0x{found[1]}"
    if _EUI.fullmatch(disk.wwn):
        return f"/dev/disk/by-id/nvme-{disk.wwn}"
    if disk.name.startswith("vd") and _PLAIN.fullmatch(disk.serial):
        return f"/dev/disk/by-id/virtio-{disk.serial[:_VIRTIO]}"
    if disk.name.startswith("nvme") and _PLAIN.fullmatch(named := f"{_joined(disk.model)}_{disk.serial}"):
        return f"/dev/disk/by-id/nvme-{named}"
    raise PlanError(
        f"{machine}: SCOS cannot be told which disk is {disk.name}",
        evidence=f"serial {disk.serial or '-'}, WWN {disk.wwn or '-'}, model {disk.model or '-'}",
        next_action="choose a disk with a WWN (naa. or eui.), an NVMe or a virtio disk",
    )


def hints_of(wwn: str, serial: str) -> dict[str, str]:
    """`rootDeviceHints` of an agent's host (openshift/assisted-service, root device hints)."""
    if found := _NAA.fullmatch(wwn):
        return {"wwn": f"0x{found[1]}"}
    return {"wwn": wwn} if _EUI.fullmatch(wwn) else {"serialNumber": serial}


def _joined(model: str) -> str:
    return re.sub(r"\s+", "_", model.strip())

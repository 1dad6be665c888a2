"""The Ethernet interfaces of the appliance, from sysfs (Documentation/ABI/testing/sysfs-class-net)."""

import contextlib
from pathlib import Path

from appliance.model.text import clean
from appliance.setup.answers import Nic

_ETHERNET = "1"
SYSFS = Path("/sys/class/net")


def nics(root: Path = SYSFS) -> tuple[Nic, ...]:
    """Those with a device behind them: no loopback, no bridges, no tunnels. Sorted by name."""
    found = (_nic(folder) for folder in sorted(root.iterdir()) if (folder / "device").exists())
    return tuple(nic for nic in found if nic is not None)


def _nic(folder: Path) -> Nic | None:
    if _read(folder / "type") != _ETHERNET:
        return None
    speed = _read(folder / "speed")
    return Nic(
        name=folder.name,
        mac=clean(_read(folder / "address"), 17),
        has_link=_read(folder / "carrier") == "1",
        speed=int(speed) if speed.isdecimal() else 0,
    )


def _read(file: Path) -> str:
    """sysfs refuses to say the carrier and speed of an interface that is down."""
    with contextlib.suppress(OSError):
        return file.read_text("ascii", "replace").strip()
    return ""

"""The Ethernet interfaces of the appliance, from sysfs (Documentation/ABI/testing/sysfs-class-net)."""

from pathlib import Path

from appliance.doctor import device
from appliance.model.text import clean
from appliance.setup.answers import Nic

_ETHERNET = "1"
_MAC_CHARACTERS = 17
SYSFS = Path("/sys/class/net")


def nics(root: Path = SYSFS) -> tuple[Nic, ...]:
    """Those with a device behind them: no loopback, no bridges, no tunnels. Sorted by name."""
    found = (_nic(folder) for folder in sorted(root.iterdir()) if (folder / "device").exists())
    return tuple(nic for nic in found if nic is not None)


def _nic(folder: Path) -> Nic | None:
    """None for what is no Ethernet, or has gone meanwhile."""
    if _read(folder / "type") != _ETHERNET or (seen := device.nic(folder.name)) is None:
        return None
    mac = clean(_read(folder / "address"), _MAC_CHARACTERS)
    return Nic(name=folder.name, mac=mac, has_link=seen.up and seen.carrier, speed=seen.speed or 0)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace").strip()
    except OSError:
        return ""

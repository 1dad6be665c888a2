"""What `innervate netbox import` wrote, for a site program to read."""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from appliance.errors import SiteError, UsageError
from appliance.model.bmc import BmcEndpoint
from appliance.model.codec import from_json
from appliance.model.ids import machine_name
from appliance.model.place import Face, Place
from appliance.model.site import Server
from appliance.netbox.model import Device, Fleet
from pxe.client import Mac
from pxe.errors import PxeError


def servers_from(file: Path, bmc_of: Callable[[str], BmcEndpoint]) -> tuple[Server, ...]:
    """`bmc_of` makes an endpoint of an OOB address: how BMCs are entered is nothing that NetBox should know. Raises
    `SiteError`."""
    try:
        fleet = from_json(Fleet, file.read_bytes())
        return tuple(_server(device, bmc_of) for device in fleet.devices)
    except (OSError, ValueError, UsageError, PxeError) as error:
        action = "import it again: innervate netbox import"
        raise SiteError(f"{file} cannot be used", evidence=str(error)[:300], next_action=action) from error


def _server(device: Device, bmc_of: Callable[[str], BmcEndpoint]) -> Server:
    if not device.oob:
        raise UsageError(f"{device.name} has no OOB address", next_action="give it one in NetBox")
    return Server(
        name=machine_name(device.name),
        bmc=bmc_of(device.oob),
        address=IPv4Address(device.address) if device.address else None,
        mac=Mac(device.mac) if device.mac else None,
        place=_place(device) if device.unit else None,
    )


def _place(device: Device) -> Place:
    """NetBox itself looks that front and rear leave room for each other."""
    face: Face = "rear" if device.face == "rear" else "front" if device.face == "front" else ""
    return Place(rack=device.rack, unit=device.unit, height=device.height, face=face)

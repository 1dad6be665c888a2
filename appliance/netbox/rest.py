"""NetBox's REST API v4 as values: what its documents say of devices. Pure; all of its text is hostile.

Source: NetBox documentation, "REST API" and the models `dcim.device`, `dcim.devicetype`, `dcim.interface`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface

from appliance.errors import UsageError
from appliance.model.codec import to_json
from appliance.model.ids import machine_name
from appliance.model.text import clean
from appliance.netbox.model import Device
from appliance.netbox.wiring import NOTHING, Known, KnownAddress, KnownPort
from pxe.client import Mac
from pxe.errors import PxeError

_TEXT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    name: str | None = None
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    address: str
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRef:
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDocument:
    """`dcim.device`. `position` may be a half unit."""

    id: int
    name: str | None = None
    serial: str = ""
    rack: Named | None = None
    position: float | None = None
    face: Choice | None = None
    device_type: TypeRef | None = None
    primary_ip4: Address | None = None
    oob_ip: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceType:
    id: int
    u_height: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Of an interface; a circuit's end has no device."""

    name: str = ""
    device: Named | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """`dcim.interface`. Since 4.2 `mac_address` is read-only, that of its primary MAC object. `link_peers` are where
    its cable ends."""

    device: Named
    id: int = 0
    name: str = ""
    mac_address: str | None = None
    mgmt_only: bool = False
    cable: TypeRef | None = None
    link_peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddress:
    """`ipam.ipaddress`. `assigned_object_id` is an interface where the type says so."""

    id: int
    address: str
    assigned_object_type: str | None = None
    assigned_object_id: int | None = None

    @property
    def port(self) -> int:
        return self.assigned_object_id or 0 if self.assigned_object_type == "dcim.interface" else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """`ids` are NetBox's, by machine; `skipped` says of each device that is none of ours why. `known` is what an export
    of ports looks at."""

    devices: tuple[Device, ...]
    ids: Mapping[str, int]
    skipped: tuple[str, ...]
    known: Known = NOTHING


def read(
    devices: Sequence[DeviceDocument],
    types: Iterable[DeviceType],
    interfaces: Iterable[Interface],
    addresses: Sequence[IpAddress] = (),
) -> Read:
    """Of two devices with one name neither is taken: nobody could say which is meant. `addresses` are the devices'."""
    heights = {one.id: one.u_height for one in types}
    owners = {one.id: one.port for one in addresses}
    ports: defaultdict[int, list[Interface]] = defaultdict(list)
    for port in interfaces:
        ports[port.device.id].append(port)
    found: dict[str, Device] = {}
    ids: dict[str, int] = {}
    skipped: list[str] = []
    twice: set[str] = set()
    for one in devices:
        try:
            device = _device(one, heights, ports[one.id], owners)
        except UsageError as error:
            skipped.append(f"device {one.id}: {error}")
            continue
        twice |= {device.name} & found.keys()
        found[device.name], ids[device.name] = device, one.id
    skipped += [f"{name}: two devices have this name" for name in sorted(twice)]
    kept = tuple(found[name] for name in sorted(found.keys() - twice))
    known = Known(
        ports={name: tuple(map(_known, ports[number])) for name, number in _named(devices).items()},
        addresses=addresses_of(addresses),
        primary={device.name: device.address for device in kept if device.address},
    )
    kept_ids = {device.name: ids[device.name] for device in kept}
    return Read(devices=kept, ids=kept_ids, skipped=tuple(skipped), known=known)


def addresses_of(found: Iterable[IpAddress]) -> Mapping[str, KnownAddress]:
    """By IPv4; others are left out."""
    return {_ip(one): KnownAddress(id=one.id, port=one.port) for one in found if _ip(one)}


def _ip(one: IpAddress) -> str:
    try:
        return address(one.address)
    except UsageError:
        return ""


def _named(devices: Iterable[DeviceDocument]) -> Mapping[str, int]:
    """Switches too: by any name that no other device has."""
    named = [(text(one.name or "").lower(), one.id) for one in devices]
    times = Counter(name for name, _ in named)
    return {name: number for name, number in named if name and times[name] == 1}


def _known(port: Interface) -> KnownPort:
    ends = [f"{text((peer.device.name or '') if peer.device else '')} {text(peer.name)}" for peer in port.link_peers]
    peer = ends[0] if ends else "somewhere" if port.cable is not None else ""
    return KnownPort(id=port.id, name=text(port.name), mac=_mac_or_none(port), peer=peer, management=port.mgmt_only)


def _mac_or_none(port: Interface) -> str:
    try:
        return mac(port.mac_address or "")
    except UsageError:
        return text(port.mac_address or "")


def patch_of(serial: str) -> bytes:
    """The body of a PATCH of `dcim.device`."""
    return to_json(_SerialPatch(serial=clean(serial, 50)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _SerialPatch:
    serial: str


def _device(
    one: DeviceDocument, heights: Mapping[int, float], ports: Sequence[Interface], owners: Mapping[int, int]
) -> Device:
    """Raises `UsageError` for what cannot be a machine of ours."""
    name = machine_name(text(one.name or "").lower())
    height = heights.get(one.device_type.id, 1) if one.device_type else 1
    unit = one.position or 0
    if unit != int(unit) or height != int(height):
        raise UsageError(f"{name} stands at half a unit: U{unit:g}, {height:g} high")
    rack = text(one.rack.name or "") if one.rack else ""
    placed = bool(rack and unit)
    return Device(
        name=name,
        rack=rack if placed else "",
        unit=int(unit) if placed else 0,
        height=max(int(height), 1),
        face=one.face.value if placed and one.face and one.face.value in ("front", "rear") else "",
        address=address(one.primary_ip4.address if one.primary_ip4 else ""),
        oob=address(one.oob_ip.address if one.oob_ip else ""),
        mac=boot_mac(ports, owners.get(one.primary_ip4.id, 0) if one.primary_ip4 else 0),
        serial=text(one.serial),
    )


def boot_mac(ports: Sequence[Interface], primary: int = 0) -> str:
    """Of the only port that has one and is not for management; of several the one with the `primary` address, else
    nobody says which one boots."""
    ours = [(port.id, mac(port.mac_address or "")) for port in ports if not port.mgmt_only]
    found = {address for _, address in ours} - {""}
    if len(found) == 1:
        return found.pop()
    return next((address for number, address in ours if primary and number == primary), "")


def address(said: str) -> str:
    """Without the prefix length; "" for what is no IPv4 address. Raises `UsageError` for nonsense."""
    if not said:
        return ""
    try:
        return str(IPv4Interface(said).ip)
    except ValueError as error:
        raise UsageError(f"{text(said)!r} is no IPv4 address") from error


def mac(said: str) -> str:
    if not said:
        return ""
    try:
        return str(Mac(said.lower()))
    except PxeError as error:
        raise UsageError(f"{text(said)!r} is no MAC address") from error


def text(said: str) -> str:
    return clean(said, _TEXT).strip()

"""A change of a port as requests to NetBox's REST API (v4.2 and later: MAC addresses are objects of their own). Pure.

Source: NetBox documentation, models `dcim.interface`, `dcim.macaddress`, `dcim.cable`, `ipam.ipaddress`.
"""

from dataclasses import dataclass

from appliance.model.codec import to_json

_INTERFACE = "dcim.interface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """`path` is below /api/."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What NetBox answers to a POST."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Port:
    device: int
    name: str
    type: str = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mac:
    mac_address: str
    assigned_object_id: int
    assigned_object_type: str = _INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrimaryMac:
    primary_mac_address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    object_id: int
    object_type: str = _INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cable:
    a_terminations: tuple[_End, ...]
    b_terminations: tuple[_End, ...]
    status: str = "connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    address: str
    assigned_object_id: int
    assigned_object_type: str = _INTERFACE
    status: str = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    assigned_object_id: int
    assigned_object_type: str = _INTERFACE


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrimaryAddress:
    primary_ip4: int


def port(device: int, name: str) -> Deed:
    return Deed(method="POST", path="dcim/interfaces/", body=to_json(_Port(device=device, name=name)))


def mac(interface: int, address: str) -> Deed:
    body = to_json(_Mac(mac_address=address, assigned_object_id=interface))
    return Deed(method="POST", path="dcim/mac-addresses/", body=body)


def primary_mac(interface: int, made: int) -> Deed:
    body = to_json(_PrimaryMac(primary_mac_address=made))
    return Deed(method="PATCH", path=f"dcim/interfaces/{interface}/", body=body)


def cable(interface: int, far: int) -> Deed:
    ends = _Cable(a_terminations=(_End(object_id=interface),), b_terminations=(_End(object_id=far),))
    return Deed(method="POST", path="dcim/cables/", body=to_json(ends))


def address(interface: int, said: str, known: int) -> Deed:
    """`known` is the object that NetBox has for it, 0 for none."""
    if known:
        return Deed(
            method="PATCH",
            path=f"ipam/ip-addresses/{known}/",
            body=to_json(_Given(assigned_object_id=interface)),
        )
    body = to_json(_Address(address=said, assigned_object_id=interface))
    return Deed(method="POST", path="ipam/ip-addresses/", body=body)


def primary_address(device: int, made: int) -> Deed:
    return Deed(method="PATCH", path=f"dcim/devices/{device}/", body=to_json(_PrimaryAddress(primary_ip4=made)))

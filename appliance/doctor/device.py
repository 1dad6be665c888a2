"""The boot NIC by ioctl(2): sysfs shows the devices of the namespace in which it was mounted, these calls ours."""

import ctypes
import fcntl
import socket
import struct

from appliance.doctor.facts import Nic

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR = 0x8913, 0x8921, 0x8927
_SIOCETHTOOL, _SIOCGIFVLAN = 0x8946, 0x8982
_UP = 1
_GSET, _GDRVINFO, _GLINK = 0x01, 0x03, 0x0A
_VLAN_REAL_NAME, _VLAN_ID = 8, 9
_UNKNOWN_SPEED = 0xFFFFFFFF
_IFREQ = struct.Struct("16s24s")
# struct ethtool_cmd (linux/ethtool.h): cmd, supported, advertising, speed, duplex, ..., speed_hi
_DRIVER = struct.Struct("=I32s160x")
_COMMAND = struct.Struct("=IIIHBBBBBBIIHBBI2I")


def nic(device: str) -> Nic | None:
    """None where there is no such device. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        try:
            flags = struct.unpack_from("=H", _ask(endpoint, _SIOCGIFFLAGS, device))[0]
        except OSError:
            return None
        speed, full = _negotiated(endpoint, device)
        return Nic(
            device=device,
            up=bool(flags & _UP),
            carrier=_has_carrier(endpoint, device),
            mtu=struct.unpack_from("=i", _ask(endpoint, _SIOCGIFMTU, device))[0],
            speed=speed,
            full_duplex=full,
            vlan=_vlan(endpoint, device),
            bridge=_driver(endpoint, device) == "bridge",
        )


def parent(device: str) -> str:
    """What a VLAN device stands on: switches name themselves there. Any other device itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        try:
            answer = _ask_vlan(endpoint, device, _VLAN_REAL_NAME)
        except OSError:
            return device
        return answer[32:].split(b"\0")[0].decode() or device


def own_macs() -> frozenset[str]:
    """Of all our devices."""
    macs = set[str]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        for _, name in socket.if_nameindex():
            try:
                macs.add(_ask(endpoint, _SIOCGIFHWADDR, name)[2:8].hex(":"))
            except OSError:
                continue
    return frozenset(macs)


def _ask(endpoint: socket.socket, request: int, device: str) -> bytes:
    return fcntl.ioctl(endpoint, request, _IFREQ.pack(device.encode()[:15], b""))[16:]


def _has_carrier(endpoint: socket.socket, device: str) -> bool:
    answer = _ethtool(endpoint, device, struct.pack("=II", _GLINK, 0))
    return answer is not None and struct.unpack("=II", answer)[1] != 0


def _negotiated(endpoint: socket.socket, device: str) -> tuple[int | None, bool | None]:
    blank = _COMMAND.pack(_GSET, *([0] * 17))
    answer = _ethtool(endpoint, device, blank)
    if answer is None:
        return None, None
    _, _, _, low, duplex, *_, high, _, _, _, _, _ = _COMMAND.unpack(answer)
    speed = high << 16 | low
    known = speed not in (0, 0xFFFF, _UNKNOWN_SPEED)
    return (speed if known else None), ({0: False, 1: True}.get(duplex) if known else None)


def _driver(endpoint: socket.socket, device: str) -> str:
    """By struct ethtool_drvinfo (linux/ethtool.h): cmd, driver, and what is not looked at. sysfs would show the network
    namespace that it was mounted in."""
    answer = _ethtool(endpoint, device, _DRIVER.pack(_GDRVINFO, b""))
    return "" if answer is None else _DRIVER.unpack(answer)[1].split(b"\0")[0].decode("ascii", "replace")


def _ethtool(endpoint: socket.socket, device: str, command: bytes) -> bytes | None:
    """None where the driver does not say."""
    buffer = ctypes.create_string_buffer(command, len(command))
    request = struct.pack("16sP16x", device.encode()[:15], ctypes.addressof(buffer))
    try:
        fcntl.ioctl(endpoint, _SIOCETHTOOL, request)
    except OSError:
        return None
    return buffer.raw


def _vlan(endpoint: socket.socket, device: str) -> int | None:
    try:
        answer = _ask_vlan(endpoint, device, _VLAN_ID)
    except OSError:
        return None
    return int(struct.unpack_from("=i", answer, 28)[0])


def _ask_vlan(endpoint: socket.socket, device: str, command: int) -> bytes:
    """struct vlan_ioctl_args (linux/if_vlan.h): cmd, device1, a union of 24 bytes, vlan_qos."""
    return fcntl.ioctl(endpoint, _SIOCGIFVLAN, struct.pack("=i24s24sh", command, device.encode()[:23], b"", 0))

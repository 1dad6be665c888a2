"""NICs: what sysfs says of each, joined with its addresses from `ip -j address`."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from appliance.errors import AgentError
from appliance.model.hardware import Nic
from appliance.model.text import clean
from images.agent.fields import Json
from images.agent.protocol import NicFacts
from pxe.client import Mac
from pxe.errors import PacketError

INFINIBAND = 20 * 3 - 1  # "80:00:..": 20 bytes (RFC 4391 section 9.1.1), not an Ethernet address


def parse_nics(nics: tuple[NicFacts, ...], ip: Json) -> tuple[Nic, ...]:
    """In the order of their names. Raises `AgentError` for what cannot be a MAC or IPv4 address."""
    addresses = tuple(_addresses(ip))
    return tuple(
        Nic(
            name=clean(nic.name, 32),
            mac=_mac(nic),
            driver=clean(nic.driver, 64),
            carrier=nic.carrier,
            speed_mbps=nic.speed_mbps if nic.carrier and nic.speed_mbps else None,
            addresses=tuple(sorted({address for name, address in addresses if name == nic.name})),
        )
        for nic in sorted(nics, key=lambda nic: nic.name)
        if len(nic.mac) != INFINIBAND
    )


def _mac(nic: NicFacts) -> Mac:
    try:
        return Mac.parse(nic.mac)
    except PacketError as error:
        raise _nonsense(f"{nic.name}: MAC address {nic.mac}") from error


def _addresses(ip: Json) -> Iterator[tuple[str, IPv4Address]]:
    """Shape: [{"ifname": "eth0", "addr_info": [{"family": "inet", "local": "10.77.0.50", ..}, ..]}, ..]"""
    for link in _tables(ip):
        for info in _tables(link.get("addr_info")):
            if info.get("family") == "inet":
                yield str(link.get("ifname")), _address(info.get("local"))


def _address(local: Json) -> IPv4Address:
    try:
        return IPv4Address(local if isinstance(local, str) else "")
    except ValueError as error:
        raise _nonsense(f"IPv4 address {local!r}") from error


def _tables(value: Json) -> Iterator[dict[str, Json]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _nonsense(what: str) -> AgentError:
    return AgentError(
        "a network interface makes no sense",
        evidence=clean(what, 200),
        next_action="run ip -j address on the machine and compare",
    )

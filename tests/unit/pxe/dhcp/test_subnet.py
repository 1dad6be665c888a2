from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from pxe.client import Mac
from pxe.dhcp.subnet import ClientClass, DhcpConfig, Reservation, StaticRoute, Subnet
from pxe.errors import ConfigError

SUBNET = Subnet(
    network=IPv4Network("10.0.0.0/24"),
    server=IPv4Address("10.0.0.1"),
    pool_first=IPv4Address("10.0.0.10"),
    pool_last=IPv4Address("10.0.0.99"),
    router=IPv4Address("10.0.0.254"),
)
ROUTE = StaticRoute(IPv4Network("10.1.0.0/16"), IPv4Address("10.0.0.253"))

WRONG: list[dict[str, object]] = [
    {"lease_seconds": 0},
    {"lease_seconds": 2**32},
    {"server": IPv4Address("10.0.0.10")},
    {"router": IPv4Address("10.0.0.50")},
    {"pool_first": IPv4Address("10.0.0.0")},
    {"pool_last": IPv4Address("10.0.0.255")},
    {"pool_last": IPv4Address("10.0.0.9")},
    {"domain": "a..b"},
    {"domain": "x" * 64},
    {"search": ("",)},
    {"search": ("rack.example", "a..b")},
    {"mtu": 67},
    {"mtu": 65536},
    {"dns_servers": (IPv4Address("10.0.0.1"),) * 9},
    {"ntp_servers": (IPv4Address("10.0.0.1"),) * 9},
    {"routes": (ROUTE,) * 9},
    {"options": {53: b"\1"}},
    {"options": {82: b"\1"}},
    {"options": {0: b"\1"}},
    {"options": {224: b""}},
    {"options": {224: bytes(1025)}},
    {"reservations": {Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.9.0.1"))}},
    {"reservations": {Mac(f"52:54:00:00:00:0{i}"): Reservation(address=IPv4Address("10.0.0.5")) for i in (1, 2)}},
    {"reservations": {Mac("52:54:00:00:00:08"): Reservation(address=IPv4Address("10.0.0.254"))}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_senseless_subnet_is_refused(wrong: dict[str, Any]) -> None:
    values = {field.name: getattr(SUBNET, field.name) for field in fields(SUBNET)}
    with pytest.raises(ConfigError):
        Subnet(**values | wrong)


@pytest.mark.parametrize("name", ["a.b", "-a", "a-", "x" * 64, "a b", "a\n"])
def test_senseless_host_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        Reservation(address=IPv4Address("10.0.0.5"), hostname=name)


WRONG_CONFIGS: list[dict[str, object]] = [
    {"local": ()},
    {"relayed": ((),)},
    {"relayed": ((SUBNET,),)},
    {"local": (replace(SUBNET, server=IPv4Address("10.0.1.1")),)},
    {"kept_percent": -1},
    {"kept_percent": 91},
]


@pytest.mark.parametrize("wrong", WRONG_CONFIGS, ids=str)
def test_senseless_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DhcpConfig(**{"local": (SUBNET,)} | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mac_prefix": bytes(7)},
        {"lease_seconds": 1},
        {"boot_file": "a\nb"},
        {"boot_file": "x" * 128},
        {"options": {54: b"\1"}},
    ],
    ids=str,
)
def test_senseless_class_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ClientClass(name="wrong", **wrong)

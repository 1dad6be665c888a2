from ipaddress import IPv4Address
from uuid import UUID

import pytest

from pxe.client import Mac, Stage
from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind

EVENT = DhcpEvent(kind=Kind.ACK, hardware=Hardware(b"RT\0\0\0\1"), stage=Stage.SYSTEM)


def test_raw_fields_are_read_out() -> None:
    event = EVENT._replace(given=Address(b"\x0a\0\0\5"), guid=b"\0" + bytes(range(16)), file=b"snponly.efi\xff")
    assert event.mac == Mac("52:54:00:00:00:01")
    assert event.address == IPv4Address("10.0.0.5")
    assert event.uuid == UUID("03020100-0504-0706-0809-0a0b0c0d0e0f")
    assert event.filename == "snponly.efi\ufffd"
    assert (EVENT.address, EVENT.uuid, EVENT.filename) == (None, None, "")


@pytest.mark.parametrize(
    ("relay", "circuit", "remote"),
    [
        (b"", "", ""),
        (b"\1\4eth1\2\3abc", "eth1", "abc"),
        (b"\2\4\0\1\2\3", "", "00010203"),
        (b"\1\xffcut off", "", ""),
        (b"\1", "", ""),
        (b"\1\xc8" + b"x" * 200, "x" * 64, ""),
        (b"\1\3a\nb", "610a62", ""),
    ],
)
def test_switch_port_is_read_from_hostile_relay_information(relay: bytes, circuit: str, remote: str) -> None:
    event = EVENT._replace(relay=relay)
    assert (event.circuit_id, event.remote_id) == (circuit, remote)

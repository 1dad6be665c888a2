"""The rack's plan, before anything runs."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.lab.spec import RackFirmware, RackSpec, UefiKind, network_batch, nodes_of
from appliance.model.codec import from_json, to_json
from appliance.model.hardware import Firmware
from pxe.client import Mac

FILES = RackFirmware(ovmf_code=Path("/f/code.fd"), ovmf_vars=Path("/f/vars.fd"), virtio_rom=Path("/f/virtio.rom"))
SPEC = RackSpec(nodes=8, firmware=Firmware.UEFI, workdir=Path("/r"), files=FILES)


def test_further_nics() -> None:
    first, second = nodes_of(RackSpec(nodes=2, nics=3, firmware=Firmware.BIOS, workdir=Path("/r")))
    assert [(nic.id, str(nic.mac), nic.tap) for nic in second.nics] == [
        ("nic0", "52:54:00:77:00:02", "tap1"),
        ("nic1", "52:54:00:77:01:02", "tap1n1"),
        ("nic2", "52:54:00:77:02:02", "tap1n2"),
    ]
    assert second.mac == second.nics[0].mac
    batch = network_batch((first, second))
    assert batch.count("mode tap") == batch.count("master br0 up") == 6
    assert "link set tap1n2 master br0 up" in batch
    with pytest.raises(UsageError, match="1 to 4 NICs"):
        RackSpec(nodes=1, nics=5, firmware=Firmware.BIOS, workdir=Path("/r"))


def test_nodes_are_numbered_so_that_a_person_can_match_them() -> None:
    node = nodes_of(SPEC)[1]
    assert (node.name, node.serial, node.disk_serial, node.nics[0].tap) == ("node-1", "SN0002", "DISK0002", "tap1")
    assert node.mac == Mac("52:54:00:77:00:02")
    assert node.bmc_address == IPv4Address("10.77.1.11")
    assert node.folder == Path("/r/node-1")


@pytest.mark.parametrize("field", ["name", "uuid", "serial", "disk_serial", "mac", "nics", "bmc_address", "folder"])
def test_nodes_share_nothing(field: str) -> None:
    assert len({getattr(node, field) for node in nodes_of(SPEC)}) == 8


def test_spec_survives_json() -> None:
    assert from_json(RackSpec, to_json(SPEC)) == SPEC


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nodes": 0}, "1 to 8"),
        ({"nodes": 9}, "1 to 8"),
        ({"files": None}, "firmware files"),
        ({"firmware": Firmware.BIOS, "uefi": UefiKind.SECURE}, "no UEFI"),
        ({"workdir": Path("relative")}, "absolute"),
        ({"workdir": Path("/" + "x" * 100)}, "at most"),
        ({"workdir": Path("/a,b")}, "comma"),
    ],
)
def test_spec_that_makes_no_sense(fields: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"nodes": 1, "firmware": Firmware.UEFI, "workdir": Path("/r"), "files": FILES}
    with pytest.raises(UsageError, match=message):
        RackSpec(**(good | fields))  # type: ignore[arg-type]


def test_network_of_two_nodes() -> None:
    nodes = nodes_of(RackSpec(nodes=2, firmware=Firmware.BIOS, workdir=Path("/r")))
    assert network_batch(nodes).splitlines() == [
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "addr add 10.77.0.1/24 dev br0",
        "link set br0 up",
        "addr add 10.77.1.10/32 dev lo",
        "addr add 10.77.1.11/32 dev lo",
        "tuntap add tap0 mode tap",
        "tuntap add tap1 mode tap",
        "link set tap0 master br0 up",
        "link set tap1 master br0 up",
    ]

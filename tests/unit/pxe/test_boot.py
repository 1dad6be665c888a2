from ipaddress import IPv4Address
from uuid import UUID

import pytest

from pxe.boot import NBP_NAMES, PROGRAM_NAMES, BootAnswer, Chain, Endpoints, answer, programs_for
from pxe.client import Arch, Client, Mac, Stage
from pxe.errors import ConfigError

ADDRESS = IPv4Address("10.20.0.1")
MAC = Mac("52:54:00:00:00:01")
UUID_1 = UUID("4c4c4544-0051-3310-8052-b4c04f4e5431")

TABLE = [
    (Stage.FIRMWARE, None, "undionly.kpxe"),
    (Stage.FIRMWARE, Arch.BIOS, "undionly.kpxe"),
    (Stage.FIRMWARE, Arch.EFI_BC, "snponly.efi"),
    (Stage.FIRMWARE, Arch.EFI_X64, "snponly.efi"),
    (Stage.FIRMWARE, Arch.EFI_ARM64, "ipxe-arm64.efi"),
    (Stage.FIRMWARE, Arch.EFI_IA32, None),
    (Stage.FIRMWARE, Arch.HTTP_X64, None),
    (Stage.HTTP_BOOT, Arch.HTTP_X64, "http://10.20.0.1/nbp/snponly.efi"),
    (Stage.HTTP_BOOT, Arch.EFI_X64, "http://10.20.0.1/nbp/snponly.efi"),
    (Stage.HTTP_BOOT, Arch.HTTP_ARM64, "http://10.20.0.1/nbp/ipxe-arm64.efi"),
    (Stage.HTTP_BOOT, Arch.HTTP_IA32, None),
    (Stage.HTTP_BOOT, Arch.BIOS, None),
    (Stage.HTTP_BOOT, None, None),
    (Stage.IPXE, Arch.BIOS, "http://10.20.0.1/boot.ipxe?mac=52-54-00-00-00-01"),
    (Stage.IPXE, None, "http://10.20.0.1/boot.ipxe?mac=52-54-00-00-00-01"),
    (Stage.SYSTEM, None, None),
    (Stage.SYSTEM, Arch.EFI_X64, None),
]


@pytest.mark.parametrize(("stage", "arch", "filename"), TABLE)
def test_answer_by_stage_and_architecture(stage: Stage, arch: Arch | None, filename: str | None) -> None:
    got = answer(Client(mac=MAC, stage=stage, arch=arch), Endpoints(address=ADDRESS))
    expected = filename and BootAnswer(next_server=ADDRESS, filename=filename, http_boot=stage is Stage.HTTP_BOOT)
    assert got == expected


def test_script_url_names_the_machine_and_the_port() -> None:
    client = Client(mac=MAC, stage=Stage.IPXE, uuid=UUID_1)
    got = answer(client, Endpoints(address=ADDRESS, http_port=8080))
    assert got is not None
    assert got.filename == f"http://10.20.0.1:8080/boot.ipxe?mac=52-54-00-00-00-01&uuid={UUID_1}"


def test_nbp_names_are_exactly_what_tftp_is_asked_for() -> None:
    clients = [Client(mac=MAC, stage=Stage.FIRMWARE, arch=arch) for arch in (None, *Arch)]
    answers = [answer(client, Endpoints(address=ADDRESS), chain) for client in clients for chain in Chain]
    assert {one.filename for one in answers if one is not None} == NBP_NAMES
    assert {"grubx64.efi"} == PROGRAM_NAMES - NBP_NAMES


CHAINS = [
    (Stage.FIRMWARE, Arch.EFI_X64, Chain.SIGNED, "shimx64.efi"),
    (Stage.FIRMWARE, Arch.EFI_X64, Chain.DRIVERS, "ipxe.efi"),
    (Stage.HTTP_BOOT, Arch.HTTP_X64, Chain.SIGNED, "http://10.20.0.1/nbp/shimx64.efi"),
    (Stage.FIRMWARE, Arch.BIOS, Chain.DRIVERS, "ipxe.pxe"),
    (Stage.FIRMWARE, Arch.BIOS, Chain.SIGNED, "undionly.kpxe"),
    (Stage.FIRMWARE, Arch.EFI_ARM64, Chain.SIGNED, "ipxe-arm64.efi"),
]


@pytest.mark.parametrize(("stage", "arch", "chain", "filename"), CHAINS)
def test_answer_by_chain_or_else_the_first_program(stage: Stage, arch: Arch, chain: Chain, filename: str) -> None:
    got = answer(Client(mac=MAC, stage=stage, arch=arch), Endpoints(address=ADDRESS), chain)
    assert got is not None
    assert got.filename == filename


@pytest.mark.parametrize("chain", list(Chain))
def test_chain_is_nothing_to_who_needs_no_program(chain: Chain) -> None:
    for stage in (Stage.IPXE, Stage.SYSTEM):
        client = Client(mac=MAC, stage=stage, arch=Arch.EFI_X64)
        assert answer(client, Endpoints(address=ADDRESS), chain) == answer(client, Endpoints(address=ADDRESS))
        assert not programs_for(stage, Arch.EFI_X64)


def test_longest_script_url_fits_the_header_field() -> None:
    endpoints = Endpoints(address=IPv4Address("255.255.255.255"), http_port=65535)
    got = answer(Client(mac=MAC, stage=Stage.IPXE, uuid=UUID_1), endpoints)
    assert got is not None
    assert len(got.filename) < 128


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(ConfigError):
        Endpoints(address=ADDRESS, http_port=port)

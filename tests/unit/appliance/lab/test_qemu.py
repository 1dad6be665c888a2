"""The command line of a node, where each option has a reason that was learnt the hard way."""

from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.lab import qemu
from appliance.lab.accelerator import probe_rom
from appliance.lab.spec import Accelerator, BootDevice, NodeSpec, RackFirmware, RackSpec, UefiKind, nodes_of
from appliance.model.hardware import Firmware

FILES = RackFirmware(ovmf_code=Path("/f/code.fd"), ovmf_vars=Path("/f/vars.fd"), virtio_rom=Path("/f/virtio.rom"))
ORDER = (BootDevice.DISK, BootDevice.NIC, BootDevice.CD)


def node(firmware: Firmware, files: RackFirmware | None = FILES, uefi: UefiKind = UefiKind.PXE) -> NodeSpec:
    return nodes_of(RackSpec(nodes=1, firmware=firmware, uefi=uefi, workdir=Path("/r"), files=files))[0]


def argument(argv: tuple[str, ...], start: str) -> str:
    return next(text for text in argv if text.startswith(start))


def test_uefi_node() -> None:
    argv = qemu.argv(node(Firmware.UEFI), Accelerator.TCG, ORDER)
    text = " ".join(argv)
    assert argument(argv, "virtio-net-pci").endswith(",romfile=")
    assert "if=pflash,format=raw,unit=0,readonly=on,file=/f/code.fd" in argv
    assert "if=pflash,format=raw,unit=1,file=/r/node-0/vars.fd" in argv
    assert "IPv6PXESupport,string=n" in text
    assert "graphics=off" not in text
    assert "-cpu Nehalem" in text


@pytest.mark.parametrize("firmware", list(Firmware))
def test_of_several_nics_the_first_alone_boots(firmware: Firmware) -> None:
    (spec,) = nodes_of(RackSpec(nodes=1, nics=2, firmware=firmware, workdir=Path("/r"), files=FILES))
    first, second = (text for text in qemu.argv(spec, Accelerator.TCG, ORDER) if text.startswith("virtio-net-pci"))
    assert "id=nic0,netdev=net-nic0,mac=52:54:00:77:00:01,bootindex=2" in first
    assert second == "virtio-net-pci,id=nic1,netdev=net-nic1,mac=52:54:00:77:01:01,romfile="


@pytest.mark.parametrize(("uefi", "kind"), [(UefiKind.PXE, "tpm-crb"), (UefiKind.ARM64, "tpm-tis-device")])
def test_a_tpm_is_of_the_nodes_that_are_to_have_one(uefi: UefiKind, kind: str) -> None:
    spec = RackSpec(nodes=2, firmware=Firmware.UEFI, uefi=uefi, workdir=Path("/r"), files=FILES, tpms=(1,))
    without, having = (qemu.argv(node, Accelerator.TCG, ORDER) for node in nodes_of(spec))
    assert "tpm" not in " ".join(without)
    assert f"{kind},tpmdev=tpm0" in having
    assert "socket,id=chrtpm,path=/r/node-1/tpm.sock" in having


def test_a_screen_is_of_the_nodes_that_are_to_have_one() -> None:
    spec = RackSpec(nodes=2, firmware=Firmware.UEFI, workdir=Path("/r"), files=FILES, screens=(1,))
    without, having = (qemu.argv(node, Accelerator.TCG, ORDER) for node in nodes_of(spec))
    assert ("VGA" in without, "VGA" in having) == (False, True)
    with pytest.raises(UsageError, match="only UEFI nodes on x86 have a screen"):
        RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=Path("/r"), files=FILES, screens=(0,))


NO_PXE = "name=opt/org.tianocore/IPv4PXESupport,string=n"
SMM = "q35,smm=on"


@pytest.mark.parametrize(
    ("uefi", "present", "absent"),
    [
        (UefiKind.PXE, {"q35"}, {NO_PXE, SMM}),
        (UefiKind.HTTP, {"q35", NO_PXE}, {SMM}),
        (UefiKind.SECURE, {SMM, "driver=cfi.pflash01,property=secure,value=on"}, {NO_PXE}),
        (UefiKind.SECURE_HTTP, {SMM, "driver=cfi.pflash01,property=secure,value=on", NO_PXE}, set()),
        (UefiKind.ARM64, {"qemu-system-aarch64", "virt"}, {"q35", NO_PXE}),
    ],
)
def test_kinds_of_uefi(uefi: UefiKind, present: set[str], absent: set[str]) -> None:
    argv = set(qemu.argv(node(Firmware.UEFI, uefi=uefi), Accelerator.TCG, ORDER))
    assert present <= argv
    assert not absent & argv


def test_arm64_is_emulated_whatever_the_host_can_do() -> None:
    text = " ".join(qemu.argv(node(Firmware.UEFI, uefi=UefiKind.ARM64), Accelerator.KVM, ORDER))
    assert "-accel tcg,thread=multi -cpu cortex-a57" in text


def test_bios_node_runs_the_given_rom_on_the_device_it_is_for() -> None:
    argv = qemu.argv(node(Firmware.BIOS), Accelerator.TCG, ORDER)
    assert argument(argv, "virtio-net-pci").endswith(",romfile=/f/virtio.rom,disable-legacy=on")
    assert "q35,graphics=off" in argv
    assert not any("pflash" in text for text in argv)


def test_bios_node_without_files_keeps_the_roms_of_qemu() -> None:
    assert "romfile" not in " ".join(qemu.argv(node(Firmware.BIOS, None), Accelerator.TCG, ORDER))


def test_identity_is_in_the_smbios_table() -> None:
    argv = qemu.argv(node(Firmware.BIOS), Accelerator.TCG, ORDER)
    smbios = argument(argv, "type=1")
    assert smbios == (
        "type=1,manufacturer=Innervate Lab,product=Virtual Server,serial=SN0001,"
        "uuid=00000077-0000-4000-8000-000000000001"
    )
    assert "serial=DISK0001" in argument(argv, "virtio-blk-pci")


@pytest.mark.parametrize(("order", "disk", "nic", "cd"), [(ORDER, 1, 2, 3), (ORDER[::-1], 3, 2, 1)])
def test_every_boot_device_has_its_place(order: tuple[BootDevice, ...], disk: int, nic: int, cd: int) -> None:
    argv = qemu.argv(node(Firmware.UEFI), Accelerator.TCG, order)
    assert f"bootindex={disk}" in argument(argv, "virtio-blk-pci")
    assert f"bootindex={nic}" in argument(argv, "virtio-net-pci")
    assert f"bootindex={cd}" in argument(argv, "scsi-cd")


def test_the_virtual_drive_is_there_with_and_without_a_medium() -> None:
    empty, loaded = (
        argument(qemu.argv(node(Firmware.UEFI), Accelerator.TCG, ORDER, medium), "if=none,id=drive1")
        for medium in (None, Path("/r/node-0/cd.iso"))
    )
    assert "file=" not in empty
    assert loaded.endswith(",readonly=on,format=raw,file=/r/node-0/cd.iso")


def test_kvm_takes_the_host_cpu() -> None:
    text = " ".join(qemu.argv(node(Firmware.UEFI), Accelerator.KVM, ORDER))
    assert "-accel kvm -cpu host" in text


def test_probe_starts_at_the_reset_vector() -> None:
    rom = probe_rom()
    assert len(rom) == 0x10000
    assert rom[0xFFF0:0xFFF5] == bytes.fromhex("ea000000f0")

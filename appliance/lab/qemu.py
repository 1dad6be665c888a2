"""The command line of a node. Pure; the reasons are QEMU's and OVMF's, measured.

* UEFI: the option ROM of the NIC is left out (`romfile=`). QEMU's own ROM is iPXE, and then what calls itself
  "UEFI PXE" is iPXE and not EDK2's client, which is what real servers run.
* As soon as one device has a bootindex, OVMF drops those without from its boot order: each disk and NIC has one.
* When PXE over IPv4 fails, OVMF tries IPv6 for a long time: fw_cfg turns that off (OVMF 2025.02).
* HTTP Boot comes first where PXE is turned off altogether: OVMF has one boot entry for each.
* Secure Boot is worth something only where the guest cannot write to the variables: they are behind SMM.
* SeaBIOS and iPXE write to the serial console only where the machine has no graphics.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from appliance.lab.spec import MANUFACTURER, PRODUCT, Accelerator, BootDevice, NicSpec, NodeSpec, UefiKind
from appliance.model.hardware import Firmware


def argv(
    node: NodeSpec, accelerator: Accelerator, order: Sequence[BootDevice], medium: Path | None = None
) -> tuple[str, ...]:
    """`order` names every boot device once, first choice first; `medium` is in the virtual drive."""
    index = {device: place for place, device in enumerate(order, start=1)}
    return (
        "qemu-system-aarch64" if node.uefi is UefiKind.ARM64 else "qemu-system-x86_64",
        *("-name", node.name, "-no-user-config", "-nodefaults", "-display", "none"),
        *_processor(node, accelerator),
        *("-m", str(node.memory_mib), "-smp", str(node.cpus), "-rtc", "base=utc"),
        *_identity(node),
        *_console(node),
        *("-object", "rng-random,filename=/dev/urandom,id=rng0", "-device", "virtio-rng-pci,rng=rng0"),
        *_disk(node, index[BootDevice.DISK]),
        *_nics(node, index[BootDevice.NIC]),
        *_cd(index[BootDevice.CD], medium),
        *_tpm(node),
        *(("-device", "VGA") if node.has_screen else ()),
        *_firmware(node),
    )


def _processor(node: NodeSpec, accelerator: Accelerator) -> tuple[str, ...]:
    if node.uefi is UefiKind.ARM64:
        return ("-accel", Accelerator.TCG.value, "-cpu", "cortex-a57")
    # Emulated, a newer model only adds instructions that cost time: "max" takes 8 s longer to a Linux prompt.
    return ("-accel", accelerator.value, "-cpu", "host" if accelerator is Accelerator.KVM else "Nehalem")


def _identity(node: NodeSpec) -> tuple[str, ...]:
    smbios = f"type=1,manufacturer={MANUFACTURER},product={PRODUCT},serial={node.serial},uuid={node.uuid}"
    return ("-uuid", str(node.uuid), "-smbios", smbios)


def _console(node: NodeSpec) -> tuple[str, ...]:
    """The BMC server listens on the QMP socket before it starts QEMU, which connects: nobody has to poll."""
    log = f"logfile={node.console},logappend=on"
    return (
        *("-chardev", f"socket,id=console,path={node.console_socket},server=on,wait=off,{log}"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=qmp,path={node.qmp_socket},server=off", "-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"socket,id=hand,path={node.hand_socket},server=on,wait=off"),
        *("-mon", "chardev=hand,mode=control"),
    )


def _disk(node: NodeSpec, bootindex: int) -> tuple[str, ...]:
    name = BootDevice.DISK.value
    drive = f"if=none,id=drive0,{_image(node)},format=raw,cache=unsafe,discard=unmap"
    return (
        *("-drive", drive, "-device"),
        f"virtio-blk-pci,id={name},drive=drive0,serial={node.disk_serial},bootindex={bootindex}",
    )


def _image(node: NodeSpec) -> str:
    if node.bad_sector is None:
        return f"file={node.disk}"
    fault = {"event": "none", "iotype": "write", "errno": "5", "once": "off", "sector": str(node.bad_sector)}
    rules = ",".join(f"file.inject-error.0.{name}={value}" for name, value in fault.items())
    return f"file.driver=blkdebug,file.image.filename={node.disk},{rules},werror=report"


def _cd(bootindex: int, medium: Path | None) -> tuple[str, ...]:
    file = f",format=raw,file={medium}" if medium is not None else ""
    return (
        *("-device", "virtio-scsi-pci,id=scsi0"),
        *("-drive", f"if=none,id=drive1,media=cdrom,readonly=on{file}"),
        *("-device", f"scsi-cd,id={BootDevice.CD.value},bus=scsi0.0,drive=drive1,bootindex={bootindex}"),
    )


def _tpm(node: NodeSpec) -> tuple[str, ...]:
    if not node.has_tpm:
        return ()
    kind = "tpm-tis-device" if node.uefi is UefiKind.ARM64 else "tpm-crb"
    return (
        *("-chardev", f"socket,id=chrtpm,path={node.tpm_socket}"),
        *("-tpmdev", "emulator,id=tpm0,chardev=chrtpm", "-device", f"{kind},tpmdev=tpm0"),
    )


def _nics(node: NodeSpec, bootindex: int) -> tuple[str, ...]:
    """The others have neither bootindex nor ROM: OVMF leaves them out, SeaBIOS has nothing to run."""
    first, *others = node.nics
    boots = _nic(first, f",bootindex={bootindex}{_option_rom(node)}")
    return (*boots, *(word for nic in others for word in _nic(nic, ",romfile=")))


def _nic(nic: NicSpec, options: str) -> tuple[str, ...]:
    net = f"net-{nic.id}"
    return (
        *("-netdev", f"tap,id={net},ifname={nic.tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,id={nic.id},netdev={net},mac={nic.mac}{options}"),
    )


def _option_rom(node: NodeSpec) -> str:
    if node.firmware is Firmware.UEFI:
        return ",romfile="
    if node.files is None:
        return ""
    # SeaBIOS runs a ROM only if its PCI id is the device's. Current iPXE ROMs carry that of the modern virtio
    # device (1041); QEMU rewrites the id in its default ROM only, never in one given by name.
    return f",romfile={node.files.virtio_rom},disable-legacy=on"


def _firmware(node: NodeSpec) -> tuple[str, ...]:
    if node.firmware is Firmware.BIOS or node.files is None:
        return ("-machine", "q35,graphics=off")
    return (
        *_machine(node.uefi),
        *("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={node.files.ovmf_code}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={node.nvram}"),
    )


_NO_PXE = ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n")
_SECURE = ("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")


def _machine(kind: UefiKind) -> tuple[str, ...]:
    match kind:
        case UefiKind.PXE:
            return ("-machine", "q35")
        case UefiKind.HTTP:
            return ("-machine", "q35", *_NO_PXE)
        case UefiKind.SECURE:
            return _SECURE
        case UefiKind.SECURE_HTTP:
            return (*_SECURE, *_NO_PXE)
        case UefiKind.ARM64:
            return ("-machine", "virt")
        case _:
            assert_never(kind)

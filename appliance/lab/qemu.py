"""The command line of a node. Pure; the reasons are QEMU's and OVMF's, measured.

* UEFI: the option ROM of the NIC is left out (`romfile=`). QEMU's own ROM is iPXE, and then what calls itself
  "UEFI PXE" is iPXE and not EDK2's client, which is what real servers run.
* As soon as one device has a bootindex, OVMF drops those without from its boot order: each disk and NIC has one.
* When PXE over IPv4 fails, OVMF tries IPv6 for a long time: fw_cfg turns that off (OVMF 2025.02).
* SeaBIOS and iPXE write to the serial console only where the machine has no graphics.
"""

from collections.abc import Sequence

from appliance.lab.spec import MANUFACTURER, PRODUCT, Accelerator, BootDevice, NodeSpec
from appliance.model.hardware import Firmware


def argv(node: NodeSpec, accelerator: Accelerator, order: Sequence[BootDevice]) -> tuple[str, ...]:
    """`order` names every boot device once, first choice first."""
    index = {device: place for place, device in enumerate(order, start=1)}
    return (
        "qemu-system-x86_64",
        *("-name", node.name, "-no-user-config", "-nodefaults", "-display", "none"),
        *("-accel", accelerator.value, "-cpu", _cpu(accelerator)),
        *("-m", str(node.memory_mib), "-smp", "1", "-rtc", "base=utc"),
        *_identity(node),
        *_console(node),
        *("-object", "rng-random,filename=/dev/urandom,id=rng0", "-device", "virtio-rng-pci,rng=rng0"),
        *_disk(node, index[BootDevice.DISK]),
        *_nic(node, index[BootDevice.NIC]),
        *_firmware(node),
    )


def _cpu(accelerator: Accelerator) -> str:
    # Emulated, a newer model only adds instructions that cost time: "max" takes 8 s longer to a Linux prompt.
    return "host" if accelerator is Accelerator.KVM else "Nehalem"


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
    )


def _disk(node: NodeSpec, bootindex: int) -> tuple[str, ...]:
    name = BootDevice.DISK.value
    drive = f"if=none,id=drive0,file={node.disk},format=raw,cache=unsafe,discard=unmap"
    return (
        *("-drive", drive, "-device"),
        f"virtio-blk-pci,id={name},drive=drive0,serial={node.disk_serial},bootindex={bootindex}",
    )


def _nic(node: NodeSpec, bootindex: int) -> tuple[str, ...]:
    name = BootDevice.NIC.value
    device = f"virtio-net-pci,id={name},netdev=net0,mac={node.mac},bootindex={bootindex}{_option_rom(node)}"
    return ("-netdev", f"tap,id=net0,ifname={node.tap},script=no,downscript=no", "-device", device)


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
        *("-machine", "q35", "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"),
        *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={node.files.ovmf_code}"),
        *("-drive", f"if=pflash,format=raw,unit=1,file={node.nvram}"),
    )

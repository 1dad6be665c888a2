"""Does KVM work here? Only a guest that ran can tell: /dev/kvm may exist and crash every guest (nested, emulated)."""

import threading
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from appliance.lab.spec import Accelerator

_SECONDS = 3.0
_PORT = 0xF4
_ANSWER = 0x2A

# 16-bit code at F000:0000. Instructions of the x87 and SSE units are what half-working hypervisors choke on.
_CODE = bytes.fromhex(
    "0f20e0"  # mov eax, cr4
    "660d00020000"  # or eax, OSFXSR
    "0f22e0"  # mov cr4, eax
    "9b dbe3"  # fwait; fninit
    "0faef0"  # mfence
    f"b0{_ANSWER:02x} ba{_PORT:02x}00 ee"  # mov al, answer; mov dx, port; out dx, al
    "f4 ebfd"  # hlt; jmp $-1
)
_RESET_VECTOR = 0xFFF0
_JUMP_TO_CODE = bytes.fromhex("ea000000f0")


def probe_rom() -> bytes:
    """A 64 KiB firmware that writes one byte to the debug exit port and stops."""
    return (_CODE.ljust(_RESET_VECTOR, b"\xf4") + _JUMP_TO_CODE).ljust(0x10000, b"\0")


def choose_accelerator(folder: Path) -> Accelerator:
    """Writes the probe's firmware into `folder` and boots it; takes at most 3 s."""
    return Accelerator.KVM if Path("/dev/kvm").exists() and guest_runs(Accelerator.KVM, folder) else Accelerator.TCG


def guest_runs(accelerator: Accelerator, folder: Path) -> bool:
    rom = folder / "probe.rom"
    rom.write_bytes(probe_rom())
    device = f"isa-debug-exit,iobase={_PORT:#x},iosize=1"
    argv = ["qemu-system-x86_64", "-accel", accelerator.value, "-machine", "q35", "-nodefaults", "-display", "none"]
    argv += ["-m", "16", "-no-reboot", "-device", device, "-bios", str(rom)]
    with Popen(argv, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE) as qemu:
        timer = threading.Timer(_SECONDS, qemu.kill)
        timer.start()
        for line in qemu.stderr or ():
            if b"internal error" in line:  # QEMU then holds the guest for ever
                qemu.kill()
        timer.cancel()
    # The device exits QEMU with (value << 1) | 1.
    return qemu.returncode == (_ANSWER << 1) | 1

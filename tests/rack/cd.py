"""A bootable CD of 42 KiB: ISO 9660's volume descriptors, El Torito's catalogue, and a program for BIOS machines."""

import struct

BANNER = b"BOOTED FROM THE VIRTUAL DRIVE"
_SECTOR = 2048
_CATALOGUE, _PROGRAM = 19, 20


def bootable_cd() -> bytes:
    """The program says `BANNER` on the first serial port and stops (El Torito 1.0 sections 2 and 3, no emulation)."""
    sectors = [bytes(_SECTOR)] * 16
    sectors += [_volume(1), _boot_record(), _volume(255), _catalogue(), _program()]
    return b"".join(sectors)


def _volume(kind: int) -> bytes:
    return (bytes((kind,)) + b"CD001\1").ljust(_SECTOR, b"\0")


def _boot_record() -> bytes:
    head = (b"\0CD001\1" + b"EL TORITO SPECIFICATION").ljust(71, b"\0")
    return (head + struct.pack("<I", _CATALOGUE)).ljust(_SECTOR, b"\0")


def _catalogue() -> bytes:
    """The validation entry, whose words sum up to zero, and the default entry: bootable, 4 sectors of 512 bytes."""
    validation = bytearray(struct.pack("<BBH24sHBB", 1, 0, 0, b"innervate", 0, 0x55, 0xAA))
    total = sum(struct.unpack("<16H", validation))
    struct.pack_into("<H", validation, 28, -total & 0xFFFF)
    default = struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 4, _PROGRAM)
    return (bytes(validation) + default).ljust(_SECTOR, b"\0")


def _program() -> bytes:
    """Loaded at 7C00h in real mode."""
    code = bytes.fromhex(
        "31c0"  # xor ax, ax
        "8ed8"  # mov ds, ax
        "be207c"  # mov si, text
        "bafd03"  # again: mov dx, 3FDh
        "ec"  # in al, dx
        "a820"  # test al, 20h
        "74f8"  # jz again
        "ac"  # lodsb
        "84c0"  # test al, al
        "7405"  # jz done
        "b2f8"  # mov dl, F8h
        "ee"  # out dx, al
        "ebee"  # jmp again
        "fa"  # done: cli
        "f4"  # stop: hlt
        "ebfd"  # jmp stop
    )
    return (code.ljust(0x20, b"\x90") + BANNER + b"\r\n\0").ljust(_SECTOR, b"\0")

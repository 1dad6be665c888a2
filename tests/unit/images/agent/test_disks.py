"""Fingerprints of what is on a disk, and disks read from recorded sysfs trees."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.agent.disks import fingerprint, parse_blkid, read_disks

MIB = 1 << 20
UUID = bytes(range(16))


def at(*pieces: tuple[int, bytes]) -> bytes:
    start = bytearray(MIB)
    for offset, data in pieces:
        start[offset : offset + len(data)] = data
    return bytes(start)


PARTITION = b"\x80\0\0\0\x83".ljust(16, b"\1")
MBR = ((440, b"\x78\x56\x34\x12"), (446, PARTITION), (510, b"\x55\xaa"))
GUID = "03020100-0504-0706-0809-0a0b0c0d0e0f"
PLAIN = "00010203-0405-0607-0809-0a0b0c0d0e0f"

CONTENTS = [
    (at(), "blank"),
    (b"", "blank"),
    (at((MIB - 1, b"\1")), "unknown"),
    (at((512, b"EFI PART"), (568, UUID), *MBR), f"gpt:{GUID}"),
    (at((4096, b"EFI PART"), (4152, UUID)), f"gpt:{GUID}"),
    (at(*MBR), "mbr:12345678"),
    (at((1080, b"\x53\xef"), (1128, UUID)), f"ext:{PLAIN}"),
    (at((0, b"XFSB"), (32, UUID)), f"xfs:{PLAIN}"),
    (at((65600, b"_BHRfS_M"), (65568, UUID)), f"btrfs:{PLAIN}"),
    (at((512, b"LABELONE"), (536, b"LVM2 001"), (544, b"A" * 32)), "LVM2_member:" + "A" * 32),
    (at((4096, b"\xfc\x4e\x2b\xa9"), (4112, UUID)), f"linux_raid_member:{PLAIN}"),
    (at((82, b"FAT32   "), (67, b"\x78\x56\x34\x12"), (510, b"\x55\xaa")), "vfat:12345678"),
    (at((0, b"LUKS\xba\xbe"), (168, PLAIN.encode())), f"crypto_LUKS:{PLAIN}"),
]


@pytest.mark.parametrize(("start", "expected"), CONTENTS, ids=[name for _, name in CONTENTS])
def test_contents(start, expected):
    assert fingerprint(start, {}) == expected


def test_blkid_is_asked_where_the_start_says_nothing():
    blkid = parse_blkid(b"DEVNAME=/dev/vda\nUUID=ab-cd\nVERSION=1.0\nTYPE=linux_raid_member\nUSAGE=raid\n")
    assert fingerprint(at(), blkid) == "linux_raid_member:ab-cd"
    assert fingerprint(at(*MBR), blkid) == "mbr:12345678"


@given(st.binary(max_size=5000), st.binary(max_size=200))
def test_fingerprint_is_total_and_printable(start, output):
    found = fingerprint(start, parse_blkid(output))
    assert found.isprintable()
    assert 0 < len(found) <= 160


def plant(root: Path, tree: dict[str, str]) -> Path:
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    return root


def test_disks_of_a_machine(golden, tmp_path):
    found = list(read_disks(plant(tmp_path, golden("sysfs.tree.json")), Path("/dev"), lambda path: f"in {path}"))
    assert [(d.name, d.serial, d.wwn, d.size_bytes, d.rotational, d.model) for d in found] == [
        ("nvme0n1", "S64DNF0R", "eui.002538b1", 1024209543168, False, "SAMSUNG MZVL21T0"),
        ("sda", "WD-WCC4E1", "naa.50014ee2b6f4a3d1", 2000398934016, True, "WDC WD20EFRX"),
        ("vda", "disk-0", "", 8589934592, True, ""),
    ]
    assert found[1].contents == "in /dev/sda"


def test_machine_without_disks(tmp_path):
    assert list(read_disks(tmp_path, Path("/dev"), str)) == []

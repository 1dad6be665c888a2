"""Seed and boot entry, with the real sfdisk on a file."""

import hashlib
import subprocess
import zlib
from dataclasses import replace

import pytest

from images.agent.errors import TaskError
from images.agent.partitions import parse_entries, parse_table, prepare_boot, seed_place, write_seed
from images.agent.ports import Finished
from images.agent.protocol import BootDisk, DiskName, SeedFile, WriteSeed

MIB = 1 << 20
SEED = b"seed" * 1000
IMAGE = "label: gpt\nsize=1MiB, type=U\nsize=4MiB, type=L, name=root\n"


@pytest.fixture
def installed(bench):
    """A 64 MiB disk with a 16 MiB image on it: the backup table is not at the disk's end."""
    with bench.path.open("wb") as file:
        file.truncate(16 * MIB)
    subprocess.run(["sfdisk", "-q", str(bench.path)], input=IMAGE.encode(), check=True)
    with bench.path.open("r+b") as file:
        file.truncate(64 * MIB)
    bench.disks.found = (replace(bench.disk, size_bytes=64 * MIB),)
    return bench


def disk_name():
    return DiskName(serial="S1", wwn="", size_bytes=64 * MIB)


def seed_task(bench, seed=SEED):
    data = bench.seal(zlib.compress(seed))
    bench.server.files["/seed"] = data
    file = SeedFile(path="/seed", sha256=hashlib.sha256(data).hexdigest(), size=len(data), salt=bench.SALT)
    return WriteSeed(id="s", fence=1, disk=disk_name(), seed=file)


def table(bench) -> bytes:
    return subprocess.run(["sfdisk", "--json", str(bench.path)], check=True, capture_output=True).stdout


def test_seed_is_in_a_partition_at_the_end_of_the_disk(installed):
    evidence = write_seed(seed_task(installed), installed.ports)
    data, parts = installed.path.read_bytes(), parse_table(table(installed)).partitions
    assert [part.name for part in parts] == ["", "root", "cidata"]
    assert parts[2].start == evidence["start"] == 59 * MIB
    assert data[parts[2].start :].startswith(SEED + b"\0")
    assert data[-512:].startswith(b"EFI PART")
    assert parts[1].size == 4 * MIB


def test_seed_twice_gives_the_same_disk(installed):
    first = write_seed(seed_task(installed), installed.ports)
    before = installed.path.read_bytes()
    assert write_seed(seed_task(installed), installed.ports) == first
    assert installed.path.read_bytes() == before


def test_seed_that_outgrew_its_partition_gets_a_larger_one(installed):
    write_seed(seed_task(installed), installed.ports)
    write_seed(seed_task(installed, b"x" * (5 * MIB)), installed.ports)
    parts = parse_table(table(installed)).partitions
    assert [(part.name, part.size) for part in parts][1:] == [("root", 4 * MIB), ("cidata", 5 * MIB)]


def test_wrong_seed_is_not_written(installed):
    task = seed_task(installed)
    installed.server.files["/seed"] = bytes(task.seed.size)
    before = installed.path.read_bytes()
    with pytest.raises(TaskError, match="not the file that was planned"):
        write_seed(task, installed.ports)
    assert installed.path.read_bytes() == before


def test_disk_without_a_table_gets_no_seed(bench):
    bench.disks.found = (replace(bench.disk, size_bytes=64 * MIB),)
    with pytest.raises(TaskError, match="sfdisk"):
        write_seed(seed_task(bench), bench.ports)


def test_seed_has_no_place_on_a_full_disk(installed):
    full = parse_table(table(installed))
    with pytest.raises(TaskError, match="no room"):
        seed_place(full, 60 * MIB)


class Firmware:
    """sfdisk is real; efibootmgr is the recorded one with two entries of ours."""

    def __init__(self, real, listing: bytes) -> None:
        self.real, self.listing, self.asked = real, listing, []

    def run(self, argv, *, timeout, stdin=b""):
        if argv[0] != "efibootmgr":
            return self.real.run(argv, timeout=timeout, stdin=stdin)
        self.asked.append(tuple(argv))
        return Finished(status=0, output=self.listing if len(argv) == 1 else b"", errors=b"")


def test_boot_entry_replaces_older_ones(installed, golden):
    firmware = Firmware(installed.processes, golden("efibootmgr.txt"))
    task = BootDisk(id="b", fence=1, disk=disk_name())
    evidence = prepare_boot(task, replace(installed.ports, processes=firmware))
    assert evidence == {"disk_serial": "S1", "firmware": "uefi", "partition": 1}
    assert [argv[3] for argv in firmware.asked if "--delete-bootnum" in argv] == ["0003", "000A"]
    create = firmware.asked[-1]
    assert create[create.index("--disk") + 1] == str(installed.path)
    assert create[-1] == r"\EFI\BOOT\BOOTX64.EFI"


def test_bios_has_no_boot_entries(installed):
    task = BootDisk(id="b", fence=1, disk=disk_name())
    assert prepare_boot(task, replace(installed.ports, uefi=False))["firmware"] == "bios"


def test_entries_of_others_are_not_ours(golden):
    assert parse_entries(golden("efibootmgr.txt")) == ["0003", "000A"]
    assert parse_entries(b"") == parse_entries(b"\xffBoot\nBoot0001*\n") == []

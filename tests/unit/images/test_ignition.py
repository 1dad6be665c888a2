"""Which disk the ramdisk takes for the one that the plan names: by the shell's reading of sysfs as by the agent's."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from images.agent.disks import read_disks

IS_ROOT = Path(__file__).parents[3] / "images/ignition/module/is-root"


def machine(folder: Path, disk: str, attributes: dict[str, bytes]) -> Path:
    """sysfs with one disk, and a third partition on it."""
    where = folder / "sys/devices/pci0000:00" / disk
    partition = where / f"{disk}3"
    (where / "device").mkdir(parents=True)
    partition.mkdir()
    for kind, target in (("block", where), ("class/block", partition)):
        (folder / "sys" / kind).mkdir(parents=True)
        (folder / "sys" / kind / target.name).symlink_to(target)
    for name, content in {"size": b"2048\n", **attributes}.items():
        (where / name).write_bytes(content)
    return folder / "sys"


def asked(sys: Path, partition: str, words: str) -> bool:
    line = sys.parent / "cmdline"
    line.write_text(f"root=/dev/innervate-root rw {words} console=ttyS0\n")
    argv = ["sh", str(IS_ROOT), partition, str(sys), str(line)]
    done = subprocess.run(argv, capture_output=True, check=False, timeout=10)
    assert done.stderr == b""
    return done.returncode == 0


def named(serial: str = "", wwn: str = "") -> str:
    words = (("serial", serial), ("wwn", wwn))
    return " ".join(f"innervate.{name}={sha256(text.encode()).hexdigest()}" for name, text in words if text)


KINDS = {
    "virtio": ("vda", {"serial": b"INNERVATE-0001"}),
    "nvme": ("nvme0n1", {"device/serial": b"S4EVNX0R  \n", "wwid": b"eui.0025385b11b2a3c4\n"}),
    "scsi": ("sda", {"device/vpd_pg80": b"\0\x80\0\x14  Z1F0 ABCD\xff", "device/wwid": b"naa.5000c500a1b2c3d4\n"}),
    "two-blanks": ("sdb", {"device/vpd_pg80": b"\0\x80\0\x04A  B", "device/wwid": b"t10.ATA     X  1\n"}),
    "long": ("sdc", {"device/serial": b"x" * 300}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_disk_that_the_agent_named_is_found(kind: str, tmp_path: Path) -> None:
    disk, attributes = KINDS[kind]
    sys = machine(tmp_path, disk, attributes)
    [seen] = read_disks(sys, Path("/dev"), lambda _path: "blank")
    assert seen.serial
    assert asked(sys, f"{disk}3", named(seen.serial, seen.wwn))
    assert asked(sys, f"{disk}3", named(seen.serial))


@pytest.mark.parametrize(
    "words", ["", named("OTHER"), named(wwn="eui.0"), named("S4EVNX0R", "eui.0"), "xinnervate.serial=" + "0" * 64]
)
def test_no_other_disk_is(words: str, tmp_path: Path) -> None:
    disk, attributes = KINDS["nvme"]
    assert not asked(machine(tmp_path, disk, attributes), f"{disk}3", words)


def test_a_disk_without_serial_is_known_by_its_wwn(tmp_path: Path) -> None:
    sys = machine(tmp_path, "sda", {"device/wwid": b"naa.5000c500a1b2c3d4\n"})
    assert asked(sys, "sda3", named(wwn="naa.5000c500a1b2c3d4"))
    assert not asked(sys, "sda3", named(wwn="naa.5000c500a1b2c3d5"))

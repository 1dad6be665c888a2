"""What sysfs says of the disk below a folder."""

import os
from pathlib import Path

import pytest

from appliance.doctor.looks import encrypted


def stacked(devices: Path, where: Path, *layers: str) -> None:
    """A block device of `where` in a made-up sysfs: the uuid of each layer of the device mapper, top first."""
    number = where.stat().st_dev
    device = devices / f"{os.major(number)}:{os.minor(number)}"
    for uuid in layers:
        (device / "slaves").mkdir(parents=True)
        (device / "dm").mkdir()
        (device / "dm" / "uuid").write_text(f"{uuid}\n")
        device = device / "slaves" / "below"
    device.mkdir(parents=True)


@pytest.mark.parametrize(
    ("layers", "found"),
    [((), False), (("LVM-abc",), False), (("CRYPT-LUKS2-abc",), True), (("LVM-abc", "CRYPT-LUKS2-abc"), True)],
    ids=["disk", "lvm", "luks", "lvm-on-luks"],
)
def test_a_disk_is_encrypted_where_dm_crypt_is_below(tmp_path: Path, layers: tuple[str, ...], found: bool) -> None:
    stacked(tmp_path / "devices", tmp_path, *layers)
    assert encrypted(tmp_path, tmp_path / "devices") is found


def test_half_of_a_mirror_in_the_clear_is_not_encrypted(tmp_path: Path) -> None:
    stacked(tmp_path / "devices", tmp_path, "LVM-abc", "CRYPT-LUKS2-abc")
    (device,) = (tmp_path / "devices").iterdir()
    (device / "slaves" / "other").mkdir()
    assert encrypted(tmp_path, tmp_path / "devices") is False


def test_what_is_on_no_block_device_cannot_be_seen(tmp_path: Path) -> None:
    assert encrypted(tmp_path, tmp_path) is None
    assert encrypted(tmp_path / "missing") is None

"""The medium in the BMC's drive: an ISO that others can read, too, and what the agent makes of drives."""

import shutil
import subprocess

import pytest

from images.agent.linux import LinuxMedia, kept_key
from images.agent.medium import DESCRIPTOR_AT, SECTOR, Medium, parse, volume

MEDIUM = Medium(token=bytes(range(32)), appliance=bytes(range(32, 64)))


def test_read_back():
    image = volume(MEDIUM)
    assert len(image) == 150 * SECTOR
    assert parse(image[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR]) == MEDIUM


@pytest.mark.parametrize("data", [b"", bytes(SECTOR), b"\1CD001" + bytes(SECTOR - 6), b"\1CD001"])
def test_others_are_none_of_ours(data):
    assert parse(data) is None


def test_an_independent_reader_takes_it_for_a_volume(tmp_path):
    if shutil.which("blkid") is None:
        pytest.skip("no blkid: nothing else reads the volume")
    path = tmp_path / "medium.iso"
    path.write_bytes(volume(MEDIUM))
    done = subprocess.run(["blkid", "-p", "-o", "export", str(path)], capture_output=True, text=True, check=False)
    assert {"TYPE=iso9660", "LABEL=INNERVATE"} <= set(done.stdout.splitlines())


def test_it_is_looked_for_in_every_drive_and_for_a_while(bench, tmp_path):
    for name in ("sda", "sr0", "vda"):
        (tmp_path / "block" / name).mkdir(parents=True)
    (tmp_path / "sda").write_bytes(bytes(9 * SECTOR))
    media = LinuxMedia(bench.clock, sys=tmp_path, dev=tmp_path, patience=3.0)
    assert media.look() is None
    assert sum(bench.clock.slept) == 3.0
    (tmp_path / "sr0").write_bytes(volume(MEDIUM))
    assert media.look() == MEDIUM
    assert sum(bench.clock.slept) == 3.0


def test_the_key_of_a_boot_is_kept_and_private(bench, tmp_path):
    path = tmp_path / "run" / "agent.key"

    class Rng:
        def bytes(self, size):
            return b"k" * size

    first = kept_key(bench.ports.files, path, Rng())
    assert first == kept_key(bench.ports.files, path, None) == b"k" * 32
    assert path.stat().st_mode & 0o777 == 0o600

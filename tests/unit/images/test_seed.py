import shutil
import subprocess
from pathlib import Path

import pytest

from images import seed
from images.errors import BuildError
from images.processes import HostProcesses

pytestmark = pytest.mark.skipif(shutil.which("mformat") is None, reason="needs mtools")
FILES = {"meta-data": b"instance-id: i-1\n", "10-innervate.network": b"[Match]\n", "authorized_keys": b"k" * 5000}


def test_volume_has_label_and_files(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.write_bytes(seed.build(FILES, HostProcesses()))
    assert volume.stat().st_size % (1 << 20) == 0
    label = subprocess.run(
        ["/usr/sbin/blkid", "-p", "-s", "LABEL", "-o", "value", volume], capture_output=True, timeout=9
    )
    assert label.stdout == b"CIDATA\n"
    for name, content in FILES.items():
        read = subprocess.run(["mtype", "-i", volume, f"::{name}"], capture_output=True, timeout=9, check=True)
        assert read.stdout == content


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(BuildError):
        seed.build({name: b""}, HostProcesses())


def test_seed_is_bounded() -> None:
    with pytest.raises(BuildError):
        seed.build({"user-data": bytes(17 << 20)}, HostProcesses())


def test_large_seed_fits(tmp_path: Path) -> None:
    assert len(seed.build({"user-data": bytes(3 << 20)}, HostProcesses())) < 8 << 20

import shutil
import subprocess
from pathlib import Path

import pytest

from images import cpio


def _tree(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("node\n")
    (root / "init").write_text("#!/bin/sh\n")
    (root / "init").chmod(0o755)
    (root / "sbin").symlink_to("usr/sbin")
    return root


def test_equal_trees_give_equal_archives(tmp_path: Path) -> None:
    first, second = _tree(tmp_path / "a"), _tree(tmp_path / "b")
    assert b"".join(cpio.pack(first)) == b"".join(cpio.pack(second))


def test_member_is_aligned_and_counted() -> None:
    data = cpio.member(1, "init", 0o100755, b"12345")
    assert data.startswith(b"070701" + b"00000001" + b"000081ed")
    assert len(data) % 4 == 0
    assert data.endswith(b"12345\0\0\0")


@pytest.mark.skipif(shutil.which("cpio") is None, reason="the oracle is GNU cpio")
def test_gnu_cpio_unpacks_it(tmp_path: Path) -> None:
    archive, target = b"".join(cpio.pack(_tree(tmp_path / "a"))), tmp_path / "out"
    target.mkdir()
    subprocess.run(["cpio", "-i", "-d", "--quiet"], input=archive, cwd=target, check=True, timeout=20)
    assert (target / "etc/hostname").read_text() == "node\n"
    assert (target / "init").stat().st_mode & 0o777 == 0o755
    assert (target / "sbin").readlink() == Path("usr/sbin")

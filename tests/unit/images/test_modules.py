import lzma
from pathlib import Path

import pytest

from images.errors import BuildError
from images.ramdisk.modules import copy, parse_dependencies, select

TEXT = """\
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz:
kernel/drivers/net/ethernet/netronome/nfp/nfp.ko.xz:
kernel/drivers/nvme/host/nvme.ko.xz: kernel/drivers/nvme/host/nvme-core.ko.xz
kernel/drivers/nvme/host/nvme-core.ko.xz:
kernel/fs/fat/vfat.ko.xz:
"""
NET = "kernel/drivers/net"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (("virtio_net",), ["failover", "net_failover", "virtio_net"]),
        (("drivers/net/virtio_net",), ["failover", "net_failover", "virtio_net"]),
        (("drivers/nvme/host",), ["nvme", "nvme-core"]),
        (("drivers/net/ethernet",), ["e1000e"]),
        (("drivers/nvme/ho", "no_such_module"), []),
    ],
)
def test_selection_takes_what_it_needs_along(wanted: tuple[str, ...], names: list[str]) -> None:
    chosen = select(parse_dependencies(TEXT), wanted)
    assert sorted(Path(path).name.partition(".")[0] for path in chosen) == names


def test_modules_are_stored_unpacked(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "kernel").mkdir(parents=True)
    (source / "kernel/a.ko.xz").write_bytes(lzma.compress(b"module a"))
    (source / "modules.dep").write_text("kernel/a.ko.xz:\n")
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        (source / index).write_text("")
    assert copy(source, target, ("a",)) == 1
    assert (target / "kernel/a.ko").read_bytes() == b"module a"


def test_selection_of_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(TEXT)
    with pytest.raises(BuildError):
        copy(tmp_path, tmp_path / "target", ("no_such_module",))

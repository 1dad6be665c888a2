import struct

import pytest

from images.debian.disk import Layout, root_size_for
from images.errors import BuildError
from images.grub import boot_code, placed_core


def test_boot_code_points_to_the_core_and_spares_the_table() -> None:
    code = boot_code(bytes(range(256)) * 2, core_lba=2048)
    assert len(code) == 440
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert code[0x66:0x68] == b"\x90\x90"
    assert code[:0x5C] == bytes(range(0x5C))


def test_core_knows_where_its_rest_is() -> None:
    core = placed_core(bytes(512 * 3 + 1), core_lba=2048, sectors=2048)
    assert struct.unpack_from("<QHH", core, 500) == (2049, 3, 0x820)
    assert len(core) == 512 * 3 + 1


@pytest.mark.parametrize("size", [0, 512, 512 * 9])
def test_core_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(BuildError):
        placed_core(bytes(size), core_lba=2048, sectors=8)


def test_boot_img_must_be_a_sector() -> None:
    with pytest.raises(BuildError):
        boot_code(bytes(511), core_lba=2048)


def test_layout_is_decided_by_its_identity() -> None:
    one, other = Layout(root_size=100, identity="a"), Layout(root_size=100, identity="b")
    assert one.id_of("root") == Layout(root_size=100, identity="a").id_of("root")
    assert len({one.id_of("root"), one.id_of("esp"), other.id_of("root")}) == 3
    assert one.size == (66 + 100 + 1) << 20


def test_root_leaves_room_beside_its_content() -> None:
    assert root_size_for(200 << 20) == 216 + 64 + 32

"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from appliance.files import write_whole


def test_the_new_one_takes_the_place_of_the_old(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    for data in (b"old and long", b"new"):
        write_whole(file, data)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "kept.new").write_bytes(b"half")
    write_whole(tmp_path / "kept", b"whole", mode=0o644)
    assert ((tmp_path / "kept").read_bytes(), (tmp_path / "kept").stat().st_mode & 0o777) == (b"whole", 0o644)
    assert not (tmp_path / "kept.new").exists()


def test_where_nothing_can_be_written_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"old")
    (tmp_path / "kept.new").mkdir()
    with pytest.raises(OSError, match=r"kept\.new"):
        write_whole(tmp_path / "kept", b"new")
    assert (tmp_path / "kept").read_bytes() == b"old"

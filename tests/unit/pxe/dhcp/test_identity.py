from pathlib import Path

import pytest

from pxe.dhcp.identity import keep_identity
from pxe.errors import ServiceError


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    made = keep_identity(tmp_path / "identity")
    assert len(made) == 16
    assert keep_identity(tmp_path / "identity") == made
    assert keep_identity(tmp_path / "other") != made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity", "other"]


@pytest.mark.parametrize("content", [b"", b"00" * 15, b"00" * 17, b"no digits", b"\xff"])
def test_damaged_file_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "identity"
    path.write_bytes(content)
    with pytest.raises(ServiceError) as caught:
        keep_identity(path)
    assert str(path) in caught.value.evidence
    assert path.read_bytes() == content


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        keep_identity(tmp_path / "absent" / "identity")
    assert caught.value.next_action

import math
import os
from pathlib import Path

import pytest

from pxe.dhcp.address import Address, Hardware
from pxe.dhcp.journal import open_journal, recover
from pxe.dhcp.leases import Lease, LeaseState
from pxe.errors import ServiceError


def lease(number: int, *, expires: float = 1000.5, hostname: str = "") -> Lease:
    return Lease(
        address=Address(bytes((10, 0, 0, number))),
        mac=Hardware(bytes.fromhex("525400000000")[:5] + bytes((number,))),
        state=LeaseState.BOUND,
        expires=expires,
        hostname=hostname,
    )


def reopened(path: Path) -> tuple[Lease, ...]:
    journal, recovery = open_journal(path)
    journal.close()
    assert recovery.damaged_lines == 0
    return recovery.leases


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leases"


def test_what_was_appended_is_there_again(path: Path) -> None:
    journal, recovery = open_journal(path)
    assert recovery.leases == ()
    forever = lease(3, expires=math.inf, hostname="node3")
    journal.append([lease(1), lease(2)])
    journal.append([forever, lease(1, expires=2000)])
    journal.close()
    assert reopened(path) == (lease(2), forever, lease(1, expires=2000))


def test_opening_compacts(path: Path) -> None:
    journal, _ = open_journal(path)
    for second in range(100):
        journal.append([lease(1, expires=second)])
    assert journal.lines == 100
    journal.close()
    journal, _ = open_journal(path)
    assert journal.lines == 1
    journal.close()
    assert len(path.read_bytes().splitlines()) == 2
    assert [entry.name for entry in path.parent.iterdir()] == ["leases"]


def test_tail_torn_at_any_byte_loses_the_last_line_only(path: Path) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1), lease(2)])
    journal.close()
    data = path.read_bytes().rstrip(b"\0")
    last = data.rindex(b"\n", 0, -1) + 1
    for size in range(last + 1, len(data)):
        recovery = recover(data[:size], "leases")
        assert recovery.leases == (lease(1),)
        assert recovery.damaged_lines == 1


def test_torn_tail_is_cut_before_anything_is_appended(path: Path) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1)])
    journal.close()
    with path.open("ab") as file:
        file.write(b"deadbeef bou")
    journal, recovery = open_journal(path)
    assert recovery.damaged_lines == 1
    journal.append([lease(2)])
    journal.close()
    assert reopened(path) == (lease(1), lease(2))


def test_damage_in_the_middle_costs_one_line() -> None:
    lines = b"innervate-leases 1\n" + b"".join(
        [b"47c1bf65 bound 10.0.0.1 garbage\n", b"\xff\xfe\n", b"\n", b"00000000 \n"]
    )
    assert recover(lines, "leases").damaged_lines == 4


def test_block_that_never_reached_the_disk_costs_its_lines_only(path: Path) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1), lease(2), lease(3)])
    journal.close()
    data = bytearray(path.read_bytes())
    start = data.index(b"\n", 20) + 5
    data[start : start + 20] = bytes(20)
    recovery = recover(bytes(data), "leases")
    assert (recovery.leases, recovery.damaged_lines) == ((lease(1), lease(3)), 1)


def test_file_grows_ahead_of_what_is_written(path: Path) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1)])
    size = path.stat().st_size
    journal.append([lease(number) for number in range(1, 200)])
    assert path.stat().st_size == size > 200_000
    for _ in range(60):
        journal.append([lease(number) for number in range(1, 200)])
    journal.close()
    assert path.stat().st_size > size
    assert reopened(path) == tuple(lease(number) for number in range(1, 200))


def test_file_written_before_the_file_grew_ahead_is_read(path: Path) -> None:
    path.write_bytes(b"innervate-leases 1\n9d65e17d bound 10.0.0.1 52:54:00:00:00:01 1000.5 \n")
    assert reopened(path) == (lease(1),)


def test_leftover_of_an_interrupted_compaction_is_ignored(path: Path) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1)])
    journal.close()
    path.with_name("leases.new").write_bytes(b"half a fi")
    assert reopened(path) == (lease(1),)


def test_foreign_file_is_not_overwritten(path: Path) -> None:
    path.write_text("# dnsmasq leases\n")
    with pytest.raises(ServiceError):
        open_journal(path)
    assert path.read_text() == "# dnsmasq leases\n"


def test_unreadable_is_not_empty(tmp_path: Path) -> None:
    with pytest.raises(ServiceError):
        open_journal(tmp_path)
    with pytest.raises(ServiceError):
        open_journal(tmp_path / "missing" / "leases")


def test_failed_append_leaves_no_half_line_and_may_be_repeated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = open_journal(path)
    journal.append([lease(1)])
    real = os.pwrite

    def disk_full(fd: int, data: bytes, offset: int) -> int:
        real(fd, bytes(data)[:-1], offset)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", disk_full)
        with pytest.raises(ServiceError, match="journal"):
            journal.append([lease(2), lease(4, hostname="a-rather-long-name"), lease(5)])
    journal.append([lease(3)])
    journal.close()
    assert reopened(path) == (lease(1), lease(3))


def test_one_flush_for_a_group(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = open_journal(path)
    flushes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushes.append)
    journal.append([lease(number) for number in range(1, 200)])
    assert len(flushes) == 1
    journal.close()

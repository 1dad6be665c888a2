"""The audit log in many files: one chain, whatever crashes; what made room is named, what was taken away is noticed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.access.audit import AuditLog
from appliance.access.chain import DROPPED
from appliance.model.access_views import AuditWanted, Outcome
from tests.unit.appliance.access.test_audit import DEED
from tests.unit.appliance.access.test_desk import Hands

EACH = 900
"""Bytes: about three lines."""


def play(folder: Path, scene: Callable[[AuditLog], Awaitable[None]], *, kept: int = 1000) -> None:
    async def whole() -> None:
        log = AuditLog(folder / "audit.jsonl", Hands(), bytes_each=EACH, kept=kept)
        try:
            await scene(log)
        finally:
            log.close()

    asyncio.run(whole())


def write(folder: Path, count: int, *, kept: int = 1000) -> None:
    async def scene(log: AuditLog) -> None:
        for _ in range(count):
            await log.write(replace(DEED, target=f"line={log.last + 1}"))

    play(folder, scene, kept=kept)


def broken(folder: Path, *, kept: int = 1000) -> int | None:
    found: list[int | None] = []

    async def scene(log: AuditLog) -> None:
        verdict = await log.verify()
        found.append(None if verdict is None else verdict.line)

    play(folder, scene, kept=kept)
    return found[0]


def full(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*.jsonl"))


def test_one_chain_through_all_files(tmp_path: Path) -> None:
    write(tmp_path, 11)
    write(tmp_path, 9)
    assert len(full(tmp_path)) >= 4
    assert full(tmp_path)[0].name == "audit-00000000000000000001.jsonl"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in full(tmp_path))

    async def scene(log: AuditLog) -> None:
        assert (log.last, log.dropped) == (20, 0)
        assert await log.verify() is None
        every = await log.read(after=0, limit=100, wait=0)
        assert [(entry.seq, entry.target) for entry in every] == [(at, f"line={at}") for at in range(1, 21)]
        for after in range(20):
            assert [entry.seq for entry in await log.read(after=after, limit=5, wait=0)] == list(
                range(after + 1, min(after + 5, 20) + 1)
            )

    play(tmp_path, scene)


@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("change", ["gone", "changed", "shorter"])
def test_a_full_file_that_is_tampered_with(tmp_path: Path, at: int, change: str) -> None:
    write(tmp_path, 20)
    path = full(tmp_path)[at]
    first = int(path.stem.rpartition("-")[2])
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "gone":
        path.unlink()
    elif change == "changed":
        path.write_bytes(b"".join((lines[0].replace(b"ann", b"eve"), *lines[1:])))
    else:
        path.write_bytes(b"".join(lines[:-1]))
    found = broken(tmp_path)
    assert found is not None
    assert found >= first


def test_the_oldest_make_room_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path, 40, kept=3)
    assert len(full(tmp_path)) == 3

    async def scene(log: AuditLog) -> None:
        assert log.dropped > 0
        assert await log.verify() is None
        every = await log.read(after=0, limit=100, wait=0)
        assert [entry.seq for entry in every] == list(range(log.dropped + 1, log.last + 1))
        told = [entry for entry in every if entry.event == DROPPED]
        assert told
        assert f"lines up to {log.dropped} made room" in told[-1].target

    play(tmp_path, scene, kept=3)
    full(tmp_path)[0].unlink()
    assert broken(tmp_path, kept=3) is not None


def test_a_base_that_is_gone_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, 40, kept=3)
    (tmp_path / "audit.base").unlink()
    assert broken(tmp_path, kept=3) == 1


def test_a_power_cut_between_any_two_steps(tmp_path: Path) -> None:
    """The new file was not made yet; the old one was to go and is still there."""
    write(tmp_path, 20)
    current, last = tmp_path / "audit.jsonl", full(tmp_path)[-1]
    first = int(last.stem.rpartition("-")[2]) + len(last.read_bytes().splitlines())
    current.rename(tmp_path / f"audit-{first:020d}.jsonl")
    assert broken(tmp_path) is None
    write(tmp_path, 5)
    assert broken(tmp_path) is None
    kept = {path: path.read_bytes() for path in full(tmp_path)}
    write(tmp_path, 20, kept=3)
    oldest = min(kept)
    assert not oldest.exists()
    oldest.write_bytes(kept[oldest])
    assert broken(tmp_path, kept=3) is None
    assert not oldest.exists()


def test_newest_first_by_who_what_and_outcome(tmp_path: Path) -> None:
    async def scene(log: AuditLog) -> None:
        for at in range(30):
            who, status = ("ann", 200) if at % 3 else ("bob", 403)
            await log.write(
                replace(DEED, who=who, status=status, target=f"run={at}", event="authz_fail" if at == 6 else "request")
            )
        found = await log.search(AuditWanted(), before=0, limit=4)
        assert ([entry.seq for entry in found.entries], found.next) == ([30, 29, 28, 27], 27)
        more = await log.search(AuditWanted(), before=found.next, limit=100)
        assert ([entry.seq for entry in more.entries], more.next) == (list(range(26, 0, -1)), 0)
        bobs = await log.search(AuditWanted(who="bob"), before=0, limit=100)
        assert [entry.seq for entry in bobs.entries] == list(range(28, 0, -3))
        assert (await log.search(AuditWanted(who="bo"), before=0, limit=9)).entries == ()
        refused = await log.search(AuditWanted(outcome=Outcome.REFUSED, what="AUTHZ"), before=0, limit=9)
        assert [entry.seq for entry in refused.entries] == [7]
        assert [e.seq for e in (await log.search(AuditWanted(what="run=29"), before=0, limit=9)).entries] == [30]
        assert (await log.search(AuditWanted(outcome=Outcome.FAILED), before=0, limit=9)).entries == ()
        assert (await log.search(AuditWanted(), before=1, limit=9)).entries == ()

    play(tmp_path, scene)


def test_a_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is that nobody wants: it says where to go on."""
    monkeypatch.setattr("appliance.access.audit._CHUNK", 4)
    monkeypatch.setattr("appliance.access.audit._LOOKED", 8)

    async def scene(log: AuditLog) -> None:
        for at in range(30):
            await log.write(replace(DEED, who="ann" if at else "eve"))
        before, rounds = 0, 0
        while True:
            found = await log.search(AuditWanted(who="eve"), before=before, limit=5)
            before, rounds = found.next, rounds + 1
            if found.entries or not before:
                break
        assert (rounds, [entry.seq for entry in found.entries]) == (4, [1])

    play(tmp_path, scene)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 7)

    async def scene(log: AuditLog) -> None:
        for _ in range(6):
            before = log.last
            with monkeypatch.context() as full_disk:
                full_disk.setattr(
                    "os.fsync", lambda _file: (_ for _ in ()).throw(OSError(28, "No space left on device"))
                )
                with pytest.raises(Exception, match="cannot be written"):
                    await log.write(DEED)
            assert log.last == before
            await log.write(DEED)
        assert await log.verify() is None

    play(tmp_path, scene)
    assert broken(tmp_path) is None

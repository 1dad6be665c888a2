import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.access.audit import AuditLog, Deed
from appliance.errors import MachineryError
from tests.unit.appliance.access.test_desk import Hands

DEED = Deed(
    who="ann",
    role="operator",
    via="session",
    source="192.0.2.1",
    event="request",
    method="POST",
    route="/v1/runs/{run}/pause",
    target="run=3f2a",
    status=200,
    trace="00ff",
)


def play(path: Path, scene: Callable[[AuditLog], Awaitable[None]]) -> None:
    async def whole() -> None:
        log = AuditLog(path, Hands())
        try:
            await scene(log)
        finally:
            log.close()

    asyncio.run(whole())


def write(path: Path, count: int) -> None:
    async def scene(log: AuditLog) -> None:
        for number in range(count):
            await log.write(replace(DEED, target=f"run={number}"))

    play(path, scene)


def broken(path: Path) -> int | None:
    found: list[int | None] = []

    async def scene(log: AuditLog) -> None:
        verdict = await log.verify()
        assert verdict is None or verdict.reason
        found.append(None if verdict is None else verdict.line)

    play(path, scene)
    return found[0]


def test_written_read_and_taken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 3)
    write(path, 2)

    async def scene(log: AuditLog) -> None:
        assert log.last == 5
        assert await log.verify() is None
        all_ = await log.read(after=0, limit=100, wait=0)
        assert [(entry.seq, entry.target) for entry in all_] == [
            (number, f"run={target}") for number, target in enumerate((0, 1, 2, 0, 1), 1)
        ]
        assert [entry.seq for entry in await log.read(after=1, limit=2, wait=0)] == [2, 3]
        assert await log.read(after=5, limit=2, wait=0) == ()
        assert await log.read(after=99, limit=2, wait=0) == ()

    play(path, scene)
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    async def scene(log: AuditLog) -> None:
        await asyncio.gather(*(log.write(DEED) for _ in range(20)))
        assert await log.verify() is None
        assert [entry.seq for entry in await log.read(after=0, limit=50, wait=0)] == list(range(1, 21))

    play(tmp_path / "audit.jsonl", scene)


def test_a_reader_waits(tmp_path: Path) -> None:
    async def scene(log: AuditLog) -> None:
        reading = asyncio.create_task(log.read(after=0, limit=10, wait=30))
        await asyncio.sleep(0)
        await log.write(DEED)
        assert [entry.who for entry in await reading] == ["ann"]
        assert await log.read(after=1, limit=10, wait=0.01) == ()

    play(tmp_path / "audit.jsonl", scene)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: lines[3:], 1),
        (lambda lines: [*lines[:1], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [lines[0], lines[1].replace(b"run=1", b"run=7"), *lines[2:]], 3),
        (lambda lines: [lines[0], b"nonsense\n", *lines[2:]], 2),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
        (lambda lines: lines, None),
    ],
)
def test_the_first_broken_link_is_found(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], line: int | None
) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 5)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    assert broken(path) == line


@pytest.mark.parametrize("kept", [0, 3])
def test_an_end_that_is_cut_off_while_it_is_open(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "audit.jsonl"

    async def scene(log: AuditLog) -> None:
        for _ in range(5):
            await log.write(DEED)
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
        verdict = await log.verify()
        assert verdict is not None
        assert verdict.line == kept + 1

    play(path, scene)


def test_a_line_that_a_crash_cut_off_goes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 2)
    path.write_bytes(path.read_bytes() + b'{"entry":{"seq":3,')
    write(path, 1)
    assert broken(path) is None
    assert path.read_bytes().count(b"\n") == 3


def test_a_head_that_a_crash_left_behind_is_no_break(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 2)
    before = path.with_suffix(".head").read_bytes()
    write(path, 1)
    path.with_suffix(".head").write_bytes(before)
    assert broken(path) is None


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
def test_an_end_that_was_cut_off_while_nobody_watched(tmp_path: Path, kept: int) -> None:
    """It is found at the next start, and for ever after."""
    path = tmp_path / "audit.jsonl"
    write(path, 5)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    write(path, 2)
    assert [broken(path), broken(path)] == [kept + 1, kept + 1]


def test_a_last_line_that_was_changed_while_nobody_watched(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 3)
    path.write_bytes(path.read_bytes().replace(b"run=2", b"run=7"))
    assert broken(path) == 4


@pytest.mark.parametrize("head", [None, b"", b"nonsense"])
def test_a_head_that_is_gone(tmp_path: Path, head: bytes | None) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 3)
    path.with_suffix(".head").unlink() if head is None else path.with_suffix(".head").write_bytes(head)
    assert broken(path) == 4


def test_hostile_text_is_cleaned(tmp_path: Path) -> None:
    async def scene(log: AuditLog) -> None:
        await log.write(replace(DEED, who='a\x1b[2J"}\n{"seq":9', target="x" * 5000, source="\x00", method="GET\r\n"))
        (entry,) = await log.read(after=0, limit=9, wait=0)
        assert entry.who == 'a"} {"seq":9'
        assert (len(entry.target), entry.source, entry.method) == (300, "", "GET  ")

    play(tmp_path / "audit.jsonl", scene)
    assert (tmp_path / "audit.jsonl").read_bytes().count(b"\n") == 1


def test_nothing_counts_as_written_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    async def scene(log: AuditLog) -> None:
        await log.write(DEED)
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", full)
            with pytest.raises(MachineryError, match="cannot be written"):
                await log.write(DEED)
        await log.write(DEED)
        assert log.last == 2
        assert await log.verify() is None

    play(tmp_path / "audit.jsonl", scene)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(MachineryError):
        AuditLog(tmp_path, Hands())

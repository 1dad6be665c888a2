"""Answers that were given to requests with an `Idempotency-Key`: JSON lines, durable before the answer leaves.

Each is kept for a day. What a day has made stale goes when the file is opened, and when most of a large file is stale.
"""

import asyncio
import hmac
import os
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.errors import MachineryError, UsageError
from appliance.model.codec import from_json, to_json
from appliance.ports import Clock, Rng
from appliance.store.secrets import SecretFile

DAY = 86400.0
_KEY_BYTES = 32
_SMALL = 1 << 20
"""Bytes: so small a file is not made smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`key` names the request, `print` what it asked for. `secret`: the answer showed one, and its body is not kept."""

    key: str
    print: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    secret: bool = False
    time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    print: str
    time: float
    start: int
    size: int


class Answers:
    """Raises `MachineryError`. Only where each answer stands is in memory."""

    def __init__(self, path: Path, clock: Clock, rng: Rng) -> None:
        self._path, self._clock = path, clock
        self._key = _key_in(path.with_suffix(".vault"), rng)
        self._rows: dict[str, _Row] = {}
        self._size = 0
        self._writing = asyncio.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file, self._rows, self._size = self._written_anew()
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        os.close(self._file)

    def print(self, wanted: bytes) -> str:
        """A digest that only this appliance can make: what is asked for may hold a password."""
        return hmac.digest(self._key, wanted, "sha256").hex()

    def print_of(self, key: str) -> str | None:
        """What the request that was answered had asked for; None where none was."""
        row = self._rows.get(key)
        return None if row is None or self._clock.now() - row.time >= DAY else row.print

    async def read(self, key: str) -> Answer:
        async with self._writing:
            row = self._rows.get(key)
            if row is None:  # its day ended just now
                raise self._failure(LookupError("the answer is no longer kept"))
            line = await asyncio.to_thread(os.pread, self._file, row.size, row.start)
        try:
            return from_json(Answer, line)
        except UsageError as error:
            raise self._failure(error) from error

    async def keep(self, answer: Answer) -> None:
        """On disk when this returns, with the time of now."""
        answer = replace(answer, time=self._clock.now())
        line = to_json(answer) + b"\n"
        async with self._writing:
            try:
                await asyncio.shield(asyncio.to_thread(self._write, answer, line))
            except OSError as error:
                raise self._failure(error) from error

    def _write(self, answer: Answer, line: bytes) -> None:
        if self._size > _SMALL and self._living_bytes() < self._size // 2:
            before = self._file
            self._file, self._rows, self._size = self._written_anew()
            os.close(before)
        try:
            _append(self._file, line)
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._rows[answer.key] = _row(answer, self._size, line)
        self._size += len(line)

    def _living_bytes(self) -> int:
        now = self._clock.now()
        return sum(row.size for row in self._rows.values() if now - row.time < DAY)

    def _written_anew(self) -> tuple[int, dict[str, _Row], int]:
        """The file with what still counts in it, in the place of the one before: file, rows, size."""
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.unlink(missing_ok=True)
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        rows, size = dict[str, _Row](), 0
        try:
            for answer, line in self._living():
                _append(file, line)
                rows[answer.key] = _row(answer, size, line)
                size += len(line)
            os.fsync(file)
            draft.replace(self._path)
        except OSError:
            os.close(file)
            raise
        return file, rows, size

    def _living(self) -> list[tuple[Answer, bytes]]:
        """A line that a crash cut off was never answered."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().splitlines(keepends=True):
            try:
                answer = from_json(Answer, line)
            except UsageError:
                continue
            if self._clock.now() - answer.time < DAY:
                found.append((answer, line if line.endswith(b"\n") else line + b"\n"))
        return found

    def _failure(self, error: Exception) -> MachineryError:
        return MachineryError(
            f"{self._path} cannot be used",
            evidence=str(error)[:200],
            next_action="free disk space, check its permissions; what was asked may have been done",
        )


def _row(answer: Answer, start: int, line: bytes) -> _Row:
    return _Row(print=answer.print, time=answer.time, start=start, size=len(line))


def _append(file: int, line: bytes) -> None:
    if os.write(file, line) != len(line):
        raise OSError("the line was written in part")


def _key_in(path: Path, rng: Rng) -> bytes:
    file = SecretFile(path, rng)
    try:
        key = file.load()
        if key is None:
            key = bytes.fromhex(rng.token(_KEY_BYTES))
            file.save(key)
        return key
    finally:
        file.close()

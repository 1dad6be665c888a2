"""What is kept of a console: the last bytes, in order, and bounded."""

from pathlib import Path

import pytest

from appliance.console.record import Record, last_words

LIMIT = 64


@pytest.mark.parametrize("piece", [1, 7, 31, 32, 33, 64, 200])
def test_the_end_is_kept_and_the_size_is_bounded(piece: int, tmp_path: Path) -> None:
    record = Record(tmp_path / "logs" / "node-0.console", limit=LIMIT)
    said = bytes(number % 251 for number in range(1000))
    for start in range(0, len(said), piece):
        record.append(said[start : start + piece])
        kept = record.tail(10_000)
        assert said[: start + piece].endswith(kept)
        assert len(kept) >= min(LIMIT // 2, len(said[: start + piece]))
        assert record.tail(5) == said[: start + piece][-5:]
    assert sum(path.stat().st_size for path in (tmp_path / "logs").iterdir()) < LIMIT + 2 * piece


def test_nothing_recorded(tmp_path: Path) -> None:
    assert Record(tmp_path / "node-0.console").tail(100) == b""


def test_a_new_life_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    Record(tmp_path / "c").append(b"before ")
    again = Record(tmp_path / "c")
    again.append(b"after")
    assert again.tail(100) == b"before after"


def test_last_words_are_one_clean_line(tmp_path: Path) -> None:
    path = tmp_path / "node-0.console"
    assert last_words(path) == ""
    Record(path).append(b"one\r\ntwo\r\n\r\n\x1b[31mthree\x1b[0m\r\n" + b"x" * 500 + b"\r\n")
    assert last_words(path) == f"two | three | {'x' * 159}…"

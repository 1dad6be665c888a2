"""What a serial console said, kept on disk: the bytes as they came, and no more of them than `limit`."""

from pathlib import Path

from appliance.model.text import clean

_LIMIT = 8 << 20
_TAIL = 4096
_LINES = 3
_WIDTH = 160


class Record:
    """Two files, `path` and `path`.1: when the first is half of `limit` long, it takes the place of the second."""

    def __init__(self, path: Path, *, limit: int = _LIMIT) -> None:
        self._path = path
        self._before = path.with_name(f"{path.name}.1")
        self._half = limit // 2
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, data: bytes) -> None:
        """OSError when the disk refuses."""
        with self._path.open("ab") as file:
            file.write(data)
            is_full = file.tell() >= self._half
        if is_full:
            self._path.replace(self._before)

    def tail(self, most: int) -> bytes:
        """The last `most` bytes at most; empty where nothing was recorded."""
        last = _end_of(self._path, most)
        return _end_of(self._before, most - len(last)) + last if len(last) < most else last


def last_words(path: Path) -> str:
    """The last few lines of a record as one, for people; "" where there is none."""
    lines = Record(path).tail(_TAIL).decode("utf-8", "replace").splitlines()
    said = [line for text in lines if (line := clean(text, _WIDTH).strip())]
    return " | ".join(said[-_LINES:])


def _end_of(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            return file.read(most)
    except FileNotFoundError:
        return b""

"""The agent's own log: to the console at once, to the server in the background, in a bounded buffer."""

import threading
from collections.abc import Callable

from .ports import Clock

CAPACITY = 1 << 20
CHUNK = 64 << 10


class Log:
    """Offsets count the bytes of the whole log from its start, so a server sees what was lost in a full buffer."""

    def __init__(self, clock: Clock, console: Callable[[str], None]) -> None:
        self._clock, self._console = clock, console
        self._lock = threading.Lock()
        self._start = 0
        self._kept = bytearray()

    def say(self, text: str) -> None:
        """One line; text that came from elsewhere may hold anything."""
        plain = "".join(c if c.isprintable() else "?" for c in text[:2000])
        self._console(f"innervate-agent: {plain}")
        with self._lock:
            self._kept += f"{self._clock.monotonic():.3f} {plain}\n".encode("utf-8", "replace")
            self._drop(len(self._kept) - CAPACITY)

    def pending(self) -> tuple[int, bytes]:
        """Where the part that is not sent yet starts, and at most a chunk of it."""
        with self._lock:
            return self._start, bytes(self._kept[:CHUNK])

    def sent(self, end: int) -> None:
        """The server has everything before offset `end`."""
        with self._lock:
            self._drop(end - self._start)

    def _drop(self, count: int) -> None:
        if count > 0:
            del self._kept[:count]
            self._start += count

"""Somebody at the other end of a machine's serial port, who waits for words and types answers."""

import contextlib
import re
import socket
import threading
import time
from pathlib import Path

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][0-9A-Za-z]|\x1b[=>78cDEHM]|\x1b\][^\x07]*\x07")


class SerialLine:
    """`socket` is the Unix socket that the machine serves while it is on."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._heard = bytearray()
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True, name="serial line").start()

    @property
    def text(self) -> str:
        """All that was said so far, without escape sequences."""
        with self._news:
            return _ESCAPES.sub(b"", bytes(self._heard)).decode("utf-8", "replace")

    def expect(self, pattern: str, seconds: float, *, after: int = 0) -> re.Match[str]:
        """Waits for it behind the first `after` characters; fails with the last words."""
        deadline = time.monotonic() + seconds
        while (found := re.compile(pattern).search(self.text, after)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} was not said within {seconds:.0f} s; last words: {self.text[-2000:]}"
            with self._news:
                self._news.wait(min(left, 5.0))
        return found

    def type(self, line: str) -> None:
        self._socket.sendall(f"{line}\r".encode())

    def press(self, keys: str) -> None:
        self._socket.sendall(keys.encode())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                with self._news:
                    self._heard += data
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

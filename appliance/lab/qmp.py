"""A small client of the QEMU Machine Protocol (JSON lines over a UNIX socket)."""

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable

from appliance.errors import MachineryError

QmpValue = None | bool | int | float | str | list["QmpValue"] | dict[str, "QmpValue"]
QmpMessage = dict[str, QmpValue]

_SECONDS = 10.0
_GONE: QmpMessage = {"error": {"class": "Gone", "desc": "QEMU closed the connection"}}


class Qmp:
    """One connection. Events are handed to `on_event` by name, on a thread of the client's own.

    `on_event` must not wait for an answer of this client: it runs on the thread that reads them.
    """

    def __init__(self, connection: socket.socket, on_event: Callable[[str], None]) -> None:
        self._connection = connection
        self._on_event = on_event
        self._answers: queue.Queue[QmpMessage] = queue.Queue()
        self._lines = connection.makefile("rb")
        connection.settimeout(None)
        self._reader = threading.Thread(target=self._read, name="qmp", daemon=True)
        self._reader.start()
        try:
            self.execute("qmp_capabilities")
        except MachineryError:
            self.close()
            raise

    def execute(self, command: str, arguments: QmpMessage | None = None) -> QmpValue:
        """Raises `MachineryError` if QEMU refuses, is gone or stays silent for 10 s."""
        request: QmpMessage = {"execute": command, "arguments": dict(arguments or {})}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            answer = self._answers.get(timeout=_SECONDS)
        except (OSError, queue.Empty) as error:
            raise MachineryError(f"QEMU did not answer {command}", evidence=repr(error)) from error
        if "error" in answer:
            raise MachineryError(f"QEMU refused {command}", evidence=json.dumps(answer["error"])[:200])
        return answer.get("return")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # QEMU was faster
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._connection.close()

    def _read(self) -> None:
        with self._lines, contextlib.suppress(OSError, ValueError):  # cut off by a QEMU that was killed
            for line in self._lines:
                self._sort(json.loads(line))
        self._answers.put(_GONE)

    def _sort(self, message: QmpMessage) -> None:
        match message:
            case {"event": str(event)}:
                self._on_event(event)
            case {"return": _} | {"error": _}:
                self._answers.put(message)
            case _:
                pass  # the greeting

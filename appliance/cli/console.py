"""A terminal joined to a machine's serial console."""

import os
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from appliance.cli.tunnel import Channel
from appliance.client import Client

_CHUNK = 4096
_BREAKS = b"\r\n"


class Escape:
    """Finds `~.` at the start of a line, as OpenSSH does; `~~` is one tilde. It holds back a tilde until it knows."""

    def __init__(self) -> None:
        self._at_start = True
        self._tilde = False

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be sent, and whether the user leaves."""
        out = bytearray()
        for byte in data:
            if self._tilde:
                self._tilde = False
                if byte == ord("."):
                    return bytes(out), True
                out += b"~" if byte == ord("~") else bytes((ord("~"), byte))
            elif self._at_start and byte == ord("~"):
                self._tilde = True
                continue
            else:
                out.append(byte)
            self._at_start = byte in _BREAKS
        return bytes(out), False


def run(client: Client, machine: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Ends when the user leaves, `source` ends or the daemon hangs up."""
    from websockets.exceptions import ConnectionClosedError

    with client.console(machine) as channel, _raw(source):
        if source.isatty():
            sys.stderr.write(f"console of {machine}; Enter, then ~. leaves it\r\n")
        threading.Thread(target=_type, args=(source.fileno(), channel), daemon=True).start()
        with suppress(BrokenPipeError, ConnectionClosedError):
            for message in channel:
                sink.write(message if isinstance(message, bytes) else message.encode())
                sink.flush()


def _type(source: int, channel: Channel) -> None:
    from websockets.exceptions import ConnectionClosed

    escape, leaves = Escape(), False
    with suppress(ConnectionClosed, OSError):
        while not leaves and (data := os.read(source, _CHUNK)):
            typed, leaves = escape.feed(data)
            if typed:
                channel.send(typed)
        channel.close()


@contextmanager
def _raw(source: BinaryIO) -> Iterator[None]:
    """Each key goes to the machine, Ctrl-C too."""
    if not source.isatty():
        yield
        return
    before = termios.tcgetattr(source)
    tty.setraw(source.fileno())
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)

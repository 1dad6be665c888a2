"""Standard input and output joined to a machine's SSH port: what `ssh` runs as its ProxyCommand."""

import os
import threading
from contextlib import suppress
from typing import BinaryIO, Protocol

from appliance.client import Client

_CHUNK = 65536


class Channel(Protocol):
    """The part of a WebSocket that a relay needs; sending on a closed one raises an `Exception` of its own."""

    def send(self, message: bytes) -> None: ...

    def close(self) -> None: ...


def run(client: Client, machine: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Ends when the machine hangs up or `source` ends."""
    from websockets.exceptions import ConnectionClosedError

    with client.tunnel(machine) as channel:
        threading.Thread(target=_send_all, args=(source.fileno(), channel), daemon=True).start()
        with suppress(BrokenPipeError, ConnectionClosedError):
            for message in channel:
                sink.write(message if isinstance(message, bytes) else message.encode())
                sink.flush()


def _send_all(source: int, channel: Channel) -> None:
    from websockets.exceptions import ConnectionClosed

    with suppress(ConnectionClosed, OSError):
        while data := os.read(source, _CHUNK):
            channel.send(data)
        channel.close()

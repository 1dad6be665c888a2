"""What systemd wants to know of a service (sd_notify(3))."""

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


def tell_ready() -> None:
    """Whoever waits for the service may go on; without systemd nobody does."""
    path = os.environ.get(VARIABLE, "")
    if not path.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        asking.connect("\0" + path[1:] if path.startswith("@") else path)
        asking.sendall(b"READY=1")

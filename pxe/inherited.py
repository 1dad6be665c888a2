"""Sockets that systemd has bound before this process began (sd_listen_fds(3))."""

import os
import socket

_FIRST = 3
Name = str | tuple[str, int]


def inherited(kind: socket.SocketKind, name: Name) -> socket.socket | None:
    """The one of this kind that is bound to `name`: the path of a Unix socket, or (address, port), in its own file
    descriptor; None where systemd holds none such. It listens already."""
    for fd in range(_FIRST, _FIRST + _count()):
        held = _opened(fd)
        if held is not None:
            if held.type is kind and _name_of(held) == name:
                return held
            held.close()
    return None


def _count() -> int:
    """Meant for this process alone, not for what it starts."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return 0
    count = os.environ.get("LISTEN_FDS", "")
    return int(count) if count.isdecimal() else 0


def _opened(fd: int) -> socket.socket | None:
    try:
        return socket.socket(fileno=os.dup(fd))
    except OSError:
        return None


def _name_of(held: socket.socket) -> Name:
    name = held.getsockname()
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return name if isinstance(name, str) else (name[0], name[1])

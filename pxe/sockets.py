"""The thread, epoll and bind under every boot service."""

import errno
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Literal

from pxe.errors import ServiceError

log = logging.getLogger(__name__)

Transport = Literal["udp", "tcp"]

_SLOW_SECONDS = 0.05
_BATCH = 256
_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_BUFFERS = ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF))
_KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}


def bind(transport: Transport, address: IPv4Address, port: int, *, device: str = "") -> socket.socket:
    """A non-blocking socket; `device` keeps it on one interface. ServiceError says which port and what to do."""
    sock = socket.socket(socket.AF_INET, _KINDS[transport] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if transport == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if device:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        sock.bind((str(address), port))
        if transport == "tcp":
            sock.listen(1024)
    except OSError as cause:
        sock.close()
        where = f"{transport.upper()} port {port} on {address}{f' ({device})' if device else ''}"
        raise ServiceError(
            f"cannot bind {where}",
            evidence=str(cause),
            next_action=_bind_advice(cause.errno, transport, port, address),
        ) from cause
    return sock


def deepen(endpoint: socket.socket, *, both: bool = False) -> None:
    """Room for the packets of a whole rack at once: by default it is for about 200, and the rest is lost.

    `both` ways, else for what is received. Without the privilege it is what net.core.rmem_max and wmem_max allow.
    """
    for forced, polite in _BUFFERS if both else _BUFFERS[:1]:
        try:
            endpoint.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
        except PermissionError:
            endpoint.setsockopt(socket.SOL_SOCKET, polite, _BUFFER_BYTES)


def _bind_advice(code: int | None, transport: Transport, port: int, address: IPv4Address) -> str:
    match code:
        case errno.EADDRINUSE:
            return f"stop the program that holds it: ss -Hnlp{transport[0]} 'sport = :{port}'"
        case errno.EADDRNOTAVAIL:
            return f"give the interface the address {address} first: ip -4 address"
        case errno.EACCES | errno.EPERM:
            return "run as root or with CAP_NET_BIND_SERVICE and CAP_NET_RAW"
        case errno.ENODEV:
            return "name an interface that exists: ip link"
        case _:
            return "look at the evidence, then start again"


class Loop:
    """One thread around one epoll. Only that thread calls handlers and `tick`, so servers need no locks.

    `tick` is called about every `period` seconds. A handler that raises is logged and called again; one that takes
    longer than 50 ms is named in the log.
    """

    def __init__(self, *, name: str, tick: Callable[[], None], period: float) -> None:
        self._tick = tick
        self._period = period
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def alter(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once the thread has ended; safe before `start`."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        now = time.monotonic()
        due = now + self._period
        while not self._stopping:
            for fd, events in self._epoll.poll(max(0.0, due - now), _BATCH):
                began = time.monotonic()
                handler = self._handlers.get(fd)
                if handler is not None:
                    try:
                        handler(events)
                    except Exception:
                        log.exception(_FAILED, self._thread.name)
                    self._note(time.monotonic() - began)
            now = time.monotonic()
            if now >= due:
                due = now + self._period
                try:
                    self._tick()
                except Exception:
                    log.exception(_FAILED, self._thread.name)

    def _note(self, seconds: float) -> None:
        """While one handler runs, every other client of the service waits."""
        if seconds > _SLOW_SECONDS:
            log.warning("a handler held its service up thread=%s ms=%.0f", self._thread.name, seconds * 1000)


_FAILED = "a handler failed; the service goes on thread=%s"

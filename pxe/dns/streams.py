"""DNS over TCP (RFC 7766): messages behind a two-byte length, any number of them, answers in any order."""

import logging
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from pxe.ports import Clock
from pxe.sockets import Loop

log = logging.getLogger(__name__)

_IDLE = 10.0
_CONNECTIONS = 64
_PER_CLIENT = 16
_LARGEST = 65_535
_OUTBOX = 65_536

Answer = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Stream:
    sock: socket.socket
    client: str
    deadline: float
    inbox: bytearray = field(default_factory=bytearray)
    outbox: bytearray = field(default_factory=bytearray)
    open: bool = True


class Streams:
    """Belongs to the thread of `loop`. `on_query` gets a message, its client and where to put the answer, which it may
    call at once, later or never."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        loop: Loop,
        clock: Clock,
        on_query: Callable[[bytes, str, Answer], None],
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._clock = clock
        self._on_query = on_query
        self._streams: dict[int, _Stream] = {}
        loop.watch(listener.fileno(), select.EPOLLIN, self._on_accept)

    def close(self) -> None:
        """After the loop has ended."""
        for stream in self._streams.values():
            stream.sock.close()
        self._streams.clear()
        self._listener.close()

    def tick(self) -> None:
        now = self._clock.monotonic()
        for stream in [s for s in self._streams.values() if now >= s.deadline]:
            self._close(stream)

    def _on_accept(self, _: int) -> None:
        try:
            sock, (client, _port) = self._listener.accept()
        except OSError as cause:
            log.debug("no connection accepted cause=%s", cause)
            return
        same = sum(stream.client == client for stream in self._streams.values())
        if same >= _PER_CLIENT or len(self._streams) >= _CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        stream = _Stream(sock=sock, client=client, deadline=self._clock.monotonic() + _IDLE)
        self._streams[sock.fileno()] = stream
        self._loop.watch(sock.fileno(), select.EPOLLIN, lambda _: self._on_stream(stream))

    def _on_stream(self, stream: _Stream) -> None:
        """While answers wait to be taken, no more questions are read."""
        try:
            if not stream.outbox:
                self._receive(stream)
            self._flush(stream)
            while not stream.outbox and self._answer_one(stream):
                self._flush(stream)
        except BlockingIOError:
            pass
        except (OSError, EOFError):
            self._close(stream)
            return
        self._loop.alter(stream.sock.fileno(), select.EPOLLOUT if stream.outbox else select.EPOLLIN)

    def _receive(self, stream: _Stream) -> None:
        data = stream.sock.recv(_LARGEST)
        if not data:
            raise EOFError
        stream.inbox += data
        while len(stream.outbox) < _OUTBOX and self._answer_one(stream):
            pass

    def _answer_one(self, stream: _Stream) -> bool:
        """Only whole questions prove that somebody is there: drops of bytes do not."""
        length = int.from_bytes(stream.inbox[:2])
        if len(stream.inbox) < 2 or len(stream.inbox) < 2 + length:
            return False
        raw = bytes(stream.inbox[2 : 2 + length])
        del stream.inbox[: 2 + length]
        stream.deadline = self._clock.monotonic() + _IDLE
        self._on_query(raw, stream.client, lambda reply: self._put(stream, reply))
        return True

    def _put(self, stream: _Stream, reply: bytes) -> None:
        if stream.open and not stream.outbox:
            self._loop.alter(stream.sock.fileno(), select.EPOLLOUT)
        stream.outbox += len(reply).to_bytes(2) + reply

    def _flush(self, stream: _Stream) -> None:
        if stream.outbox:
            del stream.outbox[: stream.sock.send(stream.outbox)]

    def _close(self, stream: _Stream) -> None:
        stream.open = False
        self._loop.forget(stream.sock.fileno())
        del self._streams[stream.sock.fileno()]
        stream.sock.close()

"""Questions on their way to other servers: a socket for each, in the DNS server's own loop.

What came over TCP is asked over TCP, so that a client who was told TC gets the whole answer.

A fresh connected socket gives each question a random port, and the kernel drops what comes from anywhere else. Nobody
waits: an upstream that is silent costs its question time and nothing else.
"""

import errno
import logging
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from pxe.dns.forward import Forwarding, Question, ask, believe, failure
from pxe.ports import Clock
from pxe.sockets import Loop

log = logging.getLogger(__name__)

_RANDOM = 34
_LARGEST = 4096
_READ = 16

Done = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True)
class _Pending:
    """`unsent` waits for a connection, `inbox` for the rest of a message: both are TCP's."""

    question: Question
    done: Done
    number: int
    sock: socket.socket
    asked: bytes
    deadline: float
    unsent: bytes = b""
    inbox: bytearray = field(default_factory=bytearray)


class Upstreams:
    """Belongs to the thread of `loop`. `random` gives that many unpredictable bytes."""

    def __init__(self, forwarding: Forwarding, *, loop: Loop, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._forwarding = forwarding
        self._loop = loop
        self._clock = clock
        self._random = random
        self._pending: dict[int, _Pending] = {}

    def forward(self, question: Question, done: Done) -> None:
        """`done` is called once, now or later, with an answer: SERVFAIL when nobody gave one."""
        if len(self._pending) >= self._forwarding.in_flight:
            done(failure(question))
        else:
            self._ask(question, done, 0)

    def _ask(self, question: Question, done: Done, first: int) -> None:
        for number in range(first, len(self._forwarding.upstreams)):
            kind = socket.SOCK_STREAM if question.tcp else socket.SOCK_DGRAM
            pending = _Pending(
                question=question,
                done=done,
                number=number,
                sock=socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC),
                asked=ask(question, random=self._random(_RANDOM)),
                deadline=self._clock.monotonic() + self._forwarding.timeout,
            )
            try:
                self._begin(pending)
            except OSError as cause:
                self._note(pending, cause)
                pending.sock.close()
                continue
            fd = pending.sock.fileno()
            self._pending[fd] = pending
            self._loop.watch(fd, select.EPOLLOUT if pending.unsent else select.EPOLLIN, partial(self._on_ready, fd))
            return
        done(failure(question))

    def _begin(self, pending: _Pending) -> None:
        address, port = self._forwarding.upstreams[pending.number]
        code = pending.sock.connect_ex((str(address), port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        if pending.question.tcp:
            pending.unsent = len(pending.asked).to_bytes(2) + pending.asked
        else:
            pending.sock.send(pending.asked)

    def _on_ready(self, fd: int, _: int) -> None:
        """What is no answer to this question is passed over: the real one may come behind it."""
        pending = self._pending[fd]
        try:
            if pending.unsent:
                pending.unsent = pending.unsent[pending.sock.send(pending.unsent) :]
                self._loop.alter(fd, select.EPOLLOUT if pending.unsent else select.EPOLLIN)
                return
            for said in _messages(pending):
                answer = believe(pending.question, pending.asked, said, self._forwarding.private_domains)
                if answer is not None:
                    self._drop(fd)
                    pending.done(answer)
                    return
        except BlockingIOError:
            return
        except (OSError, EOFError) as cause:
            self._note(pending, cause)
            self._try_next(fd)

    def _note(self, pending: _Pending, cause: Exception) -> None:
        log.debug("upstream gave no answer upstream=%s cause=%s", self._forwarding.upstreams[pending.number], cause)

    def tick(self) -> None:
        """All have the same patience, so the first in line is the first to lose it."""
        now = self._clock.monotonic()
        while self._pending:
            fd = next(iter(self._pending))
            if self._pending[fd].deadline > now:
                return
            self._try_next(fd)

    def _try_next(self, fd: int) -> None:
        pending = self._drop(fd)
        self._ask(pending.question, pending.done, pending.number + 1)

    def _drop(self, fd: int) -> _Pending:
        pending = self._pending.pop(fd)
        self._loop.forget(fd)
        pending.sock.close()
        return pending

    def close(self) -> None:
        """After the loop has ended: nobody is answered any more."""
        for pending in self._pending.values():
            pending.sock.close()
        self._pending.clear()


def _messages(pending: _Pending) -> Iterator[bytes]:
    """BlockingIOError when no more waits, EOFError when no more will come."""
    if not pending.question.tcp:
        for _ in range(_READ):
            yield pending.sock.recv(_LARGEST)
        return
    data = pending.sock.recv(_LARGEST)
    if not data:
        raise EOFError
    pending.inbox += data
    while len(pending.inbox) >= 2 and len(pending.inbox) >= (end := 2 + int.from_bytes(pending.inbox[:2])):
        yield bytes(pending.inbox[2:end])
        del pending.inbox[:end]

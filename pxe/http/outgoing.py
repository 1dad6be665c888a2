"""A response on its way: its head, then bytes or a file, a turn at a time."""

import os
from dataclasses import dataclass

from pxe.content import BytesContent, FileContent, opened
from pxe.http.packet import pack_head
from pxe.http.responder import Response
from pxe.http.stream import Stream

_TURN = 2 * 1024 * 1024
_LONG_TURN = 8 * 1024 * 1024
_SMALL = 64 * 1024
_LONG = 1024 * 1024
_AHEAD = 8 * 1024 * 1024
_KEEP, _CLOSE = ("Connection", "keep-alive"), ("Connection", "close")


@dataclass(slots=True, kw_only=True)
class Outgoing:
    """`pending` is what is left of the head and, when `body_behind`, of a small body behind it; `sent` counts bytes of
    the body. `fd` is -1 for bytes.

    `steady`: few download, so each gets long turns, and the kernel holds back what fills no segment. That doubles the
    rate of one client and costs a tenth of the rate of a hundred.
    """

    method: str
    path: str
    response: Response
    pending: bytes
    body_behind: bool
    fd: int
    started: float
    keep_alive: bool
    steady: bool
    sent: int = 0
    advised: int = 0

    def begin(self, stream: Stream) -> None:
        if self.steady and self.response.count > _LONG:
            stream.flow(steady=True)

    def push(self, stream: Stream) -> bool:
        """At most one turn's worth, so that a fast client shares the thread; True when all is sent. Raises what the
        stream raises."""
        if self.pending:
            self._push_pending(stream)
        turn = _LONG_TURN if self.steady else _TURN
        while turn > 0 and not self.pending and self.sent < self.response.count:
            most = min(turn, self.response.count - self.sent)
            taken = self._push_body(stream, most)
            self.sent += taken
            turn -= taken
            if taken < most:
                break
        return not self.pending and self.sent == self.response.count

    def finish(self, stream: Stream) -> None:
        if self.steady and self.response.count > _LONG:
            stream.flow(steady=False)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _push_pending(self, stream: Stream) -> None:
        """Counted from the end: what is left of head and body is all body once it is no longer than that."""
        count = self.response.count
        self.pending = self.pending[stream.send(self.pending, more=count > 0 and not self.body_behind) :]
        if self.body_behind:
            self.sent = count - min(len(self.pending), count)

    def _push_body(self, stream: Stream, most: int) -> int:
        content = self.response.content
        start = self.response.start + self.sent
        if isinstance(content, BytesContent):
            return stream.send(memoryview(content.data)[start : start + most])
        if start + _AHEAD // 2 >= self.advised:
            self.advised = _read_ahead(self.fd, start, content.size)
        taken = stream.send_file(self.fd, start, most)
        if taken == 0:
            raise OSError(f"{content.path} ended early")
        return taken


def packed(response: Response, date: str, *, keep_alive: bool) -> tuple[bytes, bool]:
    """The head, with a small body behind it if it says so: then all leaves in one piece."""
    length = () if response.length is None else (("Content-Length", str(response.length)),)
    head = pack_head(response.status, (*response.headers, *length, _KEEP if keep_alive else _CLOSE, ("Date", date)))
    content, start, count = response.content, response.start, response.count
    if count <= _SMALL and isinstance(content, BytesContent):
        return head + content.data[start : start + count], True
    return head, False


def open_content(response: Response) -> int:
    """-1 for bytes. HEAD opens the file too: what cannot be had should not be promised. Raises OSError."""
    content = response.content
    return opened(content) if isinstance(content, FileContent) else -1


def _read_ahead(fd: int, start: int, size: int) -> int:
    """Sendfile waits for a cold disk with the whole thread: asks for the pages well before, and returns up to where.
    Looking at the last of them is far cheaper than to have the kernel look for each."""
    end = min(start + _AHEAD, size)
    try:
        os.preadv(fd, [bytearray(1)], end - 1, os.RWF_NOWAIT)
    except OSError:
        os.posix_fadvise(fd, start, _AHEAD, os.POSIX_FADV_WILLNEED)
    return end

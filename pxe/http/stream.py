"""The two ways bytes leave a connection: plain, where files go by sendfile, and TLS.

Every method raises BlockingIOError when the socket has to become ready first, and `send` and `send_file` take fewer
bytes than they were given only when the socket is full.
"""

import contextlib
import os
import select
import socket
import ssl

_CHUNK = 64 * 1024


class PlainStream:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.recv = sock.recv

    def send(self, data: bytes | memoryview, *, more: bool = False) -> int:
        return self.sock.send(data, socket.MSG_MORE if more else 0)

    def send_file(self, fd: int, start: int, count: int) -> int:
        """0 at the end of the file."""
        return os.sendfile(self.sock.fileno(), fd, start, count)

    def flow(self, *, steady: bool) -> None:
        """A corked transfer leaves in full segments, for less CPU time; pulling the cork sends what waits."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, steady)

    def finish(self) -> None:
        """Tells the client that nothing more comes; one that has gone already need not hear it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)


class TlsStream:
    """`sock` is not connected to TLS yet: call `handshake` until it returns."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._chunk = memoryview(b"")
        self.wants = select.EPOLLIN

    def handshake(self) -> None:
        """One step; when it blocks, `wants` says for which event. Raises ssl.SSLError."""
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError as cause:
            self.wants = select.EPOLLIN
            raise BlockingIOError from cause
        except ssl.SSLWantWriteError as cause:
            self.wants = select.EPOLLOUT
            raise BlockingIOError from cause

    def recv(self, most: int) -> bytes:
        try:
            return self.sock.recv(most)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as cause:
            raise BlockingIOError from cause
        except ssl.SSLEOFError:
            return b""

    def send(self, data: bytes | memoryview, *, more: bool = False) -> int:
        """`more` has no meaning here. One call of SSL_write takes one record."""
        left = memoryview(data)
        try:
            while left:
                left = left[self.sock.send(left) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as cause:
            if len(left) == len(data):
                raise BlockingIOError from cause
        return len(data) - len(left)

    def send_file(self, fd: int, start: int, count: int) -> int:
        """A chunk that did not fit is kept: SSL_write wants to see the same bytes again."""
        sent = 0
        while sent < count:
            if not self._chunk:
                self._chunk = memoryview(os.pread(fd, min(_CHUNK, count - sent), start + sent))
            try:
                taken = self.send(self._chunk)
            except BlockingIOError:
                if sent:
                    break
                raise
            self._chunk = self._chunk[taken:]
            sent += taken
            if self._chunk or not taken:
                break
        return sent

    def flow(self, *, steady: bool) -> None:
        """Records are of full size already."""

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.unwrap()


Stream = PlainStream | TlsStream

"""A TLS connection to one BMC: OpenSSL works on the socket itself, where asyncio's transport copies through memory."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from appliance.bmc.codec.http import Response, ResponseReader

T = TypeVar("T")
_Place = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
_AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, _Place]
_CHUNK = 1 << 16


class UnansweredError(ConnectionError):
    """Closed by the other side before the first byte of an answer."""


def unverified_tls() -> ssl.SSLContext:
    """One for all BMCs: what proves a BMC is its pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connection:
    """Whoever opens it closes it, whatever happens. Raises `OSError`; waits without end: deadlines are the caller's."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self._woken: asyncio.Future[None] | None = None
        self._watched = False

    @classmethod
    async def open(cls, context: ssl.SSLContext, host: str, port: int) -> "Connection":
        plain = await _connected(host, port)
        try:
            tls = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise
        made = cls(tls)
        try:
            await made._retried(tls.do_handshake)
        except BaseException:
            made._unwatch()
            tls.close()
            raise
        return made

    def certificate(self) -> bytes:
        """DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def quiet(self) -> bool:
        """Whether it still stands, and nothing came that nobody asked for."""
        if self._watched:
            return True
        try:
            self._tls.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    async def ask(self, request: bytes, reader: ResponseReader) -> Response:
        """Raises `PacketError` too, and `UnansweredError`."""
        heard = False
        try:
            await self._send(request)
            while True:
                if not self._tls.pending():  # usually it takes a while: trying first would be in vain
                    await self._readable()
                data = await self._retried(partial(self._tls.recv, _CHUNK))
                if not data:
                    if not heard:
                        raise UnansweredError("the connection was closed before an answer")
                    return reader.end()
                heard = True
                if (response := reader.feed(data)) is not None:
                    return response
        except ConnectionError as error:
            if heard:
                raise
            raise UnansweredError(str(error)) from error

    async def _send(self, request: bytes) -> None:
        sent = 0
        while sent < len(request):
            sent += await self._retried(partial(self._tls.send, memoryview(request)[sent:]))

    def close(self) -> None:
        self._unwatch()
        with suppress(OSError, ValueError):
            self._tls.unwrap()  # says good-bye; it does not wait for an answer
        self._tls.close()

    async def _retried(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._readable()
            except ssl.SSLWantWriteError:
                await self._writable()

    async def _readable(self) -> None:
        """The socket stays watched between requests, until something comes that nobody waits for."""
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        if not self._watched:
            loop.add_reader(self._tls.fileno(), self._stirred)
            self._watched = True
        try:
            await self._woken
        finally:
            self._woken = None

    def _stirred(self) -> None:
        if self._woken is None:
            self._unwatch()
        elif not self._woken.done():
            self._woken.set_result(None)

    def _unwatch(self) -> None:
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._tls.fileno())
            self._watched = False

    async def _writable(self) -> None:
        loop, number = asyncio.get_running_loop(), self._tls.fileno()
        woken: asyncio.Future[None] = loop.create_future()
        loop.add_writer(number, _wake, woken)
        try:
            await woken
        finally:
            loop.remove_writer(number)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


async def _connected(host: str, port: int) -> socket.socket:
    """To the first of its addresses that takes it."""
    trouble: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, where in await _addresses(host, port):
        plain = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(plain, where)
        except OSError as error:
            trouble = error
            plain.close()
        except BaseException:
            plain.close()
            raise
        else:
            return plain
    raise trouble


async def _addresses(host: str, port: int) -> Sequence[_AddressInfo]:
    """Numbers need no name service, and no thread that asks it."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)

"""The only sockets of syslog: datagrams (RFC 5426), or a stream in the clear (RFC 6587) or over TLS (RFC 5425)."""

import asyncio
import socket
import ssl
from contextlib import suppress

from appliance.errors import MachineryError
from appliance.model.syslog import Collector, Transport, framed

_PATIENCE = 15.0


def line_to(collector: Collector) -> "DatagramLine | StreamLine":
    """Nothing is connected yet. Raises `MachineryError` where the certificates cannot be read."""
    if collector.transport is Transport.UDP:
        return DatagramLine(collector)
    return StreamLine(collector, _trust(collector) if collector.transport is Transport.TLS else None)


class DatagramLine:
    """A socket for each message: the collector's name may lead elsewhere at any time. The cost is that of a look-up."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def send(self, message: bytes) -> None:
        """Raises `OSError`."""
        loop, where = asyncio.get_running_loop(), self._collector
        async with asyncio.timeout(_PATIENCE):
            found = await loop.getaddrinfo(where.host, where.at, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = found[0]
            with socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol) as opened:
                await loop.sock_sendto(opened, message, address)

    async def close(self) -> None:
        return


class StreamLine:
    """One connection, kept. One that the collector has closed is noticed before the next message, not after it."""

    def __init__(self, collector: Collector, tls: ssl.SSLContext | None) -> None:
        self._collector, self._tls = collector, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, message: bytes) -> None:
        """Raises `OSError`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                writer = await self._opened()
                writer.write(framed(message))
                await writer.drain()
        except BaseException:  # half a message may stand there
            await self.close()
            raise

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await streams[1].wait_closed()

    async def _opened(self) -> asyncio.StreamWriter:
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()
        if self._streams is None:
            where = self._collector
            name = where.host if self._tls is not None else None
            self._streams = await asyncio.open_connection(where.host, where.at, ssl=self._tls, server_hostname=name)
        return self._streams[1]


def _trust(collector: Collector) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=collector.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise MachineryError(
            "the certificates of the syslog collector cannot be read",
            evidence=f"{collector.ca_file}: {error}",
            next_action="give a file of certificates in PEM as ca_file",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

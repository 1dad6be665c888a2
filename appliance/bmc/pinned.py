"""The part of `aiohttp.ClientSession` that `AsyncRedfishClient` uses: certificate pinned, answers bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from appliance.bmc.redfish_codec import JsonObject


class TidyConnector(aiohttp.TCPConnector):
    """Forgets no connection: aiohttp does not wait for those that a server, like many BMCs, asked to be closed."""

    def __init__(self, *, limit: int, limit_per_host: int, keepalive_timeout: float) -> None:
        super().__init__(limit=limit, limit_per_host=limit_per_host, keepalive_timeout=keepalive_timeout)
        self._opened: WeakSet[asyncio.Transport] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the signature is the base class's
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None:
            self._opened.add(connection.transport)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        await super().close(abort_ssl=abort_ssl)
        for transport in self._opened:
            transport.abort()


class AnswerTooLargeError(aiohttp.ClientError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`headers` are whatever the BMC wrote: hostile."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    async def read(self) -> bytes:
        return self.body

    def get_encoding(self) -> str:
        """JSON is UTF-8 (RFC 8259 section 8.1), whatever the Content-Type says."""
        return "utf-8"


class PinnedSession:
    """aiohttp compares the fingerprint after the handshake and before the first byte of a request."""

    def __init__(self, session: aiohttp.ClientSession, fingerprint: aiohttp.Fingerprint, *, body_bytes: int) -> None:
        self._session = session
        self._fingerprint = fingerprint
        self._body_bytes = body_bytes

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: CIMultiDict[str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the client hands it on
        allow_redirects: bool = False,
        params: None = None,
        json: JsonObject | None = None,
    ) -> AsyncIterator[Answer]:
        request = self._session.request(
            method,
            url,
            headers=headers,
            timeout=timeout,
            allow_redirects=allow_redirects,
            params=params,
            json=json,
            ssl=self._fingerprint,
        )
        async with request as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > self._body_bytes:
                    raise AnswerTooLargeError(f"more than {self._body_bytes} bytes from {url.path}")
            yield Answer(status=response.status, headers=response.headers, body=bytes(body))

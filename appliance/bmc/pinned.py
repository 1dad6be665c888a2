"""The part of `aiohttp.ClientSession` that `AsyncRedfishClient` uses: certificate pinned, answers bounded.

One connection without aiohttp's layers: for hundreds of BMCs at once those cost more than TLS does.
"""

import asyncio
import json as json_text
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

import aiohttp
from yarl import URL

from appliance.bmc.codec.http import Headers, Response, ResponseReader, TooLargeError, pack_request
from appliance.bmc.connection import Connection, UnansweredError
from appliance.bmc.redfish_codec import JsonObject
from pxe.errors import PacketError

# A connection that idles longer is closed by many BMCs, often just as it is used again.
_IDLE_SECONDS = 15.0
# Compressed answers get weak ETags from some BMCs, which they then refuse in If-Match.
_ALWAYS = {"Accept-Encoding": "identity"}


class AnswerTooLargeError(aiohttp.ClientError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`headers` are whatever the BMC wrote: hostile."""

    status: int
    headers: Headers
    body: bytes

    async def read(self) -> bytes:
        return self.body

    def get_encoding(self) -> str:
        """JSON is UTF-8 (RFC 8259 section 8.1), whatever the Content-Type says."""
        return "utf-8"


class PinnedSession:
    """The fingerprint (SHA-256) is compared after the handshake and before the first byte of a request."""

    def __init__(self, tls: ssl.SSLContext, fingerprint: bytes, *, body_bytes: int) -> None:
        self._tls, self._fingerprint, self._body_bytes = tls, fingerprint, body_bytes
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used_at = 0.0

    def close(self) -> None:
        """May be used again."""
        if self._timer is not None:
            self._timer.cancel()
        connection, self._connection, self._timer = self._connection, None, None
        if connection is not None:
            connection.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the client hands it on
        allow_redirects: bool = False,
        params: None = None,
        json: JsonObject | None = None,
    ) -> AsyncIterator[Answer]:
        fields = {"Host": url.host_port_subcomponent or "", **_ALWAYS, **headers}
        body = b""
        if json is not None:
            fields["Content-Type"], body = "application/json", json_text.dumps(json).encode()
        try:
            packed = pack_request(method, url.raw_path_qs, fields.items(), body)
            async with asyncio.timeout(timeout.total):
                response = await self._ask(url, packed, repeat=method == "GET")
        except TooLargeError as error:
            raise AnswerTooLargeError(f"{error} from {url.path}") from error
        except (OSError, PacketError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise aiohttp.ClientConnectionError(str(error)) from error
        yield Answer(status=response.status, headers=response.headers, body=response.body)

    async def _ask(self, url: URL, packed: bytes, *, repeat: bool) -> Response:
        """A BMC may close an idle connection just as it is used: what only reads is asked on a new one then."""
        kept = self._kept()
        try:
            return await self._exchange(kept or await self._connect(url), packed)
        except UnansweredError:
            if not repeat or kept is None:
                raise
        return await self._exchange(await self._connect(url), packed)

    async def _exchange(self, connection: Connection, packed: bytes) -> Response:
        try:
            response = await connection.ask(packed, ResponseReader(self._body_bytes))
        except BaseException:
            connection.close()
            raise
        if response.again:
            self._keep(connection)
        else:
            connection.close()
        return response

    def _keep(self, connection: Connection) -> None:
        """One timer for many requests: it looks again when the connection was used meanwhile."""
        loop = asyncio.get_running_loop()
        self._connection, self._used_at = connection, loop.time()
        if self._timer is None:
            self._timer = loop.call_later(_IDLE_SECONDS, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._used_at + _IDLE_SECONDS - loop.time()
        if left > 0 and self._connection is not None:
            self._timer = loop.call_later(left, self._look)
        else:
            self.close()

    def _kept(self) -> Connection | None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.quiet():
            connection.close()
            return None
        return connection

    async def _connect(self, url: URL) -> Connection:
        host, port = url.raw_host or "", url.port or 0
        connection = await Connection.open(self._tls, host, port)
        got = sha256(connection.certificate()).digest()
        if got != self._fingerprint:
            connection.close()
            raise aiohttp.ServerFingerprintMismatch(self._fingerprint, got, host, port)
        return connection

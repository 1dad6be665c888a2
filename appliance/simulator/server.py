"""The only sockets of the simulated BMCs: one process serves many, each on a TLS port of its own."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import repeat
from pathlib import Path
from typing import assert_never

from aiohttp import web

from appliance.bmc.redfish_codec import JsonObject, JsonValue
from appliance.lab.certificate import Certificate, self_signed
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret
from appliance.simulator.bmc import Request, SimulatedBmc
from appliance.simulator.faults import Fault, Injection, Manner, Reply

LOOPBACK = IPv4Address("127.0.0.1")
_SLOW_SECONDS = 0.05
_ENDLESS = b"x" * (1 << 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """A certificate as `ssl` wants it: in files."""

    fingerprint: str
    certificate: Path
    key: Path

    @classmethod
    def write(cls, folder: Path, name: str, made: Certificate) -> "Papers":
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(made.certificate)
        key.write_bytes(made.key)
        key.chmod(0o600)
        return cls(fingerprint=made.fingerprint, certificate=certificate, key=key)


class BmcServer:
    """One BMC at one address. `inject` is as `SimulatedBmc` has it; another certificate ends open connections."""

    def __init__(self, bmc: SimulatedBmc, papers: Papers, others: Papers) -> None:
        self.bmc = bmc
        self._papers, self._others = papers, others
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(papers.certificate, papers.key)
        self._http = web.Server(self.answer, handler_cancellation=True, access_log=None)
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def endpoint(self) -> BmcEndpoint:
        """With what its certificate was at first."""
        return BmcEndpoint(
            url=f"https://{LOOPBACK}:{self.port}",
            user=self.bmc.user,
            password=Secret(self.bmc.password),
            fingerprint=self._papers.fingerprint,
        )

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._http, str(LOOPBACK), 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._http.shutdown(0.1)

    def inject(self, injection: Injection | None) -> None:
        self.bmc.inject(injection)
        new = injection is not None and injection.fault is Fault.NEW_CERTIFICATE
        papers = self._others if new else self._papers
        self._tls.load_cert_chain(papers.certificate, papers.key)
        if new:
            for connection in self._http.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = _object(await request.text())
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(method=request.method, path=request.path_qs, headers=headers, body=body)
        return await send(request, self.bmc.answer(asked))


def _object(text: str) -> JsonObject | None:
    if not text:
        return None
    value: JsonValue = json.loads(text)
    return value if isinstance(value, dict) else {}


async def send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """In the reply's manner. A client that went away meanwhile ends it."""
    match reply.manner:
        case Manner.AT_ONCE:
            return web.Response(status=reply.status, headers=reply.headers, body=reply.body)
        case Manner.NEVER:
            never: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
            return await never
        case Manner.BY_BYTES:
            return await _streamed(request, reply, (bytes((byte,)) for byte in reply.body), _SLOW_SECONDS)
        case Manner.WITHOUT_END:
            return await _streamed(request, reply, repeat(_ENDLESS), 0.0)
        case _:
            assert_never(reply.manner)


async def _streamed(request: web.BaseRequest, reply: Reply, parts: Iterable[bytes], pause: float) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.enable_chunked_encoding()
    with suppress(ConnectionError):
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
    return response


class Farm:
    """BMCs that share a process and a certificate. Made by `farm`."""

    def __init__(self, folder: Path) -> None:
        self._papers = Papers.write(folder, "bmc", self_signed("bmc", LOOPBACK))
        self._others = Papers.write(folder, "other", self_signed("bmc", LOOPBACK))
        self._servers: list[BmcServer] = []

    async def add(self, bmc: SimulatedBmc) -> BmcServer:
        server = BmcServer(bmc, self._papers, self._others)
        await server.start()
        self._servers.append(server)
        return server

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))


@asynccontextmanager
async def farm(folder: Path) -> AsyncIterator[Farm]:
    """`folder` is for the certificates."""
    made = Farm(folder)
    try:
        yield made
    finally:
        await made.stop()

"""Connections that a BMC closes just as they are used again: what only reads is asked once more, a command is not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from appliance.bmc.connection import unverified_tls
from appliance.bmc.pinned import PinnedSession
from tests.bench import bmc_farm

PATIENCE = aiohttp.ClientTimeout(total=5)


class Fickle:
    """Answers `each` requests on a connection, promises to take more, and closes it at the next."""

    def __init__(self, folder: Path, each: int = 1) -> None:
        for name, text in bmc_farm.redfish(folder).files.items():
            (folder / name).write_text(text)
        self.folder, self.each, self.methods = folder, each, list[bytes]()
        self.gone = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self.each):
            await self.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await self.request(reader)
        writer.close()

    async def request(self, reader: asyncio.StreamReader) -> None:
        try:
            self.methods.append((await reader.readuntil(b"\r\n\r\n")).partition(b" ")[0])
        except asyncio.IncompleteReadError:
            self.gone.set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[tuple[PinnedSession, URL]]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=bmc_farm.tls(self.folder))
        pin = bytes.fromhex(bmc_farm.fingerprint(self.folder))
        session = PinnedSession(unverified_tls(), pin, body_bytes=100)
        async with server:
            try:
                yield session, URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            finally:
                session.close()


async def ask(session: PinnedSession, url: URL, method: str) -> bytes:
    async with session.request(method, url, headers={}, timeout=PATIENCE) as answer:
        return answer.body


def test_what_only_reads_is_asked_again_on_a_new_connection(tmp_path: Path) -> None:
    service = Fickle(tmp_path)

    async def scenario() -> list[bytes]:
        async with service.serve() as (session, url):
            return [await ask(session, url, "GET") for _ in range(3)]

    assert asyncio.run(scenario()) == [b"{}"] * 3
    assert service.methods == [b"GET"] * 5


def test_command_is_not_asked_again(tmp_path: Path) -> None:
    service = Fickle(tmp_path)

    async def scenario() -> None:
        async with service.serve() as (session, url):
            await ask(session, url, "GET")
            with pytest.raises(aiohttp.ClientConnectionError, match="closed before an answer"):
                await ask(session, url, "POST")

    asyncio.run(scenario())
    assert service.methods == [b"GET", b"POST"]


def test_service_that_never_answers_is_not_asked_for_ever(tmp_path: Path) -> None:
    service = Fickle(tmp_path, each=0)

    async def scenario() -> None:
        async with service.serve() as (session, url):
            with pytest.raises(aiohttp.ClientConnectionError):
                await ask(session, url, "GET")

    asyncio.run(scenario())
    assert service.methods == [b"GET"]


def test_nothing_is_sent_to_another_certificate(tmp_path: Path) -> None:
    service = Fickle(tmp_path)

    async def scenario() -> None:
        async with service.serve() as (_, url):
            stranger = PinnedSession(unverified_tls(), sha256(b"").digest(), body_bytes=100)
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await ask(stranger, url, "GET")

    asyncio.run(scenario())
    assert service.methods == []


def test_connection_that_idles_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.bmc.pinned._IDLE_SECONDS", 0.05)
    service = Fickle(tmp_path)

    async def scenario() -> None:
        async with service.serve() as (session, url), asyncio.timeout(5):
            await ask(session, url, "GET")
            await service.gone.wait()

    asyncio.run(scenario())


def test_tls_that_is_none(tmp_path: Path) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            session = PinnedSession(unverified_tls(), bytes(32), body_bytes=100)
            url = URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            with pytest.raises(aiohttp.ClientConnectionError) as caught:
                await ask(session, url, "GET")
            assert isinstance(caught.value.__cause__, ssl.SSLError)

    asyncio.run(scenario())

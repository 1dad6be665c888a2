"""Asks what an application on a host publishes, by HTTP: the only sockets of this package."""

from ipaddress import IPv4Address

import aiohttp

from appliance.errors import UnreachableError
from appliance.model.text import clean

_SECONDS = 10.0
_ANSWER_LIMIT = 1 << 20


async def page(address: IPv4Address, port: int, path: str) -> tuple[int, bytes]:
    """Status and the beginning of the body; nobody is followed to another place. Raises `UnreachableError`."""
    url, limit = f"http://{address}:{port}{path}", aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            return answer.status, await _beginning(answer.content)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UnreachableError(
            f"{url[:200]} does not answer",
            evidence=clean(f"{type(error).__name__}: {error}", 200),
            next_action="wait; then read the container's journal on the host",
        ) from error


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) < _ANSWER_LIMIT and (piece := await content.read(_ANSWER_LIMIT - len(body))):
        body += piece
    return bytes(body)

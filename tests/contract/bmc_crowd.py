"""BMCs at addresses of their own, some of which hang: `python -m tests.contract.bmc_crowd FOLDER`, until SIGTERM.

Says where they listen, one JSON object on a line: kind -> [[host, port], ...].
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.bmc_farm import ended, machines, tls

HEALTHY, HUNG = 200, 20
_HALF_A_HELLO = bytes.fromhex("160303007a020000")


class _Deaf(asyncio.Protocol):
    """Takes the connection, and whatever comes on it."""


class _Half(asyncio.Protocol):
    """Begins to answer the first message of TLS."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_HALF_A_HELLO)


async def _serve(folder: Path) -> None:
    loop, context = asyncio.get_running_loop(), tls(folder)
    # `mute` has the whole of TLS and never answers a request.
    kinds: dict[str, tuple[Callable[[], asyncio.Protocol], int, bool]] = {
        "healthy": (machines(), HEALTHY, True),
        "deaf": (_Deaf, HUNG, False),
        "half": (_Half, HUNG, False),
        "mute": (_Deaf, HUNG, True),
    }
    where = {}
    for number, (kind, (protocol, count, secure)) in enumerate(kinds.items(), start=1):
        hosts = [f"127.77.{number}.{host}" for host in range(1, count + 1)]
        server = await loop.create_server(protocol, hosts, 0, ssl=context if secure else None, backlog=64)
        where[kind] = [made.getsockname()[:2] for made in server.sockets]
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()
    await ended()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))

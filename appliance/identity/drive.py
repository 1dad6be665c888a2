"""Where BMCs fetch the medium that they are to carry: one path nobody can guess for each, on their own network only."""

import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from threading import Lock

from appliance.errors import MachineryError, RefusedError
from appliance.ports import Rng
from pxe.content import BytesContent, Content
from pxe.errors import PxeError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import HttpEvent, HttpServer
from pxe.ports import Clock

_NAME_BYTES = 32
_PREFIX, _SUFFIX = "/identity/", ".iso"
_MEDIA_TYPE = "application/x-iso9660-image"
_DISCARD = 9  # the port of RFC 863: nothing is sent there


@dataclass(slots=True)
class _Shelf:
    """Implements `pxe.http.server.Routes`: what is not on it does not exist."""

    media: dict[str, bytes] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def content(self, path: str) -> Content | None:
        with self.lock:
            data = self.media.get(path)
        return None if data is None else BytesContent(data=data, media_type=_MEDIA_TYPE)

    def is_dynamic(self, path: str) -> bool:
        return False

    def is_slow(self, path: str) -> bool:
        return False

    def handle(self, request: HttpRequest) -> HttpReply:
        raise AssertionError(f"nothing here is dynamic: {request.path[:40]}")


class Drives:
    """`closed` are networks that tokens never travel on: those of the machines. A listener for each of our addresses
    that face BMCs, opened when the first medium is offered there."""

    def __init__(
        self,
        *,
        closed: tuple[IPv4Network, ...],
        port: int,
        clock: Clock,
        rng: Rng,
        facing: Callable[[str], IPv4Address] | None = None,
    ) -> None:
        self._closed, self._port, self._clock, self._rng = closed, port, clock, rng
        self._facing = facing or facing_address
        self._shelf = _Shelf()
        self._servers: dict[IPv4Address, HttpServer] = {}

    def offer(self, host: str, data: bytes) -> str:
        """The URL at which the BMC `host` gets `data`. May block. Raises `RefusedError`, `MachineryError`."""
        address = self._facing(host)
        if any(address in network for network in self._closed):
            raise RefusedError(
                "a token would travel on the boot network, where every machine can read it",
                evidence=f"the BMC {host} is reached from {address}",
                next_action="put the BMCs into a network of their own, or compare codes: innervate confirm",
            )
        path = f"{_PREFIX}{self._rng.token(_NAME_BYTES)}{_SUFFIX}"
        server = self._server(address)
        with self._shelf.lock:
            self._shelf.media[path] = data
        return f"http://{address}:{server.port}{path}"

    def withdraw(self, url: str) -> None:
        with self._shelf.lock:
            self._shelf.media.pop(path_of(url), None)

    def close(self) -> None:
        for server in self._servers.values():
            server.stop()
        self._servers = {}

    def _server(self, address: IPv4Address) -> HttpServer:
        if (server := self._servers.get(address)) is None:
            try:
                server = HttpServer(
                    address=address, routes=self._shelf, clock=self._clock, observe=_unheard, port=self._port
                )
            except (PxeError, OSError) as error:
                raise MachineryError(
                    f"BMCs cannot fetch media from {address}:{self._port}",
                    evidence=str(error),
                    next_action="give the site program another port: Rack(identity=IdentityPolicy(port=...))",
                ) from error
            server.start()
            self._servers[address] = server
        return server


def is_ours(url: str) -> bool:
    """A medium that this appliance, or an earlier life of it, has put there."""
    return path_of(url).startswith(_PREFIX)


def path_of(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def facing_address(host: str) -> IPv4Address:
    """Ours, as this host sees it. Raises `MachineryError`."""
    try:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.connect((host, _DISCARD))
            return IPv4Address(probe.getsockname()[0])
    except OSError as error:
        raise MachineryError(
            f"there is no way to the BMC {host}", evidence=str(error), next_action="check address and routes"
        ) from error


def _unheard(_event: HttpEvent) -> None:
    pass

"""Agents as the desk meets them: the product's own channel, on requests instead of a network."""

import hashlib
from collections.abc import Callable
from ipaddress import IPv4Address

from images.agent.channel import Channel
from images.agent.medium import Medium
from images.agent.ports import Reply, Stream
from images.agent.protocol import NONCE_HEADER
from pxe.http.responder import HttpReply, HttpRequest

HERE = IPv4Address("10.77.0.51")


class Entropy:
    def __init__(self, seed: str) -> None:
        self._seed, self._count = seed, 0

    def bytes(self, size: int) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._seed} {self._count}".encode()).digest()[:size]


class Wire:
    """Implements `images.agent.ports.Http`. `said` are the requests, as somebody who listens could repeat them."""

    def __init__(self, handle: Callable[[HttpRequest], HttpReply], nonce: str, client: IPv4Address = HERE) -> None:
        self.handle, self.nonce, self.client = handle, nonce, client
        self.said: list[HttpRequest] = []

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        lower = {name.lower(): value for name, value in {NONCE_HEADER: self.nonce, **headers}.items()}
        request = HttpRequest(client=self.client, method="POST", path=path, query={}, headers=lower, body=body)
        self.said.append(request)
        reply = self.handle(request)
        told = {name.lower(): value for name, value in reply.headers}
        return Reply(status=int(reply.status), body=reply.body, headers=told)

    def open(self, path: str, *, start: int) -> Stream:
        raise AssertionError(path)


def channel(wire: Wire, name: str = "agent", medium: Medium | None = None, said: list[str] | None = None) -> Channel:
    """The same `name` is the same key."""
    return Channel(
        http=wire,
        nonce=wire.nonce,
        key=hashlib.sha256(name.encode()).digest(),
        look=lambda: medium,
        entropy=Entropy(name),
        say=(said if said is not None else []).append,
    )

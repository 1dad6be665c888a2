"""The API without a socket: each request says how it came in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute, _iter_routes_with_context
from starlette.types import Message

from appliance.access.access import Access
from appliance.access.model import Caller, Role, Via
from appliance.api.app import create_app
from appliance.api.fake import FakeApplication, fake_access
from appliance.api.gate import COOKIE, Needs, Peer
from appliance.system import SystemRng

HOST = "rack.example"
PASSWORD = "correct horse battery"
LOCAL = Peer(user="root", trusted=True)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        code: str = json.loads(self.body)["code"]
        return code


@dataclass(kw_only=True)
class Api:
    app: FastAPI
    access: Access
    application: FakeApplication = field(default_factory=FakeApplication)

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        peer: Peer | None = None,
        host: str | None = HOST,
        token: str = "",
        source: str = "192.0.2.1",
        upgrade: bool = False,
    ) -> Answer:
        """`body` is sent as JSON, bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent: list[Message] = []
        given = {"host": host, "authorization": f"Bearer {token}" if token else None} | (headers or {})
        if data:
            given.setdefault("content-type", "application/json")
        parts = urlsplit(target)
        scope = {
            "type": "websocket" if upgrade else "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in given.items() if value is not None],
            "scheme": "https",
            "server": ("192.0.2.9", 443),
            "client": None if peer else (source, 50000),
            "state": {"peer": peer} if peer else {},
            "http_version": "1.1",
            "root_path": "",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
        } | ({"subprotocols": [], "extensions": {"websocket.http.response": {}}} if upgrade else {"method": method})
        incoming = [{"type": "websocket.connect"}] if upgrade else [{"type": "http.request", "body": data}]

        async def receive() -> Message:
            return incoming.pop(0) if incoming else {"type": "websocket.disconnect" if upgrade else "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        return Answer(
            status=start.get("status", 101),
            headers={key.decode(): value.decode() for key, value in start.get("headers", ())},
            body=b"".join(message.get("body", b"") for message in sent[1:]),
        )

    async def log_in(self, name: str, password: str = PASSWORD) -> dict[str, str]:
        """The headers of its session."""
        entered = await self.access.desk.log_in(name, password, "", "192.0.2.1")
        return {
            "cookie": f"{COOKIE}={entered.cookie}",
            "x-csrf-token": entered.csrf,
            "origin": f"https://{HOST}",
        }

    def token(self, role: Role) -> str:
        """Of the account that is called as the role."""
        caller = Caller(name=role.value, role=role, via=Via.SESSION)
        return self.access.desk.make_token(caller, "test", role, 1)[1]


@contextmanager
def api(application: FakeApplication | None = None) -> Iterator[Api]:
    application = application or FakeApplication()
    with fake_access() as access:
        app = create_app(application, access, SystemRng(), hosts=frozenset({HOST}))
        yield Api(app=app, access=access, application=application)


async def with_accounts(one: Api) -> Api:
    """An account for each role, which is called like it."""
    await one.access.desk.set_up("admin", one.access.desk.setup_code, PASSWORD, "192.0.2.1")
    for role in (Role.VIEWER, Role.OPERATOR):
        await one.access.desk.add_user(role.value, role, PASSWORD)
    return one


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A route as it is mounted. `role` is None where it declares none."""

    method: str
    path: str
    role: Role | None

    @property
    def upgrade(self) -> bool:
        return self.method == "WEBSOCKET"


def declared(app: FastAPI) -> tuple[Declared, ...]:
    """Every route, whatever its kind."""
    found = []
    for route, context in _iter_routes_with_context(app.routes):
        path = str(getattr(context or route, "path", None) or getattr(route, "path", ""))
        methods = (
            ("WEBSOCKET",) if isinstance(route, APIWebSocketRoute) else sorted(getattr(route, "methods", ()) or ())
        )
        needed = [
            one.dependency.role
            for one in (route.dependencies if isinstance(route, APIRoute | APIWebSocketRoute) else ())
            if isinstance(one.dependency, Needs)
        ]
        assert len(needed) <= 1, path
        assert methods, f"{path} is mounted, and says no method"
        found += [Declared(method=method, path=path, role=needed[0] if needed else None) for method in methods]
    return tuple(found)

"""Requests that count once, however often they are sent: `Idempotency-Key` on POST.

Same key and same request: the same answer. Same key, another request: 422. While the first one is under way: 409. What
was refused may be asked again. It holds across a crash of the daemon: an answer is on disk before it leaves, and what a
request did to a run is in one commit with the word that it was done.
"""

import hashlib
import re
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.access.model import Caller
from appliance.api.bodies import BODY_LIMIT
from appliance.api.port import Application, Honoured
from appliance.api.problems import answered
from appliance.errors import ConflictError, InnervateError, UsageError
from appliance.model.asked import Asked, Counted
from appliance.store.answers import Answer, Answers

HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_KEPT_HEADERS = frozenset({"content-type", "location", "etag"})


def asked_of(connection: HTTPConnection) -> Asked:
    """Who asks; and the request, where it came with a key."""
    caller: Caller = connection.state.caller
    mark: _Mark | None = getattr(connection.state, "mark", None)
    if mark is None:
        return Asked(by=caller.name)
    status = getattr(connection.scope.get("route"), "status_code", None) or 200
    return Asked(by=caller.name, once=Counted(key=mark.key, print=mark.print, status=status))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    key: str
    print: str


class Once:
    def __init__(self, app: ASGIApp, application: Application, answers: Answers) -> None:
        self._app, self._application, self._answers = app, application, answers
        self._running: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        caller: Caller | None = getattr(connection.state, "caller", None)
        if scope.get("method") != "POST" or caller is None or HEADER not in connection.headers:
            await self._app(scope, receive, send)
            return
        try:
            body = await _collected(receive)
            mark = self._mark(connection, caller, body)
            self._refuse_clash(mark)
        except (InnervateError, HTTPException) as error:
            await answered(connection, error)(scope, receive, send)
            return
        self._running[mark.key] = mark.print
        try:
            response = await self._response(scope, mark, body)
        except InnervateError as error:
            response = answered(connection, error)
        finally:
            del self._running[mark.key]
        await response(scope, receive, send)

    def _mark(self, connection: HTTPConnection, caller: Caller, body: bytes) -> _Mark:
        said = connection.headers.getlist(HEADER)
        if len(said) != 1 or not _KEY.fullmatch(said[0]):
            raise UsageError("this is no Idempotency-Key", next_action="send one of 1 to 128 visible ASCII characters")
        scope = connection.scope
        wanted = b"\0".join((scope["path"].encode(), scope["query_string"], body))
        key = hashlib.sha256(f"{caller.name}\0{said[0]}".encode()).hexdigest()
        return _Mark(key=key, print=self._answers.print(wanted))

    def _refuse_clash(self, mark: _Mark) -> None:
        running = self._running.get(mark.key)
        honoured = self._application.honoured(mark.key)
        known = {running, self._answers.print_of(mark.key), honoured.print if honoured else None} - {None}
        if known - {mark.print}:
            raise UsageError(
                "this Idempotency-Key was sent with another request", next_action="make a new key for each request"
            )
        if running is not None:
            raise ConflictError("this request is being carried out", next_action="ask again in a moment")

    async def _response(self, scope: Scope, mark: _Mark, body: bytes) -> Response:
        if self._answers.print_of(mark.key) is not None:
            return _replayed(await self._answers.read(mark.key))
        honoured = self._application.honoured(mark.key)
        if honoured is not None:
            return await self._keep(mark, await self._shown(scope, honoured))
        HTTPConnection(scope).state.mark = mark
        return await self._keep(mark, await _captured(self._app, scope, body))

    async def _shown(self, scope: Scope, honoured: Honoured) -> Response:
        """The answer that a crash has swallowed."""
        target = honoured.location.encode()
        look = {**scope, "method": "GET", "path": honoured.location, "raw_path": target, "query_string": b""}
        look["headers"] = [(key, value) for key, value in scope["headers"] if key == b"host"]
        response = await _captured(self._app, look, b"")
        if response.status_code == 200:
            response.status_code = honoured.status
            if honoured.status != 200:
                response.headers["location"] = honoured.location
        return response

    async def _keep(self, mark: _Mark, response: Response) -> Response:
        if response.status_code < 400:
            secret = response.headers.get("cache-control") == "no-store"
            kept = tuple((key, value) for key, value in response.headers.items() if key in _KEPT_HEADERS)
            answer = Answer(
                key=mark.key,
                print=mark.print,
                status=response.status_code,
                headers=kept,
                body="" if secret else bytes(response.body).decode(),
                secret=secret,
            )
            await self._answers.keep(answer)
        return response


def _replayed(answer: Answer) -> Response:
    if answer.secret:
        raise ConflictError(
            "this was done; its answer showed a secret, and is not kept", next_action="revoke it, and make a new one"
        )
    headers = {**dict(answer.headers), "Idempotency-Replayed": "true"}
    return Response(answer.body, status_code=answer.status, headers=headers)


async def _captured(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    sent: list[Message] = []
    left = [body]

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop()} if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    response = Response(b"".join(message.get("body", b"") for message in sent[1:]), status_code=sent[0]["status"])
    response.raw_headers = list(sent[0]["headers"])
    return response


async def _collected(receive: Receive) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise HTTPException(400, "the request ended early")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"a body may have {BODY_LIMIT} bytes")
    return bytes(body)

"""One question and its answer over the daemon's socket, and the errors that come back as what they were."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from appliance.dial import Dial, UnixDial, absent, headers_of, http_connection, websocket
from appliance.errors import (
    AccessError,
    AgentError,
    BmcError,
    CapabilityError,
    ClusterError,
    ConflictError,
    IncompleteError,
    InnervateError,
    LateError,
    LoginError,
    MachineryError,
    NotFoundError,
    PlanError,
    RefusedError,
    ShellError,
    SiteError,
    StaleError,
    StepError,
    ThrottledError,
    UnguardedError,
    UnreachableError,
    UsageError,
)
from appliance.model.codec import from_json, to_json
from appliance.model.views import ProblemView

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

T = TypeVar("T")

_ANSWER_LIMIT = 64 << 20
_SEND_SECONDS = 900.0
KINDS: dict[str, type[InnervateError]] = {
    kind.code: kind
    for kind in (
        InnervateError,
        UsageError,
        SiteError,
        CapabilityError,
        PlanError,
        RefusedError,
        NotFoundError,
        ConflictError,
        StaleError,
        UnguardedError,
        IncompleteError,
        AccessError,
        LoginError,
        ThrottledError,
        StepError,
        BmcError,
        AgentError,
        ClusterError,
        ShellError,
        UnreachableError,
        MachineryError,
    )
}


class Exchange:
    def __init__(self, where: Path | Dial, *, timeout: float = 60.0) -> None:
        """`where` as a path is the daemon's Unix socket."""
        self._dial = UnixDial(path=where) if isinstance(where, Path) else where
        self._timeout = timeout

    @contextmanager
    def _joined(self, target: str) -> "Iterator[ClientConnection]":
        from websockets.exceptions import InvalidHandshake, InvalidStatus

        try:
            connection = websocket(self._dial, target, self._timeout)
        except InvalidStatus as error:
            raise _rebuilt(bytes(error.response.body), error.response.status_code) from None
        except (OSError, InvalidHandshake) as error:
            raise absent(self._dial, error) from error
        with connection as joined:
            yield joined

    def _tell(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """For answers that are no document."""
        status, data = self._exchange(method, target, None, self._timeout, headers)
        if status >= 400:
            raise _rebuilt(data, status)
        return data

    def _call(
        self,
        kind: type[T],
        method: str,
        target: str,
        body: object = None,
        *,
        more_time: float = 0,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        said = {"Content-Type": "application/json"} if body is not None else {}
        data = None if body is None else to_json(body)
        status, document = self._exchange(method, target, data, self._timeout + more_time, said | dict(headers or {}))
        return _understood(kind, f"{method} {target}", status, document)

    def _send(self, kind: type[T], method: str, target: str, file: Path) -> T:
        """A file as it is, piece by piece. Raises `UsageError` where it cannot be read."""
        try:
            with file.open("rb") as body:
                size = os.fstat(body.fileno()).st_size
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
                status, document = self._exchange(method, target, body, _SEND_SECONDS, headers)
        except OSError as error:
            raise UsageError(f"{file} cannot be read", evidence=str(error), next_action="name a file") from error
        return _understood(kind, f"{method} {target}", status, document)

    def _exchange(
        self,
        method: str,
        target: str,
        body: bytes | BinaryIO | None,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        connection = http_connection(self._dial, timeout)
        said = headers_of(self._dial) | dict(headers or {})
        try:
            connection.request(method, target, body=body, headers=said)
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_LIMIT)
        except TimeoutError as error:
            raise LateError(
                f"the daemon did not answer within {timeout:g} seconds",
                evidence=f"{method} {target} on {self._dial}",
                next_action="see what it does: `innervate events --follow`",
            ) from error
        except (OSError, HTTPException) as error:
            raise absent(self._dial, error) from error
        finally:
            connection.close()


def _understood(kind: type[T], asked: str, status: int, document: bytes) -> T:
    if status >= 400:
        raise _rebuilt(document, status)
    try:
        return from_json(kind, document)
    except UsageError as error:
        raise MachineryError(
            "the daemon's answer makes no sense to this client",
            evidence=f"{asked}: {error}",
            next_action="use a client and a daemon of the same version",
        ) from error


def _rebuilt(document: bytes, status: int) -> InnervateError:
    try:
        view = from_json(ProblemView, document)
    except UsageError as error:
        raise MachineryError(
            "the daemon refused without saying why",
            evidence=f"status {status}: {document[:200].decode(errors='replace')}",
            next_action="read the daemon's log",
        ) from error
    return error_of(view.code, view.detail or view.title, view.evidence, view.next_action)


def error_of(code: str, message: str, evidence: str, next_action: str) -> InnervateError:
    """What the daemon raised, or would have."""
    return KINDS.get(code, MachineryError)(message, evidence=evidence, next_action=next_action)

"""Every error becomes an RFC 9457 problem document here, once, whether it befell a request or a WebSocket."""

from dataclasses import replace
from http import HTTPStatus
from math import ceil

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from appliance.errors import InnervateError, LoginError, ThrottledError
from appliance.manual.help import of_code
from appliance.model.codec import to_json
from appliance.model.views import ProblemView

MEDIA_TYPE = "application/problem+json"

STATUSES: dict[str, int] = {
    "usage": 422,
    "site": 422,
    "capability": 422,
    "plan": 422,
    "refused": 409,
    "not-found": 404,
    "conflict": 409,
    "stale": 412,
    "unguarded": 428,
    "incomplete": 409,
    "login": 401,
    "forbidden": 403,
    "throttled": 429,
    "step": 502,
    "bmc": 502,
    "agent": 502,
    "cluster": 502,
    "shell": 502,
    "unreachable": 502,
    "machinery": 500,
    "error": 500,
}


def add_handlers(app: FastAPI) -> None:
    for kind in (InnervateError, RequestValidationError, WebSocketRequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


def problem(error: Exception) -> ProblemView:
    """An error that is not ours tells nothing of itself: its traceback belongs in the log, not on the wire."""
    match error:
        case InnervateError():
            return _document(STATUSES.get(error.code, 500), error.code, str(error), error.evidence, error.next_action)
        case RequestValidationError() | WebSocketRequestValidationError():
            return _document(422, "usage", _first_misfit(error), "", "see /v1/openapi.json for what is accepted")
        case HTTPException():
            code = "not-found" if error.status_code == HTTPStatus.NOT_FOUND else "usage"
            return _document(error.status_code, code, str(error.detail), "", "see /v1/openapi.json for what is served")
        case _:
            return _document(500, "machinery", "the daemon failed unexpectedly", "", "read the daemon's log")


def _document(status: int, code: str, detail: str, evidence: str, next_action: str) -> ProblemView:
    return ProblemView(
        type=of_code(code),
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        evidence=evidence,
        next_action=next_action,
    )


def _first_misfit(error: RequestValidationError | WebSocketRequestValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"[:500]


def answered(connection: HTTPConnection, error: Exception) -> Response:
    """A WebSocket that is not yet accepted gets the same response (ASGI, WebSocket Denial Response extension)."""
    document = replace(problem(error), trace_id=getattr(connection.state, "trace_id", ""))
    return Response(to_json(document), status_code=document.status, headers=_headers(error), media_type=MEDIA_TYPE)


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case ThrottledError(retry_after=seconds):
            return {"Retry-After": str(ceil(seconds))}
        case LoginError():
            return {"WWW-Authenticate": 'Bearer realm="Innervate"'}
        case HTTPException(headers=headers):
            return dict(headers or {})
        case _:
            return {}


async def _answer(request: Request, error: Exception) -> Response:
    return answered(request, error)

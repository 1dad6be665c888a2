"""One request and one response, as values, and what HTTP says of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from appliance.redfish.document import JsonObject, render
from appliance.redfish.errors import Refusal
from appliance.redfish.messages import error_object
from appliance.redfish.router import Kind, Operation, Resource, Target, UnknownAction

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
_READ = ("GET", "HEAD")
_PATCHED = (Kind.SYSTEM, Kind.CHASSIS, Kind.SESSION_SERVICE, Kind.ACCOUNT)
_POSTED = (Kind.SESSIONS, Kind.SESSIONS_MEMBERS, Kind.ACCOUNTS, Kind.SUBSCRIPTIONS)
_DELETED = (Kind.SESSION, Kind.ACCOUNT, Kind.SUBSCRIPTION, Kind.TASK, Kind.TASK_MONITOR)
# Section 6.5 and 8.1: of every answer.
_ALWAYS = (("OData-Version", "4.0"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class Media(Enum):
    JSON = "application/json"
    XML = "application/xml"
    EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`target` is the request target as sent (path and query); `headers` by lower-case name."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """`subscriber` is None for a plain body; where events follow the headers, the session that they are for, "" for
    basic authentication."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    subscriber: str | None = None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def media_of(target: Target | None) -> Media:
    if isinstance(target, Resource) and target.kind is Kind.METADATA:
        return Media.XML
    if isinstance(target, Resource) and target.kind is Kind.EVENTS:
        return Media.EVENTS
    return Media.JSON


def accepts(header: str | None, media: Media) -> bool:
    """Accept (RFC 9110 section 12.5.1), as far as a service with one form of each resource needs it."""
    if header is None or not header.strip():
        return True
    family = media.value.partition("/")[0]
    ranges = (part.split(";") for part in header.lower().split(","))
    wanted = {part[0].strip() for part in ranges if not any(_is_zero(parameter) for parameter in part[1:])}
    return bool(wanted & {"*/*", f"{family}/*", media.value})


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip() in ("0", "0.0", "0.00", "0.000")


def allowed(target: Target) -> tuple[str, ...]:
    """For the Allow header (DSP0266 section 8.1)."""
    match target:
        case Operation() | UnknownAction():
            return ("POST",)
        case Resource(kind=kind):
            read = () if kind is Kind.SESSIONS_MEMBERS else _READ
            post = ("POST",) if kind in _POSTED else ()
            patch = ("PATCH",) if kind in _PATCHED else ()
            return read + post + patch + (("DELETE",) if kind in _DELETED else ())


def plain(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status=status, headers=_ALWAYS + headers)


def answer(status: int, document: JsonObject, *headers: tuple[str, str]) -> Response:
    kind = ("Content-Type", "application/json;charset=utf-8")
    return Response(status=status, headers=(*_ALWAYS, kind, *headers), body=render(document))


def refusal(value: Refusal) -> Response:
    return answer(value.status, error_object(value.messages), *value.headers)

"""What can be wrong with a simulated BMC, and what that makes of its answers. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import assert_never

from appliance.bmc.redfish_codec import JsonObject, JsonValue

BUSY_TIMES = 2
BUSY_SECONDS = 5


class Fault(Enum):
    SILENT = "never answers"
    ERROR_500 = "HTTP 500"
    BUSY = "HTTP 503 with Retry-After, to the first requests for each resource"
    SLOW_BYTES = "an answer takes minutes, byte by byte"
    GARBAGE = "the body is no JSON"
    HUGE_BODY = "the body has no end"
    WRONG_TYPES = "text in the place of each object"
    REDIRECT_LOOP = "each resource has moved to where it is"
    SESSIONS_FULL = "others hold all sessions, ours was ended"
    BAD_ETAGS = "ETags are empty or weak by turns, and refused in If-Match as they are"
    STALE_ETAGS = "HTTP 412 to each PATCH"
    LOST_TASKS = "a task is forgotten, with what it was to do"
    LIES_ABOUT_POWER = "a power command is accepted and shown, and the machine does nothing"
    DROPS_BOOT_MODE = "a boot change is accepted without its mode"
    NEEDS_RESET = "nothing can be changed before the BMC was reset"
    FORGETS_LEAVES = "HTTP 404 for what was not reached from its parent"
    TOO_SOON = "HTTP 400 to a change that follows another within a minute"
    NEW_CERTIFICATE = "another certificate than before"


IN_PLACE = frozenset({Fault.SILENT, Fault.ERROR_500, Fault.BUSY, Fault.REDIRECT_LOOP})
"""Those that may come in the place of what was asked; with other faults of answers it is done, and said badly."""


class Strike(Enum):
    """Which requests a fault of answers meets; faults of behaviour are there all the time."""

    ALWAYS = auto()
    """All, and with a fault of `IN_PLACE` none is carried out."""
    INSTEAD = auto()
    """Changes, which are not carried out: with a fault of `IN_PLACE`."""
    AFTER = auto()
    """Changes, which are carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    fault: Fault
    strike: Strike = Strike.ALWAYS


class Manner(Enum):
    """How an answer is sent."""

    AT_ONCE = auto()
    NEVER = auto()
    BY_BYTES = auto()
    WITHOUT_END = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    manner: Manner = Manner.AT_ONCE


def of_answers(fault: Fault) -> bool:
    """Whether the fault spoils answers, whatever was asked."""
    return spoiled(fault, PLAIN, "/") is not PLAIN


PLAIN = Reply(status=200, body=b"{}")


def spoiled(fault: Fault, reply: Reply, path: str) -> Reply:
    """What the fault makes of the answer to a request for `path`; the very same answer where it is another's matter."""
    match fault:
        case Fault.SILENT:
            return replace(reply, manner=Manner.NEVER)
        case Fault.ERROR_500:
            return refusal(500, "Base.1.18.InternalError", "The request failed due to an internal service error.")
        case Fault.BUSY:
            busy = refusal(503, "Base.1.18.ServiceTemporarilyUnavailable", "The service is temporarily unavailable.")
            return replace(busy, headers={"Retry-After": str(BUSY_SECONDS)})
        case Fault.SLOW_BYTES:
            return replace(_with_body(reply), body=reply.body.ljust(4096), manner=Manner.BY_BYTES)
        case Fault.GARBAGE:
            return replace(_with_body(reply), body=b"\x00<html>\x1b[31mLogin\xff")
        case Fault.HUGE_BODY:
            return replace(_with_body(reply), manner=Manner.WITHOUT_END)
        case Fault.WRONG_TYPES:
            return replace(reply, body=_flattened(reply.body))
        case Fault.REDIRECT_LOOP:
            return Reply(status=308, headers={"Location": path})
        case (
            Fault.SESSIONS_FULL
            | Fault.BAD_ETAGS
            | Fault.STALE_ETAGS
            | Fault.LOST_TASKS
            | Fault.LIES_ABOUT_POWER
            | Fault.DROPS_BOOT_MODE
            | Fault.NEEDS_RESET
            | Fault.FORGETS_LEAVES
            | Fault.TOO_SOON
            | Fault.NEW_CERTIFICATE
        ):
            return reply
        case _:
            assert_never(fault)


def refusal(status: int, message_id: str, message: str) -> Reply:
    """DSP0266 section 8.6."""
    entry: JsonObject = {"MessageId": message_id, "Message": message}
    return said({"error": {"code": message_id, "message": message, "@Message.ExtendedInfo": [entry]}}, status=status)


def said(document: JsonObject, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=body)


def _with_body(reply: Reply) -> Reply:
    """HTTP 204 has none (RFC 9110 section 15.3.5)."""
    return replace(reply, status=200) if reply.status == 204 else reply


def _flattened(body: bytes) -> bytes:
    document: JsonValue = json.loads(body) if body else None
    if not isinstance(document, dict):
        return body
    return json.dumps({key: _as_text(value) for key, value in document.items()}).encode()


def _as_text(value: JsonValue) -> JsonValue:
    """An object's link, or nothing; lists stay lists."""
    if isinstance(value, dict):
        link = value.get("@odata.id")
        return link if isinstance(link, str) else ""
    return [_as_text(entry) for entry in value] if isinstance(value, list) else value

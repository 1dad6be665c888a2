"""The audit log, for admins: newest first, by who, what and outcome; whether its chain is whole; and a copy of it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from appliance.access.model import Role
from appliance.access.views import verdict
from appliance.errors import UsageError
from appliance.model.access_views import AuditVerdictView, AuditWanted, Outcome, outcome_of
from appliance.model.codec import to_json
from appliance.web.forms import html, known
from appliance.web.pages import Pages
from appliance.web.port import Doors

_LINES = 50
_BATCH = 1000
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    time: float
    verdict: AuditVerdictView


class Auditing:
    def __init__(self, doors: Doors, pages: Pages, now: Callable[[], float]) -> None:
        self._doors, self._pages, self._now = doors, pages, now
        self._proven: Proven | None = None
        self.routes = [Route("/audit", self.look), Route("/audit.ndjson", self.copy)]

    async def look(self, request: Request) -> Response:
        """The chain is proven at the first look, and when it is asked for: it takes seconds where the log is long."""
        known(request, Role.ADMIN)
        if self._proven is None or "prove" in request.query_params:
            self._proven = Proven(time=self._now(), verdict=await verdict(self._doors.audit))
        wanted, before = _wanted(request), _number(request.query_params.get("before", "0"))
        found = await self._doors.audit.search(wanted, before=before, limit=_LINES)
        page = self._pages.draw(
            "audit",
            entries=found.entries,
            outcome_of=outcome_of,
            proven=self._proven,
            wanted=wanted,
            outcomes=tuple(outcome.value for outcome in Outcome),
            older=_query(wanted, before=str(found.next)) if found.next else "",
            newer=bool(before),
            copy=_query(wanted),
        )
        return html(request, self._doors, page)

    async def copy(self, request: Request) -> Response:
        """All that is wanted, oldest first, a JSON object a line."""
        known(request, Role.ADMIN)
        headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"', "Cache-Control": "no-store"}
        return StreamingResponse(self._lines(_wanted(request)), media_type="application/x-ndjson", headers=headers)

    async def _lines(self, wanted: AuditWanted) -> AsyncIterator[bytes]:
        """Up to what the last line is now."""
        after, last = 0, self._doors.audit.last
        while after < last and (entries := await self._doors.audit.read(after=after, limit=_BATCH, wait=0)):
            after = entries[-1].seq
            yield b"".join(to_json(entry) + b"\n" for entry in entries if wanted.fits(entry))


def _wanted(request: Request) -> AuditWanted:
    who, what, outcome = (request.query_params.get(name, "")[:_LONGEST].strip() for name in ("who", "what", "outcome"))
    wanted = AuditWanted(who=who, what=what)
    try:
        return replace(wanted, outcome=Outcome(outcome)) if outcome else wanted
    except ValueError as error:
        known_ = ", ".join(one.value for one in Outcome)
        raise UsageError(f"outcome is none of: {known_}", evidence=outcome[:70], next_action="choose one") from error


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise UsageError("`before` is the number of a line", evidence=text[:70], next_action="begin at /audit")
    return int(text)


def _query(wanted: AuditWanted, **more: str) -> str:
    outcome = wanted.outcome.value if wanted.outcome else ""
    given = {"who": wanted.who, "what": wanted.what, "outcome": outcome, **more}
    return urlencode({name: value for name, value in given.items() if value})

"""The Redfish service: one request value in, one response value out (DSP0266)."""

from collections.abc import Mapping
from dataclasses import replace

from appliance.model.text import clean
from appliance.ports import Clock
from appliance.redfish import schemas
from appliance.redfish.acting import Actor
from appliance.redfish.auth import Principal
from appliance.redfish.backend import Backend
from appliance.redfish.desk import Desk
from appliance.redfish.document import DocumentError, Json, JsonObject, items, parse_object
from appliance.redfish.errors import (
    AbsentResourceError,
    Refusal,
    RefusedActionError,
    RequestError,
    ServiceError,
    UnavailableError,
    refuse,
)
from appliance.redfish.etags import is_unchanged, may_change
from appliance.redfish.events import EventRecord
from appliance.redfish.exchange import (
    METHODS,
    Media,
    Request,
    Response,
    accepts,
    allowed,
    answer,
    media_of,
    plain,
    refusal,
)
from appliance.redfish.expand import Expander
from appliance.redfish.machines import given
from appliance.redfish.messages import MessageId, Severity, extended_info, say
from appliance.redfish.privileges import allows, is_open
from appliance.redfish.query import Query, page, parse_query, select
from appliance.redfish.reading import Reader
from appliance.redfish.router import Kind, Operation, Resource, Target, UnknownAction, route
from appliance.redfish.tasks import Task, TaskState
from appliance.redfish.writing import Writer

MAX_BODY = 1 << 20
MAX_TARGET = 4096
_LONGEST_WHY = 600
_POLL_SECONDS = "1"
_CHANGED = "ResourceEvent.1.3.ResourceChanged"
_CHANGED_TEXT = "One or more resource properties have changed."


class RedfishService:
    """Answers everything, and raises nothing that the backend does not raise against its contract."""

    def __init__(self, backend: Backend, desk: Desk, clock: Clock) -> None:
        self._backend = backend
        self._gate = desk.gate
        self._hub = desk.hub
        self._tasks = desk.tasks
        self._clock = clock
        self._reader = Reader(backend, desk, clock)
        self._writer = Writer(backend, desk)
        self._actor = Actor(backend, desk, clock)

    async def watch(self) -> None:
        """Tells subscribers what the backend notices; runs until it is cancelled."""
        async for system in self._backend.changes():
            self._publish(Resource(kind=Kind.SYSTEM, system=system).uri)

    async def respond(self, request: Request) -> Response:
        try:
            return await self._respond(request)
        except RequestError as error:
            return refusal(error.refusal)
        except AbsentResourceError:
            return refusal(Refusal(status=404, messages=(say(MessageId.RESOURCE_MISSING, request.path),)))
        except RefusedActionError as error:
            reason = replace(error.reason, detail=_why(error))
            return refusal(Refusal(status=409, messages=(reason,)))
        except UnavailableError as error:
            wait = str(error.retry_after)
            message = replace(say(MessageId.UNAVAILABLE, wait), detail=_why(error))
            return refusal(Refusal(status=503, messages=(message,), headers=(("Retry-After", wait),)))

    def is_welcome(self, subscriber: str) -> bool:
        """Whether a stream of events may go on: not after its session ended."""
        return not subscriber or self._gate.sessions.find(subscriber) is not None

    async def _respond(self, request: Request) -> Response:
        _check_bounds(request)
        target = route(request.path)
        principal = await self._admit(request, target)
        if target is None:
            raise refuse(404, say(MessageId.RESOURCE_MISSING, request.path))
        _check_method(request, target)
        if principal is not None and not self._may(principal, target, request.method):
            raise refuse(403, say(MessageId.INSUFFICIENT_PRIVILEGE))
        if not accepts(request.headers.get("accept"), media_of(target)):
            raise refuse(406, say(MessageId.HEADER_INVALID, "Accept"))
        if request.method in ("GET", "HEAD") and isinstance(target, Resource):
            return await self._get(request, target, principal)
        if request.query:
            raise refuse(400, say(MessageId.QUERY_NOT_ON_OPERATION))
        return await self._change(request, target, principal)

    async def _admit(self, request: Request, target: Target | None) -> Principal | None:
        if is_open(target, request.method):
            return None
        return await self._gate.admit(request.headers, request.path)

    def _may(self, principal: Principal, target: Target, method: str) -> bool:
        return allows(principal.role, target, method, own=self._is_own(principal, target, method))

    def _is_own(self, principal: Principal, target: Target, method: str) -> bool:
        if not isinstance(target, Resource):
            return False
        if target.kind is Kind.ACCOUNT:
            return target.item == principal.name and method != "DELETE"
        session = self._gate.sessions.find(target.item) if target.kind is Kind.SESSION else None
        return session is not None and session.user == principal.name

    async def _get(self, request: Request, resource: Resource, principal: Principal | None) -> Response:
        allow = ("Allow", ", ".join(allowed(resource)))
        if resource.kind is Kind.METADATA:
            kind = ("Content-Type", "application/xml;charset=utf-8")
            found = plain(200, kind, allow)
            return Response(status=200, headers=found.headers, body=schemas.metadata_document())
        if resource.kind is Kind.EVENTS:
            return self._subscribe(principal, allow)
        if resource.kind is Kind.TASK_MONITOR:
            return await self._monitor(resource)
        query = parse_query(request.query)
        document = await self._reader.read(resource)
        if query.for_collections and "Members" not in document:
            raise refuse(400, say(MessageId.QUERY_NOT_ON_RESOURCE))
        tag = document.get("@odata.etag")
        # The tag names the resource: an extract of it goes without.
        tags = (("ETag", tag),) if isinstance(tag, str) and not request.query else ()
        if tags and is_unchanged(request.headers.get("if-none-match"), tags[0][1]):
            return plain(304, *tags, allow)
        shown = await self._shape(document, query, principal)
        return answer(200, shown, *tags, allow, *_described_by(shown))

    def _subscribe(self, principal: Principal | None, allow: tuple[str, str]) -> Response:
        if self._hub.full:
            raise refuse(503, say(MessageId.CREATE_LIMIT))
        headers = plain(200, ("Content-Type", Media.EVENTS.value), allow).headers
        return Response(status=200, headers=headers, subscriber=principal.session if principal else "")

    async def _monitor(self, resource: Resource) -> Response:
        """202 while the task runs; then what the request itself would have been answered with."""
        task = given(self._tasks.find(resource.item), resource)
        if task.state is TaskState.RUNNING:
            return await self._accepted(task)
        if task.state is TaskState.COMPLETED:
            return plain(204)
        raise refuse(409, *task.messages)

    async def _accepted(self, task: Task) -> Response:
        document = await self._reader.read(Resource(kind=Kind.TASK, item=task.id))
        monitor = Resource(kind=Kind.TASK_MONITOR, item=task.id).uri
        return answer(202, document, ("Location", monitor), ("Retry-After", _POLL_SECONDS))

    async def _shape(self, document: JsonObject, query: Query, principal: Principal | None) -> JsonObject:
        if query.only:
            return await self._only(document, principal)
        paged = page(document, query) if "Members" in document else document
        if query.expand is not None:
            expander = Expander(
                self._reader.read, lambda resource: self._may_follow(principal, resource), query.expand.reach
            )
            paged = await expander.expand(paged, query.expand.levels)
        return select(paged, query)

    async def _only(self, collection: JsonObject, principal: Principal | None) -> JsonObject:
        members = items(collection["Members"])
        uri = members[0].get("@odata.id") if len(members) == 1 and isinstance(members[0], Mapping) else None
        target = route(uri) if isinstance(uri, str) else None
        if isinstance(target, Resource) and self._may_follow(principal, target):
            return await self._reader.read(target)
        return collection

    def _may_follow(self, principal: Principal | None, resource: Resource) -> bool:
        """The root is open, and $expand must not open what lies behind it."""
        return principal is not None and self._may(principal, resource, "GET")

    async def _change(self, request: Request, target: Target, principal: Principal | None) -> Response:
        match target:
            case UnknownAction(name=name):
                raise refuse(400, say(MessageId.ACTION_NOT_SUPPORTED, name))
            case Operation():
                return await self._act(target, _body(request, or_nothing=True))
            case Resource() if request.method == "POST":
                return await self._create(request, target)
            case Resource() if request.method == "DELETE":
                await self._check_precondition(request, _document_of(target))
                self._writer.delete(target)
                return plain(204)
            case _:
                return await self._patch(request, target, principal)

    async def _act(self, operation: Operation, body: JsonObject) -> Response:
        done = await self._actor.act(operation, body)
        if isinstance(done, Task):
            return await self._accepted(done)
        if done is not None:
            return answer(200, done)
        if operation.system:
            self._publish(operation.uri.partition("/Actions/")[0])
        return plain(204)

    async def _create(self, request: Request, target: Resource) -> Response:
        body = _body(request)
        token: tuple[tuple[str, str], ...] = ()
        match target.kind:
            case Kind.ACCOUNTS:
                made = await self._writer.create_account(body)
            case Kind.SUBSCRIPTIONS:
                made = self._writer.subscribe(body)
            case _:
                made, secret = await self._writer.create_session(body, request.path)
                token = (("X-Auth-Token", secret),)
        document = await self._reader.read(made)
        return answer(201, document, ("Location", made.uri), ("ETag", str(document["@odata.etag"])), *token)

    async def _patch(self, request: Request, target: Resource, principal: Principal | None) -> Response:
        current = await self._check_precondition(request, target)
        if principal is None:
            raise refuse(401, say(MessageId.NO_VALID_SESSION))
        left = await self._writer.patch(target, _body(request), current, principal)
        document = await self._reader.read(target)
        self._publish(target.uri)
        notes: dict[str, Json] = {"@Message.ExtendedInfo": tuple(map(extended_info, left))} if left else {}
        return answer(200, {**document, **notes}, ("ETag", str(document["@odata.etag"])))

    async def _check_precondition(self, request: Request, target: Resource) -> JsonObject:
        current = await self._reader.read(target)
        if not may_change(request.headers.get("if-match"), str(current["@odata.etag"])):
            raise refuse(412, say(MessageId.PRECONDITION_FAILED))
        return current

    def _publish(self, origin: str) -> None:
        self._hub.publish(
            EventRecord(
                message_id=_CHANGED,
                message=_CHANGED_TEXT,
                severity=Severity.OK,
                origin=origin,
                time=self._clock.now(),
            )
        )


def _why(error: ServiceError) -> str:
    """Text of hardware may be in it."""
    parts = (str(error), error.evidence, error.next_action)
    return clean(". ".join(part.rstrip(".") for part in parts if part), _LONGEST_WHY)


def _check_bounds(request: Request) -> None:
    if len(request.target) > MAX_TARGET:
        raise refuse(414, say(MessageId.GENERAL_ERROR))
    if len(request.body) > MAX_BODY:
        raise refuse(413, say(MessageId.GENERAL_ERROR))
    if request.method not in METHODS:
        raise refuse(501, say(MessageId.OPERATION_NOT_ALLOWED))
    if request.headers.get("odata-version", "4.0").strip() != "4.0":
        raise refuse(412, say(MessageId.HEADER_INVALID, "OData-Version"))


def _check_method(request: Request, target: Target) -> None:
    methods = allowed(target)
    if request.method not in methods:
        raise refuse(405, say(MessageId.OPERATION_NOT_ALLOWED), headers=(("Allow", ", ".join(methods)),))


def _body(request: Request, *, or_nothing: bool = False) -> JsonObject:
    """Raises `RequestError`: 415 for a body that is not called JSON, 400 for one that is none."""
    if or_nothing and not request.body:
        return {}
    kind = request.headers.get("content-type", Media.JSON.value).partition(";")[0].strip().lower()
    if kind != Media.JSON.value:
        raise refuse(415, say(MessageId.HEADER_INVALID, "Content-Type"))
    try:
        return parse_object(request.body)
    except DocumentError as error:
        raise refuse(400, say(MessageId.MALFORMED_JSON)) from error


def _document_of(target: Resource) -> Resource:
    """A monitor has no document but its task's."""
    return Resource(kind=Kind.TASK, item=target.item) if target.kind is Kind.TASK_MONITOR else target


def _described_by(document: JsonObject) -> tuple[tuple[str, str], ...]:
    """Section 8.2: the schema of the resource."""
    kind = document.get("@odata.type")
    if not isinstance(kind, str):
        return ()
    name = kind.removeprefix("#").rpartition(".")[0]
    return (("Link", f"<http://redfish.dmtf.org/schemas/v1/{name}.json>; rel=describedby"),)

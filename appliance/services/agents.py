"""The node-facing side of the appliance: agents in ramdisks and first boots of installed systems.

Runs in the boot HTTP server's thread. A request is parsed, checked against the snapshot of who may speak, answered;
what it said is handed on. Nothing here decides about runs, and nothing a machine says reaches more than its own state.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from ipaddress import IPv4Address
from threading import Lock
from typing import Protocol, assert_never
from uuid import UUID

from appliance.boot import Snapshot
from appliance.conductor.decision import AgentView
from appliance.identity.bonds import Bonds, Foreign
from appliance.identity.tpms import Another, Asked, Later, Settled, Tpms
from appliance.inventory.bogus import real_text, real_uuid
from appliance.inventory.identity import Conflict, Evidence, Match, Unknown, identify
from appliance.inventory.nics import INFINIBAND
from appliance.model.bmc import SystemIdentity
from appliance.model.identity import Bind, Bound, Dispute, Turn
from appliance.model.ids import MachineName, Nonce
from appliance.model.text import clean
from appliance.services.reports import FirstBoot, parse_report
from appliance.store.identity_records import TpmDisputed, TpmLacking, TpmProven, TpmRecord
from images.agent import bond, protocol
from images.agent import tpm_words as words
from images.agent.errors import ProtocolError, TpmError
from images.agent.protocol import Hello, Task, TaskReport
from pxe.client import Mac
from pxe.errors import PacketError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.ports import Clock

_POLL_IDLE = 2.0
_POLL_BUSY = 1.0
_ALIVE = 30.0
_RATE_WINDOW = 10
_JSON = "application/json"


class Listener(Protocol):
    """Who is told what machines said; called from the HTTP thread, must only hand on."""

    def hello(self, machine: MachineName, nonce: Nonce, hello: Hello, client: IPv4Address) -> None: ...

    def facts(self, machine: MachineName, nonce: Nonce, body: bytes) -> None: ...

    def polled(self, machine: MachineName) -> None: ...

    def log(self, machine: MachineName, offset: int, text: bytes) -> None: ...

    def first_boot(self, machine: MachineName, report: FirstBoot, client: IPv4Address) -> None: ...

    def refused(self, client: IPv4Address, why: str) -> None: ...

    def bound(self, machine: MachineName, bound: Bound, client: IPv4Address, why: str) -> None:
        """This agent speaks for the machine from now on; `why` is what was strange about it, or empty."""
        ...

    def disputed(self, machine: MachineName, nonce: Nonce, client: IPv4Address, why: str) -> None:
        """Two claim to be this machine."""
        ...

    def attested(self, record: TpmRecord) -> None:
        """What the machine's TPM has shown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """`seen` on the monotonic clock; `samples` are (time, raw bytes done) of the running task.

    `hellos` counts those of this boot that we heard: an agent that says hello again may have started anew.
    """

    nonce: Nonce
    boot_id: str
    seen: float
    hellos: int = 0
    report: TaskReport | None = None
    samples: tuple[tuple[float, int], ...] = ()

    @property
    def life(self) -> str:
        return f"{self.boot_id}.{self.hellos}"


@dataclass(slots=True)
class _Desk:
    """What one lock guards."""

    sessions: dict[MachineName, Session] = field(default_factory=dict)
    tasks: dict[MachineName, Task] = field(default_factory=dict)

    def meet(self, machine: MachineName, session: Session) -> None:
        """A task is for the life that it was assigned in: the next one would begin it anew under the same fence."""
        before = self.sessions.get(machine)
        if before is not None and before.life != session.life:
            self.tasks.pop(machine, None)
        self.sessions[machine] = session


class AgentDesk:
    def __init__(
        self, current: Callable[[], Snapshot], listener: Listener, clock: Clock, bonds: Bonds, tpms: Tpms
    ) -> None:
        self._bonds, self._tpms = bonds, tpms
        self._current = current
        self._listener = listener
        self._clock = clock
        self._desk = _Desk()
        self._lock = Lock()
        self._routes: Mapping[str, Callable[[HttpRequest, MachineName, Nonce], HttpReply]] = {
            bond.CODE: self._code,
            words.SHOW: self._tpm,
            words.PROVE: self._tpm_proof,
            "/agent/facts": self._facts,
            "/agent/poll": self._poll,
            "/agent/log": self._log,
        }

    def heard(self, machine: MachineName) -> AgentView:
        session = self.session(machine)
        if session is None:
            return AgentView()
        silent = self._clock.monotonic() - session.seen
        return AgentView(alive=silent < _ALIVE, silent=silent, life=session.life, report=session.report)

    def session(self, machine: MachineName) -> Session | None:
        """None too when the session's nonce has been superseded: that agent's machine was told to boot again."""
        with self._lock:
            session = self._desk.sessions.get(machine)
        return session if session and self._current().agents.get(session.nonce) == machine else None

    def assign(self, machine: MachineName, task: Task | None) -> None:
        with self._lock:
            if task is None:
                self._desk.tasks.pop(machine, None)
            else:
                self._desk.tasks[machine] = task

    def handle(self, request: HttpRequest) -> HttpReply:
        if request.method != "POST":
            return _say(HTTPStatus.METHOD_NOT_ALLOWED, "POST only")
        try:
            if request.path == "/report":
                return self._report(request)
            route = self._routes.get(request.path)
            if route is None and request.path != bond.HELLO:
                return _say(HTTPStatus.NOT_FOUND, "no such call")
            return self._admitted(request, route)
        except (ProtocolError, PacketError) as error:
            self._listener.refused(request.client, f"{request.path}: {clean(str(error), 200)}")
            return _say(HTTPStatus.BAD_REQUEST, str(error))

    def _admitted(
        self, request: HttpRequest, route: Callable[[HttpRequest, MachineName, Nonce], HttpReply] | None
    ) -> HttpReply:
        nonce = Nonce(request.headers.get(protocol.NONCE_HEADER.lower(), ""))
        machine = self._current().agents.get(nonce)
        if machine is None:
            self._listener.refused(request.client, f"{request.path}: the nonce is of no boot that we wait for")
            return _say(HTTPStatus.FORBIDDEN, "this boot is not expected: boot again from the network")
        if route is None:
            return self._hello(request, machine, nonce)
        spoken = self._bonds.hear(request, machine, nonce, self._current().standing_of(machine))
        match spoken:
            case Foreign(why=why):
                self._listener.refused(request.client, f"{request.path} for {machine}: {why}")
                return _say(HTTPStatus.UNAUTHORIZED, "say hello first")
            case Dispute(why=why):
                return self._dispute(request, machine, nonce, why)
            case _ if self._bonds.is_spent(machine) and machine not in self._desk.tasks:
                return _say(HTTPStatus.UNAUTHORIZED, "say hello again, and show another code")
            case _:
                return spoken.again or self._bonds.answer(machine, spoken, self._routed(request, machine, nonce, route))

    def _routed(
        self,
        request: HttpRequest,
        machine: MachineName,
        nonce: Nonce,
        route: Callable[[HttpRequest, MachineName, Nonce], HttpReply],
    ) -> HttpReply:
        try:
            return route(request, machine, nonce)
        except (ProtocolError, PacketError) as error:
            self._listener.refused(request.client, f"{request.path}: {clean(str(error), 200)}")
            return _say(HTTPStatus.BAD_REQUEST, str(error))

    def _hello(self, request: HttpRequest, machine: MachineName, nonce: Nonce) -> HttpReply:
        hello, current = protocol.parse_hello(request.body), self._current()
        if why := _contradiction(hello, machine, current):
            self._listener.refused(request.client, why)
            return _say(HTTPStatus.FORBIDDEN, why)
        greeted = self._bonds.greet(request, machine, nonce, clean(hello.boot_id, 64), current.standing_of(machine))
        match greeted.verdict:
            case Dispute(why=why):
                return self._dispute(request, machine, nonce, why)
            case Turn(why=why):
                self._listener.refused(request.client, f"hello for {machine}: {why}")
                return _say(HTTPStatus.FORBIDDEN, why)
            case Bind(bound=bound, why=why):
                self._meet(machine, nonce, hello)
                self._listener.hello(machine, nonce, hello, request.client)
                if why or bound != current.standing_of(machine).bound:
                    self._listener.bound(machine, bound, request.client, why)
            case _:
                assert_never(greeted.verdict)
        body = protocol.encode(protocol.Welcome(machine=machine, poll_after=_POLL_BUSY))
        return HttpReply(status=HTTPStatus.OK, body=body, media_type=_JSON, headers=greeted.seals(body))

    def _meet(self, machine: MachineName, nonce: Nonce, hello: Hello) -> None:
        now = self._clock.monotonic()
        with self._lock:
            before = self._desk.sessions.get(machine)
            hellos = before.hellos + 1 if before and before.boot_id == hello.boot_id else 1
            self._desk.meet(machine, Session(nonce=nonce, boot_id=hello.boot_id, seen=now, hellos=hellos))

    def _dispute(self, request: HttpRequest, machine: MachineName, nonce: Nonce, why: str) -> HttpReply:
        """At once, before the log knows of it: neither of the two is to get another word."""
        self._forget(machine)
        self._listener.disputed(machine, nonce, request.client, why)
        return _say(HTTPStatus.FORBIDDEN, why)

    def _forget(self, machine: MachineName) -> None:
        with self._lock:
            self._desk.sessions.pop(machine, None)
            self._desk.tasks.pop(machine, None)

    def _code(self, request: HttpRequest, machine: MachineName, _nonce: Nonce) -> HttpReply:
        self._bonds.reveal(machine, request.body)
        return HttpReply(status=HTTPStatus.NO_CONTENT)

    def _tpm(self, request: HttpRequest, machine: MachineName, nonce: Nonce) -> HttpReply:
        shown = words.parse_shown(request.body)
        try:
            said = self._tpms.show(machine, shown, self._current().standings)
        except TpmError as error:
            return self._unproven(machine, nonce, error)
        match said:
            case Later():
                return HttpReply(status=HTTPStatus.ACCEPTED)
            case Asked(challenge=challenge):
                return _json(words.encode(challenge))
            case Settled(lacks=lacks):
                if lacks:
                    self._listener.attested(TpmLacking(machine=machine, nonce=nonce, why=lacks))
                return HttpReply(status=HTTPStatus.NO_CONTENT)
            case Another(ek=ek, why=why):
                self._forget(machine)
                self._bonds.end(machine, nonce)
                client = request.client
                self._listener.attested(TpmDisputed(machine=machine, nonce=nonce, ek=ek, why=why, client=client))
                return _say(HTTPStatus.FORBIDDEN, why)
            case _:
                assert_never(said)

    def _tpm_proof(self, request: HttpRequest, machine: MachineName, nonce: Nonce) -> HttpReply:
        proof = words.parse_proof(request.body)
        try:
            proven = self._tpms.prove(machine, proof)
        except TpmError as error:
            return self._unproven(machine, nonce, error)
        self._listener.attested(
            TpmProven(
                machine=machine,
                nonce=nonce,
                key=proven.bound.key,
                ek=proven.ek,
                ak=proven.ak,
                issuer=proven.issuer,
                pcrs=proven.pcrs,
            )
        )
        return HttpReply(status=HTTPStatus.NO_CONTENT)

    def _unproven(self, machine: MachineName, nonce: Nonce, error: TpmError) -> HttpReply:
        why = clean(f"what it showed of its TPM proves nothing: {error}", 300)
        self._listener.attested(TpmLacking(machine=machine, nonce=nonce, why=why))
        return _say(HTTPStatus.BAD_REQUEST, str(error))

    def _facts(self, request: HttpRequest, machine: MachineName, nonce: Nonce) -> HttpReply:
        self._listener.facts(machine, nonce, request.body)
        return HttpReply(status=HTTPStatus.NO_CONTENT)

    def _poll(self, request: HttpRequest, machine: MachineName, nonce: Nonce) -> HttpReply:
        poll = protocol.parse_poll(request.body)
        now = self._clock.monotonic()
        with self._lock:
            before = self._desk.sessions.get(machine)
            if _is_a_stranger(before, poll, nonce) and self._current().greeted.get(machine) != nonce:
                # we said welcome and died before the hello was on record: the agent has to say it again
                return _say(HTTPStatus.UNAUTHORIZED, "say hello first")
            self._desk.meet(machine, _after_poll(before, poll, nonce, now))
            task = self._desk.tasks.get(machine)
        self._listener.polled(machine)
        pause = _POLL_BUSY if task else _POLL_IDLE
        return _json(protocol.encode(protocol.PollReply(task=task, poll_after=pause)))

    def _log(self, request: HttpRequest, machine: MachineName, _nonce: Nonce) -> HttpReply:
        offset = request.headers.get(protocol.LOG_OFFSET_HEADER.lower(), "0")
        if not (offset.isascii() and offset.isdigit() and len(offset) < 16):
            raise ProtocolError("the log offset is no number", evidence=offset[:40])
        self._listener.log(machine, int(offset), request.body)
        return HttpReply(status=HTTPStatus.NO_CONTENT)

    def _report(self, request: HttpRequest) -> HttpReply:
        report = parse_report(request.body)
        machine = self._current().seeds.get(report.nonce)
        if machine is None:
            self._listener.refused(request.client, "/report: the nonce is of no seed that we wrote")
            return _say(HTTPStatus.FORBIDDEN, "no machine was installed with this nonce")
        if _moved(report, self._current().identities.get(machine)):
            self._listener.refused(request.client, f"/report: {machine}'s disk reports from {report.serial!r}")
            return _say(HTTPStatus.FORBIDDEN, f"this disk was installed in {machine}, which has another serial number")
        self._listener.first_boot(machine, report, request.client)
        return HttpReply(status=HTTPStatus.NO_CONTENT)


def _is_a_stranger(before: Session | None, poll: protocol.Poll, nonce: Nonce) -> bool:
    return before is None or before.boot_id != poll.boot_id or before.nonce != nonce


def _after_poll(before: Session | None, poll: protocol.Poll, nonce: Nonce, now: float) -> Session:
    if before is None or _is_a_stranger(before, poll, nonce):
        before = Session(nonce=nonce, boot_id=poll.boot_id, seen=now)
    samples = deque(before.samples if _goes_on(before.report, poll.task) else (), maxlen=_RATE_WINDOW)
    if poll.task is not None:
        samples.append((now, poll.task.progress.done))
    return replace(before, seen=now, report=poll.task, samples=tuple(samples))


def _goes_on(before: TaskReport | None, now: TaskReport | None) -> bool:
    """The same work: a task that was started again is back at zero and has no rate yet."""
    return before is not None and now is not None and before.id == now.id and before.progress.done <= now.progress.done


def _contradiction(hello: Hello, machine: MachineName, current: Snapshot) -> str:
    """Empty when the machine's own evidence agrees with what its BMC said, or when there is nothing to compare."""
    if machine not in current.known:
        return ""
    said = hello.evidence
    evidence = Evidence(
        uuid=_uuid(said.uuid),
        serial=clean(said.serial, 100),
        board_serial=clean(said.board_serial, 100),
        macs=tuple(Mac.parse(mac) for mac in said.macs if len(mac) != INFINIBAND),
    )
    match identify(evidence, current.known):
        case Match(name=name) if name == machine:
            return ""
        case Match(name=name):
            return f"the nonce is {machine}'s but the evidence is {name}'s"
        case Unknown():
            return f"the nonce is {machine}'s but serial {evidence.serial!r} is of no machine known"
        case Conflict(why=why):
            return why


def _moved(report: FirstBoot, identity: SystemIdentity | None) -> bool:
    """The disk boots in a machine that says it is another; where either serial is a placeholder nobody can tell."""
    said, known = real_text(report.serial), real_text(identity.serial) if identity else ""
    return bool(said and known) and said.casefold() != known.casefold()


def _uuid(text: str) -> UUID | None:
    try:
        return real_uuid(UUID(text))
    except ValueError:
        return None


def _say(status: HTTPStatus, message: str) -> HttpReply:
    return HttpReply(status=status, body=json.dumps({"error": message[:300]}).encode(), media_type=_JSON)


def _json(body: bytes) -> HttpReply:
    return HttpReply(status=HTTPStatus.OK, body=body, media_type=_JSON)

"""The conversation with the server: one exchange after the other on one connection, for as long as the machine runs.

Work runs in a thread of its own and never waits for the server to come back; its end wakes the conversation.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from .errors import LinkError, ProtocolError
from .log import Log
from .ports import Clock, Http, Power, Reply, Rng
from .protocol import (
    LOG_OFFSET_HEADER,
    BootDisk,
    Facts,
    Failure,
    Hello,
    Poll,
    PowerOff,
    Reboot,
    Task,
    encode,
    parse_poll_reply,
    parse_welcome,
)
from .retry import next_delay
from .tally import Tally
from .tasks import Ledger, answer, finish, report

ACKNOWLEDGE_WITHIN = 10.0  # seconds that a machine waits with its reboot for the server to hear of it


class Worker(Protocol):
    def do(self, task: Task, tally: Tally) -> tuple[dict[str, str | int], Failure | None]: ...


@dataclass(frozen=True, slots=True)
class _Leaving:
    """The machine restarts or goes off when the server has heard of it, at the latest at `deadline`."""

    act: Callable[[], None]
    deadline: float


class Link:
    """`wake` is set when there is something to say before the next poll is due. `attest` says what the TPM has to."""

    def __init__(
        self,
        *,
        hello: Hello,
        http: Http,
        clock: Clock,
        rng: Rng,
        log: Log,
        power: Power,
        worker: Worker,
        spawn: Callable[[Callable[[], None]], None],
        attest: Callable[[], None] = lambda: None,
    ) -> None:
        self._hello, self._http, self._clock, self._rng = hello, http, clock, rng
        self._log, self._power, self._worker, self._spawn, self._attest = log, power, worker, spawn, attest
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._tally = Tally()
        self._facts: Facts | None = None
        self._leaving: _Leaving | None = None
        self._greeted = False
        self._backoff = 0.0
        self.wake = threading.Event()

    def tell(self, facts: Facts) -> None:
        """Facts for the server, in the place of older ones that it has not got yet."""
        with self._lock:
            self._facts = facts
        self.wake.set()

    def round(self) -> float:
        """Says and hears everything once. Returns how many seconds may pass before the next round."""
        try:
            if not self._greeted:
                self._greet()
            self._send_facts()
            self._send_log()
            wait = self._poll()
            self._attest()
            self._backoff = 0.0
        except (LinkError, ProtocolError) as error:
            wait = self._backoff = next_delay(self._backoff, self._rng.fraction())
            self._log.say(f"{error} ({error.evidence}); again in {wait:.1f} s")
        return self._leave(wait)

    def _greet(self) -> None:
        reply = self._http.post("/agent/hello", encode(self._hello), _JSON)
        if reply.status == 403:
            raise LinkError("the server refuses this boot's nonce", evidence=ascii(reply.body[:200]))
        welcome = parse_welcome(_ok(reply))
        self._greeted = True
        self._log.say(f"server knows this machine as {welcome.machine}")

    def _send_facts(self) -> None:
        with self._lock:
            facts = self._facts
        if facts is None:
            return
        reply = self._http.post("/agent/facts", encode(facts), _JSON)
        if reply.status != 204:  # the same facts would be refused again
            self._log.say(f"facts refused with {reply.status}: {reply.body[:200]!a}")
        with self._lock:
            if self._facts is facts:
                self._facts = None

    def _send_log(self) -> None:
        start, chunk = self._log.pending()
        if chunk:
            self._http.post("/agent/log", chunk, {"Content-Type": "text/plain", LOG_OFFSET_HEADER: str(start)})
            self._log.sent(start + len(chunk))

    def _poll(self) -> float:
        with self._lock:
            said = report(self._ledger, self._tally.progress())
        reply = self._http.post("/agent/poll", encode(Poll(boot_id=self._hello.boot_id, task=said)), _JSON)
        if 400 <= reply.status < 500:
            self._greeted = False  # a server that lost its memory, or another one: introduce ourselves again
        offer = parse_poll_reply(_ok(reply))
        with self._lock:
            self._ledger, task = answer(self._ledger, said, offer.task)
            if task is not None and self._leaving is not None:  # too late for this life: it is offered again
                self._ledger, task = replace(self._ledger, running=None), None
        if task is not None:
            self._start(task)
            return 0.0
        return offer.poll_after

    def _start(self, task: Task) -> None:
        self._log.say(f"task {task.id} fence {task.fence}: {task.do}")
        self._tally = tally = Tally()
        self._spawn(lambda: self._work(task, tally))

    def _work(self, task: Task, tally: Tally) -> None:
        evidence, failure = self._worker.do(task, tally)
        if failure is None:
            self._log.say(f"task {task.id} done: {evidence}")
        else:
            self._log.say(f"task {task.id} failed: {failure.message} ({failure.evidence})")
        with self._lock:
            self._ledger = finish(self._ledger, progress=tally.progress(), evidence=evidence, error=failure)
            if failure is None:
                self._leaving = self._leaving_after(task)
        self.wake.set()

    def _leaving_after(self, task: Task) -> _Leaving | None:
        deadline = self._clock.monotonic() + ACKNOWLEDGE_WITHIN
        match task:
            case BootDisk() | Reboot():
                return _Leaving(self._power.reboot, deadline)
            case PowerOff():
                return _Leaving(self._power.power_off, deadline)
            case _:
                return None

    def _leave(self, wait: float) -> float:
        """Restarts or stops the machine if it is time, else says how long to wait for that."""
        with self._lock:
            leaving, unheard = self._leaving, self._ledger.finished is not None
        if leaving is None:
            return wait
        left = leaving.deadline - self._clock.monotonic()
        if unheard and left > 0:
            return min(wait, left)
        self._log.say("leaving")
        self._leaving = None
        leaving.act()
        return wait


_JSON = {"Content-Type": "application/json"}


def _ok(reply: Reply) -> bytes:
    if reply.status != 200:
        raise LinkError(f"the server answered {reply.status}", evidence=ascii(reply.body[:200]))
    return reply.body

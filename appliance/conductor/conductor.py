"""Executes approved plans.

Rules
* Intent, act, result: an intent is on disk before its step does anything, a result before the next step does. Where a
  machine goes straight on, one commit holds both.
* The conductor keeps nothing of its own: after a crash the folded world says what to do, and an attempt whose end
  nobody saw is begun again under the next fence (its handler looks before it orders anything).
* One handler per machine. `moves` decides, purely; this file only carries out.
* A hold, a cancelled run and a machine set aside end its handler as a crash would: going on is the ordinary recovery.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import assert_never

from appliance.conductor.decision import Done, Failed, Outcome, Retry
from appliance.conductor.hands import Hands
from appliance.conductor.outbox import problem_of
from appliance.conductor.position import ATTEMPTS, End, Pause, Start, may_begin, may_go_on, moves, retries, straight_on
from appliance.conductor.runs import Attempt
from appliance.errors import InnervateError, MachineryError
from appliance.model.ids import MachineName, Nonce, RunId
from appliance.plan import Step, WriteSeed
from appliance.ports import Rng
from appliance.store.records import Problem, Record, RunEnded, RunPaused, StepIntent, StepResult

_LOGGER = logging.getLogger(__name__)
_NONCE_BYTES = 16
_STANDSTILL = 5.0

CarryOut = Callable[[Hands, Step, Attempt], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    run: RunId
    task: asyncio.Task[None]


class Conductor:
    def __init__(self, hands: Hands, carry_out: CarryOut, rng: Rng) -> None:
        self._hands = hands
        self._carry_out = carry_out
        self._rng = rng
        self._memory = hands.memory
        self._handlers: dict[MachineName, _Handler] = {}
        self._changed: set[MachineName] | None = None
        self._retries: list[tuple[float, MachineName]] = []
        self._recording: set[RunId] = set()
        self._memory.on_change(self._note)

    async def run(self) -> None:
        """Forever. Cancelling it leaves running steps without an end, exactly as a crash would."""
        self._retries = list(retries(self._memory.world))
        heapify(self._retries)
        async with asyncio.TaskGroup() as handlers:
            while True:
                tick, now = self._memory.tick, self._hands.clock.now()
                self._advance(handlers, now)
                await self._memory.changed(tick, self._pause())

    def _note(self, machines: frozenset[MachineName]) -> None:
        if self._changed is not None:
            self._changed |= machines

    def _advance(self, handlers: asyncio.TaskGroup, now: float) -> None:
        changed, self._changed = self._changed, set()
        while self._retries and self._retries[0][0] <= now:
            machine = heappop(self._retries)[1]
            if changed is not None:
                changed.add(machine)
        self._recall(self._handlers if changed is None else changed)
        wanted = None if changed is None else frozenset(changed)
        for move in tuple(moves(self._memory.world, frozenset(self._handlers), now, wanted)):
            match move:
                case Start() as start:
                    task = handlers.create_task(self._handle(start), name=f"{start.run} {start.step.id}")
                    self._handlers[start.step.machine] = _Handler(run=start.run, task=task)
                case End(run=run, state=state):
                    self._begin_record(handlers, RunEnded(run=run, state=state))
                case Pause(run=run, reason=reason):
                    self._begin_record(handlers, RunPaused(run=run, reason=reason))
                case _:
                    assert_never(move)

    def _recall(self, machines: "set[MachineName] | dict[MachineName, _Handler]") -> None:
        for name in machines:
            handler = self._handlers.get(name)
            if handler is not None and not may_go_on(self._memory.world, name, handler.run):
                handler.task.cancel()

    def _begin_record(self, handlers: asyncio.TaskGroup, record: RunEnded | RunPaused) -> None:
        """The other runs go on while it is written."""
        if record.run not in self._recording:
            self._recording.add(record.run)
            handlers.create_task(self._record(record), name=f"{record.run} {record.record}")

    async def _record(self, record: RunEnded | RunPaused) -> None:
        try:
            await self._memory.remember(record)
        except MachineryError as error:
            await self._log_refused(f"run={record.run}", error)
            self._changed = None  # no machine changes, and yet the run is still to be ended
            self._memory.wake()
        finally:
            self._recording.discard(record.run)

    async def _log_refused(self, what: str, error: MachineryError) -> None:
        """The world stands still until the log takes a record again."""
        _LOGGER.error("%s %s: %s", what, error, error.evidence)
        await self._hands.clock.sleep(_STANDSTILL)

    def _pause(self) -> float | None:
        """Until the next retry; those that were due have been taken out, and their machines' changes wake us."""
        return max(0.05, self._retries[0][0] - self._hands.clock.now()) if self._retries else None

    async def _handle(self, first: Start) -> None:
        machine, start = first.step.machine, first
        try:
            await self._memory.remember(self._intent(first))
            self._hands.waiting.go_on(machine)
            while (attempt := self._begun(start)) is not None:
                outcome = await self._perform(start.step, attempt)
                following = await self._end(start, attempt, outcome)
                if following is None:
                    break
                start = following
        except MachineryError as error:
            self._hands.waiting.stop(machine, error, self._hands.clock.now())
            await self._log_refused(f"machine={machine} step={start.step.id}", error)
        except asyncio.CancelledError:
            self._hands.waiting.go_on(machine)
            raise
        finally:
            del self._handlers[machine]
            self._note(frozenset({machine}))
            self._memory.wake()

    async def _end(self, start: Start, attempt: Attempt, outcome: Outcome) -> Start | None:
        """One commit holds the result and, where the machine goes straight on, its next intent."""
        world, now = self._memory.world, self._hands.clock.now()
        goes_on = isinstance(outcome, Done) and start.run not in self._recording
        following = straight_on(world, start.run, start.step, now) if goes_on else None
        intents = () if following is None else (self._intent(following),)
        await self._memory.remember(*_learnt(outcome), _result(start, attempt, outcome), *intents)
        if isinstance(outcome, Retry):
            heappush(self._retries, (self._hands.clock.now() + outcome.seconds, start.step.machine))
        return following

    def _intent(self, start: Start) -> StepIntent:
        step, before = start.step, self._memory.world.runs[start.run].attempts.get(start.step.id)
        # The nonce belongs to a boot: an attempt that resumes another one waits for the same boot. It is also what a
        # seed holds, and an agent that wrote the seed before will say so instead of writing it again.
        kept = before if start.resumes is not None or isinstance(step.do, WriteSeed) else None
        disputed = self._memory.world.machine(step.machine).disputed  # two have spoken with it: it is nobody's
        nonce = kept.nonce if kept and kept.nonce != disputed else Nonce(self._rng.token(_NONCE_BYTES))
        return StepIntent(
            run=start.run,
            step=step.id,
            machine=step.machine,
            kind=step.kind,
            fence=start.fence,
            nonce=nonce,
            resumes=start.resumes,
        )

    def _begun(self, start: Start) -> Attempt | None:
        """None if a word of a person was in the log before the intent: the step is not to begin."""
        step, world = start.step, self._memory.world
        if not may_begin(world, step.machine, start.run):
            return None
        _LOGGER.info("machine=%s step=%s fence=%d begins", step.machine, step.id, start.fence)
        return world.runs[start.run].attempts[step.id]

    async def _perform(self, step: Step, attempt: Attempt) -> Outcome:
        budget = asyncio.timeout(step.budget)
        self._hands.waiting.forget(step.machine)
        try:
            async with budget:
                return await self._carry_out(self._hands, step, attempt)
        except TimeoutError as error:
            last = self._hands.waiting.last(step.machine)
            return Failed(problem=_over_budget(step, last) if budget.expired() else _fault(error))
        except MachineryError:
            raise  # our own fault is no verdict on the machine: the attempt is resumed
        except InnervateError as error:
            return Failed(problem=problem_of(error))
        except Exception as error:
            _LOGGER.exception("machine=%s step=%s broke", step.machine, step.id)
            return Failed(problem=_fault(error))


def _learnt(outcome: Outcome) -> tuple[Record, ...]:
    return () if isinstance(outcome, Retry) else outcome.learnt


def _result(start: Start, attempt: Attempt, outcome: Outcome) -> StepResult:
    problem: Problem | None = None
    evidence: dict[str, str] = {}
    retry_after: float | None = None
    match outcome:
        case Done():
            evidence = dict(outcome.evidence)
        case Failed():
            problem = outcome.problem
        case Retry():
            problem = outcome.problem
            retry_after = outcome.seconds if attempt.tries + 1 < ATTEMPTS else None
        case _:
            assert_never(outcome)
    return StepResult(
        run=start.run,
        step=start.step.id,
        machine=start.step.machine,
        fence=start.fence,
        evidence=evidence,
        problem=problem,
        retry_after=retry_after,
    )


def _over_budget(step: Step, last: str) -> Problem:
    return Problem(
        code="budget",
        message=f"{step.summary} took longer than its budget of {step.budget:.0f} s",
        evidence=f"it waited for this at last: {last}" if last else "it never said what it waits for",
        next_action=f"look at the timeline: innervate events --machine {step.machine}",
    )


def _fault(error: Exception) -> Problem:
    return Problem(
        code="fault",
        message="a fault in the appliance itself stopped this step",
        evidence=f"{type(error).__name__}: {error}"[:300],
        next_action="report it with the daemon's log; planning again tries the step again",
    )

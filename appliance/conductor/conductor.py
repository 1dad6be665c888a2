"""Executes approved plans.

Rules
* Intent, act, result: an intent is on disk before its step does anything, a result before the next step starts.
* The conductor keeps nothing of its own: after a crash the folded world says what to do, and an attempt whose end
  nobody saw is begun again under the next fence (its step looks before it acts).
* One handler per machine. `moves` decides, purely; this file only carries out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import assert_never

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome, Retry
from appliance.conductor.position import ATTEMPTS, End, Start, moves, next_retry
from appliance.errors import InnervateError, MachineryError
from appliance.model.ids import MachineName, Nonce
from appliance.plan import WriteSeed
from appliance.ports import Rng
from appliance.store.records import Problem, RunEnded, StepIntent, StepResult

_LOGGER = logging.getLogger(__name__)
_NONCE_BYTES = 16
_STANDSTILL = 5.0

Ensure = Callable[[Hands, Attempt], Awaitable[Outcome]]


class Conductor:
    def __init__(self, hands: Hands, ensure: Ensure, rng: Rng) -> None:
        self._hands = hands
        self._ensure = ensure
        self._rng = rng
        self._memory = hands.memory
        self._busy: set[MachineName] = set()

    async def run(self) -> None:
        """Forever. Cancelling it leaves running steps without an end, exactly as a crash would."""
        async with asyncio.TaskGroup() as handlers:
            while True:
                tick, now = self._memory.tick, self._hands.clock.now()
                await self._advance(handlers, now)
                await self._memory.changed(tick, self._pause(now))

    async def _advance(self, handlers: asyncio.TaskGroup, now: float) -> None:
        for move in tuple(moves(self._memory.world, frozenset(self._busy), now)):
            match move:
                case Start() as start:
                    self._busy.add(start.step.machine)
                    handlers.create_task(self._handle(start), name=f"{start.run} {start.step.id}")
                case End() as end:
                    await self._conclude(end)
                case _:
                    assert_never(move)

    async def _conclude(self, end: End) -> None:
        try:
            await self._memory.remember(RunEnded(run=end.run, state=end.state))
        except MachineryError as error:
            await self._log_refused(f"run={end.run}", error)
            self._memory.wake()

    async def _log_refused(self, what: str, error: MachineryError) -> None:
        """The world stands still until the log takes a record again."""
        _LOGGER.error("%s %s: %s", what, error, error.evidence)
        await self._hands.clock.sleep(_STANDSTILL)

    def _pause(self, looked: float) -> float | None:
        """Until the next retry; one that was due when we looked waits for its machine, whose change wakes us."""
        due = next_retry(self._memory.world, looked)
        return None if due is None else max(0.05, due - self._hands.clock.now())

    async def _handle(self, start: Start) -> None:
        machine = start.step.machine
        try:
            attempt = await self._begin(start)
            outcome = await self._perform(attempt)
            await self._memory.remember(_result(start, outcome))
        except MachineryError as error:
            await self._log_refused(f"machine={machine} step={start.step.id}", error)
        finally:
            self._hands.waiting(machine, "")
            self._busy.discard(machine)
            self._memory.wake()

    async def _begin(self, start: Start) -> Attempt:
        step, before = start.step, self._memory.world.runs[start.run].attempts.get(start.step.id)
        resumed = before if start.resumes is not None else None
        # The nonce belongs to a boot: an attempt that resumes another one waits for the same boot. It is also what a
        # seed holds, and an agent that wrote the seed before will say so instead of writing it again.
        kept = before if isinstance(step.do, WriteSeed) else resumed
        nonce = kept.nonce if kept else Nonce(self._rng.token(_NONCE_BYTES))
        await self._memory.remember(
            StepIntent(
                run=start.run,
                step=step.id,
                machine=step.machine,
                kind=step.kind,
                fence=start.fence,
                nonce=nonce,
                resumes=start.resumes,
            )
        )
        _LOGGER.info("machine=%s step=%s fence=%d begins", step.machine, step.id, start.fence)
        began = resumed.started if resumed else None
        return Attempt(run=start.run, step=step, fence=start.fence, nonce=nonce, resumed_from=began)

    async def _perform(self, attempt: Attempt) -> Outcome:
        budget = asyncio.timeout(attempt.step.budget)
        try:
            async with budget:
                return await self._ensure(self._hands, attempt)
        except TimeoutError as error:
            return Failed(problem=_over_budget(attempt) if budget.expired() else _fault(error))
        except MachineryError:
            raise  # our own fault is no verdict on the machine: the attempt is resumed
        except InnervateError as error:
            return Failed(problem=problem_of(error))
        except Exception as error:
            _LOGGER.exception("machine=%s step=%s broke", attempt.machine, attempt.step.id)
            return Failed(problem=_fault(error))


def _result(start: Start, outcome: Outcome) -> StepResult:
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
            retry_after = outcome.seconds if start.fence < ATTEMPTS else None
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


def problem_of(error: InnervateError) -> Problem:
    return Problem(code=error.code, message=str(error), evidence=error.evidence, next_action=error.next_action)


def _over_budget(attempt: Attempt) -> Problem:
    return Problem(
        code="budget",
        message=f"{attempt.step.summary} took longer than its budget of {attempt.step.budget:.0f} s",
        evidence=f"fence {attempt.fence}",
        next_action=f"look at the timeline: innervate events --machine {attempt.machine}",
    )


def _fault(error: Exception) -> Problem:
    return Problem(
        code="fault",
        message="a fault in the appliance itself stopped this step",
        evidence=f"{type(error).__name__}: {error}"[:300],
        next_action="report it with the daemon's log; planning again tries the step again",
    )

"""Carries out what handlers decide, one thing after the other, until a step has an outcome.

An order is in the journal before it leaves, and its answer after: whoever takes an attempt up again sees what was
sent, and whether anybody knows that it arrived. Questions and the agent's task are kept for this life only.
"""

import asyncio
from dataclasses import replace
from functools import partial
from typing import assert_never

from appliance.bmc.port import Bmc
from appliance.conductor.decision import (
    Answer,
    Ask,
    AskCluster,
    AskConsole,
    AskIdentity,
    AskPower,
    AskShell,
    Done,
    Failed,
    Heard,
    Outcome,
    Question,
    Retry,
    Tell,
    View,
    Wait,
    Work,
)
from appliance.conductor.handlers import decide
from appliance.conductor.hands import Clusters, Hands
from appliance.conductor.runs import Attempt
from appliance.conductor.tasks import task_of
from appliance.errors import BmcSilentError, InnervateError, MachineryError, UnreachableError
from appliance.model.ids import MachineName
from appliance.model.on_clusters import OnClusters
from appliance.model.orders import BootOrder, ClusterOrder, ForgetOrder, Order, PowerOrder, TokenOrder
from appliance.plan import Step
from appliance.store.identity_records import TokenPlaced
from appliance.store.records import (
    OrderAnswered,
    OrderSent,
    Problem,
)
from images.agent.protocol import TaskState


async def carry_out(hands: Hands, step: Step, attempt: Attempt) -> Outcome:
    """Raises `MachineryError` when the appliance itself cannot go on; the attempt is then resumed."""
    outbox = _Outbox(hands, step, attempt)
    try:
        return await outbox.run()
    finally:
        outbox.close()


def problem_of(error: InnervateError) -> Problem:
    return Problem(code=error.code, message=str(error), evidence=error.evidence, next_action=error.next_action)


class _Outbox:
    """What this life of the daemon has heard about one attempt."""

    def __init__(self, hands: Hands, step: Step, attempt: Attempt) -> None:
        self._hands, self._step, self._attempt = hands, step, attempt
        self._began = hands.clock.now()
        self._heard: dict[Question, Heard] = {}
        self._work: Work | None = None

    @property
    def _machine(self) -> MachineName:
        return self._step.machine

    async def run(self) -> Outcome:
        while True:
            view = self._look()
            match decide(view, self._hands.clock.now()):
                case Tell() as tell:
                    self._say(Wait(why=tell.why))
                    await self._tell(view, tell.order)
                case Ask() as ask:
                    self._say(Wait(why=ask.why))
                    await self._ask(ask.question)
                case Wait() as wait:
                    self._say(wait)
                    await self._wait(view, wait)
                case Done() | Retry() | Failed() as outcome:
                    return outcome
                case other:
                    assert_never(other)

    def close(self) -> None:
        self._hands.waiting.say(self._machine, None)
        if self._work is not None:
            self._hands.agents.assign(self._machine, None)

    def _look(self) -> View:
        world = self._hands.memory.world
        attempt = world.runs[self._attempt.run].attempts[self._step.id]
        agent = self._hands.agents.heard(self._machine)
        if self._work is not None and self._work.ended is None and agent.report is not None:
            report = agent.report
            if (report.id, report.fence, report.state) == (self._work.task, attempt.fence, TaskState.DONE):
                # an agent waits with its reboot until it is offered nothing more
                self._hands.agents.assign(self._machine, None)
                self._work = replace(self._work, ended=self._hands.clock.now())
        return View(
            state=world.machine(self._machine),
            step=self._step,
            attempt=attempt,
            began=self._began,
            agent=agent,
            heard=tuple(self._heard.values()),
            work=self._work,
            first_signs=world.first_signs(self._machine),
            clash_of=partial(world.identities.clash, self._machine),
            tokens=self._hands.tokens is not None,
            policy=self._hands.policy,
        )

    def _say(self, wait: Wait) -> None:
        self._hands.waiting.say(self._machine, wait)

    async def _tell(self, view: View, order: Order) -> None:
        number = len(view.attempt.orders) + 1
        await self._hands.memory.remember(
            OrderSent(
                run=self._attempt.run,
                step=self._step.id,
                machine=self._machine,
                fence=self._attempt.fence,
                number=number,
                order=order,
            )
        )
        shown, problem, lost = await self._deliver(order, number)
        await self._hands.memory.remember(
            OrderAnswered(
                run=self._attempt.run,
                step=self._step.id,
                machine=self._machine,
                number=number,
                shown=shown,
                problem=problem,
                lost=lost,
            )
        )

    async def _deliver(self, order: Order, number: int) -> tuple[str, Problem | None, bool]:
        """What a read-back shows, why it was refused, and whether nobody knows."""
        try:
            match order:
                case PowerOrder(command=command):
                    await self._bmc().command(command)
                    return "", None, False
                case BootOrder(target=target):
                    return (await self._bmc().set_boot_once(target)).value, None, False
                case TokenOrder():
                    return await self._place(number), None, False
                case ForgetOrder(trace=trace):
                    return await self._hands.traces.forget(self._machine, trace), None, False
                case ClusterOrder():
                    return await self._clusters().begin(self._machine, self._cluster_action()), None, False
                case _:
                    assert_never(order)
        except MachineryError:
            raise
        except BmcSilentError as error:
            return "", problem_of(error), isinstance(order, PowerOrder)
        except InnervateError as error:
            return "", problem_of(error), False

    async def _place(self, number: int) -> str:
        """Recorded when it lies there, and before the machine starts: a hello may come at any moment after that."""
        nonce = self._hands.memory.world.machine(self._machine).boot_nonce
        assert nonce is not None and self._hands.tokens is not None  # noqa: S101, PT018  the handler orders only then
        placed = TokenPlaced(machine=self._machine, nonce=nonce, number=number)
        shown = await self._hands.tokens.place(self._machine, nonce, number)
        await self._hands.memory.remember(placed)
        return shown

    async def _ask(self, question: Question) -> None:
        answer: Answer | None = None
        problem: Problem | None = None
        unreachable = False
        try:
            answer = await self._answer(question)
        except MachineryError:
            raise
        except InnervateError as error:
            problem, unreachable = problem_of(error), isinstance(error, UnreachableError)
        self._heard.pop(question, None)  # the latest stands last
        self._heard[question] = Heard(
            question=question, at=self._hands.clock.now(), answer=answer, problem=problem, unreachable=unreachable
        )

    async def _answer(self, question: Question) -> Answer:
        match question:
            case AskIdentity():
                return await self._bmc().identify()
            case AskPower():
                return await self._bmc().power_state()
            case AskShell():
                return await self._enter(question)
            case AskCluster():
                return await self._clusters().look(self._machine, self._cluster_action())
            case AskConsole():
                return await asyncio.to_thread(self._hands.last_words, self._machine)
            case _:
                assert_never(question)

    def _clusters(self) -> Clusters:
        assert self._hands.clusters is not None  # noqa: S101  such plans are made where there are any
        return self._hands.clusters

    def _cluster_action(self) -> OnClusters:
        assert isinstance(self._step.do, OnClusters)  # noqa: S101  no other handler asks
        return self._step.do

    def _bmc(self) -> Bmc:
        return self._hands.bmc_of(self._machine)

    async def _enter(self, question: AskShell) -> str:
        state = self._hands.memory.world.machine(self._machine)
        assert state.installed is not None  # noqa: S101  the handler asks only then
        address = state.reached_at or state.installed.address
        host_keys = state.installed.host_keys
        return await asyncio.to_thread(self._hands.shells.run, address, question.user, host_keys, question.check.argv)

    async def _wait(self, view: View, wait: Wait) -> None:
        if wait.work and self._work is None:
            await self._offer(view)
            return
        until = None if wait.until is None else max(0.0, wait.until - self._hands.clock.now())
        await self._hands.memory.pulsed(self._machine, until)

    async def _offer(self, view: View) -> None:
        now = self._hands.clock.now()
        task = await task_of(self._hands, self._step, view.attempt, view.state.bound)
        self._work = Work(task=task.id, life=view.agent.life, since=now)
        self._hands.agents.assign(self._machine, task)

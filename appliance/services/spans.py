"""Runs, steps, orders and boots as spans of the trace of the request that began them, told from the record log.

Their times are those of the records. What was under way when the daemon died has no end, and its span is never told;
its run goes on in another span of the same trace.
"""

from collections.abc import Sequence

from opentelemetry.trace import Span, StatusCode, Tracer

from appliance.conductor.memory import Memory
from appliance.conductor.runs import RunStatus
from appliance.model.ids import MachineName, RunId, StepId
from appliance.model.orders import BootOrder, ClusterOrder, ForgetOrder, Order, PowerOrder, TokenOrder
from appliance.model.views import RunState
from appliance.services.views import describe
from appliance.store.records import (
    BootSeen,
    Entry,
    FirstBootSeen,
    HelloSeen,
    InstallerSeen,
    OrderAnswered,
    OrderSent,
    Problem,
    RunEnded,
    RunStarted,
    StepIntent,
    StepResult,
)
from appliance.tracing import under, within

_Step = tuple[RunId, StepId]


class Spans:
    def __init__(self, memory: Memory, source: Tracer) -> None:
        self._memory, self._source = memory, source
        self._runs: dict[RunId, Span] = {}
        self._steps: dict[_Step, Span] = {}
        self._orders: dict[tuple[RunId, StepId, int], Span] = {}
        self._at_work: dict[MachineName, _Step] = {}
        for run in memory.world.running:
            self._begin_run(run).set_attribute("innervate.resumed", True)
        memory.on_entries(self._follow)

    def _follow(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry.record:
            case RunStarted(run=run):
                self._begin_run(self._memory.world.runs[run])
            case StepIntent() as intent:
                self._begin_step(intent, entry.time)
            case StepResult() as result:
                self._end_step(result, entry.time)
            case OrderSent() as sent:
                self._send(sent, entry.time)
            case OrderAnswered(run=run, step=step, number=number, problem=problem):
                if (span := self._orders.pop((run, step, number), None)) is not None:
                    _end(span, problem, entry.time)
            case BootSeen() | HelloSeen() | InstallerSeen() | FirstBootSeen() as seen:
                if (span := self._steps.get(self._at_work.get(seen.machine, (RunId(""), StepId(""))))) is not None:
                    span.add_event(seen.record, {"text": describe(seen)}, timestamp=_ns(entry.time))
            case RunEnded() as ended:
                self._end_run(ended, entry.time)
            case _:
                return

    def _begin_run(self, run: RunStatus) -> Span:
        span = self._source.start_span("run", context=under(run.trace), start_time=_ns(run.started))
        span.set_attribute("innervate.run", run.id)
        span.set_attribute("innervate.machines", len(run.index.by_machine))
        self._runs[run.id] = span
        return span

    def _begin_step(self, intent: StepIntent, now: float) -> None:
        if (run := self._runs.get(intent.run)) is None:
            return
        key = intent.run, intent.step
        action = self._memory.world.runs[intent.run].index.by_id[intent.step].do.action
        span = self._source.start_span(action, context=within(run), start_time=_ns(now))
        span.set_attributes({"innervate.machine": intent.machine, "innervate.step": intent.step})
        span.set_attribute("innervate.fence", intent.fence)
        self._steps[key], self._at_work[intent.machine] = span, key

    def _end_step(self, result: StepResult, now: float) -> None:
        if (span := self._steps.pop((result.run, result.step), None)) is not None:
            _end(span, result.problem, now)
        self._at_work.pop(result.machine, None)

    def _send(self, sent: OrderSent, now: float) -> None:
        if (step := self._steps.get((sent.run, sent.step))) is not None:
            span = self._source.start_span(_called(sent.order), context=within(step), start_time=_ns(now))
            span.set_attribute("innervate.machine", sent.machine)
            self._orders[sent.run, sent.step, sent.number] = span

    def _end_run(self, ended: RunEnded, now: float) -> None:
        """What was still under way is over with it."""
        for orders in [key for key in self._orders if key[0] == ended.run]:
            self._orders.pop(orders).end(_ns(now))
        for step in [key for key in self._steps if key[0] == ended.run]:
            self._steps.pop(step).end(_ns(now))
        self._at_work = {name: key for name, key in self._at_work.items() if key[0] != ended.run}
        if (span := self._runs.pop(ended.run, None)) is not None:
            span.set_attribute("innervate.state", ended.state.value)
            if ended.state is RunState.FAILED:
                span.set_status(StatusCode.ERROR)
            span.end(_ns(now))


def _end(span: Span, problem: Problem | None, now: float) -> None:
    if problem is not None:
        span.set_status(StatusCode.ERROR, problem.message)
        span.set_attribute("error.type", problem.code)
    span.end(_ns(now))


def _called(order: Order) -> str:
    match order:
        case PowerOrder(command=command):
            return f"power {command.value}"
        case BootOrder():
            return "boot order"
        case TokenOrder():
            return "token"
        case ForgetOrder():
            return "forget"
        case ClusterOrder():
            return "cluster"


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)

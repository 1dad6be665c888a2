"""Bringing the agent up in the ramdisk, hearing its facts, and giving it the step's task."""

from dataclasses import replace

from appliance.conductor.decision import (
    Decision,
    Done,
    Failed,
    Outcome,
    Retry,
    View,
    Wait,
    Work,
)
from appliance.conductor.handlers.ladder import LADDER, Awaited, climb, rungs_begun
from appliance.conductor.handlers.signs import next_sign, silence
from appliance.conductor.machine import MachineState
from appliance.model.identity import Rung, explained
from appliance.plan import WriteSeed
from appliance.store.records import Problem
from images.agent.protocol import TaskReport, TaskState
from images.agent.tasks import BUSY

RETURN_PATIENCE = 45.0
"""After a restart of ours, agents come back within their longest back-off (30 s)."""

_SILENCE = 90.0
"""An agent in the middle of a task polls at least every 30 s; three misses and it is gone."""

_FACTS_PATIENCE = 240.0
_FACTS_COME = 15.0
"""The agent looks at the hardware by itself when it starts; what it told us then may have been lost with our crash."""


def boot_agent(view: View, now: float) -> Decision:
    """The agent runs and was heard with the nonce of this boot."""
    if view.agent.alive and view.state.hello is not None:
        return Done(evidence=_how_it_came(view))
    if view.state.hello is not None and now < (until := view.began + RETURN_PATIENCE):
        return Wait(why="waiting for the agent that was running to poll again", until=until)
    return climb(view, Awaited(budget=view.step.budget, reads_token=True, next_sign=next_sign, silence=silence), now)


def _how_it_came(view: View) -> dict[str, str]:
    rung = rungs_begun(view.attempt.orders)
    if not rung:
        return {"agent": "already running"}
    return {"agent": "hello with this boot's nonce", "rung": LADDER[rung - 1].name}


def read_facts(view: View, now: float) -> Decision:
    """Facts of *this* boot: what an earlier boot reported may be gone."""
    state = view.state
    if state.hello is not None and state.facts is not None and state.facts_nonce == state.hello.nonce:
        disks = ", ".join(disk.serial or disk.wwn for disk in state.facts.disks)
        return Done(evidence={"serial": state.facts.serial, "disks": disks})
    if now >= view.began + min(_FACTS_PATIENCE, view.step.budget * 0.9):
        return Retry(seconds=5, problem=_no_facts(state))
    return _look_again(view, now)


def _look_again(view: View, now: float) -> Decision:
    """When none come by themselves, the agent is told to look again."""
    wait = Wait(why="waiting for the agent's hardware report", until=now + _FACTS_COME)
    if view.work is None:
        overdue = now >= view.began + _FACTS_COME and view.agent.alive
        return replace(offer(view), why="telling the agent to read the hardware again") if overdue else wait
    return wait if view.work.ended is not None else exchange(view, view.work, now)


def _no_facts(state: MachineState) -> Problem:
    return Problem(
        code="facts-missing",
        message="the agent runs but no usable hardware report came",
        evidence="no facts with this boot's nonce",
        next_action=f"read the agent's log: innervate events --machine {state.name}",
    )


def work(view: View, now: float) -> Decision:
    """The agent does the step's task; an agent that is lost or restarted makes it a new attempt."""
    if view.work is not None:
        return exchange(view, view.work, now)
    up = boot_agent(view, now)
    if not isinstance(up, Done):
        return up
    return _unproven(view) or offer(view)


def _unproven(view: View) -> Wait | None:
    """Secrets wait until the machine has proven itself; a person may be on the way to its console."""
    do, bound = view.step.do, view.state.bound
    if not isinstance(do, WriteSeed) or not do.secrets:
        return None
    wanted = [secret.release for secret in do.secrets]
    if bound is not None and view.policy.suffices(bound.rung, wanted):
        return None
    told = explained(view.state.name, bound, view.policy, view.state.tpm)
    rung = bound.rung if bound is not None else Rung.L0
    return Wait(why=f"it stands on {rung.value}, and its secrets need {view.policy.asked(wanted).value}: {told.higher}")


def offer(view: View) -> Wait:
    """To an agent that is known to be up. One that still does what an earlier run began is left to end it."""
    return Wait(why=f"the agent works: {view.step.summary}", work=not _is_occupied(view))


def _is_occupied(view: View) -> bool:
    report = view.agent.report
    return report is not None and report.state is TaskState.RUNNING and report.id != view.attempt.task


def exchange(view: View, work: Work, now: float) -> Decision:
    report = view.agent.report
    mine = report if report is not None and (report.id, report.fence) == (work.task, view.attempt.fence) else None
    if mine is not None and (outcome := _outcome(mine)) is not None:
        return outcome
    if view.agent.life != work.life:
        return Retry(seconds=0, problem=_lost("the agent restarted in the middle of its task"))
    silent = view.agent.silent or 0.0
    if silent >= _SILENCE:
        return Retry(seconds=0, problem=_lost(f"the agent was silent for {_SILENCE:.0f} s"))
    return Wait(why=f"the agent works: {view.step.summary}", until=now + max(0.05, _SILENCE - silent), work=True)


def _outcome(report: TaskReport) -> Outcome | None:
    """None too when the agent refused because it is not done yet with what an earlier run began: it will ask again."""
    if report.error is not None and report.error.message == BUSY:
        return None
    if report.error is not None:
        error = report.error
        problem = Problem(code="agent", message=error.message, evidence=error.evidence, next_action=error.next_action)
        return Failed(problem=problem)
    if report.state is not TaskState.DONE:
        return None
    return Done(evidence={name: str(value) for name, value in report.evidence.items()})


def _lost(message: str) -> Problem:
    return Problem(
        code="agent-lost",
        message=message,
        next_action="nothing to do: the step is tried again under a new fence",
    )

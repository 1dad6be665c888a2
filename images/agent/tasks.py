"""What to do with the task that the server names: start, go on, say again, refuse. Pure.

    offered                          running the same          done or failed the same        running another
    older fence                      ignored                   ignored                        (fences compare within
    same fence                       goes on                   reported again                  one task only)
    newer fence                      fence adopted             done: reported under it        refused: busy
                                                               failed: started again

A finished task is reported until the server answers with another task or none; then it is only remembered. Until then
no other task starts: its evidence must not be lost. A refusal is reported once.
"""

from dataclasses import dataclass, replace

from .protocol import BadTask, Failure, Progress, Task, TaskReport, TaskState

BUSY = "busy"
"""The message of a refusal that means: not now."""

_REMEMBERED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    running: Task | None = None
    finished: TaskReport | None = None
    refusal: TaskReport | None = None
    past: tuple[TaskReport, ...] = ()


def report(ledger: Ledger, progress: Progress) -> TaskReport | None:
    """What the next poll says; `progress` is of the running task."""
    if ledger.running is None:
        return ledger.refusal or ledger.finished
    task = ledger.running
    running = TaskReport(
        id=task.id, fence=task.fence, state=TaskState.RUNNING, progress=progress, evidence={}, error=None
    )
    return ledger.refusal or running


def answer(ledger: Ledger, sent: TaskReport | None, offered: Task | BadTask | None) -> tuple[Ledger, Task | None]:
    """After a poll that said `sent` was answered with `offered`: the new ledger, and the task to start if any."""
    ledger = _heard(ledger, sent, offered)
    if offered is None:
        return ledger, None
    if isinstance(offered, BadTask):
        return replace(ledger, refusal=_failed(offered.id, offered.fence, offered.failure)), None
    if ledger.running is not None and ledger.running.id == offered.id:
        fence = max(ledger.running.fence, offered.fence)
        return replace(ledger, running=replace(ledger.running, fence=fence)), None
    if ledger.running is not None:
        return replace(ledger, refusal=_busy(offered, ledger.running)), None
    if (past := _remembered(ledger, offered.id)) is not None:
        return _again(ledger, past, offered)
    return _start(ledger, offered)


def finish(ledger: Ledger, *, progress: Progress, evidence: dict[str, str | int], error: Failure | None) -> Ledger:
    """The running task has ended, with an error if it failed."""
    task = ledger.running
    if task is None:
        return ledger
    state = TaskState.DONE if error is None else TaskState.FAILED
    ended = TaskReport(id=task.id, fence=task.fence, state=state, progress=progress, evidence=evidence, error=error)
    return replace(ledger, running=None, finished=ended)


def _heard(ledger: Ledger, sent: TaskReport | None, offered: Task | BadTask | None) -> Ledger:
    if sent is not None and sent == ledger.refusal:
        return replace(ledger, refusal=None)
    if sent is None or sent != ledger.finished or (offered is not None and offered.id == sent.id):
        return ledger
    return replace(ledger, finished=None, past=(sent, *ledger.past)[:_REMEMBERED])


def _remembered(ledger: Ledger, task: str) -> TaskReport | None:
    reports = (ledger.finished, *ledger.past)
    return next((report for report in reports if report is not None and report.id == task), None)


def _again(ledger: Ledger, past: TaskReport, offered: Task) -> tuple[Ledger, Task | None]:
    others = tuple(report for report in ledger.past if report.id != past.id)
    unheard = ledger.finished is not None and ledger.finished.id != past.id
    if offered.fence < past.fence or unheard:
        return ledger, None
    if past.state is TaskState.FAILED and offered.fence > past.fence:
        return _start(replace(ledger, finished=None, past=others), offered)
    return replace(ledger, finished=replace(past, fence=offered.fence), past=others), None


def _start(ledger: Ledger, offered: Task) -> tuple[Ledger, Task | None]:
    if ledger.finished is not None:
        return ledger, None
    return replace(ledger, running=offered), offered


def _busy(offered: Task, running: Task) -> TaskReport:
    failure = Failure(
        message=BUSY,
        evidence=f"task {running.id} is running",
        next_action="Wait until it has ended, or restart the machine.",
    )
    return _failed(offered.id, offered.fence, failure)


def _failed(task: str, fence: int, failure: Failure) -> TaskReport:
    return TaskReport(id=task, fence=fence, state=TaskState.FAILED, progress=Progress(), evidence={}, error=failure)

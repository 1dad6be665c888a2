"""Which task starts, goes on, is said again or refused."""

from dataclasses import replace

import pytest

from images.agent.protocol import BadTask, Failure, Inspect, Progress, Reboot, TaskState
from images.agent.tasks import Ledger, answer, finish, report

A1, A2 = Inspect(id="a", fence=1), Inspect(id="a", fence=2)
B1 = Reboot(id="b", fence=1)
FAILURE = Failure(message="m", evidence="e", next_action="n")
STEP = Progress(done=1, total=2)


def ended(task, error=None):
    return finish(Ledger(running=task), progress=STEP, evidence={}, error=error)


def say(ledger):
    return report(ledger, STEP)


def test_task_starts_on_an_empty_ledger():
    assert answer(Ledger(), None, A1) == (Ledger(running=A1), A1)


def test_nothing_offered_changes_nothing():
    assert answer(Ledger(), None, None) == (Ledger(), None)
    assert answer(Ledger(running=A1), say(Ledger(running=A1)), None) == (Ledger(running=A1), None)


@pytest.mark.parametrize(("running", "offered", "fence"), [(A1, A2, 2), (A2, A1, 2), (A1, A1, 1)])
def test_running_task_takes_the_newest_fence_and_does_not_start_again(running, offered, fence):
    ledger, start = answer(Ledger(running=running), say(Ledger(running=running)), offered)
    assert start is None
    assert say(ledger).fence == fence
    assert say(ledger).state is TaskState.RUNNING


def test_result_carries_the_adopted_fence():
    ledger, _ = answer(Ledger(running=A1), None, A2)
    assert say(finish(ledger, progress=STEP, evidence={"disks": 1}, error=None)).fence == 2


@pytest.mark.parametrize(
    ("error", "offered", "starts", "fence"),
    [(None, A1, False, 1), (None, A2, False, 2), (FAILURE, A1, False, 1), (FAILURE, A2, True, 2)],
)
@pytest.mark.parametrize("heard", [False, True])
def test_ended_task_is_reported_again_or_retried(error, offered, starts, fence, heard):
    ledger = ended(A1, error)
    if heard:
        ledger, _ = answer(ledger, say(ledger), None)
        assert say(ledger) is None
    ledger, start = answer(ledger, say(ledger), offered)
    assert (start is not None) is starts
    assert say(ledger).fence == fence


def test_older_fence_of_an_ended_task_is_ignored():
    ledger = ended(A2)
    assert answer(ledger, say(ledger), A1) == (ledger, None)


def test_result_is_kept_until_it_was_heard():
    ledger = ended(A1)
    running = say(Ledger(running=A1))  # what the poll said that was under way when the task ended
    assert answer(ledger, running, None) == (ledger, None)
    assert answer(ledger, running, B1) == (ledger, None)
    assert answer(ledger, say(ledger), B1)[1] == B1


def test_second_task_is_refused_once_and_the_first_goes_on():
    ledger, start = answer(Ledger(running=A1), say(Ledger(running=A1)), B1)
    refusal = say(ledger)
    assert (start, refusal.id, refusal.state, refusal.error.message) == (None, "b", TaskState.FAILED, "busy")
    ledger, _ = answer(ledger, refusal, A1)
    assert say(ledger).id == "a"


def test_refused_task_starts_when_it_is_offered_again_later():
    ledger, _ = answer(Ledger(running=A1), None, B1)
    ledger, _ = answer(ledger, say(ledger), None)
    ledger = finish(ledger, progress=STEP, evidence={}, error=None)
    assert answer(ledger, say(ledger), B1)[1] == B1


def test_bad_task_is_reported_as_failed():
    ledger, start = answer(Ledger(), None, BadTask(id="x", fence=3, failure=FAILURE))
    said = say(ledger)
    assert (start, said.id, said.fence, said.error) == (None, "x", 3, FAILURE)
    assert say(answer(ledger, said, None)[0]) is None


def test_memory_is_bounded():
    ledger = Ledger()
    for number in range(100):
        ledger, start = answer(ledger, say(ledger), replace(A1, id=str(number)))
        assert start is not None
        ledger = finish(ledger, progress=STEP, evidence={}, error=None)
    assert len(ledger.past) == 32

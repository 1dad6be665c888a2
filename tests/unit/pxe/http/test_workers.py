import threading

import pytest

from pxe.http.workers import Workers

DEADLINE = 10.0


def test_jobs_run_beside_each_other() -> None:
    workers = Workers(threads=2, waiting=10)
    meeting = threading.Barrier(3)

    def job() -> None:
        meeting.wait(DEADLINE)

    try:
        for _ in range(2):
            assert workers.submit(job)
        meeting.wait(DEADLINE)
    finally:
        assert workers.stop()


def test_line_is_bounded() -> None:
    workers = Workers(threads=1, waiting=2)
    begun, go = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go.wait(DEADLINE)

    try:
        assert workers.submit(job)
        assert begun.wait(DEADLINE)
        assert [workers.submit(job) for _ in range(3)] == [True, True, False]
    finally:
        go.set()
        workers.stop()


def test_stop_drops_what_waits_and_leaves_behind_what_hangs(caplog: pytest.LogCaptureFixture) -> None:
    workers = Workers(threads=1, waiting=2, stop_seconds=0.01)
    begun, go, late = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go.wait(DEADLINE)

    workers.submit(hang)
    assert begun.wait(DEADLINE)
    workers.submit(late.set)
    assert not workers.stop()
    assert "does not end" in caplog.text
    go.set()
    assert not late.is_set()

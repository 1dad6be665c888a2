import os
import select
import threading
from collections.abc import Callable, Iterator

import pytest

from pxe import sockets
from pxe.sockets import Loop

DEADLINE = 10.0


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def heard(loop: Loop, fd: int, act: Callable[[], None], times: int) -> None:
    """Starts the loop, wakes the handler so often, and stops the loop; `act` is what the handler does."""
    called = threading.Semaphore(0)

    def handler(_: int) -> None:
        os.eventfd_read(fd)
        called.release()
        act()

    loop.watch(fd, select.EPOLLIN, handler)
    loop.start()
    for _ in range(times):
        os.eventfd_write(fd, 1)
        assert called.acquire(timeout=DEADLINE)
    loop.stop()


def test_handler_that_raises_is_logged_and_called_again(fd: int, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    heard(Loop(name="test", tick=lambda: None, period=60), fd, fail, 2)
    assert caplog.text.count("a handler failed") == 2


def test_handler_that_holds_others_up_is_named(
    fd: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_SLOW_SECONDS", 0.0)
    heard(Loop(name="test", tick=lambda: None, period=60), fd, lambda: None, 1)
    assert "a handler held its service up thread=test" in caplog.text


def test_tick_comes_by_the_period_and_not_with_each_event(fd: int) -> None:
    ticks: list[None] = []
    heard(Loop(name="test", tick=lambda: ticks.append(None), period=60), fd, lambda: None, 20)
    assert ticks == []


def test_tick_that_raises_comes_again() -> None:
    ticked = threading.Semaphore(0)

    def tick() -> None:
        ticked.release()
        raise RuntimeError("on purpose")

    loop = Loop(name="test", tick=tick, period=0.001)
    loop.start()
    for _ in range(2):
        assert ticked.acquire(timeout=DEADLINE)
    loop.stop()

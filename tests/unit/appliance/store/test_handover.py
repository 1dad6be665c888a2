"""What threads hand over arrives on the loop in order, with one wake-up for many, and waiting can be given up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Thread

import pytest

from appliance.store.handover import Handover


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often other threads woke it."""

    woken = 0

    def call_soon_threadsafe(self, *arguments: object, **options: object) -> asyncio.Handle:
        self.woken += 1
        return super().call_soon_threadsafe(*arguments, **options)  # type: ignore[arg-type]


def in_a_thread(work: Callable[[], None]) -> None:
    thread = Thread(target=work)
    thread.start()
    thread.join()


def test_one_wake_up_for_all_that_waits_and_in_order() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        handover, seen = Handover(loop), list[int]()
        work: list[Future[int]] = [Future() for _ in range(50)]
        waiting = [asyncio.create_task(handover.result(future)) for future in work]
        await asyncio.sleep(0)

        def end_all() -> None:
            for number, future in enumerate(work):
                handover.put(partial(seen.append, number))
                future.set_result(number)

        in_a_thread(end_all)
        assert await asyncio.gather(*waiting) == seen == list(range(50))
        assert loop.woken == 1

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(scene())


def test_what_is_put_first_is_seen_by_whoever_waits() -> None:
    async def scene() -> None:
        handover, seen = Handover(asyncio.get_running_loop()), list[str]()
        work: Future[None] = Future()

        def end() -> None:
            handover.put(lambda: seen.append("folded"))
            work.set_result(None)

        in_a_thread(end)
        await handover.result(work)
        assert seen == ["folded"]

    asyncio.run(scene())


def test_an_error_arrives() -> None:
    async def scene() -> None:
        work: Future[None] = Future()
        work.set_exception(OSError("disk is full"))
        with pytest.raises(OSError, match="disk is full"):
            await Handover(asyncio.get_running_loop()).result(work)

    asyncio.run(scene())


@pytest.mark.parametrize("begun", [False, True])
def test_giving_up_cancels_what_has_not_begun(begun: bool) -> None:
    async def scene() -> None:
        handover, work = Handover(asyncio.get_running_loop()), Future[int]()
        if begun:
            work.set_running_or_notify_cancel()
        waiting = asyncio.create_task(handover.result(work))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert work.cancelled() is not begun
        if begun:
            work.set_result(1)  # nobody listens any more
        await asyncio.sleep(0)

    asyncio.run(scene())

"""Many threads put, one loop takes: everything, once, in each thread's order."""

import asyncio
import threading

import pytest

from appliance.services.inbox import Inbox

THREADS, EACH = 8, 500


def test_everything_arrives_in_order() -> None:
    async def scene() -> None:
        taken: list[tuple[int, int]] = []
        done = asyncio.Event()

        def take(thread: int, number: int) -> None:
            taken.append((thread, number))
            if len(taken) == THREADS * EACH:
                done.set()

        inbox = Inbox(asyncio.get_running_loop())
        threads = [
            threading.Thread(target=lambda thread=thread: [inbox.put(take, thread, number) for number in range(EACH)])
            for thread in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(30):
            await done.wait()
        for thread in threads:
            thread.join()
        for one in range(THREADS):
            assert [number for thread, number in taken if thread == one] == list(range(EACH))

    asyncio.run(scene())


def test_one_that_fails_does_not_hold_up_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        taken = asyncio.Event()
        inbox = Inbox(asyncio.get_running_loop())
        inbox.put(lambda: {}["missing"])
        inbox.put(taken.set)
        async with asyncio.timeout(30):
            await taken.wait()

    asyncio.run(scene())
    assert "KeyError: 'missing'" in caplog.text

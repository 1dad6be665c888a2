"""Virtual time: it jumps, it never stands, and one order is kept."""

import asyncio
import time

import pytest

from appliance.sim.chance import Chance
from appliance.sim.loop import EPOCH, SimClock, StandstillError, run


def test_hours_pass_at_once() -> None:
    async def wait() -> tuple[float, float]:
        clock = SimClock(asyncio.get_running_loop())
        before = clock.monotonic()
        await clock.sleep(7200)
        return clock.monotonic() - before, clock.now()

    began = time.monotonic()
    passed, now = run(wait())
    assert time.monotonic() - began < 5
    assert passed == pytest.approx(7200, abs=0.01)
    assert now == pytest.approx(EPOCH + 7200, abs=0.01)


def test_timers_end_in_the_order_of_their_times() -> None:
    ended: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended.append(name)

    async def all_of_them() -> None:
        await asyncio.gather(sleeper("late", 3.0), sleeper("early", 1.0), sleeper("middle", 2.0))

    run(all_of_them())
    assert ended == ["early", "middle", "late"]


def test_what_is_meant_for_a_thread_runs_in_its_place() -> None:
    async def work() -> list[str]:
        done = ["before"]
        await asyncio.to_thread(done.append, "in the thread")
        done.append("after")
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return done

    assert run(work()) == ["before", "in the thread", "after"]


def test_other_threads_may_hand_over() -> None:
    async def work() -> str:
        loop = asyncio.get_running_loop()
        said: asyncio.Future[str] = loop.create_future()
        loop.call_soon_threadsafe(said.set_result, "heard")
        return await said

    assert run(work()) == "heard"


def test_a_turn_takes_time_so_that_no_rounding_stops_the_clock() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(100):
            await asyncio.sleep(0)
        return loop.time() - before

    assert run(work()) > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_standstill_is_an_error() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StandstillError):
        run(never())


def test_streams_do_not_shift_each_other() -> None:
    one, other = Chance(7), Chance(7)
    one.stream("faults").fraction()
    assert one.stream("machine", "1").token(8) == other.stream("machine", "1").token(8)
    assert Chance(8).stream("machine", "1").token(8) != other.stream("machine", "1").token(8)
    assert one.stream("machine", "1") is one.stream("machine", "1")

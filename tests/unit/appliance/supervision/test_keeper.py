"""A program that ends is started again, later each time; one that runs is ended with the daemon."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from appliance.errors import MachineryError
from appliance.supervision.decision import Standing, ended, pause, started
from appliance.supervision.host import HostChildren
from appliance.supervision.keeper import Keeper
from appliance.system import SystemClock


def test_each_fall_makes_the_pause_longer() -> None:
    standing, pauses = Standing(), []
    for _ in range(9):
        standing = ended(started(standing, 0.0), 1.0, "status 1")
        pauses.append(pause(standing))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert (standing.ends, standing.running_since, standing.last) == (9, None, "status 1")


def test_who_ran_for_a_minute_is_forgiven() -> None:
    fallen = ended(started(Standing(falls=7), 0.0), 1.0, "")
    assert fallen.falls == 8
    assert ended(started(fallen, 10.0), 70.0, "").falls == 1


@dataclass
class Waiting(SystemClock):
    """Time stands still, and pauses are noted."""

    pauses: list[float] = field(default_factory=list)

    def now(self) -> float:
        return 1000.0

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


class Absent:
    async def start(self, argv: Sequence[str], said: Callable[[str], None]) -> HostChildren:
        raise MachineryError(f"{argv[0]} did not start", evidence="no such file")


def test_what_is_not_installed_is_asked_for_again() -> None:
    clock = Waiting()
    keeper = Keeper("haproxy", ["haproxy"], Absent(), clock)  # type: ignore[arg-type]

    async def played() -> None:
        work = asyncio.create_task(keeper.run())
        while len(clock.pauses) < 3:  # noqa: ASYNC110  no time passes
            await asyncio.sleep(0)
        work.cancel()

    asyncio.run(played())
    assert clock.pauses[:3] == [0.5, 1, 2]
    assert keeper.standing.last == "haproxy did not start: no such file"


def test_a_real_one_dies_and_comes_back() -> None:
    clock = Waiting()
    script = "echo ready; trap 'echo ended >&2; exit 3' TERM; while :; do read -r -t 60 _ <> <(:) || :; done"
    keeper = Keeper("script", ["bash", "-c", script], HostChildren(), clock)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  another process
                await asyncio.sleep(0.01)

    async def played() -> tuple[int, int]:
        work = asyncio.create_task(keeper.run())
        await until(lambda: "ready" in keeper.said)
        first = keeper.pid
        keeper.signal(signal.SIGKILL)
        await until(lambda: keeper.pid not in (None, first) and keeper.said[-1:] == ("ready",))
        second = keeper.pid
        assert keeper.standing.last.startswith("status -9")
        assert keeper.standing.ends == 1
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert first is not None
        assert second is not None
        return first, second

    for pid in asyncio.run(played()):
        with pytest.raises(ProcessLookupError):
            _alive(pid)
    assert "ended" in keeper.said


def _alive(pid: int) -> None:
    import os

    os.kill(pid, 0)

"""BMCs that hang hurt nobody but those who ask them: 60 of 200 take a connection and no more, while the others work.

The crowd is a process of its own. Each answer of a healthy BMC takes it 50 ms, and they are asked at a steady pace that
leaves both processes idle most of the time: what is compared is waiting, not computing.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.bmc.port import Bmc
from appliance.bmc.redfish import RedfishDialler, RedfishLimits
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint, PowerState
from appliance.model.secret import Secret
from appliance.system import SystemClock
from tests.bench import bmc_farm
from tests.contract.bmc_crowd import HUNG

LIMITS = RedfishLimits(request_seconds=0.4, operation_seconds=0.8)
_KINDS = ("deaf", "half", "mute")
_LATE = 0.7
"""What a busy machine may add to a deadline before we say that it was missed."""
_PACE, _ASKED = 0.5, 4
_ROUNDS = 5
_NAMES = ("does not answer in time", "has to rest")
"""The second where it hung again and again: it is left alone for longer than an operation may take."""
_GROWTH, _NOISE = 1.10, 0.005
"""Ten per cent of an operation, but never less than the seconds that this machine's scheduler takes now and then."""


@dataclass(frozen=True, kw_only=True)
class Crowd:
    where: dict[str, list[tuple[str, int]]]
    fingerprint: str

    def endpoints(self, kind: str) -> list[BmcEndpoint]:
        return [
            BmcEndpoint(
                url=f"https://{host}:{port}",
                user=bmc_farm.USER,
                password=Secret(bmc_farm.PASSWORD),
                fingerprint=self.fingerprint,
            )
            for host, port in self.where[kind]
        ]

    @property
    def hung(self) -> list[BmcEndpoint]:
        return [endpoint for kind in _KINDS for endpoint in self.endpoints(kind)]


@dataclass(kw_only=True)
class Seen:
    """Seconds that operations took, and the errors of those that failed."""

    healthy: list[float] = field(default_factory=list)
    hung: list[float] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def p99(self) -> float:
        return statistics.quantiles(self.healthy, n=100)[98]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    folder = tmp_path_factory.mktemp("crowd")
    for name, text in bmc_farm.redfish(folder).files.items():
        (folder / name).write_text(text)
    argv = [sys.executable, "-m", "tests.contract.bmc_crowd", str(folder)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Crowd(where=json.loads(process.stdout.readline()), fingerprint=bmc_farm.fingerprint(folder))
        finally:
            process.terminate()


async def _run(healthy: list[BmcEndpoint], hung: list[BmcEndpoint]) -> Seen:
    """The healthy ones log in first; then all are asked, the hung ones anew as soon as they have failed."""
    dialler, seen = RedfishDialler(SystemClock(), LIMITS), Seen()
    try:
        await _ask(dialler, healthy, hung, seen)
    finally:
        await dialler.close()
    return seen


async def _ask(dialler: RedfishDialler, healthy: list[BmcEndpoint], hung: list[BmcEndpoint], seen: Seen) -> None:
    """The first error ends all of it: what went on would be in the way of the next test."""
    bmcs = [dialler.dial(endpoint) for endpoint in healthy]
    async with asyncio.TaskGroup() as logging_in:
        for bmc in bmcs:
            logging_in.create_task(bmc.power_state())
    done, begin = asyncio.Event(), time.monotonic()
    async with asyncio.TaskGroup() as victims:
        for n, endpoint in enumerate(hung):
            victims.create_task(_insist(dialler.dial(endpoint), begin + _PACE * n / len(hung), seen, done))
        async with asyncio.TaskGroup() as paced:
            for n, bmc in enumerate(bmcs):
                paced.create_task(_pace(bmc, begin + _PACE * n / len(bmcs), seen))
        done.set()


async def _pace(bmc: Bmc, begin: float, seen: Seen) -> None:
    for number in range(_ASKED):
        await asyncio.sleep(begin + number * _PACE - time.monotonic())
        began = time.monotonic()
        assert await bmc.power_state() is PowerState.OFF
        seen.healthy.append(time.monotonic() - began)


async def _insist(bmc: Bmc, begin: float, seen: Seen, done: asyncio.Event) -> None:
    await asyncio.sleep(begin - time.monotonic())
    while not done.is_set():
        began = time.monotonic()
        try:
            await bmc.power_state()
        except BmcError as error:
            seen.errors.append(error)
        seen.hung.append(time.monotonic() - began)
        await asyncio.sleep(began + _PACE - time.monotonic())


def _sockets() -> list[str]:
    """What this process has open, by name; a descriptor may be gone before it is looked at."""
    found = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208  pathlib cannot list what vanishes
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        except FileNotFoundError:
            continue
    return sorted(name for name in found if name.startswith("socket:"))


async def _alone(healthy: list[BmcEndpoint], hung: list[BmcEndpoint]) -> tuple[Seen, list[str]]:
    """With what is left afterwards: sockets and tasks that were not there before."""
    before, tasks = _sockets(), asyncio.all_tasks()
    seen = await _run(healthy, hung)
    left = [name for name in _sockets() if name not in before]
    return seen, left + [repr(task) for task in asyncio.all_tasks() - tasks]


def test_hung_bmcs_end_in_named_errors_within_their_deadline_and_leave_nothing(crowd: Crowd) -> None:
    seen, left = asyncio.run(_alone(crowd.endpoints("healthy")[:20], crowd.hung))
    assert left == []
    assert len(seen.errors) == len(seen.hung) >= len(_KINDS) * HUNG
    assert max(seen.hung) <= LIMITS.operation_seconds + _LATE
    for error in seen.errors:
        assert isinstance(error, BmcError)
        assert any(name in str(error) for name in _NAMES), str(error)
        assert error.next_action


@pytest.mark.long
def test_hung_bmcs_do_not_slow_the_others(crowd: Crowd) -> None:
    """Rounds take turns, and the median of their 99th percentiles counts: one stall of the machine decides nothing."""
    everyone, hung = crowd.endpoints("healthy"), crowd.hung
    others = everyone[len(hung) :]
    without, beside = [], []
    for _ in range(_ROUNDS):
        calm, left = asyncio.run(_alone(others, everyone[: len(hung)]))
        assert left == []
        assert not calm.errors
        without.append(calm.p99())
        busy, left = asyncio.run(_alone(others, hung))
        assert left == []
        assert len(busy.healthy) == len(others) * _ASKED
        beside.append(busy.p99())
    wanted, grown = statistics.median(without), statistics.median(beside)
    assert grown <= max(wanted * _GROWTH, wanted + _NOISE), f"without {without}, beside {beside}"

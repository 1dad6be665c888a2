"""What was heard counts for a while; what listens may die and is started again."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

import pytest

from appliance.doctor import looks
from appliance.doctor.watch import WireWatch
from appliance.errors import MachineryError
from images.errors import ToolError

MAC = "02:00:00:00:00:01"
LISTENING = {"kind": "listening", "device": "eth0"}
BPDU = {"kind": "bpdu", "mac": MAC, "bridge": MAC, "port": 1, "version": 2}
LACPDU = {"kind": "lacpdu", "mac": MAC, "system": MAC, "key": 1, "port": 1}
LEAF = {"kind": "neighbour", "mac": MAC, "chassis": MAC, "port": "Ethernet7"}


class Clock:
    """Sleeps pass at once; the last one of `sleeps` never ends."""

    def __init__(self, sleeps: int = 1) -> None:
        self.time = 1000.0
        self.slept: list[float] = []
        self.asleep = asyncio.Event()
        self._sleeps = sleeps

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self._sleeps:
            self.asleep.set()
            await asyncio.Event().wait()
        self.time += seconds


class Scripted:
    """Each process says the next of `scripts` and ends; an error is raised."""

    def __init__(self, *scripts: Sequence[object]) -> None:
        self.scripts = list(scripts)

    async def lines(self, argv: Sequence[str], *, seconds: float) -> AsyncGenerator[bytes, None]:
        for word in self.scripts.pop(0) if self.scripts else ():
            if isinstance(word, Exception):
                raise word
            yield word if isinstance(word, bytes) else json.dumps(word).encode()


def watched(clock: Clock, *scripts: Sequence[object]) -> WireWatch:
    """Until it sleeps for good."""
    watch = WireWatch("eth0", Scripted(*scripts), clock)

    async def play() -> None:
        task = asyncio.create_task(watch.run())
        await asyncio.wait_for(clock.asleep.wait(), 10)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(play())
    return watch


def test_what_was_heard_counts_for_some_of_its_own_periods() -> None:
    clock = Clock()
    processes = Scripted((LISTENING, BPDU, LACPDU, LEAF))
    watch = WireWatch("eth0", processes, clock)
    asyncio.run(watch._round())
    counts = []
    for passed in (0, 19, 2, 73, 2, 28, 2):
        clock.time += passed
        facts = watch.facts()
        counts.append((len(facts.bpdus), len(facts.lacpdus), len(facts.neighbours)))
    assert counts == [(1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 1), (0, 0, 1), (0, 0, 1), (0, 0, 0)]
    assert watch.facts().listened == 126


def test_before_it_begins_nobody_listens() -> None:
    assert WireWatch("eth0", Scripted(), Clock()).facts().problem


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ((), "ended by itself"),
        (({"kind": "failed", "problem": "eth0: Operation not permitted"},), "Operation not permitted"),
        ((ToolError("python did not start", evidence="ENOENT"),), "ENOENT"),
        ((LISTENING, b"\xff rubbish"), "makes no sense"),
        ((LISTENING, {"kind": "fetched", "sha256": "ab" * 32, "size": 1}), "something else"),
    ],
    ids=["silent", "failed", "absent", "rubbish", "other"],
)
def test_why_nobody_listens_is_told_and_it_is_tried_again(script: Sequence[object], words: str) -> None:
    clock = Clock()
    assert words in watched(clock, script).facts().problem
    assert clock.slept == [30.0]
    again = watched(Clock(sleeps=2), script, (LISTENING, LEAF)).facts()
    assert again.problem == ""
    assert len(again.neighbours) == 1


def test_who_died_before_asking_has_not_found_nobody() -> None:
    async def ask(*script: object) -> object:
        return await looks.offers(Scripted(script), "eth0")

    offer = {"kind": "offer", "server": "10.0.0.9", "mac": MAC, "address": "10.0.0.7"}
    for script in ((), (LISTENING,)):
        with pytest.raises(MachineryError):
            asyncio.run(ask(*script))
    assert asyncio.run(ask(LISTENING, {"kind": "asked", "questions": 3})) == ()
    (found,) = asyncio.run(ask(LISTENING, offer, offer))  # type: ignore[misc]
    assert found.server == "10.0.0.9"

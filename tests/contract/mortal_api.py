"""The API over the real application and the real record log, in a process that kills itself at a chosen moment.

`python -m tests.contract.mortal_api FOLDER MOMENT`; it serves on FOLDER/api.sock, and says so on standard output. There
is no conductor: what a run would do is not the question, but whether it was begun, and how often.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path

from appliance.access.access import opened
from appliance.api.app import create_app
from appliance.api.fake_bmcs import FakeBmcs
from appliance.api.fake_doctor import FakeDoctor
from appliance.api.server import serve
from appliance.backup.snapshot import snapshot_of
from appliance.conductor.hands import Waiting
from appliance.conductor.memory import Memory
from appliance.identity.bonds import Bonds
from appliance.identity.key import ApplianceKey
from appliance.lab.topology import lab_rack
from appliance.scores.discover import Discover
from appliance.services.application import Appliance
from appliance.services.segment_state import SegmentState
from appliance.site import Site
from appliance.store.answers import Answer, Answers
from appliance.store.log import Log
from appliance.store.records import Entry, Record, RequestHonoured
from appliance.system import SystemClock, SystemRng


class Moment(Enum):
    """BEGUN: nothing of the request is durable. DONE: its effect is, and nobody knows. KEPT: so is its answer, which
    has not left. NEVER: the process lives until it is told to stop."""

    BEGUN = "begun"
    DONE = "done"
    KEPT = "kept"
    NEVER = "never"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Memory(Memory):
    def __init__(self, log: Log, moment: Moment) -> None:
        super().__init__(log)
        self._moment = moment

    async def remember(self, *records: Record) -> tuple[Entry, ...]:
        if self._moment is Moment.BEGUN:
            _die()
        return await super().remember(*records)


class _Mortal(Answers):
    """Dies when the answer is on disk."""

    async def keep(self, answer: Answer) -> None:
        await super().keep(answer)
        _die()


async def main(folder: Path, moment: Moment) -> None:
    log, clock, rng = Log(folder / "records.db", SystemClock()), SystemClock(), SystemRng()

    def durable(entries: tuple[Entry, ...]) -> None:
        if moment is Moment.DONE and any(isinstance(entry.record, RequestHonoured) for entry in entries):
            _die()

    log.subscribe(durable)
    memory = _Memory(log, moment)
    memory.open()
    rack = lab_rack()
    application = Appliance(
        memory=memory,
        site=Site(name="lab", topology=rack, scores=[Discover()]),
        images={},
        clock=clock,
        rng=rng,
        session_of=lambda _name: None,
        segment=SegmentState(),
        take_over=lambda: None,
        consoles={},
        bmc_desk=FakeBmcs(),
        doctor_desk=FakeDoctor(),
        waiting=Waiting(),
        bonds=Bonds(ApplianceKey(bytes(range(32))), clock, rng),
        ssh_key=folder / "key",
        snapshot=partial(snapshot_of, log.copy, folder, "lab"),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with opened(folder / "access", clock, rng, issuer="lab") as access:
        if moment is Moment.KEPT:
            access = replace(access, answers=_Mortal(folder / "access" / "answers.jsonl", clock, rng))
        serving = asyncio.create_task(serve(create_app(application, access, rng), folder / "api.sock", stop))
        await asyncio.sleep(0)  # it listens before it first waits
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await serving
    log.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Moment(sys.argv[2])))

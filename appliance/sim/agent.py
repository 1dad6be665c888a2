"""The agent in the ramdisk: the real conversation, ledger and work, on simulated disks and a simulated network.

The real work is one synchronous function. It runs when the task begins, on worksheets; what it wrote there reaches the
disks bit by bit, and its end is told when the last of it has. Whoever ends the agent before that ends the write.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol

from appliance.sim.chance import Stream
from appliance.sim.client import Bound, Nic
from appliance.sim.disk import Disk, Op, Worksheet
from appliance.sim.faults import Character, Injected, MachineFault
from appliance.sim.ground import Ground
from appliance.sim.invariants import How
from appliance.sim.network import request_of
from appliance.sim.partitioning import sfdisk
from images.agent import protocol
from images.agent.channel import Channel
from images.agent.errors import LinkError, TaskError
from images.agent.link import Link
from images.agent.log import Log
from images.agent.medium import Medium
from images.agent.ports import BlockDevice, Finished, Ports, Reply
from images.agent.protocol import DiskFacts, Failure, Task
from images.agent.tally import Tally
from images.agent.work import Evidence, Work

_FACTS_AFTER = 3.0


class After(Enum):
    """How the agent's life ends when nobody else ends it."""

    REBOOT = auto()
    OFF = auto()
    CRASHED = auto()


class Host(Protocol):
    """The machine that the agent runs on."""

    def look(self) -> Medium | None:
        """What is in its drive."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def character(self) -> Character: ...

    @property
    def disks(self) -> list[Disk]: ...

    def facts(self, boot_id: str) -> protocol.Facts: ...

    def evidence(self) -> protocol.Identity: ...

    def boots_disk_first(self) -> None: ...

    def lose_power(self) -> None: ...

    def meddle(self, task: Task) -> None:
        """Somebody was at the machine just before this task."""
        ...

    def next_write(self) -> int:
        """Counts the images that are written, the first is 1."""
        ...


class _AskedError(BaseException):
    """The link wants this done: the first of two calls, which changes nothing."""

    def __init__(self, task: Task, tally: Tally) -> None:
        super().__init__()
        self.task, self.tally = task, tally


class _Worker:
    """Implements `images.agent.link.Worker`: says what is asked, and later what came of it."""

    def __init__(self) -> None:
        self.result: tuple[Evidence, Failure | None] | None = None

    def do(self, task: Task, tally: Tally) -> tuple[Evidence, Failure | None]:
        if self.result is None:
            raise _AskedError(task, tally)
        result, self.result = self.result, None
        return result


class _WorkClock:
    """Of the working thread: waits for the network by moving on alone."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class _Stream:
    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._at = data, start

    @property
    def total(self) -> int:
        return len(self._data)

    def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += size
        if len(piece) != size:
            raise LinkError("the connection ended early", evidence=f"{len(piece)} of {size} bytes")
        return piece

    def close(self) -> None:
        return


@dataclass(slots=True, kw_only=True)
class _Http:
    """Implements `images.agent.ports.Http`."""

    ground: Ground
    nic: Nic
    bound: Bound
    nonce: str
    machine: str
    clock: _WorkClock | None = None
    damages: bool = False

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        request = request_of(self.bound.address, path, body, {**headers, protocol.NONCE_HEADER: self.nonce})
        reply = self.ground.network.post(self.nic.cable, request)
        self.ground.trace.say("http", self.machine, f"{path} {int(reply.status)}")
        if reply.status >= 500:
            raise LinkError(f"the server answered {reply.status}")
        if path == "/agent/poll" and reply.status == HTTPStatus.OK:
            self._note_offer(protocol.parse_poll_reply(reply.body))
        headers = {name.lower(): value for name, value in reply.headers}
        return Reply(status=reply.status, body=reply.body, headers=headers)

    def _note_offer(self, offer: protocol.Offer) -> None:
        if offer.task is not None and not isinstance(offer.task, protocol.BadTask):
            self.ground.watch.handed(self.machine, offer.task)

    def open(self, path: str, *, start: int) -> _Stream:
        now = self.clock.monotonic() if self.clock else self.ground.loop.time()
        data = self.ground.network.content(self.nic.cable, path, now)
        if data is None:
            raise TaskError(f"the server has no bytes from {start} on of {path}", evidence="status 404")
        self.ground.watch.file_left(path, self.machine)
        is_hurt = self.damages and data == self.ground.image.blob
        return _Stream(self.ground.image.damaged if is_hurt else data, start)


class _Sheets:
    """The disks as one task sees them: implements `images.agent.ports.Disks`, and the tools that work on them."""

    def __init__(self, host: Host, breaks_after: int | None) -> None:
        self._host = host
        self.sheets = {disk.path: Worksheet(disk, breaks_after) for disk in host.disks}

    def read(self) -> tuple[DiskFacts, ...]:
        return tuple(disk.facts() for disk in self._host.disks)

    def contents(self, path: str) -> str:
        return self.sheets[path].contents()

    def open(self, path: str) -> BlockDevice:
        return self.sheets[path]

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Finished:
        if argv[0] == "sfdisk":
            path = next(word for word in argv if word.startswith("/dev/"))
            return sfdisk(self.sheets[path], argv, stdin)
        if "--create" in argv:
            self._host.boots_disk_first()
        return Finished(status=0, output=b"", errors=b"")

    def write_private(self, path: str, data: bytes) -> None:
        return


@dataclass(slots=True, kw_only=True)
class Job:
    """A task under way: `plan` is when each operation reaches which disk."""

    task: Task
    again: Callable[[], None]
    result: tuple[Evidence, Failure | None]
    plan: list[tuple[float, Disk, Op]] = field(default_factory=list)
    breaks: list[Disk] = field(default_factory=list)
    ends: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Agent:
    """One process of the agent."""

    def __init__(self, host: Host, ground: Ground, nic: Nic, bound: Bound, nonce: str, boot_id: str, life: str) -> None:
        self._host, self._ground, self._life = host, ground, life
        self._boot_id = boot_id
        self._stream = ground.chance.stream("agent", host.name)
        self._http = _Http(ground=ground, nic=nic, bound=bound, nonce=nonce, machine=host.name)
        self._channel = Channel(
            http=self._http,
            nonce=nonce,
            key=hashlib.sha256(f"key of {boot_id}".encode()).digest(),
            look=host.look,
            entropy=_Entropy(ground.chance.stream("reveals", host.name)),
            say=lambda _line: None,
        )
        self._worker = _Worker()
        self._job: Job | None = None
        self._leaving: After | None = None
        self._silent_until = 0.0
        self._over = False
        self._woken = asyncio.Event()
        self._link = Link(
            hello=protocol.Hello(boot_id=boot_id, agent_version="1", evidence=host.evidence()),
            http=ground.agent.http(self._channel),
            clock=_LoopClock(ground.loop),
            rng=self._stream,
            log=Log(_LoopClock(ground.loop), lambda _line: None),
            power=self,
            worker=self._worker,
            spawn=self._spawn,
        )

    def reboot(self) -> None:
        self._leave(After.REBOOT)

    def power_off(self) -> None:
        self._leave(After.OFF)

    async def run(self) -> After:
        looked = self._ground.loop.call_later(_FACTS_AFTER, self._look)
        try:
            while self._leaving is None:
                pause = self._link.round()
                if self._leaving is None:
                    await self._rest(pause)
            return self._leaving
        finally:
            looked.cancel()
            self.cut()

    def cut(self) -> None:
        """The process ends here: what it wrote until now is on its way to the disk, the rest is not."""
        job, self._job = self._job, None
        self._over = True
        if job is None:
            return
        if job.timer is not None:
            job.timer.cancel()
        self._write(job, self._ground.loop.time())
        self._ground.watch.ended(self._host.name, How.CUT)

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        if (left := self._silent_until - self._ground.loop.time()) > 0:
            await asyncio.sleep(left)

    def _look(self) -> None:
        self._link.tell(self._host.facts(self._boot_id))
        self._woken.set()

    def _leave(self, after: After) -> None:
        self._leaving = after
        self._woken.set()

    def _spawn(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _AskedError as asked:
            self._ground.loop.call_later(self._stream.between(0.01, 0.3), self._begin, asked.task, asked.tally, work)

    def _begin(self, task: Task, tally: Tally, again: Callable[[], None]) -> None:
        if self._over or self._job is not None:
            return
        self._host.meddle(task)
        self._ground.watch.begun(self._host.name, self._life, task)
        strikes = isinstance(task, protocol.WriteImage) and self._host.next_write() <= self._host.character.times
        character = self._host.character
        breaks = strikes and character.fault is MachineFault.DISK_DIES
        sheets = _Sheets(self._host, int(character.fraction * 9) if breaks else None)
        clock = _WorkClock(self._ground.loop.time())
        result = Work(self._ports(sheets, clock), self._inspect).do(task, tally)
        job = self._job = Job(task=task, again=again, result=result)
        self._schedule(job, sheets, clock)
        if strikes:
            self._strike(job)

    def _ports(self, sheets: _Sheets, clock: _WorkClock) -> Ports:
        http = _Http(
            ground=self._ground,
            nic=self._http.nic,
            bound=self._http.bound,
            nonce=self._http.nonce,
            machine=self._host.name,
            clock=clock,
            damages=self._host.character.injected is Injected.DAMAGED_IMAGE,
        )
        return Ports(
            clock=clock,
            rng=self._stream,
            http=http,
            disks=self._ground.agent.disks(sheets),
            processes=sheets,
            files=sheets,
            uefi=self._host.character.uefi,
            envelope=self._channel,
        )

    def _inspect(self) -> Evidence:
        self._look()
        return {"disks": len(self._host.disks)}

    def _schedule(self, job: Job, sheets: _Sheets, clock: _WorkClock) -> None:
        """A worker that met a broken disk may have looked ahead on the network, as far as it happened to come."""
        now = self._ground.loop.time()
        job.breaks = [disk for disk in self._host.disks if sheets.sheets[disk.path].broke]
        waited = 0.0 if job.breaks else clock.now - now
        ops = [(disk, op) for disk in self._host.disks for op in sheets.sheets[disk.path].ops]
        step = self._host.character.block + waited / max(1, len(ops))
        job.plan = [(now + step * (i + 1), disk, op) for i, (disk, op) in enumerate(ops)]
        job.ends = now + max(waited, step * len(ops)) + 0.5
        job.timer = self._ground.loop.call_at(job.ends, self._end, job)

    def _strike(self, job: Job) -> None:
        """What befalls this machine in the middle of a write."""
        fault, loop = self._host.character.fault, self._ground.loop
        at = loop.time() + (job.ends - loop.time()) * self._host.character.fraction
        match fault:
            case MachineFault.AGENT_CRASH:
                loop.call_at(at, self._leave_if, job, After.CRASHED)
            case MachineFault.POWER_CUT:
                loop.call_at(at, self._power_if, job)
            case MachineFault.AGENT_SILENT:
                self._silent_until = at + self._host.character.seconds
            case _:
                return
        self._ground.watch.struck(self._host.name, fault.name)

    def _leave_if(self, job: Job, after: After) -> None:
        if self._job is job:
            self._leave(after)

    def _power_if(self, job: Job) -> None:
        if self._job is job:
            self._host.lose_power()

    def _end(self, job: Job) -> None:
        self._write(job, job.ends)
        for disk in job.breaks:
            disk.broken = True
            self._ground.watch.struck(self._host.name, "DISK_DIES")
        self._job = None
        _, failure = job.result
        how = How.DONE if failure is None else How.FAILED
        text = f"{job.task.do} {how.name}{'' if failure is None else ': ' + failure.message}"
        self._ground.trace.say("task", self._host.name, text)
        self._ground.watch.ended(self._host.name, how)
        self._worker.result = job.result
        job.again()
        self._woken.set()

    def _write(self, job: Job, until: float) -> None:
        for at, disk, op in job.plan:
            if at <= until:
                self._ground.watch.wrote(self._host.name, disk, op, job.task)
                disk.do(op)
        job.plan = []


class _Entropy:
    """Implements `images.agent.channel.Entropy`: the same for the same seed."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def bytes(self, size: int) -> bytes:
        return bytes.fromhex(self._stream.token(size))


class _LoopClock:
    """The ports' clock of the conversation, which never sleeps in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the conversation does not sleep")

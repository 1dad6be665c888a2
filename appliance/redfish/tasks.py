"""Work that outlives its request: the tasks of the TaskService and their monitors (DSP0266 section 7.12)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum

from appliance.bmc.port import Progress
from appliance.ports import Clock
from appliance.redfish.errors import ServiceError, refuse
from appliance.redfish.messages import Message, MessageId, say

MAX_TASKS = 64
_log = logging.getLogger(__name__)


class TaskState(Enum):
    RUNNING = "Running"
    COMPLETED = "Completed"
    EXCEPTION = "Exception"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`percent` is 0 to 100; times in seconds since the epoch, `ended` is None while it runs."""

    id: str
    name: str
    state: TaskState
    percent: int
    started: float
    ended: float | None = None
    messages: tuple[Message, ...] = ()


class Tasks:
    """A bounded table: the oldest that has ended makes room for a new one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def all(self) -> tuple[Task, ...]:
        return tuple(self._tasks.values())

    def find(self, task: str) -> Task | None:
        return self._tasks.get(task)

    def start(self, name: str, work: Callable[[Progress], Awaitable[None]]) -> Task:
        """Raises `RequestError` (503) where all of the table runs."""
        self._make_room()
        self._count += 1
        now = self._clock.now()
        task = Task(id=str(self._count), name=name, state=TaskState.RUNNING, percent=0, started=now)
        self._tasks[task.id] = task
        self._running[task.id] = asyncio.create_task(self._run(task.id, work))
        return task

    def remove(self, task: str) -> None:
        """A running one is cancelled."""
        self._tasks.pop(task, None)
        if (running := self._running.pop(task, None)) is not None:
            running.cancel()

    async def close(self) -> None:
        running = tuple(self._running.values())
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _make_room(self) -> None:
        if len(self._tasks) < MAX_TASKS:
            return
        ended = next((task.id for task in self.all() if task.ended is not None), None)
        if ended is None:
            raise refuse(503, say(MessageId.CREATE_LIMIT))
        del self._tasks[ended]

    async def _run(self, task: str, work: Callable[[Progress], Awaitable[None]]) -> None:
        state, message = TaskState.EXCEPTION, say(MessageId.OPERATION_FAILED)
        try:
            await work(lambda percent: self._advance(task, percent))
            state, message = TaskState.COMPLETED, say(MessageId.SUCCESS)
        except asyncio.CancelledError:
            state = TaskState.CANCELLED
            raise
        except ServiceError as error:
            _log.warning("task failed task=%s evidence=%r", task, str(error)[:200])
        finally:
            self._running.pop(task, None)
            self._end(task, state, message)

    def _advance(self, task: str, percent: int | None) -> None:
        if percent is not None and (known := self._tasks.get(task)) is not None:
            self._tasks[task] = replace(known, percent=max(0, min(percent, 100)))

    def _end(self, task: str, state: TaskState, message: Message) -> None:
        if (known := self._tasks.get(task)) is not None:
            percent = 100 if state is TaskState.COMPLETED else known.percent
            self._tasks[task] = replace(
                known, state=state, percent=percent, ended=self._clock.now(), messages=(message,)
            )

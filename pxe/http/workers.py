"""A few threads for handlers that may take their time, so that the server's own thread never waits for one.

A client's requests stay in order because its connection has at most one job at a time.
"""

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)


class Workers:
    """Threads start with the first job: many sites never have one."""

    def __init__(self, *, threads: int, waiting: int, stop_seconds: float = 5.0) -> None:
        self._stop_seconds = stop_seconds
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._waiting = waiting
        self._count = threads
        self._threads: list[threading.Thread] = []

    def submit(self, job: Callable[[], None]) -> bool:
        """False when too many wait already. Call it from one thread only. The job does not raise."""
        if self._jobs.qsize() >= self._waiting:
            return False
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"http-worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        return True

    def stop(self) -> bool:
        """Jobs at work end; those that wait are dropped. False when one that hangs is left behind."""
        while self._next(block=False) is not None:
            pass
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(self._stop_seconds)
            if thread.is_alive():
                log.error("a handler does not end; its thread is left behind thread=%s", thread.name)
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._next(block=True)) is not None:
            job()

    def _next(self, *, block: bool) -> Callable[[], None] | None:
        try:
            return self._jobs.get(block=block)
        except Empty:
            return None

"""Runs an iterator in a thread of its own, a few items ahead of its user."""

import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


def ahead(items: Iterable[T], *, depth: int) -> Generator[T]:
    """The same items, at most `depth` of them waiting; an error of `items` is raised here, in its place."""
    queue: Queue[_Item[T] | _End] = Queue(depth)
    stop = threading.Event()

    def pump() -> None:
        try:
            for item in items:
                queue.put(_Item(item))
                if stop.is_set():
                    return
            queue.put(_End(None))
        except Exception as error:
            queue.put(_End(error))

    threading.Thread(target=pump, daemon=True).start()
    try:
        while isinstance(entry := queue.get(), _Item):
            yield entry.value
        if entry.error is not None:
            raise entry.error
    finally:
        stop.set()
        _drain(queue)


def _drain(queue: "Queue[_Item[T] | _End]") -> None:
    """Makes room, so that a pump that waits in `put` goes on and sees that it is to stop."""
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return

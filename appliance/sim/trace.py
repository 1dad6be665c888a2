"""Everything that happened, as one hash and the last few lines: two runs with one hash were the same run."""

import hashlib
from collections import deque
from dataclasses import dataclass

from appliance.ports import Clock

_KEPT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`time` in virtual seconds. `machine` is empty where it is none's."""

    time: float
    kind: str
    machine: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:10.3f} {self.kind:<12} {self.machine:<10} {self.text}"


class Trace:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hash = hashlib.sha256()
        self._latest: deque[Event] = deque(maxlen=_KEPT)
        self.count = 0

    def say(self, kind: str, machine: str = "", text: str = "") -> None:
        event = Event(time=self._clock.monotonic(), kind=kind, machine=machine, text=text)
        self._hash.update(f"{event.time!r} {kind} {machine} {text}\n".encode())
        self._latest.append(event)
        self.count += 1

    def mix(self, data: bytes) -> None:
        """Into the hash alone."""
        self._hash.update(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def latest(self, machine: str = "", count: int = 20) -> tuple[Event, ...]:
        """The last events of this machine and of the site, the oldest first."""
        wanted = [event for event in self._latest if not machine or event.machine in ("", machine)]
        return tuple(wanted[-count:])

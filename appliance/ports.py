"""The world, as the appliance sees it. `appliance.daemon` hands in the real ones, the simulator its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch: for records."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: for timers and budgets."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Rng(Protocol):
    def token(self, size: int) -> str:
        """`size` random bytes fit for secrets, in hex."""
        ...

    def fraction(self) -> float:
        """In [0, 1): for jitter."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    status: int
    output: bytes
    errors: bytes


class Processes(Protocol):
    """The one door for subprocesses: argv lists, never a shell string."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Finished: ...

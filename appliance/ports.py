"""The world, as the appliance sees it. `appliance.daemon` hands in the real ones, the simulator its own."""

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


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Source(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...

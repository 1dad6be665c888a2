"""What the boot services need from the world; the composition root hands in the real ones."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, for records that outlive the process."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for timers."""
        ...

"""The invariants by name, and what is said when one does not hold."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from appliance.ports import Clock
from appliance.sim.trace import Event, Trace


class Invariant(Enum):
    I1 = "no address is leased to two identities"
    I2 = "a lease is on disk before it is acknowledged"
    I3 = "nothing is written but to a disk that an approved plan names, for a run that is not over"
    I4 = "a destructive step has its effect once, and what was acknowledged is never lost"
    I5 = "every machine of a run that is not held acts, or waits for a moment to come"
    I6 = "a nonce or seed leaves to its own machine alone"
    I7 = "a healthy machine is done in its time, however many others fail"
    I8 = "the world is what the records on disk fold to"
    I9 = "when all faults are over, every machine that can becomes active"
    WHOLE = "a disk that starts holds the whole image"
    FAULT = "the appliance's own code does not break"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """`time` in virtual seconds; `latest` are the last events, the oldest first."""

    invariant: Invariant
    seed: int
    time: float
    machine: str
    seen: str
    latest: tuple[Event, ...]

    def __str__(self) -> str:
        head = f"{self.invariant.name}: {self.invariant.value}\nseed {self.seed}, second {self.time:.3f}"
        who = f", {self.machine}" if self.machine else ""
        return "\n".join([f"{head}{who}: {self.seen}", *(f"  {event}" for event in self.latest)])


class Judge:
    """Keeps the first violation, and says that it is time to stop."""

    def __init__(self, seed: int, clock: Clock, trace: Trace) -> None:
        self.found: Violation | None = None
        self._seed, self._clock, self._trace = seed, clock, trace
        self._stop: Callable[[], None] = lambda: None

    def on_violation(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def demand(self, holds: bool, invariant: Invariant, machine: str, seen: str) -> None:
        if holds or self.found is not None:
            return
        self.found = Violation(
            invariant=invariant,
            seed=self._seed,
            time=self._clock.monotonic(),
            machine=machine,
            seen=seen,
            latest=self._trace.latest(machine),
        )
        self._stop()

"""Which addresses are proven to be in nobody's use: conflict detection before an OFFER (RFC 2131 section 3.1).

An address is offered only when somebody has asked the segment for it a moment ago and nobody answered. Asking takes
a quarter of a second, so the ledger asks ahead: the addresses that the pool gives out next are proven before a
machine wants them. How far ahead follows the demand; an idle segment sees a few packets a second.

    unproven --ask--> asked --answer--> taken  --60 s--> unproven
                        +---silence---> silent --60 s--> unproven

Since a taken address becomes unproven and never free, it stays out of use until it has been found silent.
Where the answer does not tell its hardware address (ICMP), that is empty.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Generic, TypeVar

from pxe.dhcp.address import Address, Hardware
from pxe.errors import ConfigError

FRESH_SECONDS = 60.0
"""How long an answer and a silence count."""

_RENEW_AFTER = 0.75 * FRESH_SECONDS
_SCAN_SECONDS = 0.05
_DEEPEST = 1024
_DEMAND_HALF_LIFE = 15.0
_LARGEST_HOLD = 4096

T = TypeVar("T")


class Verdict(Enum):
    FREE = "free"
    TAKEN = "taken"
    UNPROVEN = "unproven"
    """Being asked for: hold the OFFER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """`tries` questions, `gap` seconds apart; silence for `wait` seconds after the first one is the proof."""

    tries: int
    gap: float
    wait: float

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.gap * (self.tries - 1) < self.wait:
            raise ConfigError("the last question would leave no time for its answer", evidence=repr(self))


ARP_TIMING = Timing(tries=2, gap=0.08, wait=0.25)
ECHO_TIMING = Timing(tries=2, gap=0.4, wait=1.0)
"""Through a relay and its router, which may have to resolve the address first."""


@dataclass(slots=True)
class _Entry:
    """`concluded` is when the last question ended, `holder` who answered it; the rest is of the open question."""

    concluded: float = -math.inf
    holder: Hardware | None = None
    asked: float = -math.inf
    sent: int = 0
    ends: float = math.inf

    def verdict(self, mac: Hardware, now: float) -> Verdict:
        if now >= self.concluded + FRESH_SECONDS:
            return Verdict.UNPROVEN
        # The machine's own answer is no conflict: an operating system that still runs, or its BMC's shared port.
        return Verdict.FREE if self.holder in (None, mac) else Verdict.TAKEN


class InUse:
    """The addresses that others answered for lately, as a container."""

    def __init__(self, entries: Mapping[Address, _Entry], mac: Hardware, now: float) -> None:
        self._entries, self._mac, self._now = entries, mac, now

    def __contains__(self, address: object) -> bool:
        entry = self._entries.get(Address(address)) if isinstance(address, bytes) else None
        return entry is not None and entry.verdict(self._mac, self._now) is Verdict.TAKEN


class ProbeLedger:
    """Enter the answers that wait in the socket (`answered`) before anything else is asked in the same round."""

    def __init__(self, timing: Timing = ARP_TIMING, *, ahead: int = 64) -> None:
        """`ahead` is how many addresses are kept proven when nothing happens."""
        self._timing = timing
        self._ahead = ahead
        self._entries: dict[Address, _Entry] = {}
        self._open: dict[Address, _Entry] = {}
        self._wanted: dict[Address, None] = {}
        self._demand = 0.0
        self._allowance = float(ahead)
        self._scanned = -math.inf
        self._pruned = -math.inf

    @property
    def busy(self) -> bool:
        """A question is open: call `due` again within 50 ms. Otherwise once a second is enough."""
        return bool(self._open or self._wanted)

    def check(self, address: Address, mac: Hardware, now: float) -> Verdict:
        """May `address` be offered to `mac`? Unproven ones are asked for with the next `due`."""
        self._conclude(now)
        entry = self._entries.get(address)
        verdict = Verdict.UNPROVEN if entry is None else entry.verdict(mac, now)
        if verdict is Verdict.UNPROVEN and address not in self._open:
            self._wanted[address] = None
        return verdict

    def in_use(self, mac: Hardware, now: float) -> "InUse":
        """What cannot be offered to `mac`."""
        return InUse(self._entries, mac, now)

    def given(self) -> None:
        """An address was offered: others will probably be wanted."""
        self._demand += 1

    def answered(self, address: Address, mac: Hardware, now: float) -> bool:
        """Somebody has the address; `mac` may be empty. An answer to nothing that we asked is ignored: False."""
        entry = self._open.pop(address, None)
        if entry is None:
            return False
        entry.concluded, entry.holder = now, mac
        return True

    def due(self, now: float, upcoming: Iterable[Address] = ()) -> list[Address]:
        """The addresses to send one question for, now. `upcoming`: what the pool gives out next, the next one first."""
        self._conclude(now)
        questions = [address for address, entry in self._open.items() if self._again(entry, now)]
        wanted, self._wanted = self._wanted, {}
        questions += [address for address in wanted if self._begin(address, now)]
        if now >= self._scanned + _SCAN_SECONDS:
            questions += self._look_ahead(upcoming, now)
        return questions

    def _conclude(self, now: float) -> None:
        """Questions end in the order in which they were opened."""
        while self._open:
            address, entry = next(iter(self._open.items()))
            if entry.ends > now:
                return
            del self._open[address]
            entry.concluded, entry.holder = entry.ends, None

    def _again(self, entry: _Entry, now: float) -> bool:
        if entry.sent >= self._timing.tries or now < entry.asked + entry.sent * self._timing.gap:
            return False
        self._sent(entry, now)
        return True

    def _begin(self, address: Address, now: float) -> bool:
        if address in self._open:
            return False
        entry = self._entries.setdefault(address, _Entry())
        entry.asked, entry.sent, entry.ends = now, 0, math.inf
        self._open[address] = entry
        self._sent(entry, now)
        return True

    def _sent(self, entry: _Entry, now: float) -> None:
        """A busy server may be late with its last question: that one is given a gap at least."""
        entry.sent += 1
        if entry.sent == self._timing.tries:
            entry.ends = max(entry.asked + self._timing.wait, now + self._timing.gap)

    def _look_ahead(self, upcoming: Iterable[Address], now: float) -> list[Address]:
        passed = min(now - self._scanned, FRESH_SECONDS)
        self._scanned = now
        self._demand *= 0.5 ** (passed / _DEMAND_HALF_LIFE)
        depth = min(_DEEPEST, self._ahead + int(4 * self._demand))
        # Twice what keeping `depth` addresses proven needs, and quick to follow a storm.
        refill = 2 * depth / _RENEW_AFTER + 32 * self._demand
        self._allowance = min(depth, self._allowance + passed * refill)
        self._prune(now)
        stale = (address for address in islice(upcoming, depth) if self._stale(address, now))
        questions = [address for address in islice(stale, int(self._allowance)) if self._begin(address, now)]
        self._allowance -= len(questions)
        return questions

    def _stale(self, address: Address, now: float) -> bool:
        entry = self._entries.get(address)
        return entry is None or (address not in self._open and now >= entry.concluded + _RENEW_AFTER)

    def _prune(self, now: float) -> None:
        if now < self._pruned + FRESH_SECONDS:
            return
        self._pruned = now
        kept = {a: e for a, e in self._entries.items() if a in self._open or now < e.concluded + FRESH_SECONDS}
        self._entries = kept


class Holds(Generic[T]):
    """OFFERs that wait for a verdict, one a machine; a flood pushes out the oldest."""

    def __init__(self) -> None:
        self._held: dict[Hardware, tuple[Address, T]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, address: Address, mac: Hardware, item: T) -> None:
        """A repeated DISCOVER takes the place of the one before, and its turn."""
        if mac not in self._held and len(self._held) >= _LARGEST_HOLD:
            del self._held[next(iter(self._held))]
        self._held[mac] = (address, item)

    def released(self, ledger: ProbeLedger, now: float) -> list[T]:
        """What need not wait any more, in the order of asking: its address is known to be free or taken."""
        out: list[T] = []
        for mac, (address, item) in tuple(self._held.items()):
            if ledger.check(address, mac, now) is not Verdict.UNPROVEN:
                del self._held[mac]
                out.append(item)
        return out

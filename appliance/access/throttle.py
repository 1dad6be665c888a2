"""How often log-ins may be guessed: after some failures each try has to wait twice as long as the one before, up to a
limit. Nobody is locked out for ever, and what was forgotten for a while is forgiven.

A try is counted before it is made, so that many at once are no more than many in a row. An account is counted apart for
a source that has entered it before: guessing from elsewhere does not keep its owner out.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address

from appliance.errors import ThrottledError
from appliance.ports import Clock

_FREE_OF_ACCOUNT = 5
_FREE_OF_SOURCE = 20
_MOST_SECONDS = 300.0
_FORGOTTEN_SECONDS = 900.0
_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """`last` in monotonic seconds."""

    failures: int = 0
    last: float = 0.0

    def wait(self, free: int, now: float) -> float:
        """Seconds until the next try; <= 0 means now."""
        if self.failures < free:
            return 0.0
        return self.last + min(2.0 ** min(self.failures - free, 16), _MOST_SECONDS) - now


class Throttle:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._familiar: dict[tuple[str, str], None] = {}

    def begin(self, account: str, source: str) -> None:
        """To be called before a try; `account` is "" where none is named. Raises `ThrottledError`."""
        now = self._clock.monotonic()
        keys = self._keys(account, source)
        wait = max(self._tally(key, now).wait(free, now) for key, free in keys.items())
        if wait > 0:
            raise ThrottledError(
                "too many log-ins have failed", next_action=f"try again in {wait:.0f} seconds", retry_after=wait
            )
        for key in keys:
            self._count(key, now)

    def passed(self, account: str, source: str) -> None:
        """The try that was begun was a right one."""
        for key, free in self._keys(account, source).items():
            tally = self._tallies.get(key)
            if tally is not None and free == _FREE_OF_SOURCE:  # a guesser's own account must not clear the source
                self._tallies[key] = replace(tally, failures=max(0, tally.failures - 1))
            else:
                self._tallies.pop(key, None)
        if account:
            self._familiar[account, network_of(source)] = None
            _bound(self._familiar)

    def _keys(self, account: str, source: str) -> dict[tuple[str, str], int]:
        """Whom a try counts against, and how many are free."""
        source = network_of(source)
        of_source = {("", source): _FREE_OF_SOURCE}
        if not account:
            return of_source
        whose = source if (account, source) in self._familiar else ""
        return {(account, whose): _FREE_OF_ACCOUNT, **of_source}

    def _tally(self, key: tuple[str, str], now: float) -> Tally:
        tally = self._tallies.get(key, Tally())
        return tally if now - tally.last < _FORGOTTEN_SECONDS else Tally()

    def _count(self, key: tuple[str, str], now: float) -> None:
        tally = self._tally(key, now)
        self._tallies.pop(key, None)
        self._tallies[key] = Tally(failures=tally.failures + 1, last=now)
        _bound(self._tallies)


def network_of(source: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64))
    return source


def _bound(table: dict[tuple[str, str], Tally] | dict[tuple[str, str], None]) -> None:
    """The row that was touched longest ago goes first."""
    while len(table) > _ROWS:
        del table[next(iter(table))]

"""How much a stranger gets: no more answers per second than make us a poor amplifier.

Whoever forges a victim's address hides in its network, so that is what is counted. Our own networks are not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import Final

PRIVATE: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
    )
)
"""RFC 1918, RFC 6598, and what never leaves a link or a machine."""

_NETWORKS = 16_384
_SLIP = 2


class Verdict(Enum):
    """SLIP is an answer with nothing but TC: whoever really asks comes back over TCP."""

    SEND = "send"
    SLIP = "slip"
    DROP = "drop"


@dataclass(slots=True)
class RateLimit:
    """`rate` in answers per second and /24. A /24 with an address of an `own` network in it is not counted: `free` are
    those seen, by their first three bytes. One owner: nothing is shared between threads."""

    own: tuple[IPv4Network, ...]
    rate: int
    free: set[bytes] = field(default_factory=set)
    _left: dict[bytes, int] = field(default_factory=dict)

    def is_own(self, address: IPv4Address) -> bool:
        return any(address in network for network in self.own)

    def judge(self, address: bytes) -> Verdict:
        """`address` is four bytes."""
        network = address[:3]
        if network in self.free:
            return Verdict.SEND
        left = self._left.get(network)
        if left is None:
            left = self._begin(network)
        self._left[network] = left - 1
        if left > 0 or network in self.free:
            return Verdict.SEND
        return Verdict.SLIP if left % _SLIP == 0 else Verdict.DROP

    def _begin(self, network: bytes) -> int:
        """Bounded: networks beyond the bound begin a new second for all."""
        if len(self._left) + len(self.free) >= _NETWORKS:
            self._left.clear()
            self.free.clear()
        whole = IPv4Network((network + b"\0", 24))
        if any(whole.overlaps(own) for own in self.own):
            self.free.add(network)
        return self.rate

    def next_second(self) -> None:
        self._left.clear()


def own_networks(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """The zone's and all private ones: a rack behind relays has networks that no zone names."""
    return (*PRIVATE, *networks)

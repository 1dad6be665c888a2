"""What only a daemon has, in memory for tests of the API and its clients."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class FakeSupport:
    log: str = "the daemon runs\n"
    known: set[str] = field(default_factory=set)

    def files(self) -> Mapping[str, str]:
        return {"log.txt": self.log, "system.txt": "kernel 6.12\n"}

    def secrets(self) -> frozenset[str]:
        return frozenset(self.known)

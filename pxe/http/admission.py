"""Who may come in: caps on connections, large downloads, handshakes and bodies, and how long a slow client may take.

Counts and verdicts only; the server asks and obeys. Called from the server's thread.
"""

from collections import Counter
from dataclasses import dataclass, fields
from enum import Enum

from pxe.errors import ConfigError
from pxe.http.responder import HttpReply, busy

LARGE = 8 * 1024 * 1024

_AT_DOOR = 2
_NEXT_WAVE = 10

# They fail the boot on a 503 instead of trying again: GRUB (net/http.c parse_line knows 200, 206 and 404 only) and
# EDK2's HttpBootDxe. What they load is small against the images, so they pass.
_CANNOT_WAIT = ("GRUB", "UefiHttpBoot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Times are in seconds: `idle` without progress, `head` for a whole request head, `grace` before a body must have
    come (or gone) with `rate` bytes a second on average. `downloads` counts those of at least LARGE bytes, `bodies` the
    bytes of all request bodies being received, `waiting` the requests in line for one of the `workers`."""

    connections: int = 512
    per_client: int = 256
    handshakes: int = 64
    downloads: int = 256
    bodies: int = 64 * 1024 * 1024
    workers: int = 4
    waiting: int = 128
    idle: float = 30.0
    head: float = 10.0
    grace: float = 30.0
    rate: float = 1024.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ConfigError("a cap of nothing serves nobody", evidence=field.name, next_action="use 1 or more")

    def patience(self, *, started: float, now: float, moved: int) -> float:
        """The time by which a body that has moved so far must move on."""
        return min(now + self.idle, started + self.grace + moved / self.rate)


class Welcome(Enum):
    COME_IN = "come in"
    COME_BACK = "come back"
    GO_AWAY = "go away"


class Admission:
    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._clients: Counter[str] = Counter()
        self._connections = 0
        self._downloads = 0
        self._bodies = 0

    def arrive(self, client: str) -> Welcome:
        """To be followed by `leave`, whatever the verdict. Up to twice each cap there is an explanation."""
        self._connections += 1
        self._clients[client] += 1
        crowd = max(self._connections / self._caps.connections, self._clients[client] / self._caps.per_client)
        if crowd <= 1:
            return Welcome.COME_IN
        return Welcome.COME_BACK if crowd <= 2 else Welcome.GO_AWAY

    def leave(self, client: str) -> None:
        self._connections -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    @property
    def downloads(self) -> int:
        """Under way, of large bodies."""
        return self._downloads

    def begin_download(self, count: int, agent: str) -> bool:
        """False: not now. `agent` is the User-Agent. To be followed by `end_download` when True."""
        if count < LARGE:
            return True
        if self._downloads >= self._caps.downloads and not agent.startswith(_CANNOT_WAIT):
            return False
        self._downloads += 1
        return True

    def end_download(self, count: int) -> None:
        if count >= LARGE:
            self._downloads -= 1

    def expect_body(self, length: int) -> bool:
        """False: not now. To be followed by `end_body` when True."""
        if length and self._bodies + length > self._caps.bodies:
            return False
        self._bodies += length
        return True

    def end_body(self, length: int) -> None:
        self._bodies -= length

    # What those hear who must come back

    def crowded(self) -> HttpReply:
        most, each = self._caps.connections, self._caps.per_client
        return busy(f"too many connections: at most {most}, {each} from one client", _AT_DOOR)

    def wave_full(self) -> HttpReply:
        return busy(f"{self._caps.downloads} large downloads are under way, which is the limit", _NEXT_WAVE)

    def bodies_full(self) -> HttpReply:
        return busy("too many request bodies at once", _AT_DOOR)

    def workers_full(self) -> HttpReply:
        return busy(f"{self._caps.waiting} requests are waiting already", _AT_DOOR)

"""Browsers' sessions, in memory only: a restart of the daemon ends them all."""

import hashlib
from dataclasses import dataclass, replace

from appliance.access.model import Caller, Role, Via
from appliance.ports import Clock, Rng

_ID_BYTES = 32
_MOST = 256
_SHOWN = 16
IDLE_SECONDS = 1800.0
ABSOLUTE_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Times are monotonic, but for `since` (the epoch). `csrf` is what a page of ours knows and another site does not.
    `how` says by what somebody came in, `source` from where."""

    user: str
    csrf: str
    created: float
    used: float
    since: float
    source: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """`cookie` is the session's id, which nobody else is shown."""

    caller: Caller
    cookie: str
    csrf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A session, as people are shown it: `id` ends it and opens nothing; `idle` in seconds."""

    id: str
    session: Session
    idle: float


class Sessions:
    """By the SHA-256 of their ids: whoever reads our memory's dump cannot enter with what it finds there."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._clock, self._rng = clock, rng
        self._sessions: dict[str, Session] = {}

    def enter(self, user: str, role: Role, source: str, how: str) -> Entered:
        """The id is 64 hex digits. The oldest makes room."""
        id_, now = self._rng.token(_ID_BYTES), self._clock.monotonic()
        self._drop_ended()
        while len(self._sessions) >= _MOST:
            del self._sessions[next(iter(self._sessions))]
        session = Session(
            user=user,
            csrf=self._rng.token(_ID_BYTES),
            created=now,
            used=now,
            since=self._clock.now(),
            source=source,
            how=how,
        )
        self._sessions[digest(id_)] = session
        caller = Caller(name=user, role=role, via=Via.SESSION, credential=digest(id_))
        return Entered(caller=caller, cookie=id_, csrf=session.csrf)

    def seen(self) -> tuple[Seen, ...]:
        """The latest first."""
        self._drop_ended()
        now, latest = self._clock.monotonic(), reversed(self._sessions.items())
        return tuple(Seen(id=key[:_SHOWN], session=one, idle=now - one.used) for key, one in latest)

    def use(self, credential: str) -> Session | None:
        """By the digest of its id, as a caller carries it."""
        session = self.find(credential)
        if session is not None:
            self._sessions[credential] = replace(session, used=self._clock.monotonic())
        return session

    def find(self, credential: str) -> Session | None:
        """Looking is no use."""
        session = self._sessions.get(credential)
        return session if session is not None and _lives(session, self._clock.monotonic()) else None

    def close(self, credential: str) -> None:
        self._sessions.pop(credential, None)

    def close_seen(self, id_: str) -> None:
        self._sessions = {key: one for key, one in self._sessions.items() if key[:_SHOWN] != id_}

    def close_all_of(self, user: str, *, but: str = "") -> None:
        self._sessions = {key: one for key, one in self._sessions.items() if one.user != user or key == but}

    def _drop_ended(self) -> None:
        now = self._clock.monotonic()
        self._sessions = {key: one for key, one in self._sessions.items() if _lives(one, now)}


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _lives(session: Session, now: float) -> bool:
    return now - session.used < IDLE_SECONDS and now - session.created < ABSOLUTE_SECONDS

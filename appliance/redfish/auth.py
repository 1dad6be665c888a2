"""Who asks: sessions (X-Auth-Token) and basic authentication (DSP0266 section 13.3)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.model.bmc import AccountRole
from appliance.ports import Clock, Rng
from appliance.redfish.accounts import Accounts, AuthLimits
from appliance.redfish.errors import RequestError, refuse
from appliance.redfish.messages import MessageId, say

_TOKEN_BYTES = 32
_ID_BYTES = 6
_MAX_BASIC = 1024
_CHALLENGE = (("WWW-Authenticate", 'Basic realm="Redfish", charset="UTF-8"'),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks; `session` is "" under basic authentication."""

    name: str
    role: AccountRole
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The token itself is not kept. Times: `created` since the epoch, `used` monotonic."""

    id: str
    user: str
    digest: bytes
    created: float
    used: float


class Sessions:
    """A bounded table; a session ends when it has not been used for `timeout` seconds."""

    def __init__(self, clock: Clock, rng: Rng, limits: AuthLimits) -> None:
        self._clock = clock
        self._rng = rng
        self._most = limits.sessions
        self.timeout = limits.session_seconds
        self._sessions: dict[str, Session] = {}

    def all(self) -> tuple[Session, ...]:
        oldest = self._clock.monotonic() - self.timeout
        self._sessions = {key: session for key, session in self._sessions.items() if session.used > oldest}
        return tuple(self._sessions.values())

    def find(self, session: str) -> Session | None:
        return next((each for each in self.all() if each.id == session), None)

    def open(self, user: str) -> tuple[Session, str]:
        """The session and its token. Raises `RequestError` (503) when the table is full."""
        if len(self.all()) >= self._most:
            raise refuse(503, say(MessageId.SESSION_LIMIT))
        token, now = self._rng.token(_TOKEN_BYTES), self._clock.monotonic()
        session = Session(
            id=self._rng.token(_ID_BYTES), user=user, digest=_digest(token), created=self._clock.now(), used=now
        )
        self._sessions[session.id] = session
        return session, token

    def use(self, token: str) -> Session | None:
        """Every session is compared, in constant time each."""
        digest = _digest(token)
        matching = [session for session in self.all() if hmac.compare_digest(session.digest, digest)]
        for session in matching:
            self._sessions[session.id] = replace(session, used=self._clock.monotonic())
        return matching[0] if matching else None

    def close(self, session: str) -> None:
        self._sessions.pop(session, None)

    def close_all_of(self, user: str, *, but: str = "") -> None:
        self._sessions = {k: s for k, s in self._sessions.items() if s.user != user or s.id == but}


class Gate:
    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self.accounts = accounts
        self.sessions = sessions

    async def admit(self, headers: Mapping[str, str], path: str) -> Principal:
        """`headers` by lower-case name. Raises `RequestError` (401)."""
        if (token := headers.get("x-auth-token")) is not None:
            return self._by_token(token)
        if (credentials := _basic(headers.get("authorization", ""))) is not None:
            return await self.log_in(*credentials, path)
        raise refuse(401, say(MessageId.NO_VALID_SESSION), headers=_CHALLENGE)

    async def log_in(self, name: str, password: str, path: str) -> Principal:
        account = await self.accounts.verify(name, password)
        if account is None:
            raise _unauthorized(path)
        return Principal(name=account.name, role=account.role)

    def _by_token(self, token: str) -> Principal:
        session = self.sessions.use(token)
        account = self.accounts.find(session.user) if session else None
        if session is None or account is None or not account.enabled:
            raise refuse(401, say(MessageId.NO_VALID_SESSION), headers=_CHALLENGE)
        return Principal(name=account.name, role=account.role, session=session.id)


def _unauthorized(path: str) -> RequestError:
    return refuse(401, say(MessageId.UNAUTHORIZED, path, "wrong user or password"), headers=_CHALLENGE)


def _basic(header: str) -> tuple[str, str] | None:
    """User and password of RFC 7617; None for any other scheme or nonsense."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_BASIC:
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()

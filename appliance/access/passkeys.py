"""Passkeys of the accounts: added by who proves the password again, used instead of password and code, removed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from appliance.access.book import Book, Passkey, User
from appliance.access.challenges import Challenge, Challenges
from appliance.access.model import Caller, Role
from appliance.access.rules import label_of
from appliance.access.sessions import Entered, Sessions, digest
from appliance.access.throttle import Throttle
from appliance.access.webauthn import (
    HANDLE_BYTES,
    creation_options,
    id_of,
    made,
    party_of,
    proven,
    request_options,
    wrong,
)
from appliance.errors import AccessError, ConflictError, NotFoundError
from appliance.ports import Clock, Rng

_MOST = 16
_TICKET_BYTES = 32

Prove = Callable[[Caller, str, str, str, str], Awaitable[User]]
"""Caller, account, password, code, source: the account, where it is the caller's and both are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`ticket` is the pre-session: a secret that the browser keeps until it answers. `options` are JSON."""

    ticket: str
    options: str


class Passkeys:
    """Not for threads."""

    def __init__(
        self, book: Book, clock: Clock, rng: Rng, *, issuer: str, throttle: Throttle, sessions: Sessions, prove: Prove
    ) -> None:
        self._book, self._clock, self._rng, self._issuer = book, clock, rng, issuer
        self._throttle, self._sessions, self._prove = throttle, sessions, prove
        self._adding, self._entering = Challenges(clock, rng), Challenges(clock, rng)

    def of(self, caller: Caller, name: str) -> tuple[Passkey, ...]:
        return self._mine_or_admins(caller, name).passkeys

    async def offer(self, caller: Caller, name: str, origin: str, password: str, code: str, source: str) -> str:
        """What the browser is asked, as JSON, once the password is proven anew. Raises `LoginError`."""
        party = party_of(origin, self._issuer)
        user = await self._prove(caller, name, password, code, source)
        if len(user.passkeys) >= _MOST:
            raise ConflictError(f"{name} has {_MOST} passkeys already", next_action="remove one first")
        if not user.handle:
            user = replace(user, handle=bytes.fromhex(self._rng.token(HANDLE_BYTES)))
            self._book.put_user(user)
        challenge = self._adding.give(caller.credential, party, name)
        known = [one.credential_id for one in user.passkeys]
        return creation_options(party, challenge.nonce, user.handle, name, known)

    def add(self, caller: Caller, name: str, label: str, answer: str) -> Passkey:
        """Raises `LoginError` where none was offered in this session, `UsageError` for a wrong answer."""
        label = label_of(label, "passkey")
        challenge = self._adding.take(caller.credential, name)
        found, user = made(challenge.party, challenge.nonce, answer), self._book.user(name)
        if self._book.find_passkey(found.id) is not None:
            raise ConflictError("this passkey is known already", next_action="use it, or another authenticator")
        passkey = Passkey(
            id=digest(found.id.hex())[:16],
            credential_id=found.id,
            credential=found.credential,
            label=label,
            host=challenge.party.id,
            count=found.count,
            created=self._clock.now(),
        )
        self._book.put_user(replace(user, passkeys=(*user.passkeys, passkey)))
        return passkey

    def remove(self, caller: Caller, name: str, id_: str) -> User:
        """Ends the account's other sessions: the passkey may be in somebody else's hands."""
        user = self._mine_or_admins(caller, name)
        left = tuple(one for one in user.passkeys if one.id != id_)
        if len(left) == len(user.passkeys):
            action = f"list them: innervate user passkeys ls {name}"
            raise NotFoundError(f"{name[:40]} has no passkey {id_[:16]}", next_action=action)
        user = replace(user, passkeys=left)
        self._book.put_user(user)
        self._sessions.close_all_of(name, but=caller.credential)
        return user

    def ask(self, origin: str, source: str) -> Asked:
        """Counts as a try of this source, which a right answer takes back: one challenge is one try."""
        party = party_of(origin, self._issuer)
        self._throttle.begin("", source)
        ticket = self._rng.token(_TICKET_BYTES)
        challenge = self._entering.give(digest(ticket), party)
        return Asked(ticket=ticket, options=request_options(party, challenge.nonce))

    def take(self, ticket: str) -> Challenge:
        """What was asked. Raises `LoginError` where nothing was, or it was answered already."""
        return self._entering.take(digest(ticket))

    def owner_of(self, answer: str) -> str:
        """Whose passkey the answer names, proven or not; "" where nobody's."""
        found = self._book.find_passkey(id_of(answer))
        return found[0].name if found else ""

    def log_in(self, challenge: Challenge, answer: str, source: str) -> Entered:
        """Raises `LoginError`. A count of signatures that does not grow is a copy's (section 6.1.1)."""
        found = self._book.find_passkey(id_of(answer))
        if found is None:
            raise wrong("nobody here has this passkey")
        user, passkey = found
        if not user.enabled or passkey.host != challenge.party.id:
            raise wrong("the account is disabled, or the passkey is another host's")
        count = proven(challenge.party, challenge.nonce, passkey.credential, user.handle, answer)
        if (count or passkey.count) and count <= passkey.count:
            raise wrong(f"{passkey.label}: signature {count} after {passkey.count}: there is a copy of it")
        used = replace(passkey, count=count, used=self._clock.now())
        self._book.put_user(replace(user, passkeys=tuple(used if one.id == used.id else one for one in user.passkeys)))
        self._throttle.passed(user.name, source)
        return self._sessions.enter(user.name, user.role, source, f"passkey {passkey.label}")

    def _mine_or_admins(self, caller: Caller, name: str) -> User:
        if caller.name != name and caller.role is not Role.ADMIN:
            raise AccessError("only an admin sees the passkeys of another account", next_action="ask one")
        return self._book.user(name)

"""Who may come in: accounts, sessions and tokens, over the book. Whoever may change them is judged here, too.

There is no default password. While there is no admin, a code that only this machine's log and Unix socket show makes
the first one, once.
"""

import base64
import hmac
from dataclasses import replace
from typing import assert_never

from appliance.access import totp
from appliance.access.book import Book, Token, User, used_at
from appliance.access.model import Caller, Role, Via
from appliance.access.passkeys import Passkeys
from appliance.access.passwords import NOBODY, SCRYPT_COST, Hasher
from appliance.access.rules import account_name, at_most, label_of, lesser, new_password, token_seconds
from appliance.access.sessions import Entered, Seen, Sessions, digest
from appliance.access.throttle import Throttle
from appliance.errors import AccessError, ConflictError, LoginError, NotFoundError, UsageError
from appliance.ports import Clock, Rng

TOKEN_PREFIX = "inv"  # noqa: S105  so that scanners for leaked secrets know one when they see it
_ID_BYTES, _SECRET_BYTES, _CODE_BYTES = 4, 32, 10
_MOST_USERS, _MOST_TOKENS = 256, 1024
_USE_SECONDS = 600.0
"""The last use of a token goes to disk this often at most: reading must not cost a write."""


class Desk:
    """Not for threads."""

    def __init__(self, book: Book, clock: Clock, rng: Rng, *, issuer: str, scrypt_cost: int = SCRYPT_COST) -> None:
        self._book, self._clock, self._rng, self._issuer = book, clock, rng, issuer
        self._hasher = Hasher(rng, scrypt_cost)
        self._throttle = Throttle(clock)
        self._sessions = Sessions(clock, rng)
        self._code = "" if book.has_admin() else _setup_code(rng)
        self.passkeys = Passkeys(
            book,
            clock,
            rng,
            issuer=issuer,
            throttle=self._throttle,
            sessions=self._sessions,
            prove=self._prove,
        )

    @property
    def setup_code(self) -> str:
        """Empty once there is an admin, however it was made; the code does not come back."""
        if self._code and self._book.has_admin():
            self._code = ""
        return self._code

    async def set_up(self, name: str, code: str, password: str, source: str) -> User:
        """Raises `ConflictError` where there is an admin, `LoginError` with a wrong code."""
        if not self.setup_code:
            raise ConflictError("there is an admin already", next_action="log in, or ask an admin for an account")
        name, password = account_name(name), new_password(password, name)
        self._throttle.begin("", source)
        if not hmac.compare_digest(_plain(code), _plain(self.setup_code)):
            raise LoginError("this is not the setup code", next_action="read it: `innervate login-code`, or the log")
        self._throttle.passed("", source)
        user = User(name=name, role=Role.ADMIN, password=await self._hasher.hash(password), created=self._clock.now())
        if not self.setup_code:  # two at once: the first one has it
            raise ConflictError("there is an admin already", next_action="log in, or ask an admin for an account")
        self._book.put_user(user)
        self._code = ""
        return user

    async def log_in(self, name: str, password: str, code: str, source: str) -> Entered:
        """Raises `LoginError`, which does not say what was wrong, and `ThrottledError`. Where a second factor is asked
        for, a password without a code does not do."""
        self._throttle.begin(name, source)
        user = self._book.find_user(name)
        right = await self._hasher.matches(password, NOBODY if user is None else user.password)
        user = self._unchanged(user)
        if user is None or not right or not user.enabled or not self._code_fits(user, code):
            raise LoginError(
                "name, password or code is wrong",
                next_action="try again, or use the account's passkey; an admin can set a new password",
            )
        self._throttle.passed(name, source)
        return self._sessions.enter(user.name, user.role, source, "password and code" if user.totp else "password")

    def log_out(self, caller: Caller) -> None:
        self._sessions.close(caller.credential)

    def by_session(self, cookie: str) -> Caller | None:
        session = self._sessions.use(digest(cookie))
        user = self._book.find_user(session.user) if session else None
        if user is None or not user.enabled:
            return None
        return Caller(name=user.name, role=user.role, via=Via.SESSION, credential=digest(cookie))

    def still(self, caller: Caller, *, active: bool) -> bool:
        """Whether a caller that was known may still do as much as then; `active` keeps a session awake."""
        match caller.via:
            case Via.SOCKET:
                return True
            case Via.TOKEN:
                token = self._book.find_token(caller.credential)
                role = self._role_behind(token) if token and self._clock.now() < token.expires else None
            case Via.SESSION:
                look = self._sessions.use if active else self._sessions.find
                session = look(caller.credential)
                user = self._book.find_user(session.user) if session else None
                role = user.role if user is not None and user.enabled else None
            case _:
                assert_never(caller.via)
        return role is not None and role.includes(caller.role)

    def csrf_of(self, caller: Caller) -> str:
        session = self._sessions.find(caller.credential) if caller.via is Via.SESSION else None
        return session.csrf if session else ""

    def is_csrf(self, caller: Caller, token: str) -> bool:
        own = self.csrf_of(caller)
        return bool(own) and hmac.compare_digest(own.encode(), token.encode("utf-8", "replace"))

    def by_token(self, text: str, source: str) -> Caller:
        """Raises `LoginError`, `ThrottledError`. A right token is never throttled."""
        prefix, _, rest = text.partition("_")
        token = self._book.find_token(rest.partition("_")[0]) if prefix == TOKEN_PREFIX else None
        if token is None or not hmac.compare_digest(token.digest, digest(text)):
            self._throttle.begin("", source)
            raise LoginError("this token is unknown", next_action="make one: innervate token make")
        now = self._clock.now()
        role = self._role_behind(token)
        if role is None or now >= token.expires:
            raise LoginError("this token has ended", next_action="make another one: innervate token make")
        if token.used is None or now - token.used >= _USE_SECONDS:
            self._book.put_token(used_at(token, now))
        return Caller(name=token.user, role=role, via=Via.TOKEN, credential=token.id)

    def users(self) -> tuple[User, ...]:
        return self._book.users

    def user(self, name: str) -> User:
        return self._book.user(name)

    async def add_user(self, name: str, role: Role, password: str) -> User:
        account_name(name)
        hashed = await self._hasher.hash(new_password(password, name))
        if self._book.find_user(name) is not None:
            raise ConflictError(f"there is an account {name} already", next_action="choose another name")
        if len(self._book.users) >= _MOST_USERS:
            raise ConflictError(f"there are {_MOST_USERS} accounts already", next_action="remove one first")
        user = User(name=name, role=role, password=hashed, created=self._clock.now())
        self._book.put_user(user)
        return user

    def change_user(self, name: str, role: Role | None, enabled: bool | None, second: bool | None = None) -> User:
        before = self._book.user(name)
        after = replace(
            before,
            role=before.role if role is None else role,
            enabled=before.enabled if enabled is None else enabled,
            second=before.second if second is None else second,
        )
        self._book.keep_an_admin(before, after)
        self._book.put_user(after)
        if not after.enabled:
            self._sessions.close_all_of(name)
        return after

    async def set_password(self, caller: Caller, name: str, password: str, current: str, source: str) -> User:
        """Ends all other sessions of the account."""
        user = self._mine_or_admins(caller, name)
        new_password(password, name)
        if caller.name == name:
            self._throttle.begin(name, source)
            if not await self._hasher.matches(current, user.password):
                raise LoginError("the present password is wrong", next_action="try again, or ask an admin")
            self._throttle.passed(name, source)
        hashed = await self._hasher.hash(password)
        user = replace(self._book.user(name), password=hashed)
        self._book.put_user(user)
        self._sessions.close_all_of(name, but=caller.credential)
        return user

    def remove_user(self, name: str) -> None:
        self._book.keep_an_admin(self._book.user(name), None)
        self._book.remove_user(name)
        self._sessions.close_all_of(name)

    def sessions(self, caller: Caller) -> tuple[Seen, ...]:
        """One's own; an admin sees all."""
        every = self._sessions.seen()
        return tuple(one for one in every if caller.role is Role.ADMIN or one.session.user == caller.name)

    def is_own(self, caller: Caller, seen: Seen) -> bool:
        return caller.via is Via.SESSION and caller.credential.startswith(seen.id)

    def end_session(self, caller: Caller, id_: str) -> None:
        if not any(one.id == id_ for one in self.sessions(caller)):
            raise NotFoundError(f"there is no session {id_[:16]}", next_action="list them: innervate user sessions")
        self._sessions.close_seen(id_)

    def offer_totp(self, caller: Caller, name: str) -> tuple[str, str]:
        """The secret in base32 and the URI; it counts once `confirm_totp` has seen a code of it."""
        user = self._mine(caller, name)
        if user.totp:
            raise ConflictError(f"{name} has an authenticator", next_action="remove it first")
        secret = bytes.fromhex(self._rng.token(totp.SECRET_BYTES))
        self._book.put_user(replace(user, offered=secret))
        return totp.base32(secret), totp.uri(secret, self._issuer, name)

    def offered_totp(self, caller: Caller, name: str) -> tuple[str, str] | None:
        """What `offer_totp` said, while no code has confirmed it."""
        secret = self._mine(caller, name).offered
        return (totp.base32(secret), totp.uri(secret, self._issuer, name)) if secret else None

    def confirm_totp(self, caller: Caller, name: str, code: str, source: str) -> User:
        user = self._mine(caller, name)
        if not user.offered:
            raise ConflictError(f"no authenticator was offered to {name}", next_action="enrol one first")
        self._throttle.begin(name, source)
        step = totp.step_of(user.offered, code, self._clock.now(), 0)
        if step is None:
            raise UsageError(
                "the authenticator shows another code", next_action="compare its clock with ours; try again"
            )
        self._throttle.passed(name, source)
        user = replace(user, totp=user.offered, offered=b"", step=step)
        self._book.put_user(user)
        return user

    def remove_totp(self, caller: Caller, name: str) -> User:
        """Admins only: a session that somebody has stolen must not take the second lock off."""
        if caller.role is not Role.ADMIN:
            raise AccessError("only an admin removes an authenticator", next_action="ask one")
        user = replace(self._book.user(name), totp=b"", offered=b"", step=0)
        self._book.put_user(user)
        return user

    def tokens(self, caller: Caller) -> tuple[Token, ...]:
        return tuple(token for token in self._book.tokens if self._sees(caller, token))

    def make_token(self, caller: Caller, label: str, role: Role, days: int, asked: str = "") -> tuple[Token, str]:
        """The token and its text. `asked` names a request: one that was carried out already makes the token anew in
        its place, for nobody has seen the first one."""
        now, mine = self._clock.now(), self._book.find_token(caller.credential)
        expires = now + token_seconds(days)
        text_id = self._rng.token(_ID_BYTES)
        text = f"{TOKEN_PREFIX}_{text_id}_{self._rng.token(_SECRET_BYTES)}"
        token = Token(
            id=text_id,
            label=label_of(label, "token"),
            user=caller.name,
            role=at_most(caller, role),
            digest=digest(text),
            created=now,
            expires=min(expires, mine.expires) if mine and caller.via is Via.TOKEN else expires,
            asked=asked,
        )
        before = next((one.id for one in self._book.tokens if asked and one.asked == asked), "")
        if len(self._book.tokens) >= _MOST_TOKENS:
            raise ConflictError(f"there are {_MOST_TOKENS} tokens already", next_action="revoke one first")
        self._book.put_token(token, instead=before)
        return token, text

    def revoke_token(self, caller: Caller, id_: str) -> None:
        token = self._book.find_token(id_)
        if token is None or not self._sees(caller, token):
            raise NotFoundError(f"there is no token {id_[:16]}", next_action="list them: innervate token list")
        self._book.remove_token(id_)

    def _sees(self, caller: Caller, token: Token) -> bool:
        return caller.role is Role.ADMIN or token.user == caller.name

    def _role_behind(self, token: Token) -> Role | None:
        """Of a token never more than its maker has now; None where the maker may nothing more."""
        if token.user.startswith("local:"):
            return token.role
        user = self._book.find_user(token.user)
        return lesser(token.role, user.role) if user is not None and user.enabled else None

    def _unchanged(self, user: User | None) -> User | None:
        """The account as it is now, unless its password has changed while we hashed."""
        now = self._book.find_user(user.name) if user is not None else None
        return now if now is not None and user is not None and now.password == user.password else None

    def _code_fits(self, user: User, code: str) -> bool:
        """Spends the code."""
        if not user.totp:
            return not user.second
        step = totp.step_of(user.totp, code, self._clock.now(), user.step)
        if step is None:
            return False
        self._book.put_user(replace(user, step=step))
        return True

    async def _prove(self, caller: Caller, name: str, password: str, code: str, source: str) -> User:
        user = self._mine(caller, name)
        self._throttle.begin(name, source)
        right = await self._hasher.matches(password, user.password)
        now = self._unchanged(user)
        if now is None or not right or (now.totp and not self._code_fits(now, code)):
            raise LoginError("the password or the code is wrong", next_action="try again, or ask an admin")
        self._throttle.passed(name, source)
        return self._book.user(name)

    def _mine(self, caller: Caller, name: str) -> User:
        if caller.name != name:
            raise AccessError(f"only {name[:40]} can do that", next_action="log in with this account")
        return self._book.user(name)

    def _mine_or_admins(self, caller: Caller, name: str) -> User:
        if caller.name != name and caller.role is not Role.ADMIN:
            raise AccessError("only an admin changes the password of another account", next_action="ask one")
        return self._book.user(name)


def _setup_code(rng: Rng) -> str:
    """80 bits in four groups, to be read from one screen and typed on another."""
    text = base64.b32encode(bytes.fromhex(rng.token(_CODE_BYTES))).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _plain(code: str) -> bytes:
    return code.upper().replace("-", "").replace(" ", "").encode("utf-8", "replace")

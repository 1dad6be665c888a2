"""Accounts and tokens at rest. Every change is on disk, encrypted, when its method returns."""

from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import ConfigDict

from appliance.access.model import Role
from appliance.access.passwords import PasswordHash
from appliance.errors import ConflictError, MachineryError, NotFoundError, UsageError
from appliance.model.codec import from_json, to_json


class Sealed(Protocol):
    """What the book needs of a file: `appliance.store.secrets.SecretFile`."""

    def load(self) -> bytes | None: ...

    def save(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """`credential` is its attested credential data, `host` the one that it was made for, `count` of its signatures."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    id: str
    credential_id: bytes
    credential: bytes
    label: str
    host: str
    count: int
    created: float
    used: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """`totp` is the secret of an authenticator, b"" for none; `offered` one that no code has confirmed yet; `step` the
    last code's. `handle` names the account to its passkeys, and nobody else. `second`: a password alone does not do.
    `created` since the epoch."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    name: str
    role: Role
    password: PasswordHash
    created: float
    enabled: bool = True
    totp: bytes = b""
    offered: bytes = b""
    step: int = 0
    handle: bytes = b""
    passkeys: tuple[Passkey, ...] = ()
    second: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`digest` is the SHA-256 of what the caller sends, hex. `asked` names the request that made it, so that the same
    request makes no second one. Times since the epoch."""

    id: str
    label: str
    user: str
    role: Role
    digest: str
    created: float
    expires: float
    used: float | None = None
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    users: tuple[User, ...] = ()
    tokens: tuple[Token, ...] = ()


class Book:
    """Raises `MachineryError` where its file cannot be used. Not for threads."""

    def __init__(self, file: Sealed) -> None:
        self._file = file
        contents = _read(file)
        self._users = {user.name: user for user in contents.users}
        self._tokens = {token.id: token for token in contents.tokens}

    @property
    def users(self) -> tuple[User, ...]:
        return tuple(self._users.values())

    @property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(self._tokens.values())

    def user(self, name: str) -> User:
        if (user := self._users.get(name)) is None:
            raise NotFoundError(f"there is no account {name[:40]}", next_action="see who has one: innervate user list")
        return user

    def find_user(self, name: str) -> User | None:
        return self._users.get(name)

    def find_passkey(self, credential_id: bytes) -> tuple[User, Passkey] | None:
        every = ((user, one) for user in self.users for one in user.passkeys)
        return next((pair for pair in every if pair[1].credential_id == credential_id), None)

    def find_token(self, id_: str) -> Token | None:
        return self._tokens.get(id_)

    def put_user(self, user: User) -> None:
        """Raises `ConflictError` where a second factor is asked for, and the account has none."""
        if user.second and not (user.totp or user.passkeys):
            raise ConflictError(
                f"{user.name} needs a second factor, and would have none",
                next_action="add an authenticator or a passkey first, or ask for none: innervate user second-factor",
            )
        self._save(self._users | {user.name: user}, self._tokens)

    def remove_user(self, name: str) -> None:
        """With all of its tokens."""
        users = {key: user for key, user in self._users.items() if key != name}
        tokens = {key: token for key, token in self._tokens.items() if token.user != name}
        self._save(users, tokens)

    def put_token(self, token: Token, *, instead: str = "") -> None:
        tokens = {key: one for key, one in self._tokens.items() if key != instead}
        self._save(self._users, tokens | {token.id: token})

    def remove_token(self, id_: str) -> None:
        self._save(self._users, {key: token for key, token in self._tokens.items() if key != id_})

    def has_admin(self, *, but: str = "") -> bool:
        return any(user.role is Role.ADMIN and user.enabled and user.name != but for user in self.users)

    def keep_an_admin(self, before: User, after: User | None) -> None:
        """Raises `ConflictError` where the change would leave nobody who can undo it."""
        stays = after is not None and after.role is Role.ADMIN and after.enabled
        if before.role is Role.ADMIN and before.enabled and not stays and not self.has_admin(but=before.name):
            raise ConflictError(f"{before.name} is the last admin", next_action="make another one first")

    def _save(self, users: dict[str, User], tokens: dict[str, Token]) -> None:
        self._file.save(to_json(_Contents(users=tuple(users.values()), tokens=tuple(tokens.values()))))
        self._users, self._tokens = users, tokens


def used_at(token: Token, now: float) -> Token:
    return replace(token, used=now)


def _read(file: Sealed) -> _Contents:
    data = file.load()
    try:
        return _Contents() if data is None else from_json(_Contents, data)
    except UsageError as error:
        action = "restore the accounts from a backup"
        raise MachineryError("the accounts cannot be read", evidence=str(error), next_action=action) from error

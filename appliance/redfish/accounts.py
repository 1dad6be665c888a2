"""Accounts of the service: who may come in, with what password, and who is locked out (DSP0266 section 13.3).

A password is kept as its scrypt hash (RFC 7914). After a success the process also remembers a keyed digest, so that
basic authentication does not cost a hash per request.
"""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from appliance.access.passwords import NOBODY, SCRYPT_COST, Hasher, PasswordHash
from appliance.model.bmc import AccountRole
from appliance.ports import Clock, Rng

_KEY_BYTES = 32
MIN_PASSWORD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthLimits:
    scrypt_cost: int = SCRYPT_COST
    lockout_threshold: int = 5
    lockout_seconds: int = 60
    session_seconds: int = 1800
    sessions: int = 64
    accounts: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`failures` in a row; `locked_until` in monotonic seconds; `seen` is the keyed digest of the right password."""

    name: str
    role: AccountRole
    password: PasswordHash
    enabled: bool = True
    failures: int = 0
    locked_until: float = 0.0
    seen: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """None leaves as it is."""

    password: str | None = None
    role: AccountRole | None = None
    enabled: bool | None = None
    unlock: bool = False


Save = Callable[[tuple[Account, ...]], None]


def forget(_accounts: tuple[Account, ...]) -> None:
    """A `Save` of a service whose accounts live as long as it does."""


class Accounts:
    """`save` is called with all of them whenever one was added, removed or changed by someone."""

    def __init__(
        self, clock: Clock, rng: Rng, limits: AuthLimits, saved: Iterable[Account] = (), save: Save = forget
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._limits = limits
        self._accounts = {account.name: account for account in saved}
        self._save = save
        self._key = bytes.fromhex(rng.token(_KEY_BYTES))
        self._hasher = Hasher(rng, limits.scrypt_cost)

    def names(self) -> tuple[str, ...]:
        return tuple(self._accounts)

    def find(self, name: str) -> Account | None:
        return self._accounts.get(name)

    @property
    def full(self) -> bool:
        return len(self._accounts) >= self._limits.accounts

    def is_locked(self, account: Account) -> bool:
        return self._clock.monotonic() < account.locked_until

    async def add(self, name: str, password: str, role: AccountRole, *, enabled: bool = True) -> Account:
        """The caller has seen to it that the name is free."""
        hashed = await self._hasher.hash(password)
        account = Account(name=name, role=role, password=hashed, enabled=enabled)
        added = self._accounts.setdefault(name, account)
        self._save(tuple(self._accounts.values()))
        return added

    async def change(self, name: str, change: AccountChange) -> None:
        hashed = None if change.password is None else await self._hasher.hash(change.password)
        account = self._accounts.get(name)
        if account is None:
            return
        self._accounts[name] = replace(
            account,
            password=account.password if hashed is None else hashed,
            seen=account.seen if hashed is None else b"",
            role=account.role if change.role is None else change.role,
            enabled=account.enabled if change.enabled is None else change.enabled,
            failures=0 if change.unlock else account.failures,
            locked_until=0.0 if change.unlock else account.locked_until,
        )
        self._save(tuple(self._accounts.values()))

    def remove(self, name: str) -> None:
        self._accounts.pop(name, None)
        self._save(tuple(self._accounts.values()))

    async def verify(self, name: str, password: str) -> Account | None:
        """None where name or password is wrong, or the account is disabled or locked; the time taken does not tell
        which."""
        before = self._accounts.get(name)
        tag = hmac.digest(self._key, password.encode("utf-8", "replace"), "sha256")
        if before is not None and hmac.compare_digest(before.seen, tag):
            return self._passed(before, tag) if self._may_enter(before) else None
        known = NOBODY if before is None else before.password
        right = await self._hasher.matches(password, known)
        account = self._accounts.get(name)
        if account is None or account.password != known or not self._may_enter(account):
            return None
        if right:
            return self._passed(account, tag)
        self._failed(account)
        return None

    def _may_enter(self, account: Account) -> bool:
        return account.enabled and not self.is_locked(account)

    def _passed(self, account: Account, tag: bytes) -> Account:
        self._accounts[account.name] = replace(account, failures=0, seen=tag)
        return self._accounts[account.name]

    def _failed(self, account: Account) -> None:
        failures = account.failures + 1
        if failures < self._limits.lockout_threshold:
            self._accounts[account.name] = replace(account, failures=failures)
            return
        until = self._clock.monotonic() + self._limits.lockout_seconds
        self._accounts[account.name] = replace(account, failures=0, locked_until=until)

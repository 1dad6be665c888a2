"""Passwords at rest: scrypt hashes (RFC 7914)."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass

from pydantic import ConfigDict

from appliance.ports import Rng

_SALT_BYTES = 16
_KEY_BYTES = 32
_HASHES_AT_ONCE = 2
SCRYPT_COST = 1 << 14
"""N of RFC 7914, a power of two: it takes 16 MiB and about 50 ms."""
MAX_PASSWORD = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    __pydantic_config__ = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    salt: bytes
    digest: bytes


NOBODY = PasswordHash(salt=bytes(_SALT_BYTES), digest=bytes(_KEY_BYTES))
"""No password has this hash: to be compared with where there is no account, so that the time taken tells nothing."""


class Hasher:
    """At most two hashes at once, on threads: log-ins take neither all of the memory nor the event loop."""

    def __init__(self, rng: Rng, cost: int = SCRYPT_COST) -> None:
        self._rng, self._cost = rng, cost
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    async def hash(self, password: str) -> PasswordHash:
        salt = bytes.fromhex(self._rng.token(_SALT_BYTES))
        return PasswordHash(salt=salt, digest=await self._digest(password, salt))

    async def matches(self, password: str, known: PasswordHash) -> bool:
        return hmac.compare_digest(await self._digest(password, known.salt), known.digest)

    async def _digest(self, password: str, salt: bytes) -> bytes:
        async with self._hashing:
            return await asyncio.to_thread(_scrypt, password, salt, self._cost)


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    text = password[:MAX_PASSWORD].encode("utf-8", "replace")
    return hashlib.scrypt(text, salt=salt, n=cost, r=8, p=1, maxmem=2 * 128 * 8 * cost, dklen=_KEY_BYTES)

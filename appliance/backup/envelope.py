"""A stream that only who knows the passphrase can read, and nobody can change, cut or reorder.

    magic, one line of JSON (scrypt's parameters), frames of a fixed size, the last one shorter and marked as the last

The key is scrypt (RFC 7914) of the passphrase. Each frame is AES-256-GCM with a nonce of 7 random bytes, the frame's
number and whether it is the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015); the head is
bound to each.
"""

import io
import re
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.errors import UsageError
from appliance.model.codec import from_json, to_json
from appliance.model.secret import Secret
from appliance.ports import Rng

MAGIC = b"innervate backup 1\n"
SCRYPT_COST = 17
"""log2 of N: 128 MiB and about half a second for each try at the passphrase."""
SHORTEST = 12
_HIGHEST_COST = 20
_FRAME = 1 << 20
_TAG = 16
_HEAD = 1024
_BLOCK, _PARALLEL = 8, 1
_HEX = re.compile(r"(?:[0-9a-f]{2}){7,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """`salt` and `nonce` in hex."""

    cost: int
    salt: str
    nonce: str


class Sealing(io.RawIOBase):
    """What is not finished has no end, and is refused when it is read."""

    def __init__(self, out: BinaryIO, passphrase: Secret, rng: Rng, *, cost: int = SCRYPT_COST) -> None:
        head = _Head(cost=cost, salt=rng.token(16), nonce=rng.token(7))
        self._out, self._line = out, MAGIC + to_json(head) + b"\n"
        self._cipher, self._nonce = _cipher(head, passphrase), bytes.fromhex(head.nonce)
        self._number, self._held = 0, bytearray()
        out.write(self._line)

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # tarfile writes bytes
        self._held += data
        while len(self._held) > _FRAME:
            self._frame(bytes(self._held[:_FRAME]), last=False)
            del self._held[:_FRAME]
        return len(data)

    def finish(self) -> None:
        self._frame(bytes(self._held), last=True)

    def _frame(self, data: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._nonce, self._number, last=last), data, self._line))
        self._number += 1


class Opening(io.RawIOBase):
    """Nothing is given out that was not proven. Raises `UsageError` where it is no backup, is damaged, or the
    passphrase is another one."""

    def __init__(self, source: BinaryIO, passphrase: Secret) -> None:
        self._source = source
        if source.read(len(MAGIC)) != MAGIC:
            raise UsageError("this is no backup of Innervate", next_action="name a file that `backup create` made")
        line = source.readline(_HEAD)
        self._line, head = MAGIC + line, _parsed(line)
        self._cipher, self._nonce = _cipher(head, passphrase), bytes.fromhex(head.nonce)
        self._number, self._held, self._ended = 0, b"", False
        self._next = source.read(_FRAME + _TAG)

    def read(self, size: int = _FRAME, /) -> bytes:
        """At most `size` bytes (>= 1); none at the end."""
        while not self._held and not self._ended:
            self._open()
        part, self._held = self._held[:size], self._held[size:]
        return part

    def _open(self) -> None:
        sealed, self._next = self._next, self._source.read(_FRAME + _TAG)
        last = not self._next
        try:
            nonce = _nonce(self._nonce, self._number, last=last)
            self._held, self._ended = self._cipher.decrypt(nonce, sealed, self._line), last
        except (InvalidTag, ValueError) as error:
            what = "the passphrase is another one, or the backup is damaged" if self._number == 0 else "it is damaged"
            raise UsageError(
                "the backup cannot be opened",
                evidence=f"{what}: frame {self._number} does not prove itself",
                next_action="try the right passphrase, or another copy of the file",
            ) from error
        self._number += 1


def _parsed(line: bytes) -> _Head:
    head = from_json(_Head, line)
    if not (1 <= head.cost <= _HIGHEST_COST and _HEX.fullmatch(head.salt) and _HEX.fullmatch(head.nonce)):
        raise UsageError(
            "the head of the backup is damaged", evidence=repr(line[:200]), next_action="take another copy"
        )
    return head


def checked(passphrase: str) -> Secret:
    """Raises `UsageError`."""
    if len(passphrase) < SHORTEST:
        raise UsageError("the passphrase is too short", next_action=f"take at least {SHORTEST} characters")
    return Secret(passphrase)


def _cipher(head: _Head, passphrase: Secret) -> AESGCM:
    kdf = Scrypt(salt=bytes.fromhex(head.salt), length=32, n=1 << head.cost, r=_BLOCK, p=_PARALLEL)
    return AESGCM(kdf.derive(passphrase.reveal().encode()))


def _nonce(random: bytes, number: int, *, last: bool) -> bytes:
    return random + number.to_bytes(4, "big") + (b"\1" if last else b"\0")

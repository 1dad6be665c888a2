"""Signatures of files in minisign's format: Ed25519 over BLAKE2b-512 of the content. Pure.

Formats: minisign 0.11, doc/signature and src/minisign.h; whoever has `minisign` can check what was signed here.

    public key   comment line, then base64 of "Ed", key id (8), public key (32)
    secret key   comment line, then base64 of "Ed", no KDF (2 zeros), "B2", salt and limits (48 zeros), key id (8),
                 seed (32), public key (32), checksum (32): a key without a passphrase, as of `minisign -G -W`
    signature    comment line, base64 of "ED", key id, signature (64);
                 trusted comment line, base64 of the signature (64) over signature and trusted comment
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from images.errors import SignatureError


class Content(Protocol):
    """A file that is open for reading, in bytes."""

    def readinto(self, buffer: bytearray, /) -> int: ...

    def readable(self) -> bool: ...


RANDOMNESS = 40
"""Bytes that a new key is made of."""
_KEY_ALGORITHM, _PREHASHED, _CHECKSUM = b"Ed", b"ED", b"B2"
_ID, _KEY, _SIGNATURE = 8, 32, 64
_NO_KDF, _NO_LIMITS = bytes(2), bytes(48)
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
_COMMENT = re.compile(r"[ -~]{0,1000}")
_TEXT_LIMIT = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """`identity` (8 bytes) says which key a signature is of; it proves nothing."""

    identity: bytes
    key: bytes

    @property
    def text(self) -> str:
        """The public key file."""
        number = self.identity[::-1].hex().upper()
        return _file(f"{_UNTRUSTED}minisign public key {number}", _KEY_ALGORITHM + self.identity + self.key)

    @property
    def line(self) -> str:
        """Its second line, which is all that counts."""
        return self.text.splitlines()[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    identity: bytes
    seed: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        return PublicKey(identity=self.identity, key=self._signer.public_key().public_bytes_raw())

    @property
    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def reveal(self) -> str:
        """The secret key file."""
        sealed = self.identity + self.seed + self.public.key
        head = _KEY_ALGORITHM + _NO_KDF + _CHECKSUM + _NO_LIMITS
        # Without a passphrase `minisign` leaves the checksum empty, and looks at none.
        return _file(f"{_UNTRUSTED}minisign secret key without a passphrase", head + sealed + bytes(_KEY))

    def sign(self, content: Content, comment: str) -> str:
        """The signature file. `comment` is signed, too: one line of at most 1000 ASCII characters."""
        if not _COMMENT.fullmatch(comment):
            raise SignatureError("a signed comment is one line of ASCII", evidence=repr(comment)[:200])
        signature = self._signer.sign(_digest(content))
        whole = self._signer.sign(signature + comment.encode())
        head = _file(f"{_UNTRUSTED}signature of Innervate", _PREHASHED + self.identity + signature)
        return head + f"{_TRUSTED}{comment}\n{base64.b64encode(whole).decode()}\n"


def make_key(randomness: bytes) -> SecretKey:
    """`randomness` is `RANDOMNESS` bytes fit for secrets."""
    if len(randomness) != RANDOMNESS:
        raise SignatureError("a key is made of 40 random bytes", evidence=f"{len(randomness)} bytes")
    return SecretKey(identity=randomness[:_ID], seed=randomness[_ID:])


def read_public(text: str) -> PublicKey:
    """Raises `SignatureError`."""
    raw = _decoded(_lines(text, 2, "a public key")[1], 2 + _ID + _KEY, "a public key")
    if raw[:2] != _KEY_ALGORITHM:
        raise _malformed("a public key", "it is of another algorithm")
    return PublicKey(identity=raw[2 : 2 + _ID], key=raw[2 + _ID :])


def read_secret(text: str) -> SecretKey:
    """Raises `SignatureError`, also for a key with a passphrase."""
    raw = _decoded(_lines(text, 2, "a secret key")[1], 54 + _ID + 3 * _KEY, "a secret key")
    if raw[:4] != _KEY_ALGORITHM + _NO_KDF:
        raise _malformed("a secret key", "it has a passphrase, or is of another algorithm")
    found = SecretKey(identity=raw[54:62], seed=raw[62:94])
    if found.public.key != raw[94:126]:
        raise _malformed("a secret key", "its two halves do not belong together")
    return found


def public_of(line: str) -> PublicKey:
    """Of the second line of a public key file. Raises `SignatureError`."""
    return read_public(f"{_UNTRUSTED}minisign public key\n{line}\n")


def verify(public: PublicKey, content: Content, signature: str) -> str:
    """The signed comment. `content` is read to its end. Raises `SignatureError`."""
    head, line, trusted, last = _lines(signature, 4, "a signature")
    if not head.startswith(_UNTRUSTED) or not trusted.startswith(_TRUSTED):
        raise _malformed("a signature", "its comment lines are missing")
    raw, whole = _decoded(line, 2 + _ID + _SIGNATURE, "a signature"), _decoded(last, _SIGNATURE, "a signature")
    algorithm, identity, signed = raw[:2], raw[2 : 2 + _ID], raw[2 + _ID :]
    if algorithm != _PREHASHED:
        raise _malformed("a signature", "it is of another algorithm")
    if identity != public.identity:
        raise _untrue("it is of another key", identity)
    comment = trusted.removeprefix(_TRUSTED)
    known = Ed25519PublicKey.from_public_bytes(public.key)
    try:
        known.verify(whole, signed + comment.encode())
        known.verify(signed, _digest(content))
    except InvalidSignature as error:
        raise _untrue("what was signed is not this", identity) from error
    return comment


def _digest(content: Content) -> bytes:
    return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=64)).digest()


def _file(comment: str, raw: bytes) -> str:
    return f"{comment}\n{base64.b64encode(raw).decode()}\n"


def _lines(text: str, count: int, what: str) -> list[str]:
    lines = text[: _TEXT_LIMIT + 1].removesuffix("\n").split("\n")
    if len(text) > _TEXT_LIMIT or len(lines) != count or not text.isascii():
        raise _malformed(what, f"{len(lines)} lines where {count} are wanted")
    return lines


def _decoded(line: str, size: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise _malformed(what, str(error)) from error
    # Base64 has bits that no byte takes: only the one right text is read.
    if len(raw) != size or base64.b64encode(raw).decode() != line:
        raise _malformed(what, f"{len(raw)} bytes where {size} are wanted")
    return raw


def _malformed(what: str, evidence: str) -> SignatureError:
    return SignatureError(f"this is not {what} of minisign", evidence=evidence, next_action="name the right file")


def _untrue(evidence: str, identity: bytes) -> SignatureError:
    return SignatureError(
        "the signature does not hold",
        evidence=f"{evidence}; key {identity[::-1].hex().upper()}",
        next_action="get the file anew from who built it; take nothing from elsewhere",
    )

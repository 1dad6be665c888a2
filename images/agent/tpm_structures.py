"""Structures of TPM 2.0 that agent and appliance both read: keys, their names, and quotes. Pure.

TPM 2.0 Library, Part 2 (the sections are those of version 1.59); TCG EK Credential Profile 2.5, annex B, for the
templates. Keys are known by their template: all but the unique part has to be what the template says, byte for byte,
so that there is nothing to be parsed in a key that somebody else may have made.
"""

import hashlib
import struct
from dataclasses import dataclass
from enum import Enum

from .errors import TpmError

RSA, ECC, AES, SHA256, NULL, ECDSA, CFB = 0x0001, 0x0023, 0x0006, 0x000B, 0x0010, 0x0018, 0x0043
P256 = 0x0003
PCRS = range(8)
"""Firmware, its configuration, option ROMs, boot loaders, and Secure Boot (7): TCG PC Client PFP, 3.3.4."""

_GENERATED, _ATTEST_QUOTE = 0xFF544347, 0x8018
_CLOCK_INFO, _VERSION = 17, 8
# TPM2_PolicySecret(TPM_RH_ENDORSEMENT): whoever may use the endorsement hierarchy may use the key (annex B.3.3).
_EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
_EK_ATTRIBUTES = 0x000300B2  # fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt
_AK_ATTRIBUTES = 0x00050472  # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign


class Reader:
    """Of one buffer, front to back. Raises TpmError where it ends too soon, and at `end` where it does not end."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self._at = data, what, 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise self.bad("cut off")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self, limit: int) -> bytes:
        """A TPM2B."""
        size = self.number(2)
        if size > limit:
            raise self.bad(f"a part of {size} bytes, where {limit} are the most")
        return self.take(size)

    def end(self) -> None:
        if self._at != len(self._data):
            raise self.bad(f"{len(self._data) - self._at} bytes too many")

    def bad(self, why: str) -> TpmError:
        return TpmError(f"{self._what}: {why}", evidence=self._data[:64].hex())


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


class Template(Enum):
    """TPMT_PUBLIC (12.2.4) up to its unique part, and the sizes of what that consists of."""

    EK_RSA = "EK, RSA 2048"
    """Template L-1."""
    EK_ECC = "EK, P-256"
    """Template L-2."""
    AK = "AK, P-256"
    """A restricted signing key (ECDSA, SHA-256) that cannot leave its TPM: it signs what the TPM itself made only."""

    @property
    def head(self) -> bytes:
        return _HEADS[self]

    @property
    def sizes(self) -> tuple[int, ...]:
        return (256,) if self is Template.EK_RSA else (32, 32)

    def public(self, *unique: bytes) -> bytes:
        """TPMT_PUBLIC of such a key; without its unique part, the template as the TPM is given it."""
        return self.head + b"".join(map(sized, unique or map(bytes, self.sizes)))

    def unique(self, public: bytes) -> tuple[bytes, ...]:
        """The modulus, or x and y, in full length. Raises TpmError for another kind of key."""
        reader = Reader(public, self.value)
        if reader.take(len(self.head)) != self.head:
            raise reader.bad("another kind of key")
        parts = tuple(reader.sized(size).rjust(size, b"\0") for size in self.sizes)
        reader.end()
        return parts


def _key(kind: int, attributes: int, policy: bytes, *details: int) -> bytes:
    words = b"".join(struct.pack(">H", detail) for detail in details)
    return struct.pack(">HHI", kind, SHA256, attributes) + sized(policy) + words


_HEADS = {
    Template.EK_RSA: _key(RSA, _EK_ATTRIBUTES, _EK_POLICY, AES, 128, CFB, NULL, 2048, 0, 0),
    Template.EK_ECC: _key(ECC, _EK_ATTRIBUTES, _EK_POLICY, AES, 128, CFB, NULL, P256, NULL),
    Template.AK: _key(ECC, _AK_ATTRIBUTES, b"", NULL, ECDSA, SHA256, P256, NULL),
}


def name_of(public: bytes) -> bytes:
    """Of a key whose nameAlg is SHA-256, as those of all templates here (Part 1, section 16)."""
    return struct.pack(">H", SHA256) + hashlib.sha256(public).digest()


def selection() -> bytes:
    """TPML_PCR_SELECTION (10.9.7): `PCRS` of the SHA-256 bank."""
    return struct.pack(">IHB", 1, SHA256, 3) + b"\xff\0\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """`qualifying` is what was asked to be signed along; `digest` is SHA-256 over the values of `PCRS`, in order."""

    qualifying: bytes
    digest: bytes


def parse_quote(attest: bytes) -> Quote:
    """TPMS_ATTEST (10.12.12) of a quote over `PCRS`. Raises TpmError."""
    reader = Reader(attest, "quote")
    if (reader.number(4), reader.number(2)) != (_GENERATED, _ATTEST_QUOTE):
        raise reader.bad("not made by a TPM's TPM2_Quote")
    reader.sized(66)  # the qualified name of the key: of its parents' names, which do not matter here
    qualifying = reader.sized(66)
    reader.take(_CLOCK_INFO + _VERSION)
    if reader.take(len(selection())) != selection():
        raise reader.bad("over other PCRs than 0 to 7 of the SHA-256 bank")
    digest = reader.sized(32)
    reader.end()
    return Quote(qualifying=qualifying, digest=digest)


def parse_signature(data: bytes) -> tuple[int, int]:
    """r and s of TPMT_SIGNATURE (11.3.4), ECDSA with SHA-256. Raises TpmError."""
    reader = Reader(data, "signature")
    if (reader.number(2), reader.number(2)) != (ECDSA, SHA256):
        raise reader.bad("not ECDSA with SHA-256")
    r, s = (int.from_bytes(reader.sized(32), "big") for _ in range(2))
    reader.end()
    return r, s

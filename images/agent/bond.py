"""What ties one boot of a machine to its appliance: a key agreement, and all that is derived from it. Pure.

X25519 (RFC 7748), HKDF with SHA-256 (RFC 5869), HMAC (RFC 2104), ChaCha20-Poly1305 (RFC 8439). The agent's key is of
this boot, the appliance's is for good. Who knows one of the two private keys makes the same words; nobody else does.

    hello  ->  Innervate-Key: A   Innervate-Commit: SHA-256(reveal)   Innervate-Proof: HMAC of all that and the body
           <-  Innervate-Key: S   Innervate-Salt: 32 bytes            Innervate-Seal: HMAC of all that and the body
    code   ->  the reveal: both sides now know the six digits, and neither could choose them
    tpm    ->  which TPM the machine has; the answer is sealed for it, and that it was opened is said, see `tpm_words`
    later  ->  Innervate-Seal: COUNT:HMAC      the count rises, so that nothing is taken twice
           <-  Innervate-Seal: HMAC over the same count, so that an answer is to this question
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import ProtocolError

KEY_HEADER = "Innervate-Key"
COMMIT_HEADER = "Innervate-Commit"
PROOF_HEADER = "Innervate-Proof"
SALT_HEADER = "Innervate-Salt"
SEAL_HEADER = "Innervate-Seal"
HELLO = "/agent/hello"
CODE = "/agent/code"

SIZE = 32  # bytes of keys, tokens, salts and reveals
_ZERO = bytes(12)  # each key seals one thing


def public_of(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, public: bytes) -> bytes:
    """Raises ProtocolError for what is no key, or one that would make every agreement the same (RFC 7748, 6.1)."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise ProtocolError("not a usable public key", evidence=public.hex()[:64]) from error


def parse_bytes(text: str, what: str) -> bytes:
    """`SIZE` bytes in hex; raises ProtocolError."""
    try:
        data = bytes.fromhex(text) if len(text) == 2 * SIZE else b""
    except ValueError:
        data = b""
    if len(data) != SIZE:
        raise ProtocolError(f"no usable {what}", evidence=ascii(text)[:80])
    return data


def commitment(reveal: bytes) -> str:
    return hashlib.sha256(b"innervate reveal" + reveal).hexdigest()


def derived(secret: bytes, purpose: str, salt: bytes = b"") -> bytes:
    return HKDF(algorithm=SHA256(), length=SIZE, salt=salt or None, info=f"innervate {purpose}".encode()).derive(secret)


def same(one: str, other: str) -> bool:
    """In a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a hello claims: `key` is the agent's public one, `commit` binds it to a reveal that it has yet to make."""

    nonce: str
    key: bytes
    commit: str
    body: bytes

    def proof(self, shared: bytes, token: bytes) -> str:
        """Only who holds the agent's key makes it, and only who has read the token. Empty token: the key alone."""
        key = derived(shared + token, "token proof" if token else "key proof")
        return _mac(key, self.nonce.encode(), self.key, self.commit.encode(), self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """One agent's key, one appliance's key and one salt. Both sides make the same."""

    nonce: str
    agent: bytes
    appliance: bytes
    salt: bytes
    shared: bytes = field(repr=False)
    _keys: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def welcome(self, commit: str, body: bytes) -> str:
        return _mac(self._key("welcome"), commit.encode(), self.salt, self.appliance, body)

    def request(self, count: int, path: str, offset: str, body: bytes) -> str:
        return _mac(self._key("up"), str(count).encode(), path.encode(), offset.encode(), body)

    def reply(self, count: int, status: int, body: bytes) -> str:
        return _mac(self._key("down"), str(count).encode(), str(status).encode(), body)

    def code(self, reveal: bytes) -> str:
        """Six digits. Whoever stands in between has two agreements and two codes, equal once in a million tries."""
        parts = (self.nonce.encode(), self.agent, self.appliance, self.salt, reveal)
        digest = hashlib.sha256(b"innervate code" + b"".join(map(_framed, parts))).digest()
        return f"{int.from_bytes(digest, 'big') % 10**6:06d}"

    def opened(self, secret: bytes, name: bytes) -> str:
        """That the agent of this bond has had its TPM open the secret, for the attestation key of this name.

        The secret itself is never sent, and what another agent's TPM opened is worth nothing here.
        """
        return _mac(derived(self.shared + secret, f"tpm {self.nonce}", self.salt + self.agent + self.appliance), name)

    @property
    def qualifying(self) -> bytes:
        """What a TPM signs along with what was measured, so that a quote is of this boot."""
        parts = (self.nonce.encode(), self.agent, self.appliance, self.salt)
        return hashlib.sha256(b"innervate quote" + b"".join(map(_framed, parts))).digest()

    def _key(self, purpose: str) -> bytes:
        """Derived once: each word of a long conversation needs two."""
        if (key := self._keys.get(purpose)) is None:
            key = derived(self.shared, f"{purpose} {self.nonce}", self.salt + self.agent + self.appliance)
            self._keys[purpose] = key
        return key


def sealed(shared: bytes, salt: bytes, nonce: str, data: bytes) -> bytes:
    """`salt` is new for each thing that is sealed, and so is the key."""
    return ChaCha20Poly1305(derived(shared, "seed", salt)).encrypt(_ZERO, data, nonce.encode())


def unsealed(shared: bytes, salt: bytes, nonce: str, data: bytes) -> bytes:
    """Raises ProtocolError if it was sealed for somebody else, or changed."""
    try:
        return ChaCha20Poly1305(derived(shared, "seed", salt)).decrypt(_ZERO, data, nonce.encode())
    except InvalidTag as error:
        raise ProtocolError("sealed for another agent, or changed on its way", evidence=f"{len(data)} bytes") from error


def _mac(key: bytes, *parts: bytes) -> str:
    return hmac.digest(key, b"".join(map(_framed, parts)), "sha256").hex()


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part

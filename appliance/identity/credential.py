"""TPM2_MakeCredential in software, and whether a quote is one. Pure but for the keys that it draws.

TPM 2.0 Library, Part 1: section 24 (credential protection), 11.4.10 (KDFa, KDFe), annexes B.10.4 and C.6.1 (how the
seed is sealed for RSA and for ECC). All keys here have SHA-256 as nameAlg and AES 128 in CFB mode.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from images.agent.errors import TpmError
from images.agent.tpm_structures import Template, parse_quote, parse_signature, sized

SECRET = 32
"""Bytes: a credential holds no more than a digest of its nameAlg."""

_EXPONENT = 65537
_BLOCK = 16
Key = RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """TPMS_ID_OBJECT, and the seed of its keys, sealed for one endorsement key (TPM2B_ENCRYPTED_SECRET's content)."""

    blob: bytes
    seed: bytes


def endorsement_key(public: bytes) -> Key:
    """Of a TPMT_PUBLIC by the profile's template L-1 or L-2. Raises TpmError."""
    if public.startswith(Template.EK_RSA.head):
        return _rsa(*Template.EK_RSA.unique(public))
    return _point(*Template.EK_ECC.unique(public))


def fingerprint(key: Key) -> str:
    """SHA-256 over its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) in DER, as hex: by what people name it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def issuer_of(certificate: bytes, key: Key) -> str:
    """Who says, in a certificate (DER) for this very key, that it is an endorsement key (RFC 4514). Nobody checks it.

    Empty for one that cannot be read, or is of another key.
    """
    try:
        read = x509.load_der_x509_certificate(certificate)
        return read.issuer.rfc4514_string() if read.public_key() == key else ""
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ""


def attestation_key(public: bytes) -> ec.EllipticCurvePublicKey:
    """Raises TpmError for a key that could leave its TPM, or sign what that did not make."""
    return _point(*Template.AK.unique(public))


def made_credential(key: Key, name: bytes, secret: bytes, entropy: Callable[[int], bytes]) -> Credential:
    """Opens in the TPM that has `key`, and there for the key of this `name` alone."""
    seed, sealed = _seeded(key, entropy)
    storage = kdf_a(seed, "STORAGE", name, 128)
    hidden = cfb(storage, sized(secret))
    integrity = hmac.digest(kdf_a(seed, "INTEGRITY", b"", 256), hidden + name, "sha256")
    return Credential(blob=sized(integrity) + hidden, seed=sealed)


def check_quote(
    key: ec.EllipticCurvePublicKey, *, quote: bytes, signature: bytes, qualifying: bytes, pcrs: Sequence[bytes]
) -> None:
    """That the TPM of `key` signed these values of PCRs 0 to 7, and `qualifying` along with them. Raises TpmError."""
    said, (r, s) = parse_quote(quote), parse_signature(signature)
    try:
        key.verify(encode_dss_signature(r, s), quote, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise TpmError("a quote that its attestation key did not sign", evidence=signature.hex()[:64]) from error
    if not hmac.compare_digest(said.qualifying, qualifying):
        raise TpmError("a quote of another boot", evidence=said.qualifying.hex())
    if said.digest != hashlib.sha256(b"".join(pcrs)).digest():
        raise TpmError("other values of the PCRs than those that were signed", evidence=said.digest.hex())


def kdf_a(key: bytes, label: str, context: bytes, bits: int) -> bytes:
    """At most 256 bits: one round (SP 800-108, counter mode)."""
    words = (1).to_bytes(4, "big") + label.encode() + b"\0" + context + bits.to_bytes(4, "big")
    return hmac.digest(key, words, "sha256")[: bits // 8]


def kdf_e(shared: bytes, label: str, ours: bytes, theirs: bytes) -> bytes:
    """256 bits: one round (SP 800-56A, concatenation)."""
    return hashlib.sha256((1).to_bytes(4, "big") + shared + label.encode() + b"\0" + ours + theirs).digest()


def cfb(key: bytes, data: bytes) -> bytes:
    """AES in full-block CFB mode from an IV of zeros (SP 800-38A, 6.3), encrypting.

    The library has moved CFB to its attic; of the block cipher it is three lines.
    """
    cipher, last, out = Cipher(AES128(key), ECB()).encryptor(), bytes(_BLOCK), b""  # noqa: S305  one block each
    for at in range(0, len(data), _BLOCK):
        pad = cipher.update(last)
        last = bytes(one ^ other for one, other in zip(data[at : at + _BLOCK], pad, strict=False))
        out += last
    return out


def _seeded(key: Key, entropy: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    match key:
        case RSAPublicKey():
            seed = entropy(SECRET)
            return seed, key.encrypt(seed, OAEP(MGF1(SHA256()), SHA256(), b"IDENTITY\0"))
        case ec.EllipticCurvePublicKey():
            ephemeral = ec.generate_private_key(ec.SECP256R1())
            x, y = _coordinates(ephemeral.public_key())
            seed = kdf_e(ephemeral.exchange(ec.ECDH(), key), "IDENTITY", x, _coordinates(key)[0])
            return seed, sized(x) + sized(y)
        case _:
            assert_never(key)


def _coordinates(key: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def _rsa(modulus: bytes) -> RSAPublicKey:
    number = int.from_bytes(modulus, "big")
    if number.bit_length() != 8 * len(modulus) or not number % 2:
        raise TpmError("not a modulus of 2048 bits", evidence=modulus.hex()[:32])
    return RSAPublicNumbers(_EXPONENT, number).public_key()


def _point(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()
        ).public_key()
    except ValueError as error:
        raise TpmError("not a point of P-256", evidence=f"x {x.hex()[:32]}") from error

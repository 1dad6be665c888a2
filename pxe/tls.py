"""TLS for boot HTTP: a certificate authority of our own, its server certificates, and the listener's context.

Firmware is the client. It may have no battery-backed clock (it then lives in the year its vendor chose), so
certificates are valid from 1970 on; it is handed addresses rather than names, so those are subject alternative names;
and old firmware knows no elliptic curves, so an authority may be RSA. Serve one credential of each kind: OpenSSL picks
the one that the client can verify.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pxe.errors import ConfigError

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_AUTHORITY_DAYS = 20 * 365
_SERVER_DAYS = 2 * 365

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyKind(Enum):
    ECDSA_P256 = "ecdsa-p256"
    RSA_2048 = "rsa-2048"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An unencrypted key in PEM; prints masked."""

    _pem: bytes

    def reveal(self) -> bytes:
        return self._pem

    def __repr__(self) -> str:
        return "PrivateKey(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """`certificate` is PEM: that of the key first, then its issuers."""

    certificate: bytes
    key: PrivateKey


def read_credential(certificate: Path, key: Path) -> Credential:
    try:
        return Credential(certificate=certificate.read_bytes(), key=PrivateKey(key.read_bytes()))
    except OSError as cause:
        raise ConfigError(
            "cannot read the TLS certificate or its key",
            evidence=str(cause),
            next_action="name two PEM files that this process may read",
        ) from cause


def make_authority(*, name: str, now: datetime, kind: KeyKind = KeyKind.ECDSA_P256) -> Credential:
    """A self-signed authority that may sign servers but no further authority. `now` is aware; it sets the end."""
    key = _make_key(kind)
    subject = _name(name)
    builder = (
        _builder(subject=subject, issuer=subject, key=key, until=now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
    )
    return _signed(builder, key, key, b"")


def issue(
    authority: Credential,
    *,
    addresses: Sequence[IPv4Address | IPv6Address],
    names: Sequence[str] = (),
    now: datetime,
    kind: KeyKind = KeyKind.ECDSA_P256,
) -> Credential:
    """A server's credential for these addresses and DNS names, at least one of them; the authority comes with it."""
    alternatives = [*map(x509.IPAddress, addresses), *map(x509.DNSName, names)]
    if not alternatives:
        raise ConfigError("a certificate for nobody", next_action="give an address or a name")
    issuer, signer = _opened(authority)
    key = _make_key(kind)
    common = str(names[0] if names else addresses[0])
    builder = (
        _builder(subject=_name(common), issuer=issuer.subject, key=key, until=now + timedelta(days=_SERVER_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return _signed(builder, key, signer, authority.certificate)


def server_context(credentials: Sequence[Credential]) -> ssl.SSLContext:
    """TLS 1.2 and newer, for at most one credential of each key kind. Raises ConfigError for what OpenSSL refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        for credential in credentials:
            _load(context, credential)
    except (ssl.SSLError, OSError) as cause:
        raise ConfigError(
            "the TLS certificate and its key do not serve",
            evidence=str(cause),
            next_action="give the certificate chain and its unencrypted key in PEM",
        ) from cause
    return context


def _load(context: ssl.SSLContext, credential: Credential) -> None:
    """OpenSSL wants a file: one without a name, so that the key never reaches a disk."""
    fd = os.memfd_create("credential", os.MFD_CLOEXEC)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(credential.certificate + b"\n" + credential.key.reveal())
        context.load_cert_chain(f"/proc/self/fd/{fd}", password=_no_password)
    finally:
        os.close(fd)


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted")


def _make_key(kind: KeyKind) -> _Key:
    match kind:
        case KeyKind.ECDSA_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.RSA_2048:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case _:
            assert_never(kind)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _builder(*, subject: x509.Name, issuer: x509.Name, key: _Key, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_ALWAYS)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: _Key, signer: _Key, chain: bytes) -> Credential:
    certificate = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Credential(certificate=certificate + chain, key=PrivateKey(pem))


def _opened(authority: Credential) -> tuple[x509.Certificate, _Key]:
    try:
        certificate = x509.load_pem_x509_certificate(authority.certificate)
        key = serialization.load_pem_private_key(authority.key.reveal(), password=None)
    except (ValueError, TypeError) as cause:
        raise ConfigError(
            "not an authority's certificate and key", evidence=str(cause)[:200], next_action="give both in PEM"
        ) from cause
    if not isinstance(key, _Key):
        raise ConfigError("this kind of key cannot sign here", next_action="use ECDSA P-256 or RSA")
    return certificate, key

"""Certificates of our own, kept in a folder that only the appliance's user may read.

`server.crt` and `server.key` in it may be replaced by those of one's own authority; they are left alone then.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from appliance.errors import MachineryError
from appliance.files import write_whole
from appliance.ports import Clock
from pxe.tls import Credential, PrivateKey, issue, make_authority

_OURS = "Innervate "
_RENEW = timedelta(days=30)

Address = IPv4Address | IPv6Address


def kept(folder: Path, site: str, hosts: Sequence[str], clock: Clock) -> Credential:
    """The one in `folder`; made anew where there is none, or where ours names other hosts or ends soon."""
    certificate, key = folder / "server.crt", folder / "server.key"
    now = datetime.fromtimestamp(clock.now(), UTC)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not certificate.exists() or not key.exists() or _has_had_its_day(certificate.read_bytes(), hosts, now):
        addresses = [address for host in hosts if (address := _address(host)) is not None]
        names = [host for host in hosts if _address(host) is None]
        authority = make_authority(name=f"{_OURS}{site}", now=now)
        made = issue(authority, addresses=addresses, names=names, now=now)
        write_whole(key, made.key.reveal())
        write_whole(certificate, made.certificate)
    return Credential(certificate=certificate.read_bytes(), key=PrivateKey(key.read_bytes()))


def fingerprint_of(credential: Credential) -> str:
    """The SHA-256 of the certificate in DER form, 64 hex digits."""
    return _read(credential.certificate).fingerprint(SHA256()).hex()


def _has_had_its_day(pem: bytes, hosts: Sequence[str], now: datetime) -> bool:
    certificate = _read(pem)
    issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not issuer or not str(issuer[0].value).startswith(_OURS):
        return False
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    have = {str(name.value) for name in named}
    return not have.issuperset(hosts) or certificate.not_valid_after_utc - now < _RENEW


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _read(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise MachineryError(
            "this is no certificate", evidence=str(error)[:200], next_action="give one in PEM, or remove it"
        ) from error

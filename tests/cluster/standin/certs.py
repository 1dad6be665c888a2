"""Keys and certificates, laid out as the genuine program does."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


def write(path: Path, text: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(text)
    draft.chmod(mode)
    draft.replace(path)


def authority(path: Path, name: str) -> None:
    """`path` without its end: NAME.crt and NAME.key. What is there stays."""
    if path.with_suffix(".key").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    made = _builder(subject, subject, key.public_key(), 3650)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only", "crl_sign"),
        False,
    )
    usage |= {"digital_signature": True, "key_encipherment": True, "key_cert_sign": True}
    made = made.add_extension(x509.KeyUsage(**usage), critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    write(path.with_suffix(".key"), _key(key))
    write(path.with_suffix(".crt"), made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)


def issue(ca: Path, path: Path, name: str, groups: tuple[str, ...] = (), sans: tuple[str, ...] = ()) -> None:
    """Signed by `ca`; for a server where it has `sans`, as a client in any case."""
    issuer = x509.load_pem_x509_certificate(ca.with_suffix(".crt").read_bytes())
    signer = serialization.load_pem_private_key(ca.with_suffix(".key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(name, *groups), issuer.subject, key.public_key(), 365)
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if sans else [])]
    made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    if sans:
        made = made.add_extension(x509.SubjectAlternativeName([_general(one) for one in sans]), critical=False)
    signed = made.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    write(path.with_suffix(".key"), _key(key))
    write(path.with_suffix(".crt"), signed.public_bytes(serialization.Encoding.PEM), 0o644)


def service_key(path: Path) -> None:
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        write(path, key.private_bytes(*form))


def _name(common: str, *groups: str) -> x509.Name:
    rows = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*rows, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(now - _DAY).not_valid_after(now + days * _DAY)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return key.private_bytes(*form)

from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pxe.errors import ConfigError
from pxe.tls import Credential, KeyKind, PrivateKey, issue, make_authority, read_credential, server_context

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = IPv4Address("10.0.0.1")


def first(credential: Credential) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credential.certificate)


def issued(authority: Credential, kind: KeyKind = KeyKind.ECDSA_P256) -> Credential:
    return issue(authority, addresses=[ADDRESS], names=["boot.rack.test"], now=NOW, kind=kind)


@pytest.mark.parametrize(
    ("kind", "key"),
    [(KeyKind.ECDSA_P256, ec.EllipticCurvePublicKey), (KeyKind.RSA_2048, rsa.RSAPublicKey)],
)
def test_server_certificate_holds_under_its_authority(kind: KeyKind, key: type) -> None:
    authority = make_authority(name="rack", now=NOW, kind=kind)
    server = issued(authority, kind)
    first(server).verify_directly_issued_by(first(authority))
    assert isinstance(first(server).public_key(), key)
    assert [certificate.subject for certificate in x509.load_pem_x509_certificates(server.certificate)] == [
        first(server).subject,
        first(authority).subject,
    ]


def test_machine_without_a_clock_is_within_the_time() -> None:
    authority = make_authority(name="rack", now=NOW)
    for certificate in (first(authority), first(issued(authority))):
        assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
        assert certificate.not_valid_after_utc > NOW


def test_authority_signs_servers_only_and_a_server_nobody() -> None:
    authority = make_authority(name="rack", now=NOW)
    basic = first(authority).extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    server = first(issued(authority)).extensions
    assert server.get_extension_for_class(x509.BasicConstraints).value.ca is False
    names = server.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ADDRESS]
    assert names.get_values_for_type(x509.DNSName) == ["boot.rack.test"]


def test_key_prints_masked() -> None:
    credential = make_authority(name="rack", now=NOW)
    assert "PRIVATE" in credential.key.reveal().decode()
    assert "PRIVATE" not in f"{credential} {credential!r} {credential.key}"


@pytest.mark.parametrize(
    ("certificate", "key"),
    [(b"", b""), (b"rubbish", b"rubbish")],
)
def test_context_refuses_what_does_not_serve(certificate: bytes, key: bytes) -> None:
    with pytest.raises(ConfigError, match="do not serve"):
        server_context([Credential(certificate=certificate, key=PrivateKey(key))])


def test_key_of_another_certificate_is_refused() -> None:
    authority = make_authority(name="rack", now=NOW)
    mixed = Credential(certificate=issued(authority).certificate, key=issued(authority).key)
    with pytest.raises(ConfigError, match="do not serve"):
        server_context([mixed])


def test_certificate_for_nobody_is_refused() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        issue(make_authority(name="rack", now=NOW), addresses=[], now=NOW)


def test_files(tmp_path: Path) -> None:
    credential = issued(make_authority(name="rack", now=NOW))
    (tmp_path / "c").write_bytes(credential.certificate)
    (tmp_path / "k").write_bytes(credential.key.reveal())
    assert read_credential(tmp_path / "c", tmp_path / "k") == credential
    with pytest.raises(ConfigError, match="cannot read"):
        read_credential(tmp_path / "none", tmp_path / "k")

import hashlib
import ssl
from ipaddress import IPv4Address

import bcrypt

from appliance.lab.certificate import password_line, self_signed


def test_fingerprint_is_that_of_the_certificate() -> None:
    made = self_signed("node-0 BMC", IPv4Address("10.77.1.10"))
    der = ssl.PEM_cert_to_DER_cert(made.certificate.decode())
    assert made.fingerprint == hashlib.sha256(der).hexdigest()
    assert made.fingerprint != self_signed("node-0 BMC", IPv4Address("10.77.1.10")).fingerprint


def test_password_line_is_one_that_htpasswd_could_have_written() -> None:
    user, _, digest = password_line("admin", "p").strip().partition(b":")
    assert user == b"admin"
    assert bcrypt.checkpw(b"p", digest)

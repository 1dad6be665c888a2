import hashlib
import ssl
from ipaddress import IPv4Address

from appliance.lab.certificate import self_signed


def test_fingerprint_is_that_of_the_certificate() -> None:
    made = self_signed("node-0 BMC", IPv4Address("10.77.1.10"))
    der = ssl.PEM_cert_to_DER_cert(made.certificate.decode())
    assert made.fingerprint == hashlib.sha256(der).hexdigest()
    assert made.fingerprint != self_signed("node-0 BMC", IPv4Address("10.77.1.10")).fingerprint

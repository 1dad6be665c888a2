"""What the two doors of the registry are told, against golden files."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.model.secret import Secret
from appliance.model.site_services import Registry
from appliance.registry.config import Door, rendered
from appliance.registry.trust import keys_of
from images.signature import make_key

GOLDEN = Path(__file__).parents[3] / "golden/registry"
READING = Door(
    address=IPv4Address("10.77.0.1"),
    port=5000,
    certificate=Path("/var/lib/innervate/content/registry/server.crt"),
    key=Path("/var/lib/innervate/content/registry/server.key"),
    store=Path("/var/lib/innervate/content/registry/store"),
    secret=Secret("00112233445566778899aabbccddeeff"),
)
WRITING = Door(
    address=IPv4Address("127.0.0.1"),
    port=5001,
    certificate=READING.certificate,
    key=READING.key,
    store=READING.store,
    secret=READING.secret,
    htpasswd=Path("/var/lib/innervate/content/registry/htpasswd"),
)


@pytest.mark.parametrize(("name", "door"), [("reading", READING), ("writing", WRITING)], ids=["reading", "writing"])
def test_golden(name: str, door: Door) -> None:
    assert rendered(door) == (GOLDEN / f"{name}.yml").read_text()


@pytest.mark.parametrize(("port", "writing"), [(80, 5001), (5000, 5000), (5000, 70000), (0, 5001)], ids=str)
def test_ports_that_cannot_be(port: int, writing: int) -> None:
    with pytest.raises(SiteError):
        Registry(port=port, writing_port=writing)


def test_keys_that_cannot_be() -> None:
    line = make_key(bytes(range(40))).public.line
    assert keys_of(Registry(trusted_keys=(line,)).trusted_keys) == (make_key(bytes(range(40))).public,)
    for odd in ("", line[:-1], f"{line}=", line.replace("RW", "RX", 1), f"{line}\n", "minisign"):
        with pytest.raises(SiteError, match="is no public key of minisign"):
            Registry(trusted_keys=(line, odd))

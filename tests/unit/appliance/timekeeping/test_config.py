"""What chronyd is told, against a golden file; and what DHCP says of it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.lab.topology import lab_rack
from appliance.model.site_services import TimeService
from appliance.services.segment import dhcp_of
from appliance.timekeeping.config import Answering, rendered

GOLDEN = Path(__file__).parents[3] / "golden/timekeeping/chrony.conf"
ANSWERING = Answering(
    address=IPv4Address("10.77.0.1"),
    networks=(IPv4Network("10.77.0.0/24"), IPv4Network("10.78.0.0/24")),
    upstreams=(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")),
    folder=Path("/var/lib/innervate/content/time"),
)


def test_golden() -> None:
    assert rendered(ANSWERING) == GOLDEN.read_text()


def test_dhcp_names_who_answers() -> None:
    rack = lab_rack()
    assert dhcp_of(rack, frozenset()).local[0].ntp_servers == ()
    served = replace(rack, time=TimeService())
    assert dhcp_of(served, frozenset()).local[0].ntp_servers == (rack.boot_network.address,)

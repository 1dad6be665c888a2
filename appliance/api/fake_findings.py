"""Findings for `FakeDoctor`: failures of the field, as the doctor's own checks word them."""

from ipaddress import IPv4Address

from appliance.doctor import bmcs, host, segment, wire
from appliance.doctor.facts import Answer, Claim, Nic, Servers, Shelf, Stored, Time, Volume, Wire
from appliance.doctor.sighting import Bpdu, Offer
from appliance.model.doctor import Finding

_MAC = "00:11:22:33:44:55"
_NODE = "52:54:00:00:00:06"
_OURS = IPv4Address("10.77.0.1")


def _only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


def _servers(*offers: Offer, gives_addresses: bool) -> Servers:
    return Servers(gives_addresses=gives_addresses, device="eth1", own=frozenset({str(_OURS)}), offers=offers)


ROGUE_DHCP = _only(
    segment.other_dhcp(_servers(Offer(server="10.77.0.254", mac=_MAC, address="10.77.0.131"), gives_addresses=True))
)
NO_DHCP = _only(segment.other_dhcp(_servers(gives_addresses=False)))
DEAD_BMC = _only(
    bmcs.bmcs(
        (
            Answer(
                machine="dead-bmc",
                url="https://10.9.0.11",
                problem="no answer from https://10.9.0.11",
                evidence="GET /redfish/v1: connection timed out after 8 s",
            ),
        )
    )
)
WRONG_HASH = _only(
    host.images(
        Shelf(
            wanted=frozenset({"debian-13"}),
            offered=frozenset({"debian-13"}),
            files=(Stored(name="the image debian-13", path="/images/9f", expected="9f" * 32, found="2c" * 32),),
        )
    )
)
DISK_FULL = _only(host.space((Volume(name="state folder", path="/var/lib/innervate", size=10**11, free=4096),)))
NO_LINK = _only(wire.link(Nic(device="eth1", up=True, carrier=False, mtu=1500), "eth1"))
SAME_ADDRESS = _only(
    segment.duplicates(
        (Claim(address=IPv4Address("10.77.0.56"), macs=(_MAC,), machine="same-mac", known=frozenset({_NODE})),), "eth1"
    )
)
SLOW_PORT = _only(
    wire.spanning_tree(Wire(listened=40.0, bpdus=(Bpdu(mac=_MAC, bridge=_MAC, port=0x8003, version=0),)), "eth1")
)
WRONG_CLOCK = _only(host.clock(Time(now=12.0, synchronised=False)))

FINDINGS = {
    "rogue-dhcp": ROGUE_DHCP,
    "no-dhcp": NO_DHCP,
    "dead-bmc": DEAD_BMC,
    "wrong-hash": WRONG_HASH,
    "disk-full": DISK_FULL,
    "no-link": NO_LINK,
    "same-mac": SAME_ADDRESS,
    "slow-port": SLOW_PORT,
    "wrong-clock": WRONG_CLOCK,
}

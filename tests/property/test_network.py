"""Any network of a machine, written for each of the systems that read one, is the same network when read back."""

import json
from collections.abc import Sequence
from ipaddress import ip_address, ip_interface, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.install.keyfile import keyfiles
from appliance.install.netplan import netplan_document
from appliance.install.networkd import networkd_files
from appliance.model.codec import from_json, to_json
from appliance.model.links import (
    BondLink,
    BondMode,
    BridgeLink,
    HashPolicy,
    Ip,
    LacpRate,
    Link,
    MachineNetwork,
    NicLink,
    Route,
    VlanLink,
    described,
)
from pxe.client import Mac
from tests import network_readers as read

MTUS = st.none() | st.integers(1280, 9216)
DOMAINS = st.sampled_from(["rack.test", "example", "a.b.c"])


@st.composite
def ips(draw: st.DrawFn, number: int, gateway: bool) -> Ip:
    """`number` keeps the subnets of a machine apart."""
    ways = draw(st.sampled_from(["none", "dhcp", "dhcp and v6", "v4", "v6", "both"]))
    four = [
        f"10.{number}.0.{host}/24" for host in draw(st.lists(st.integers(2, 250), min_size=1, max_size=2, unique=True))
    ]
    addresses = [
        *(four if ways in ("v4", "both") else []),
        *([f"fd00:{number:x}::{draw(st.integers(2, 0xFFFF)):x}/64"] if ways in ("v6", "both", "dhcp and v6") else []),
    ]
    families = [address for address in addresses if address in (four[:1] or "") or ":" in address]
    routers = [f"10.{number}.0.254" if "." in address else f"fd00:{number:x}::ffff:1" for address in families]
    routes = [
        Route(
            to=ip_network(f"172.16.{number}.0/24" if "." in router else f"fd99:{number:x}::/48"),
            via=ip_address(router),
            metric=draw(st.none() | st.integers(1, 2**32 - 1)),
        )
        for router in draw(st.lists(st.sampled_from(routers), unique=True) if routers else st.just([]))
    ]
    dns = [f"10.{number}.0.53" if "." in router else f"fd00:{number:x}::53" for router in routers]
    return Ip(
        addresses=tuple(ip_interface(address) for address in addresses),
        gateways=tuple(ip_address(router) for router in routers) if gateway else (),
        dns=tuple(ip_address(server) for server in dns),
        search=tuple(draw(st.lists(DOMAINS, unique=True))) if ways != "none" else (),
        routes=tuple(sorted(routes, key=lambda route: route.to.version)),
        dhcp=ways.startswith("dhcp"),
    )


@st.composite
def networks(draw: st.DrawFn) -> MachineNetwork:
    macs = draw(st.lists(st.binary(min_size=6, max_size=6), min_size=1, max_size=6, unique=True))
    ports = [Mac.from_bytes(mac) for mac in macs]
    bonded = draw(st.integers(0, len(ports)))
    links: list[Link] = [*_bond(draw, ports[:bonded])] if bonded else []
    for at, mac in enumerate(ports[bonded:]):
        links.append(
            NicLink(name=f"lan{at}", mac=mac, mtu=draw(MTUS), ip=draw(ips(10 + at, gateway=not bonded and at == 0)))
        )
    lower = [link for link in links if not (isinstance(link, NicLink) and link.name.startswith("bond"))]
    for at, identity in enumerate(draw(st.lists(st.integers(1, 4094), max_size=3, unique=True))):
        parent = draw(st.sampled_from([link.name for link in lower]))
        links.append(VlanLink(name=f"v{at}", id=identity, parent=parent, mtu=draw(MTUS), ip=draw(ips(30 + at, False))))
    free = [link.name for link in links if link.ip == Ip() and not link.name.startswith("bond0p")]
    free = [name for name in free if not any(isinstance(link, VlanLink) and link.parent == name for link in links)]
    if free and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        links.append(BridgeLink(name="br0", ports=tuple(chosen), mtu=draw(MTUS), ip=draw(ips(50, False))))
    return MachineNetwork(links=tuple(links))


def _bond(draw: st.DrawFn, macs: Sequence[Mac]) -> Sequence[Link]:
    members = [NicLink(name=f"bond0p{at}", mac=mac) for at, mac in enumerate(macs)]
    names = tuple(member.name for member in members)
    lacp = draw(st.booleans())
    bond = BondLink(
        name="bond0",
        members=names,
        mode=BondMode.LACP if lacp else BondMode.ACTIVE_BACKUP,
        mac=draw(st.sampled_from(macs)),
        primary="" if lacp else draw(st.sampled_from(["", *names])),
        lacp_rate=draw(st.sampled_from(LacpRate)) if lacp else LacpRate.SLOW,
        hash_policy=draw(st.sampled_from(HashPolicy)) if lacp else HashPolicy.LAYER2_3,
        mtu=draw(MTUS),
        ip=draw(ips(1, gateway=True)),
    )
    return [*members, bond]


@settings(max_examples=40)
@given(networks())
def test_every_file_says_the_same(network: MachineNetwork) -> None:
    wanted = read.by_name(network)
    assert read.networkd({name: text.decode() for name, text in networkd_files(network).items()}) == wanted
    assert read.netplan(json.loads(json.dumps(netplan_document(network)))) == wanted
    assert read.keyfiles({name: text.decode() for name, text in keyfiles("node-0", network).items()}) == wanted


@settings(max_examples=40)
@given(networks())
def test_a_plan_keeps_it(network: MachineNetwork) -> None:
    assert from_json(MachineNetwork, to_json(network)) == network
    told = described(network)
    assert all(str(address) in told for address in network.addresses)
    assert "\n" not in told

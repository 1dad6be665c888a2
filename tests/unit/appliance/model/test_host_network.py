"""What is wrong with a network is refused where it is stated, with its cause and what to do."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from appliance.errors import SiteError
from appliance.lab.topology import lab_rack
from appliance.model.host_network import HostNetwork
from appliance.model.links import BondMode, Ip, LacpRate, Route
from appliance.model.site import RelayedNetwork, Server
from appliance.model.site_network import cautions
from appliance.model.stated_links import (
    DHCP,
    Bond,
    BootNic,
    Bridge,
    ByMac,
    CabledTo,
    Fastest,
    Nic,
    NicRule,
    Stated,
    Vlan,
    by_mac,
    static,
    with_routes,
)
from appliance.topology import Rack

ONE, OTHER = by_mac("52:54:00:77:00:01"), by_mac("52-54-00-77-00-02")
IP = static("10.77.0.50/24", gateway="10.77.0.1")
LAN = Nic(name="lan0", ip=IP)
BOND = Bond(name="bond0", members=(ONE, OTHER), ip=IP)
JUMBO = Nic(name="lan0", mtu=9000)
BARE = Nic(name="lan0")


def nic(name: str = "lan1", on: NicRule = ONE, ip: Ip = DHCP, mtu: int | None = None) -> Nic:
    return Nic(name=name, on=on, ip=ip, mtu=mtu)


GOOD: dict[str, Sequence[Stated]] = {
    "one NIC": (LAN,),
    "a bond": (BOND, Vlan(name="storage", id=1, parent="bond0")),
    "the greatest VLAN": (LAN, Vlan(name="v", id=4094, parent="lan0")),
    "LACP": (Bond(name="bond0", members=(Fastest(2),), mode=BondMode.LACP, lacp_rate=LacpRate.FAST, ip=DHCP),),
    "VLANs no larger than their parent": (JUMBO, Vlan(name="v", id=2, parent="lan0", mtu=9000)),
    "a bridge of a VLAN": (
        LAN,
        Vlan(name="v", id=2, parent="lan0"),
        Bridge(name="br", ports=("v",), ip=static("10.1.0.1/24")),
    ),
    "a VLAN on a bridge": (BARE, Bridge(name="br", ports=("lan0",), ip=IP), Vlan(name="v", id=2, parent="br")),
    "a point-to-point link": (Nic(name="lan0", ip=static("10.0.0.0/31", gateway="10.0.0.1")),),
    "a gateway of each family": (Nic(name="lan0", ip=static("10.0.0.2/24", "fd00::2/64", gateway="10.0.0.1 fd00::1")),),
    "rules of each kind": (nic("a", ONE), nic("b", BootNic()), nic("c", CabledTo("sw1", "7")), nic("d", Fastest())),
}
WRONG: dict[str, tuple[Sequence[Stated], str]] = {
    "nothing": ((), "no link"),
    "a name of the kernel's": ((nic("eth0"),), "'eth0' cannot be the name"),
    "a predictable name": ((nic("enp1s0"),), "'enp1s0' cannot be the name"),
    "a name too long": ((nic("a" * 16),), "cannot be the name"),
    "a name with a line": ((nic("a\n[Match]"),), "cannot be the name"),
    "a bond's name too long": ((Bond(name="b" * 13, members=(ONE, OTHER)),), "too long for a bond"),
    "one name twice": ((nic("a"), nic("a", OTHER)), "two links are called a"),
    "a name of a bond's member": ((nic("bond0p1", BootNic()), BOND), "two links are called bond0p1"),
    "a MAC twice": (
        (nic("a"), nic("b", by_mac("525400770001"))),
        "the NIC 52:54:00:77:00:01 is used twice, in a and b",
    ),
    "a MAC twice in a bond": ((replace(BOND, members=(ONE, ONE)),), "is used twice, in bond0"),
    "the boot NIC twice": ((LAN, nic("b", BootNic())), "the boot NIC is used twice"),
    "two for the fastest": (
        (nic("a", Fastest()), replace(BOND, members=(Fastest(2),))),
        "two rules ask for the fastest",
    ),
    "two NICs as one": ((nic("a", Fastest(2)),), "is one NIC, not 2"),
    "no members": ((replace(BOND, members=()),), "has 0 members"),
    "a primary that is no member": ((replace(BOND, primary=BootNic()),), "cannot be its primary"),
    "a primary with LACP": ((replace(BOND, primary=ONE, mode=BondMode.LACP),), "cannot be its primary"),
    "LACP's rate without LACP": ((replace(BOND, lacp_rate=LacpRate.FAST),), "for LACP only"),
    "VLAN 0": ((LAN, Vlan(name="v", id=0, parent="lan0")), "there is no VLAN 0"),
    "VLAN 4095": ((LAN, Vlan(name="v", id=4095, parent="lan0")), "there is no VLAN 4095"),
    "a VLAN on nothing": ((LAN, Vlan(name="v", id=2, parent="lan1")), "there is no link 'lan1' before it"),
    "a VLAN before its parent": ((Vlan(name="v", id=2, parent="lan0"), LAN), "there is no link 'lan0' before it"),
    "a VLAN in a VLAN": (
        (LAN, Vlan(name="v", id=2, parent="lan0"), Vlan(name="w", id=3, parent="v")),
        "a VLAN in a VLAN",
    ),
    "one VLAN twice": (
        (LAN, Vlan(name="v", id=2, parent="lan0"), Vlan(name="w", id=2, parent="lan0")),
        "VLAN 2 of lan0 is both v and w",
    ),
    "a VLAN larger than its parent": (
        (LAN, Vlan(name="v", id=2, parent="lan0", mtu=9000)),
        "v: MTU 9000 is greater than that of lan0",
    ),
    "a bridge larger than its port": (
        (BARE, Bridge(name="br", ports=("lan0",), mtu=1501)),
        "greater than that of lan0",
    ),
    "an MTU that no switch has": ((nic(mtu=10_000),), "MTU 10000"),
    "an MTU too small for IPv6": ((nic(mtu=1279, ip=static("fd00::1/64")),), "MTU 1279"),
    "a bridge without ports": ((Bridge(name="br", ports=()),), "a bridge has ports"),
    "a port with an address": ((LAN, Bridge(name="br", ports=("lan0",))), "its port lan0 has addresses"),
    "a port of two bridges": (
        (BARE, Bridge(name="br", ports=("lan0",)), Bridge(name="bs", ports=("lan0",))),
        "lan0 is a port of br",
    ),
    "a bridge of a bridge": (
        (BARE, Bridge(name="br", ports=("lan0",)), Bridge(name="bs", ports=("br",))),
        "br is a bridge itself",
    ),
    "a VLAN beside a bridge": (
        (BARE, Bridge(name="br", ports=("lan0",)), Vlan(name="v", id=2, parent="lan0")),
        "lan0 is a port of br",
    ),
    "a bridge beside a VLAN": (
        (BARE, Vlan(name="v", id=2, parent="lan0"), Bridge(name="br", ports=("lan0",))),
        "its port lan0 carries a VLAN",
    ),
    "a gateway outside": ((nic(ip=static("10.0.0.5/24", gateway="10.0.1.1")),), "gateway 10.0.1.1 lies outside"),
    "a gateway with DHCP": ((nic(ip=Ip(dhcp=True, gateways=(IPv4Address("10.0.0.1"),))),), "lies outside"),
    "itself as gateway": ((nic(ip=static("10.0.0.5/24", gateway="10.0.0.5")),), "is the machine itself"),
    "two gateways": ((nic(ip=static("10.0.0.5/24", gateway="10.0.0.1 10.0.0.2")),), "two gateways of one family"),
    "two links with a gateway": (
        (LAN, nic(ip=static("10.1.0.5/24", gateway="10.1.0.1"))),
        "two links have an IPv4 gateway: lan0 and lan1",
    ),
    "a route through nowhere": (
        (nic(ip=with_routes(static("10.0.0.5/24"), ("10.9.0.0/16", "10.1.0.1"))),),
        "gateway 10.1.0.1 lies outside",
    ),
    "a route to everywhere": (
        (nic(ip=with_routes(static("10.0.0.5/24"), ("0.0.0.0/0", "10.0.0.1"))),),
        "the route to everywhere is the gateway",
    ),
    "a metric of 0": (
        (
            nic(
                ip=replace(
                    static("10.0.0.5/24"),
                    routes=(Route(to=IPv4Network("10.9.0.0/16"), via=IPv4Address("10.0.0.1"), metric=0),),
                )
            ),
        ),
        "a metric above 0",
    ),
    "the network's own address": ((nic(ip=static("10.0.0.0/24")),), "10.0.0.0/24 cannot be a machine's address"),
    "the broadcast address": ((nic(ip=static("10.0.0.255/24")),), "cannot be a machine's address"),
    "a multicast address": ((nic(ip=static("224.0.0.5/24")),), "cannot be a machine's address"),
    "DHCP and static": ((nic(ip=Ip(dhcp=True, addresses=(IPv4Interface("10.0.0.5/24"),))),), "both DHCP and a static"),
    "one address twice": (
        (LAN, nic(ip=static("10.77.0.50/32"))),
        "address 10.77.0.50 is stated twice, on lan0 and lan1",
    ),
    "two links in one subnet": ((LAN, nic(ip=static("10.77.0.51/24"))), "lan0 and lan1 are in one subnet"),
    "DNS of a family not spoken": ((nic(ip=static("10.0.0.5/24", dns=("fd00::53",))),), "of a family that the link"),
    "too many name servers": (
        (nic(ip=static("10.0.0.5/24", dns=tuple(f"10.0.0.{n}" for n in range(10, 14)))),),
        "4 DNS servers",
    ),
    "a search domain that is none": ((nic(ip=static("10.0.0.5/24", search=("a b",))),), "'a b' is no domain"),
    "search without an address": ((nic(ip=Ip(search=("a",))),), "search domains without an address"),
}


@pytest.mark.parametrize("links", list(GOOD.values()), ids=list(GOOD))
def test_what_is_right(links: Sequence[Stated]) -> None:
    assert HostNetwork(links=tuple(links)).links == tuple(links)


@pytest.mark.parametrize(("links", "says"), list(WRONG.values()), ids=list(WRONG))
def test_what_is_wrong_alone(links: Sequence[Stated], says: str) -> None:
    with pytest.raises(SiteError) as caught:
        HostNetwork(links=tuple(links))
    assert says in f"{caught.value} {caught.value.next_action}"
    assert str(caught.value).startswith("network: ")
    assert caught.value.next_action


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (lambda: static("10.0.0.5"), "has no prefix length"),
        (lambda: static("10.0.0.500/24"), "is no address"),
        (lambda: static("10.0.0.5/24", gateway="there"), "is no address"),
        (lambda: with_routes(IP, ("10.0.0.5/16", "10.77.0.1")), "is no network"),
        (lambda: by_mac("52:54:00"), "is no MAC address"),
    ],
)
def test_what_cannot_be_read(state: object, says: str) -> None:
    with pytest.raises(SiteError, match=says) as caught:
        state()  # type: ignore[operator]  # a table of calls
    assert caught.value.next_action


def rack_of(*networks: HostNetwork | None, **changes: object) -> Rack:
    """The lab, whose servers have these networks; `changes` are of the first server."""
    lab = lab_rack()
    servers = [
        replace(server, network=network, address=None) for server, network in zip(lab.servers, networks, strict=False)
    ]
    servers[0] = replace(servers[0], **changes)  # type: ignore[arg-type]  # a table of faults
    return replace(lab, servers=tuple(servers))


def host(*addresses: str, gateway: str = "", on: NicRule | None = None) -> HostNetwork:
    return HostNetwork(links=(Nic(name="lan0", on=on or BootNic(), ip=static(*addresses, gateway=gateway)),))


def apart(address: str) -> HostNetwork:
    """Behind a router, for checks that are about something else."""
    return host(address, gateway=str(IPv4Interface(address).network.broadcast_address - 1))


SITES: dict[str, tuple[Sequence[HostNetwork | None], dict[str, object], str]] = {
    "another prefix length": ((host("10.77.0.50/16"),), {}, "is in the boot network 10.77.0.0/24, with another prefix"),
    "the pool": ((host("10.77.0.150/24"),), {}, "address 10.77.0.150 lies in the DHCP pool"),
    "the appliance's": ((host("10.77.0.1/24"),), {}, "address 10.77.0.1 is of the appliance, too"),
    "two by DHCP and static": (
        (host("10.77.0.60/24"),),
        {"address": IPv4Address("10.77.0.50")},
        "two addresses in the boot network",
    ),
    "no way home": ((host("10.5.0.2/24"),), {}, "could not reach the appliance at 10.77.0.1"),
    "one address on two machines": (
        (apart("10.5.0.2/24"), apart("10.5.0.2/24")),
        {},
        "address 10.5.0.2 is of node-0, too",
    ),
    "one MAC on two machines": (
        (host("10.77.0.50/24", on=ONE), host("10.77.0.51/24", on=ONE)),
        {},
        "MAC 52:54:00:77:00:01 is of node-0, too",
    ),
    "subnets that overlap": ((apart("10.5.0.2/24"), apart("10.5.1.2/16")), {}, "networks overlap"),
}


@pytest.mark.parametrize(("networks", "changes", "says"), list(SITES.values()), ids=list(SITES))
def test_what_is_wrong_beside_others(
    networks: Sequence[HostNetwork | None], changes: dict[str, object], says: str
) -> None:
    with pytest.raises(SiteError) as caught:
        rack_of(*networks, **changes)
    assert says in str(caught.value)
    assert "node-" in f"{caught.value} {caught.value.evidence}"
    assert caught.value.next_action


def test_what_is_right_beside_others() -> None:
    routed = with_routes(static("10.6.0.2/24"), ("10.77.0.0/24", "10.6.0.1"))
    rack_of(host("10.77.0.50/24"), host("10.77.0.51/24"))
    rack_of(apart("10.5.0.2/24"), apart("10.5.0.3/24"))
    rack_of(HostNetwork(links=(Nic(name="lan0", ip=routed),)), HostNetwork(links=(Nic(name="lan0", ip=DHCP),)))


def test_name_and_reservation_follow_the_static_address() -> None:
    boot, relayed = IPv4Network("10.77.0.0/24"), IPv4Network("10.5.0.0/24")
    near, far = rack_of(host("10.77.0.50/24"), apart("10.5.0.2/24")).servers
    assert (near.named, near.address_in(boot)) == (IPv4Address("10.77.0.50"),) * 2
    assert (far.named, far.address_in(boot), far.address_in(relayed)) == (
        IPv4Address("10.5.0.2"),
        None,
        IPv4Address("10.5.0.2"),
    )
    both = replace(far, address=IPv4Address("10.77.0.51"))
    assert (both.named, both.address_in(boot)) == (IPv4Address("10.5.0.2"), IPv4Address("10.77.0.51"))
    leased = replace(near, network=HostNetwork(links=(Nic(name="lan0", ip=DHCP),)))
    assert (leased.named, leased.address_in(boot)) == (None, None)


def test_the_name_is_of_the_link_with_the_gateway() -> None:
    behind = static("10.6.0.2/24", gateway="10.6.0.1")
    links = (Nic(name="lan0", ip=static("10.77.0.50/24")), nic(ip=behind))
    assert HostNetwork(links=links).primary == IPv4Address("10.6.0.2")
    assert HostNetwork(links=links[:1]).primary == IPv4Address("10.77.0.50")
    assert HostNetwork(links=(Nic(name="lan0", ip=static("fd00::2/64")),)).primary is None


def test_a_pool_behind_a_relay_is_a_pool() -> None:
    lab = lab_rack()
    relayed = RelayedNetwork(
        network=IPv4Network("10.8.0.0/24"),
        first=IPv4Address("10.8.0.100"),
        last=IPv4Address("10.8.0.200"),
        router=IPv4Address("10.8.0.1"),
    )
    network = replace(lab.boot_network, relayed=(relayed,))
    server = replace(lab.servers[0], address=None, network=host("10.8.0.150/24", gateway="10.8.0.1"))
    with pytest.raises(SiteError, match=r"10\.8\.0\.150 lies in the DHCP pool"):
        replace(lab, servers=(server,), boot_network=network)


@pytest.mark.parametrize(
    ("members", "falls_back", "mode", "says"),
    [
        ((ONE, OTHER), False, BondMode.LACP, "boots from"),
        ((BootNic(), Fastest()), False, BondMode.LACP, "boots from"),
        ((Fastest(2),), False, BondMode.LACP, "may boot from"),
        ((ONE, OTHER), True, BondMode.LACP, ""),
        ((ONE, OTHER), False, BondMode.ACTIVE_BACKUP, ""),
    ],
)
def test_firmware_speaks_no_lacp(members: tuple[NicRule, ...], falls_back: bool, mode: BondMode, says: str) -> None:
    bond = Bond(name="bond0", members=members, mode=mode, switch_falls_back=falls_back, ip=DHCP)
    servers: tuple[Server, ...] = rack_of(HostNetwork(links=(bond,))).servers
    told = cautions(servers)
    assert (says in told[0]) if says else not told


def test_macs_are_those_that_are_stated() -> None:
    network = HostNetwork(links=(BOND, nic("lan0", BootNic())))
    assert network.macs == (ONE.mac, OTHER.mac)
    assert isinstance(ONE, ByMac)

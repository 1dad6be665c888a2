"""Rules meet facts: each finds its NIC, or says for which machine it did not, and what was found instead."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.errors import PlanError
from appliance.install.network import Seen, resolved
from appliance.model.hardware import Firmware, HardwareFacts, Neighbour
from appliance.model.hardware import Nic as Port
from appliance.model.host_network import HostNetwork
from appliance.model.ids import MachineName
from appliance.model.links import BondLink, BondMode, HashPolicy, LacpRate, MachineNetwork, NicLink, VlanLink
from appliance.model.stated_links import (
    DHCP,
    Bond,
    BootNic,
    CabledTo,
    Fastest,
    Nic,
    NicRule,
    Vlan,
    by_mac,
    static,
)
from pxe.client import Mac

MACS = [Mac(f"52:54:00:00:00:{number:02x}") for number in range(1, 6)]
BOOT = IPv4Network("10.77.0.0/24")


def port(number: int, speed: int | None = 10_000, address: str = "") -> Port:
    addresses = (IPv4Address(address),) if address else ()
    carrier = speed is not None
    return Port(
        name=f"eth{number}",
        mac=MACS[number],
        driver="x",
        carrier=carrier,
        speed_mbps=speed or None,
        addresses=addresses,
    )


PORTS = (port(0, 1000, "10.77.0.50"), port(1, 25_000), port(2, 25_000), port(3, None), port(4, 10_000))
HEARD = (
    Neighbour(nic="eth0", chassis="aa:bb:cc:dd:ee:ff", port="Gi1/0/1", system="mgmt.example"),
    Neighbour(nic="eth1", chassis="aa:bb:cc:dd:ee:01", port="Eth1/7", system="leaf-1.example"),
    Neighbour(nic="eth2", chassis="aa:bb:cc:dd:ee:02", port="Eth1/7", system="leaf-2.example"),
    Neighbour(nic="", chassis="aa:bb:cc:dd:ee:03", port="Eth9", system="nowhere"),
)


def seen(ports: tuple[Port, ...] = PORTS, boot_mac: Mac | None = None, heard: tuple[Neighbour, ...] = HEARD) -> Seen:
    facts = HardwareFacts(
        uuid=None,
        serial="S",
        manufacturer="",
        product="",
        firmware=Firmware.UEFI,
        cpu_model="",
        cores=1,
        memory_bytes=1,
        disks=(),
        nics=ports,
        neighbours=heard,
    )
    return Seen(machine=MachineName("node-0"), facts=facts, boot_mac=boot_mac, boot_networks=(BOOT,))


def one(rule: NicRule, found: Seen) -> Mac:
    (link,) = resolved(HostNetwork(links=(Nic(name="lan0", on=rule, ip=DHCP),)), found).links
    assert isinstance(link, NicLink)
    return link.mac


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        (by_mac(str(MACS[3])), 3),
        (BootNic(), 0),
        (CabledTo("leaf-1.example", "Eth1/7"), 1),
        (CabledTo("LEAF-2", "eth1/7"), 2),
        (CabledTo("aa:bb:cc:dd:ee:02", "Eth1/7"), 2),
    ],
)
def test_a_rule_finds_its_nic(rule: NicRule, number: int) -> None:
    assert one(rule, seen()) == MACS[number]


def test_the_stated_mac_is_the_boot_nic_whatever_has_an_address() -> None:
    assert one(BootNic(), seen(boot_mac=MACS[4])) == MACS[4]
    assert one(BootNic(), seen(boot_mac=Mac("02:00:00:00:00:99"))) == MACS[0]


def test_the_fastest_of_those_that_nobody_else_takes() -> None:
    assert one(Fastest(), seen(PORTS[:2])) == MACS[1]
    links = (Nic(name="a", on=by_mac(str(MACS[1]))), Nic(name="b", on=Fastest(), ip=DHCP))
    assert [link.mac for link in resolved(HostNetwork(links=links), seen()).links if isinstance(link, NicLink)] == [
        MACS[1],
        MACS[2],
    ]


@pytest.mark.parametrize(
    ("rule", "found", "says"),
    [
        (by_mac("02:00:00:00:00:99"), seen(), "no NIC is the NIC 02:00:00:00:00:99"),
        (BootNic(), seen(PORTS[1:]), "no NIC is the boot NIC"),
        (BootNic(), seen((PORTS[0], port(1, 1000, "10.77.0.51"))), "2 NICs fit the boot NIC"),
        (CabledTo("leaf-1", "Eth1/8"), seen(), "no NIC is the NIC cabled to leaf-1 port Eth1/8"),
        (CabledTo("nowhere", "Eth9"), seen(), "no NIC is the NIC cabled to nowhere port Eth9"),
        (Fastest(), seen(), "2 NICs are equally fast for the fastest NIC with link"),
        (Fastest(), seen((PORTS[3],)), "0 NICs are there for the fastest NIC with link"),
    ],
)
def test_what_is_not_certain_fails(rule: NicRule, found: Seen, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        one(rule, found)
    assert str(caught.value) == f"node-0: network: {says}"
    assert all(f"{nic.name} {nic.mac}" in caught.value.evidence for nic in found.facts.nics)
    assert "heard, on a NIC not known: nowhere port Eth9" in caught.value.evidence
    assert caught.value.next_action


def test_what_was_found_is_said() -> None:
    with pytest.raises(PlanError) as caught:
        one(by_mac("02:00:00:00:00:99"), seen())
    assert "eth1 52:54:00:00:00:02 25000 Mbit/s at leaf-1.example port Eth1/7" in caught.value.evidence
    assert "eth3 52:54:00:00:00:04 no link" in caught.value.evidence


def test_two_rules_that_mean_one_nic() -> None:
    links = (Nic(name="a", ip=DHCP), Nic(name="b", on=by_mac(str(MACS[0]))))
    with pytest.raises(PlanError, match="the boot NIC and the NIC 52:54:00:00:00:01 are one NIC"):
        resolved(HostNetwork(links=links), seen())


def test_text_of_a_switch_is_hostile() -> None:
    heard = (replace(HEARD[0], system="\x1b[2Jleaf\nnode-1: all is well"),)
    with pytest.raises(PlanError) as caught:
        one(CabledTo("x", "y"), seen(heard=heard))
    assert "\n" not in caught.value.evidence
    assert "\x1b" not in caught.value.evidence


def test_a_bond_has_the_mac_of_the_boot_nic() -> None:
    bond = Bond(
        name="bond0",
        members=(Fastest(2), BootNic()),
        mode=BondMode.LACP,
        lacp_rate=LacpRate.FAST,
        hash_policy=HashPolicy.LAYER3_4,
        mtu=9000,
        ip=static("10.77.0.50/24"),
    )
    network = resolved(HostNetwork(links=(bond, Vlan(name="v", id=7, parent="bond0"))), seen())
    assert network == MachineNetwork(
        links=(
            NicLink(name="bond0p0", mac=MACS[1]),
            NicLink(name="bond0p1", mac=MACS[2]),
            NicLink(name="bond0p2", mac=MACS[0]),
            BondLink(
                name="bond0",
                members=("bond0p0", "bond0p1", "bond0p2"),
                mode=BondMode.LACP,
                mac=MACS[0],
                lacp_rate=LacpRate.FAST,
                hash_policy=HashPolicy.LAYER3_4,
                mtu=9000,
                ip=bond.ip,
            ),
            VlanLink(name="v", id=7, parent="bond0"),
        )
    )


def test_the_order_of_ports_in_the_facts_means_nothing() -> None:
    """REL-16: names and order of NICs change with kernels and slots; MACs do not."""
    bond = Bond(name="bond0", members=(Fastest(2),), primary=None, ip=DHCP)
    network = HostNetwork(links=(bond,))
    renamed = tuple(replace(nic, name=f"ens{9 - at}") for at, nic in enumerate(reversed(PORTS)))
    assert resolved(network, seen(renamed, heard=())) == resolved(network, seen())


def test_a_primary_by_rule() -> None:
    bond = Bond(name="bond0", members=(BootNic(), CabledTo("leaf-1", "Eth1/7")), primary=CabledTo("leaf-1", "Eth1/7"))
    found = resolved(HostNetwork(links=(bond,)), seen()).links[-1]
    assert isinstance(found, BondLink)
    assert (found.primary, found.mac) == ("bond0p1", MACS[0])

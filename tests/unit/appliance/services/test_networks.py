"""Networks and addresses, from the site program's rack and what DHCP gave out."""

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.lab.topology import lab_rack
from appliance.model.host_network import HostNetwork
from appliance.model.ids import MachineName
from appliance.model.network_views import AddressState, LeaseView
from appliance.model.site import RelayedNetwork
from appliance.model.stated_links import Nic, static
from appliance.services.networks import Known, addresses, boot_networks, used
from appliance.topology import Rack
from pxe.boot import Mode
from pxe.client import Mac
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.leases import Lease, LeaseState

NOW = 1000.0
FAR = RelayedNetwork(
    network=IPv4Network("10.78.0.0/24"),
    first=IPv4Address("10.78.0.100"),
    last=IPv4Address("10.78.0.199"),
    router=IPv4Address("10.78.0.254"),
)


def rack(**changes: object) -> Rack:
    lab = lab_rack()
    return replace(lab, boot_network=replace(lab.boot_network, **changes))  # type: ignore[arg-type]  # its fields


def lease(address: IPv4Address, mac: Mac, state: LeaseState = LeaseState.BOUND, left: float = 60.0) -> Lease:
    return Lease(packed(address), Hardware(bytes(mac)), state, NOW + left, "strange")


STRANGER = Mac("02:00:00:00:00:99")


def test_networks_say_how_full_their_pools_are() -> None:
    site = rack(relayed=(FAR,))
    first = site.boot_network.first
    leases = (
        lease(first, STRANGER),
        lease(first + 1, STRANGER, LeaseState.DECLINED),
        lease(first + 2, STRANGER, left=-1),
        lease(first + 3, STRANGER, LeaseState.RELEASED),
        lease(FAR.first, STRANGER, left=float("inf")),
    )
    own, far = boot_networks(site, Known(leases=leases), NOW)
    assert (own.network, own.mode, own.device) == (str(site.boot_network.network), "full", site.boot_network.device)
    assert (own.used, own.declined, own.reserved) == (2, 1, len(site.servers))
    assert own.size == int(site.boot_network.last) - int(first) + 1
    assert (far.network, far.device, far.router, far.used, far.size) == ("10.78.0.0/24", "", "10.78.0.254", 1, 100)
    assert far.domain == own.domain
    assert used(site, leases, NOW) == {own.network: 2, far.network: 1}


def test_beside_another_server_there_is_nothing_to_give() -> None:
    site = rack(mode=Mode.PROXY)
    (only,) = boot_networks(site, Known(), NOW)
    assert (only.mode, only.size, only.first, only.reserved) == ("proxy", 0, "", 0)
    assert addresses(site, Known(), NOW) == ()
    assert used(site, (), NOW) == {}


@pytest.mark.parametrize(
    ("state", "left", "shown", "until"),
    [
        (LeaseState.BOUND, 60.0, AddressState.BOUND, NOW + 60),
        (LeaseState.BOUND, -1.0, AddressState.EXPIRED, NOW - 1),
        (LeaseState.BOUND, float("inf"), AddressState.BOUND, None),
        (LeaseState.DECLINED, 60.0, AddressState.DECLINED, NOW + 60),
        (LeaseState.DECLINED, -1.0, AddressState.EXPIRED, NOW - 1),
        (LeaseState.RELEASED, 60.0, AddressState.RELEASED, NOW + 60),
    ],
)
def test_states(state: LeaseState, left: float, shown: AddressState, until: float | None) -> None:
    site = rack()
    known = Known(leases=(lease(site.boot_network.first, STRANGER, state, left),))
    (found,) = (one for one in addresses(site, known, NOW) if one.mac == str(STRANGER))
    assert (found.state, found.until, found.machine, found.reserved) == (shown, until, "", False)


def test_an_address_is_its_lease_or_its_reservation() -> None:
    site = rack()
    first, second = site.servers[:2]
    assert first.mac is not None
    assert first.address is not None
    known = Known(leases=(lease(first.address, first.mac),), owners={bytes(first.mac): first.name})
    found = {one.address: one for one in addresses(site, known, NOW)}
    assert found[str(first.address)] == LeaseView(
        address=str(first.address),
        network=str(site.boot_network.network),
        state=AddressState.BOUND,
        mac=str(first.mac),
        machine=first.name,
        hostname="strange",
        reserved=True,
        until=NOW + 60,
    )
    assert found[str(second.address)].state is AddressState.RESERVED
    gone = Known(without=frozenset({MachineName(second.name)}))
    assert str(second.address) not in {one.address for one in addresses(site, gone, NOW)}


def test_a_static_address_of_the_boot_network_is_promised() -> None:
    site = rack()
    static_one = HostNetwork(links=(Nic(name="lan0", ip=static("10.77.0.70/24")),))
    servers = (replace(site.servers[0], address=None, network=static_one), *site.servers[1:])
    (found,) = (one for one in addresses(replace(site, servers=servers), Known(), NOW) if one.address == "10.77.0.70")
    assert (found.state, found.machine, found.reserved) == (AddressState.RESERVED, "node-0", True)


def test_a_thousand_machines_are_listed_in_no_time() -> None:
    """A tenth of the second that a list may take until it can be used; of the processor, as others use it, too."""
    lab = lab_rack()
    network = replace(
        lab.boot_network,
        network=IPv4Network("10.0.0.0/16"),
        address=IPv4Address("10.0.0.1"),
        first=IPv4Address("10.0.1.0"),
        last=IPv4Address("10.0.9.255"),
    )
    site = replace(lab, servers=(), boot_network=network)
    leases = tuple(
        lease(IPv4Address("10.0.1.0") + number, Mac.from_bytes(b"\x02\0\0\0" + number.to_bytes(2, "big")))
        for number in range(1000)
    )
    began = time.process_time()
    assert len(addresses(site, Known(leases=leases), NOW)) == 1000
    assert boot_networks(site, Known(leases=leases), NOW)[0].used == 1000
    assert time.process_time() - began < 0.1

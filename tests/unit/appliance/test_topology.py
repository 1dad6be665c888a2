from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.capabilities import (
    AddressPlan,
    BareMachines,
    BootOverride,
    ImageLibrary,
    NameService,
    NetworkBoot,
    PowerControl,
    Shell,
    VirtualMedia,
)
from appliance.errors import NotFoundError, SiteError
from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import ImageName, MachineName
from appliance.model.place import Place
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, RelayedNetwork, Server
from appliance.topology import Rack
from pxe.boot import Mode
from pxe.client import Mac

NETWORK = BootNetwork(
    device="br0",
    network=IPv4Network("10.77.0.0/24"),
    address=IPv4Address("10.77.0.1"),
    first=IPv4Address("10.77.0.100"),
    last=IPv4Address("10.77.0.200"),
    domain="rack.test",
)


def server(index: int, **changes: object) -> Server:
    bmc = BmcEndpoint(url=f"https://10.77.1.1{index}", user="admin", password=Secret("x"), fingerprint="00" * 32)
    return replace(
        Server(
            name=MachineName(f"node-{index}"),
            bmc=bmc,
            address=IPv4Address(f"10.77.0.5{index}"),
            mac=Mac(f"52:54:00:77:00:0{index}"),
        ),
        **changes,  # type: ignore[arg-type]  # a table of faults
    )


def rack(*servers: Server) -> Rack:
    return Rack(name="lab", servers=servers, boot_network=NETWORK, image_names=(ImageName("debian-13"),))


@pytest.mark.parametrize(
    "capability",
    [
        BareMachines,
        PowerControl,
        BootOverride,
        NetworkBoot,
        AddressPlan,
        NameService,
        ImageLibrary,
        Shell,
    ],
)
def test_a_rack_offers(capability: type) -> None:
    assert isinstance(rack(server(0)), capability)


def test_a_rack_offers_no_virtual_media() -> None:
    assert not isinstance(rack(server(0)), VirtualMedia)


def test_what_is_known_of_each_machine() -> None:
    here = rack(server(0), server(1, address=None))
    assert here.machines == ("node-0", "node-1")
    assert here.bmc_of(MachineName("node-1")).url == "https://10.77.1.11"
    assert here.address_of(MachineName("node-0")) == IPv4Address("10.77.0.50")
    assert here.address_of(MachineName("node-1")) is None
    assert (here.domain, here.images) == ("rack.test", ("debian-13",))


def test_a_machine_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="node-7") as caught:
        rack(server(0)).bmc_of(MachineName("node-7"))
    assert "node-0" in caught.value.evidence


def test_two_machines_in_one_place() -> None:
    low, high = Place(rack="r1", unit=3, height=2), Place(rack="r1", unit=4)
    with pytest.raises(SiteError, match="duplicate place r1 U4 left: claimed by node-0 and node-1"):
        rack(server(0, place=low), server(1, place=high))
    rack(server(0, place=replace(low, half="left")), server(1, place=replace(high, half="right")))


@pytest.mark.parametrize(
    ("front", "rear", "clash"),
    [
        ({"face": "front"}, {"face": "rear"}, ""),
        ({}, {"face": "rear"}, "r1 U4 left rear"),
        ({"face": "front"}, {}, "r1 U4 left"),
        ({"half": "left"}, {"face": "rear", "half": "left"}, ""),
        ({"half": "left"}, {"face": "rear", "half": "right"}, "r1 U4 left rear"),
        ({"face": "rear"}, {"face": "rear"}, "r1 U4 left rear"),
    ],
    ids=["back-to-back", "whole-depth", "whole-depth-behind", "beside-it", "behind-the-same-half", "both-at-the-rear"],
)
def test_front_and_rear_of_one_unit(front: dict[str, str], rear: dict[str, str], clash: str) -> None:
    places = [Place(**({"rack": "r1", "unit": 4} | side)) for side in (front, rear)]  # type: ignore[arg-type]  # a table
    servers = [server(number, place=place) for number, place in enumerate(places)]
    if clash:
        with pytest.raises(SiteError, match=f"duplicate place {clash}: claimed by node-0 and node-1"):
            rack(*servers)
    else:
        rack(*servers)


def test_endorsement_keys_are_of_one_machine_each() -> None:
    ours, theirs = "a" * 64, "b" * 64
    stated = rack(server(0, endorsement_keys=(ours, ours)), server(1, endorsement_keys=(theirs,)), server(2))
    assert stated.endorsement_keys == {"node-0": {ours}, "node-1": {theirs}}
    with pytest.raises(SiteError, match=f"duplicate endorsement key {ours}: claimed by node-0 and node-1"):
        rack(server(0, endorsement_keys=(ours,)), server(1, endorsement_keys=(theirs, ours)))


def test_unknown_macs_and_addresses_are_no_duplicates() -> None:
    assert len(rack(*(server(i, mac=None, address=None) for i in range(3))).servers) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"name": "node-0"}, "duplicate name node-0: claimed by node-0 and node-0"),
        ({"mac": Mac("52:54:00:77:00:00")}, "duplicate MAC 52:54:00:77:00:00: claimed by node-0 and node-1"),
        ({"address": IPv4Address("10.77.0.50")}, "duplicate address 10.77.0.50: claimed by node-0 and node-1"),
        (
            {"bmc": replace(server(0).bmc, url="https://10.77.1.10/")},
            "duplicate BMC https://10.77.1.10: claimed by node-0 and node-1",
        ),
        ({"address": IPv4Address("10.78.0.50")}, "node-1: address 10.78.0.50 cannot be a machine's"),
        ({"address": IPv4Address("10.77.0.1")}, "node-1: address 10.77.0.1 cannot"),
        ({"address": IPv4Address("10.77.0.255")}, "node-1: address 10.77.0.255 cannot"),
        ({"name": "Node_1"}, "'Node_1' cannot be a machine name"),
    ],
)
def test_faults(fault: dict[str, object], message: str) -> None:
    with pytest.raises(SiteError) as caught:
        rack(server(0), server(1, **fault))
    assert message in str(caught.value)
    assert caught.value.next_action


FAR = RelayedNetwork(
    network=IPv4Network("10.78.0.0/24"),
    first=IPv4Address("10.78.0.100"),
    last=IPv4Address("10.78.0.199"),
    router=IPv4Address("10.78.0.254"),
)


def test_a_machine_may_live_behind_a_relay() -> None:
    network = replace(NETWORK, relayed=(FAR,))
    far = server(0, address=IPv4Address("10.78.0.11"))
    assert Rack(name="lab", servers=(far,), boot_network=network).address_of(far.name) == far.address
    with pytest.raises(SiteError, match=r"address 10\.78\.0\.254 cannot"):
        Rack(name="lab", servers=(replace(far, address=FAR.router),), boot_network=network)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"first": IPv4Address("10.79.0.1")}, r"10\.79\.0\.1 lies outside 10\.77\.0\.0/24"),
        ({"first": IPv4Address("10.77.0.201")}, r"the pool 10\.77\.0\.201-10\.77\.0\.200 is empty"),
        ({"first": IPv4Address("10.77.0.1")}, r"holds 10\.77\.0\.1, which is taken"),
        ({"mode": Mode.PROXY, "relayed": (FAR,)}, "in proxy mode no network can be relayed"),
    ],
)
def test_faults_of_the_boot_network(fault: dict[str, object], message: str) -> None:
    with pytest.raises(SiteError, match=message):
        replace(NETWORK, **fault)  # type: ignore[arg-type]  # a table of faults


def test_the_pool_of_a_relayed_network_leaves_its_router_out() -> None:
    with pytest.raises(SiteError, match=r"holds 10\.78\.0\.150"):
        replace(FAR, router=IPv4Address("10.78.0.150"))

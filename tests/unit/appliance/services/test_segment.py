"""From the site program's rack to the configuration of its boot services; and a store with gaps."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.errors import MachineryError
from appliance.lab.topology import lab_rack
from appliance.model.host_network import HostNetwork
from appliance.model.site import RelayedNetwork
from appliance.model.stated_links import Nic, static
from appliance.services.segment import ramdisk_of, service_config, stated_macs
from appliance.services.stock import Stock, take_stock
from pxe.boot import Chain, Mode
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.guards import Guards
from pxe.dns.forward import Forwarding

STOCK = Stock(
    programs=ContentTable({"snponly.efi": BytesContent(data=b"x")}),
    artifacts={},
    kernel_sha256="aa" * 32,
    initrd_sha256="bb" * 32,
    images={},
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path, socket=tmp_path / "s", site=tmp_path / "site.py", images_dir=tmp_path / "images"
    )


def test_service_config(settings: Settings) -> None:
    rack = lab_rack()
    nameless = replace(rack.servers[1], mac=None)
    config = service_config(replace(rack, servers=(rack.servers[0], nameless)), STOCK, settings)
    assert config.device == rack.boot_network.device
    assert config.endpoints.address == config.dhcp.local[0].server == rack.boot_network.address
    assert config.journal == settings.state_dir / "leases.journal"
    first = rack.servers[0]
    assert {mac: (r.address, r.hostname) for mac, r in config.dhcp.local[0].reservations.items()} == {
        first.mac: (first.address, "node-0")
    }
    assert dict(config.zone.hosts) == {server.name: server.address for server in rack.servers}
    assert config.programs is STOCK.programs
    assert (config.mode, config.guards, config.forwarding, config.chains) == (Mode.FULL, Guards(), None, {})


def test_name_and_lease_are_the_static_address(settings: Settings) -> None:
    """And where that is in another network, firmware keeps the address of this one."""
    rack = lab_rack()
    near = HostNetwork(links=(Nic(name="lan0", ip=static("10.77.0.70/24")),))
    far = HostNetwork(links=(Nic(name="lan0", ip=static("10.5.0.2/24", gateway="10.5.0.1")),))
    first, second = rack.servers[:2]
    servers = (replace(first, address=None, network=near), replace(second, network=far))
    config = service_config(replace(rack, servers=servers), STOCK, settings)
    given = {str(mac): str(r.address) for mac, r in config.dhcp.local[0].reservations.items()}
    assert given == {str(first.mac): "10.77.0.70", str(second.mac): "10.77.0.51"}
    assert {name: str(address) for name, address in config.zone.hosts.items()} == {
        "node-0": "10.77.0.70",
        "node-1": "10.5.0.2",
    }


def test_a_relayed_network_has_its_own_addresses_and_reservations(settings: Settings) -> None:
    rack = lab_rack()
    relayed = RelayedNetwork(
        network=IPv4Network("10.78.0.0/24"),
        first=IPv4Address("10.78.0.100"),
        last=IPv4Address("10.78.0.199"),
        router=IPv4Address("10.78.0.254"),
    )
    far = replace(rack.servers[1], address=IPv4Address("10.78.0.11"))
    network = replace(rack.boot_network, relayed=(relayed,))
    config = service_config(replace(rack, servers=(rack.servers[0], far), boot_network=network), STOCK, settings)
    ((subnet,),) = config.dhcp.relayed
    assert (subnet.network, subnet.router, subnet.server) == (relayed.network, relayed.router, network.address)
    assert (subnet.domain, list(subnet.reservations)) == (network.domain, [far.mac])
    assert list(config.dhcp.local[0].reservations) == [rack.servers[0].mac]
    assert config.zone.networks == (network.network, relayed.network)


def test_others_may_serve_so_the_appliance_has_an_identity(settings: Settings) -> None:
    rack = lab_rack()
    shared = replace(rack, boot_network=replace(rack.boot_network, alone=False))
    identity = service_config(shared, STOCK, settings).guards.identity
    assert identity is not None
    assert service_config(shared, STOCK, settings).guards.identity == identity


def test_proxy_mode_gives_no_addresses(settings: Settings) -> None:
    rack = lab_rack()
    network = replace(rack.boot_network, mode=Mode.PROXY, alone=False, chain=Chain.SIGNED)
    servers = (replace(rack.servers[0], chain=Chain.DRIVERS), *rack.servers[1:])
    config = service_config(replace(rack, servers=servers, boot_network=network), STOCK, settings)
    assert (config.mode, config.dhcp, config.journal, config.guards.identity) == (Mode.PROXY, None, None, None)
    assert (config.chain, config.chains) == (Chain.SIGNED, {servers[0].mac: Chain.DRIVERS})


def test_forwarders(settings: Settings) -> None:
    rack = lab_rack()
    network = replace(rack.boot_network, forwarders=(IPv4Address("192.0.2.53"),))
    config = service_config(replace(rack, boot_network=network), STOCK, settings)
    assert config.forwarding == Forwarding(upstreams=((IPv4Address("192.0.2.53"), 53),))


@pytest.mark.parametrize(("console", "arguments"), [("", ()), ("ttyS0,115200", ("console=ttyS0,115200",))])
def test_ramdisk(console: str, arguments: tuple[str, ...], settings: Settings) -> None:
    ramdisk = ramdisk_of(lab_rack(), STOCK, replace(settings, console=console))
    assert (ramdisk.kernel, ramdisk.initrd) == (f"/artifact/{'aa' * 32}", f"/artifact/{'bb' * 32}")
    assert (ramdisk.server_url, ramdisk.arguments) == ("http://10.77.0.1", arguments)


def test_stated_macs() -> None:
    rack = lab_rack()
    assert stated_macs(replace(rack, servers=(replace(rack.servers[0], mac=None), rack.servers[1]))) == {
        "node-1": rack.servers[1].mac
    }


def test_an_empty_store_is_named_and_nothing_is_built(settings: Settings) -> None:
    with pytest.raises(MachineryError, match="is incomplete") as caught:
        take_stock(settings)
    assert str(settings.images_dir) in str(caught.value)
    assert caught.value.next_action
    assert not settings.images_dir.exists()

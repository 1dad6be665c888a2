"""The site's boot network and the boot services on it: from the topology to their configuration."""

from types import MappingProxyType

from appliance.boot import Ramdisk
from appliance.config import Settings
from appliance.model.ids import MachineName
from appliance.model.site import BootNetwork
from appliance.services.library import artifact_path
from appliance.services.stock import Stock
from appliance.topology import Rack
from pxe.boot import Endpoints
from pxe.client import Mac
from pxe.dhcp.subnet import DhcpConfig, Reservation, Subnet
from pxe.dns.responder import Zone
from pxe.service import ServiceConfig


def endpoints_of(network: BootNetwork) -> Endpoints:
    return Endpoints(address=network.address, http_port=network.http_port)


def stated_macs(rack: Rack) -> dict[MachineName, Mac]:
    return {server.name: server.mac for server in rack.servers if server.mac is not None}


def ramdisk_of(rack: Rack, stock: Stock, settings: Settings) -> Ramdisk:
    return Ramdisk(
        kernel=artifact_path(stock.kernel_sha256),
        initrd=artifact_path(stock.initrd_sha256),
        server_url=endpoints_of(rack.boot_network).url(""),
        arguments=(f"console={settings.console}",) if settings.console else (),
    )


def service_config(rack: Rack, stock: Stock, settings: Settings) -> ServiceConfig:
    network = rack.boot_network
    return ServiceConfig(
        device=network.device,
        dhcp=DhcpConfig(local=(_subnet(rack),), known=frozenset(stated_macs(rack).values())),
        endpoints=endpoints_of(network),
        journal=settings.state_dir / "leases.journal",
        zone=Zone(
            domain=network.domain,
            server=network.address,
            hosts={server.name: server.address for server in rack.servers if server.address is not None},
            networks=(network.network,),
        ),
        programs=stock.programs,
    )


def _subnet(rack: Rack) -> Subnet:
    network = rack.boot_network
    reservations = {
        server.mac: Reservation(address=server.address, hostname=server.name)
        for server in rack.servers
        if server.mac is not None and server.address is not None
    }
    return Subnet(
        network=network.network,
        server=network.address,
        pool_first=network.first,
        pool_last=network.last,
        router=network.router,
        dns_servers=(network.address,),
        domain=network.domain,
        lease_seconds=network.lease_seconds,
        reservations=MappingProxyType(reservations),
    )

"""The site's boot network and the boot services on it: from the topology to their configuration."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

from appliance.boot import Ramdisk
from appliance.config import Settings
from appliance.model.ids import MachineName
from appliance.model.site import BootNetwork, RelayedNetwork
from appliance.services.library import artifact_path
from appliance.services.stock import Stock
from appliance.topology import Rack
from pxe.boot import Endpoints, Mode
from pxe.client import Mac
from pxe.dhcp.guards import Guards
from pxe.dhcp.identity import keep_identity
from pxe.dhcp.subnet import DhcpConfig, Reservation, Subnet
from pxe.dns.forward import Forwarding
from pxe.dns.responder import Zone
from pxe.service import ServiceConfig

_DNS_PORT = 53


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


def dhcp_of(rack: Rack, without: frozenset[MachineName]) -> DhcpConfig:
    """`without` are machines that have no reservation any more."""
    return _dhcp(_less(rack, without))


def zone_of(rack: Rack, without: frozenset[MachineName]) -> Zone:
    network, servers = rack.boot_network, _less(rack, without).servers
    return Zone(
        domain=network.domain,
        server=network.address,
        hosts={server.name: address for server in servers if (address := server.named) is not None},
        networks=network.networks,
    )


def _less(rack: Rack, without: frozenset[MachineName]) -> Rack:
    return replace(rack, servers=tuple(server for server in rack.servers if server.name not in without))


def service_config(rack: Rack, stock: Stock, settings: Settings) -> ServiceConfig:
    """Makes the appliance's identity where it has none yet."""
    network = rack.boot_network
    gives_addresses = network.mode is Mode.FULL
    return ServiceConfig(
        device=network.device,
        mode=network.mode,
        dhcp=_dhcp(rack) if gives_addresses else None,
        endpoints=endpoints_of(network),
        journal=settings.state_dir / "leases.journal" if gives_addresses else None,
        guards=_guards(network, settings),
        zone=zone_of(rack, frozenset()),
        programs=stock.programs,
        forwarding=_forwarding(network),
        chains={server.mac: server.chain for server in rack.servers if server.mac and server.chain},
        chain=network.chain,
    )


def _guards(network: BootNetwork, settings: Settings) -> Guards:
    looks_for_rivals = network.mode is Mode.FULL and not network.alone
    return Guards(identity=keep_identity(settings.state_dir / "identity") if looks_for_rivals else None)


def _forwarding(network: BootNetwork) -> Forwarding | None:
    if not network.forwarders:
        return None
    return Forwarding(upstreams=tuple((address, _DNS_PORT) for address in network.forwarders))


def _dhcp(rack: Rack) -> DhcpConfig:
    network = rack.boot_network
    own = Subnet(
        network=network.network,
        server=network.address,
        pool_first=network.first,
        pool_last=network.last,
        router=network.router,
        dns_servers=(network.address,),
        ntp_servers=_time_servers(rack),
        domain=network.domain,
        lease_seconds=network.lease_seconds,
        reservations=_reservations(rack, network.network),
    )
    return DhcpConfig(
        local=(own,),
        relayed=tuple((_relayed(rack, relayed),) for relayed in network.relayed),
        known=frozenset(stated_macs(rack).values()),
    )


def _relayed(rack: Rack, relayed: RelayedNetwork) -> Subnet:
    """Our own address is the server's and the name server's there too: the relay routes to it."""
    return Subnet(
        network=relayed.network,
        server=rack.boot_network.address,
        pool_first=relayed.first,
        pool_last=relayed.last,
        router=relayed.router,
        dns_servers=(rack.boot_network.address,),
        ntp_servers=_time_servers(rack),
        domain=relayed.domain or rack.boot_network.domain,
        lease_seconds=relayed.lease_seconds,
        reservations=_reservations(rack, relayed.network),
    )


def _time_servers(rack: Rack) -> tuple[IPv4Address, ...]:
    return (rack.boot_network.address,) if rack.time is not None else ()


def _reservations(rack: Rack, network: IPv4Network) -> MappingProxyType[Mac, Reservation]:
    return MappingProxyType(
        {
            server.mac: Reservation(address=address, hostname=server.name)
            for server in rack.servers
            if server.mac is not None and (address := server.address_in(network)) is not None
        }
    )

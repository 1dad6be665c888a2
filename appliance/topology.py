"""A rack of bare servers on one boot segment: the topology of a site program."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.errors import NotFoundError, SiteError, UsageError
from appliance.model.balancer import Balancer
from appliance.model.bmc import BmcEndpoint, BootTarget
from appliance.model.host_network import HostNetwork
from appliance.model.identity import IdentityPolicy
from appliance.model.ids import ImageName, MachineName, machine_name
from appliance.model.reflex import Reflexes
from appliance.model.site import BootNetwork, RackLimits, Server, ShellAccess
from appliance.model.site_network import check_networks
from appliance.model.site_services import Registry, TimeService
from appliance.model.switch import Switch
from appliance.plan import ShellCheck
from appliance.roles.role import Role
from pxe.client import Mac


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """Offers every capability but VirtualMedia. `image_names` are OS images in the artefact store. Without `roles`
    every machine is wanted. `time` None: machines ask somebody else for it."""

    name: str
    servers: tuple[Server, ...]
    boot_network: BootNetwork
    image_names: tuple[ImageName, ...] = ()
    shell: ShellAccess = field(default_factory=ShellAccess)
    limits: RackLimits = field(default_factory=RackLimits)
    roles: tuple[Role, ...] = ()
    role_overrides: tuple[tuple[str, str], ...] = ()
    drain: ShellCheck | None = None
    reflexes: Reflexes = field(default_factory=Reflexes)
    identity: IdentityPolicy = field(default_factory=IdentityPolicy)
    time: TimeService | None = None

    def __post_init__(self) -> None:
        for server in self.servers:
            _check_name(server.name)
            self._check_address(server)
        _check_unique("name", ((server, server.name) for server in self.servers))
        _check_unique("BMC", ((server, server.bmc.url.rstrip("/").lower()) for server in self.servers))
        _check_unique("MAC", ((server, str(server.mac or "")) for server in self.servers))
        _check_unique("address", ((server, str(server.address or "")) for server in self.servers))
        _check_unique("endorsement key", ((server, key) for server in self.servers for key in server.endorsement_keys))
        _check_unique("place", ((server, cell) for server in self.servers for cell in _cells(server)))
        check_networks(self.servers, self.boot_network)

    @property
    def machines(self) -> tuple[MachineName, ...]:
        return tuple(server.name for server in self.servers)

    @property
    def boot_targets(self) -> frozenset[BootTarget]:
        return frozenset({BootTarget.NONE, BootTarget.NETWORK, BootTarget.DISK})

    @property
    def domain(self) -> str:
        return self.boot_network.domain

    @property
    def images(self) -> tuple[ImageName, ...]:
        return self.image_names

    def bmc_of(self, machine: MachineName) -> BmcEndpoint:
        return self._server(machine).bmc

    def address_of(self, machine: MachineName) -> IPv4Address | None:
        return self._server(machine).address

    def network_of(self, machine: MachineName) -> HostNetwork | None:
        return self._server(machine).network

    @property
    def endorsement_keys(self) -> dict[MachineName, frozenset[str]]:
        """Where they are stated."""
        return {server.name: frozenset(server.endorsement_keys) for server in self.servers if server.endorsement_keys}

    def boot_mac_of(self, machine: MachineName) -> Mac | None:
        return self._server(machine).mac

    def _server(self, machine: MachineName) -> Server:
        for server in self.servers:
            if server.name == machine:
                return server
        raise NotFoundError(
            f"{self.name} has no machine {machine}",
            evidence=f"machines: {', '.join(self.machines)}",
            next_action="name one of these, or add the server to the site program",
        )

    def _check_address(self, server: Server) -> None:
        here = self.boot_network
        taken = {here.address, *(relayed.router for relayed in here.relayed)}
        for network in here.networks:
            taken |= {network.network_address, network.broadcast_address}
        served = any(server.address in network for network in here.networks) if server.address else True
        if not served or server.address in taken:
            networks = ", ".join(map(str, here.networks))
            raise SiteError(
                f"{server.name}: address {server.address} cannot be a machine's",
                evidence=f"served: {networks}; the appliance has {here.address}",
                next_action=f"give {server.name} a free address inside {networks}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRack(Rack):
    """A rack whose appliance serves clusters, too: what they pull is at hand, and an address leads to them. `switches`
    are those whose ports it may change."""

    registry: Registry = field(default_factory=Registry)
    balancer: Balancer = field(default_factory=Balancer)
    switches: tuple[Switch, ...] = ()

    def __post_init__(self) -> None:
        Rack.__post_init__(self)  # super() of a class with slots is another class
        names = [switch.name for switch in self.switches]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SiteError(f"two switches are called {twice[0]}", next_action="state each switch once")

    @property
    def cluster_address(self) -> IPv4Address:
        return self.balancer.address or self.boot_network.address


def _check_name(name: str) -> None:
    try:
        machine_name(name)
    except UsageError as error:
        raise SiteError(str(error), next_action=error.next_action) from error


def _cells(server: Server) -> tuple[str, ...]:
    cells = server.place.cells if server.place is not None else frozenset()
    return tuple(f"{rack} U{unit} {half} {face}".removesuffix(" front") for rack, unit, half, face in sorted(cells))


def _check_unique(what: str, claims: Iterable[tuple[Server, str]]) -> None:
    """An empty claim is none."""
    owners: dict[str, Server] = {}
    for server, claim in claims:
        if claim and (first := owners.setdefault(claim, server)) is not server:
            raise SiteError(
                f"duplicate {what} {claim}: claimed by {first.name} and {server.name}",
                next_action=f"correct the {what} of one of the two servers",
            )

"""The physical and network givens of a site, as the site program states them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.errors import SiteError
from appliance.model.bmc import BmcEndpoint
from appliance.model.host_network import HostNetwork
from appliance.model.ids import MachineName
from appliance.model.place import Place
from appliance.model.tpm import check_endorsement_key
from pxe.boot import Chain, Mode
from pxe.client import Mac


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixConsole:
    """A serial port that a local program serves as a Unix stream socket, as QEMU does."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConsole:
    """A raw TCP port of a console server: the bytes of the line and nothing else, no Telnet."""

    address: IPv4Address
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SolConsole:
    """Serial over LAN of the server's own BMC, which must speak IPMI."""


ConsoleSource = UnixConsole | TcpConsole | SolConsole


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A bare machine: reached through its BMC; `mac` only where the BMC does not tell it.

    `chain`: the boot programs that it is known to run; None where that is to be found out, and for servers without
    `mac`. `console`: where its serial console is reached. `place`: where in which rack it stands.
    `network`: what the installed system has; None: DHCP on every port.
    `endorsement_keys`: SHA-256 (hex) of those that its TPM may have; empty: the one that it proves first.
    """

    name: MachineName
    bmc: BmcEndpoint
    address: IPv4Address | None = None
    mac: Mac | None = None
    chain: Chain | None = None
    console: ConsoleSource | None = None
    place: Place | None = None
    network: HostNetwork | None = None
    endorsement_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for stated in self.endorsement_keys:
            check_endorsement_key(self.name, stated)
        if isinstance(self.console, SolConsole) and not self.bmc.url.lower().startswith("ipmi://"):
            raise SiteError(
                f"{self.name}: serial over LAN is spoken by IPMI only",
                evidence=f"its BMC is {self.bmc.url}",
                next_action="give the BMC as ipmi://address, or a TcpConsole or UnixConsole",
            )

    @property
    def named(self) -> IPv4Address | None:
        """What its name stands for; None where the pool decides."""
        stated = self.network.primary if self.network is not None else None
        return stated or self.address

    def address_in(self, network: IPv4Network) -> IPv4Address | None:
        """What DHCP gives it there: firmware has the address that the installed system will have, if that can be."""
        static = [address.ip for address in self.network.addresses] if self.network is not None else []
        stated = (address for address in (self.address, *static) if isinstance(address, IPv4Address))
        return next((address for address in stated if address in network), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedNetwork:
    """A network behind a DHCP relay, which names it by giaddr or by link selection (option 82, sub-option 5)."""

    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    router: IPv4Address
    domain: str = ""
    lease_seconds: int = 3600

    def __post_init__(self) -> None:
        _check_pool(self.network, self.first, self.last, self.router)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootNetwork:
    """The segment on which machines boot. `address` is the appliance's own, on `device`.

    In proxy mode another server gives out the addresses, so that the pool means nothing and nothing can be relayed.
    `alone` promises that nobody else serves DHCP here: the appliance then does not listen for 4.5 s before it does.
    `chain` is for servers that state none of their own. `forwarders` are DNS servers for the names of others.
    """

    device: str
    network: IPv4Network
    address: IPv4Address
    first: IPv4Address
    last: IPv4Address
    domain: str
    lease_seconds: int = 3600
    router: IPv4Address | None = None
    http_port: int = 80
    mode: Mode = Mode.FULL
    alone: bool = False
    relayed: tuple[RelayedNetwork, ...] = ()
    chain: Chain | None = None
    forwarders: tuple[IPv4Address, ...] = ()

    def __post_init__(self) -> None:
        _check_pool(self.network, self.first, self.last, self.address)
        if self.mode is Mode.PROXY and self.relayed:
            raise SiteError(
                "boot network: in proxy mode no network can be relayed",
                next_action="leave `relayed` out, or give out the addresses: Mode.FULL",
            )

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        return (self.network, *(relayed.network for relayed in self.relayed))


def _check_pool(network: IPv4Network, first: IPv4Address, last: IPv4Address, taken: IPv4Address) -> None:
    """`taken` is the address that no machine can have: ours, or the router's."""
    for address in (first, last, taken):
        if address not in network:
            raise SiteError(
                f"boot network: {address} lies outside {network}",
                next_action=f"give an address inside {network}",
            )
    if first > last or first <= taken <= last:
        raise SiteError(
            f"boot network: the pool {first}-{last} is empty or holds {taken}, which is taken",
            next_action=f"choose a pool that leaves {taken} out",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RackLimits:
    """How much of the rack can be under way at once; None where nobody knows a limit.

    `uplink_mbps` is what the appliance can send, `machine_mbps` what one machine takes while it writes its image;
    `power_ons` machines may be switched on together without tripping a breaker; `bmcs` may be talked to at a time.
    """

    uplink_mbps: int | None = None
    machine_mbps: int = 1000
    power_ons: int | None = None
    bmcs: int | None = None

    def __post_init__(self) -> None:
        for limit in (self.uplink_mbps, self.machine_mbps, self.power_ons, self.bmcs):
            if limit is not None and limit < 1:
                raise SiteError("a limit of the rack is at least 1", next_action="correct it, or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellAccess:
    """`authorized_keys` are OpenSSH public key lines for `user` on installed machines."""

    user: str = "root"
    authorized_keys: tuple[str, ...] = ()

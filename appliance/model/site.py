"""The physical and network givens of a site, as the site program states them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from appliance.errors import SiteError
from appliance.model.bmc import BmcEndpoint
from appliance.model.ids import MachineName
from pxe.client import Mac


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A bare machine: reached through its BMC; `mac` only where the BMC does not tell it."""

    name: MachineName
    bmc: BmcEndpoint
    address: IPv4Address | None = None
    mac: Mac | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BootNetwork:
    """The segment on which machines boot. `address` is the appliance's own, on `device`."""

    device: str
    network: IPv4Network
    address: IPv4Address
    first: IPv4Address
    last: IPv4Address
    domain: str
    lease_seconds: int = 3600
    router: IPv4Address | None = None
    http_port: int = 80

    def __post_init__(self) -> None:
        for name, address in (("address", self.address), ("first", self.first), ("last", self.last)):
            if address not in self.network:
                raise SiteError(
                    f"boot network: {name} {address} lies outside {self.network}",
                    next_action=f"give an address inside {self.network}",
                )
        if self.first > self.last or self.first <= self.address <= self.last:
            raise SiteError(
                f"boot network: the pool {self.first}-{self.last} is empty or holds the appliance's own address",
                next_action="choose a pool that leaves the appliance's address out",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellAccess:
    """`authorized_keys` are OpenSSH public key lines for `user` on installed machines."""

    user: str = "root"
    authorized_keys: tuple[str, ...] = ()

"""What the appliance can run for clusters beside the boot services, as the site program states it."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.errors import SiteError

_PORTS = range(1024, 65536)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A container registry, read at the boot network's address and `port`; the appliance alone writes, at the loopback
    address and `writing_port`."""

    port: int = 5000
    writing_port: int = 5001

    def __post_init__(self) -> None:
        if self.port not in _PORTS or self.writing_port not in _PORTS or self.port == self.writing_port:
            raise SiteError(
                f"registry: {self.port} and {self.writing_port} cannot be its ports",
                next_action="give two different ports from 1024 on",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeService:
    """The appliance answers NTP on the boot network, and DHCP says so (option 42). `upstreams`: whose time it gives;
    without them that of its own clock, which is then all that the site agrees on."""

    upstreams: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPlace:
    """`authority`: who has signed its certificate, in PEM. What is pulled is `host`/REPOSITORY@DIGEST."""

    address: IPv4Address
    port: int
    authority: str

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

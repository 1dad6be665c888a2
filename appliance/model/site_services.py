"""What the appliance can run for clusters beside the boot services, as the site program states it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.errors import SiteError

_PORTS = range(1024, 65536)
_PUBLIC_KEY = re.compile(r"RW[Q-T][A-Za-z0-9+/]{53}")
"""Base64 of "Ed", 8 bytes that name the key and 32 that are it (`images.signature`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A container registry, read at the boot network's address and `port`; the appliance alone writes, at the loopback
    address and `writing_port`. `trusted_keys`: whose applications are taken, each as the second line of minisign's
    public key file; whoever's, if there are none."""

    port: int = 5000
    writing_port: int = 5001
    trusted_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if odd := [key for key in self.trusted_keys if not _PUBLIC_KEY.fullmatch(key)]:
            raise SiteError(
                f"registry: {odd[0][:60]!r} is no public key of minisign",
                next_action="give the second line of the file that ends in .pub",
            )
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

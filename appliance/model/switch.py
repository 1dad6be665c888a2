"""Switches whose ports the appliance may change, and the change: access ports of one machine become one channel."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Literal

from appliance.errors import SiteError
from appliance.model.links import BondLink, BondMode, LacpRate, Link, MachineNetwork
from appliance.model.secret import Secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9./:-]{0,39}")
_HOST_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-[a-z0-9-]+) [A-Za-z0-9+/=]{40,2000}( .*)?")
_FORGETS = 100
"""Seconds after which a machine has forgotten a switch that went silent: IEEE 802.1AX, Long_Timeout_Time is 90 s."""


class SwitchDialect(StrEnum):
    """Whose command line a switch speaks."""

    EOS = "eos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """`name` is what it calls itself by LLDP. `host_key` is its public key, as in known_hosts without the host. Without
    a `password` the appliance shows its own SSH key."""

    name: str
    address: IPv4Address
    user: str
    host_key: str
    password: Secret = field(default=Secret(""))
    dialect: SwitchDialect = SwitchDialect.EOS

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _HOST_KEY.fullmatch(self.host_key):
            raise SiteError(
                f"the switch {self.name[:70]!r} cannot be used as it is stated",
                evidence=f"host key {self.host_key[:60]!r}",
                next_action="state its LLDP name, and its host key as ssh-keyscan prints it, without the address",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BondPorts:
    """`ports` of `switch` become the port channel `channel`, and the machine's `network` is what it has then: both or
    neither. Before, the ports are access ports of `vlan`. `seconds` is how long the switch waits for the word that the
    machine answers, before it goes back by itself."""

    network: MachineNetwork
    bond: str
    switch: str
    ports: tuple[str, ...]
    channel: int
    vlan: int
    seconds: int = 120
    action: Literal["bond-ports"] = "bond-ports"

    def __post_init__(self) -> None:
        whole = (
            len(self.ports) > 1 and all(map(_PORT.fullmatch, self.ports)) and len(set(self.ports)) == len(self.ports)
        )
        if not whole or not 1 <= self.channel <= 2000 or not 1 <= self.vlan <= 4094 or not 4 <= self.seconds <= 600:
            raise SiteError(
                f"the port channel {self.channel} of {self.switch} cannot be made",
                evidence=f"ports {', '.join(self.ports)[:120]}, VLAN {self.vlan}",
                next_action="give it two ports or more, a channel from 1 to 2000 and a VLAN from 1 to 4094",
            )
        if self.seconds < _FORGETS and any(_is_slow(link) for link in self.network.links):
            raise SiteError(
                f"{self.seconds} s are too few for {self.bond}: by the slow rate of LACP a switch is believed for 90 s",
                next_action=f"state lacp_rate=LacpRate.FAST, or {_FORGETS} seconds or more",
            )


def _is_slow(link: Link) -> bool:
    return isinstance(link, BondLink) and link.mode is BondMode.LACP and link.lacp_rate is LacpRate.SLOW

"""What chronyd is told (chrony 4, chrony.conf(5)). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

NTP_PORT = 123
_OWN_STRATUM = 10
"""Of a clock that follows nobody: whoever knows better is believed rather."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """The time is given at `address` to `networks`. With `upstreams` it is theirs, without them the computer's own."""

    address: IPv4Address
    networks: tuple[IPv4Network, ...]
    upstreams: tuple[IPv4Address, ...]
    folder: Path
    port: int = NTP_PORT


def rendered(answering: Answering) -> str:
    return "\n".join(
        (
            *(f"server {upstream} iburst" for upstream in answering.upstreams),
            f"local stratum {_OWN_STRATUM}",
            f"bindaddress {answering.address}",
            f"port {answering.port}",
            "deny all",
            *(f"allow {network}" for network in answering.networks),
            "ratelimit interval 1 burst 16",
            "cmdport 0",
            "bindcmdaddress /",
            f"driftfile {answering.folder / 'drift'}",
            f"pidfile {answering.folder / 'chronyd.pid'}",
            "",
        )
    )


def argv(program: Sequence[str], configuration: Path, user: str) -> tuple[str, ...]:
    """It answers and watches, and sets no clock (`-x`): that is the operating system's, and takes a privilege."""
    return (*program, "-x", "-U", "-d", "-u", user, "-f", str(configuration))

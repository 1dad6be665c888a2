"""Which time servers this computer follows, as Debian's own tools say. Pure."""

import re
from collections.abc import Iterable, Iterator

CHRONY = ("chronyc", "-c", "-n", "sources")
"""A line for each source: mode, state, name, stratum, ... (chronyc(1))."""
TIMESYNCD = (
    "timedatectl",
    "show-timesync",
    *(f"--property={name}" for name in ("LinkNTPServers", "SystemNTPServers", "RuntimeNTPServers")),
    *(f"--property={name}" for name in ("ServerName", "ServerAddress")),
)
"""KEY=VALUE lines (timedatectl(1)). Servers to fall back on are named by nobody, so none of them is missed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")
_MODE, _STATE, _SOURCE = range(3)


def of_chrony(lines: Iterable[str]) -> tuple[str, ...]:
    fields = (line.strip().split(",") for line in lines)
    return _names(one[_SOURCE] for one in fields if len(one) > _SOURCE and one[_MODE] in ("^", "="))


def of_timesyncd(lines: Iterable[str]) -> tuple[str, ...]:
    pairs = (line.strip().partition("=") for line in lines)
    said = {key: value for key, _, value in pairs}
    configured = " ".join(said.get(f"{who}NTPServers", "") for who in ("Link", "System", "Runtime")).split()
    followed = [said["ServerName"]] if said.get("ServerAddress") and said.get("ServerName") else []
    return _names((*configured, *followed))


def _names(found: Iterable[str]) -> tuple[str, ...]:
    """Those that can be asked; each once."""
    return tuple(dict.fromkeys(_plain(found)))


def _plain(found: Iterable[str]) -> Iterator[str]:
    return (name for name in found if _NAME.fullmatch(name))

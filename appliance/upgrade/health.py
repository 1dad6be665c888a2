"""Whether what runs is healthy. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_DHCP, _PROXY, _TFTP, _HTTP = 67, 4011, 69, 80
_LISTENING = "0A"
_ROW = re.compile(r"^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2})", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """`fault` is what the daemon or its store said instead of an answer; `modes` are those of its boot networks (full
    or proxy); `udp` and `tcp` are the ports that somebody listens on."""

    fault: str = ""
    modes: tuple[str, ...] = ()
    udp: frozenset[int] = frozenset()
    tcp: frozenset[int] = frozenset()


def ports_of(table: str, *, udp: bool) -> frozenset[int]:
    """Of /proc/net/udp or tcp (proc_net_tcp.rst)."""
    found = _ROW.findall(table)
    return frozenset(int(port, 16) for port, state in found if udp or state == _LISTENING)


def faults_of(signs: Signs) -> Sequence[str]:
    """What is not as it should be; nothing for what is healthy."""
    if signs.fault:
        return [signs.fault]
    if not signs.modes:
        return ["the daemon serves no network"]
    wanted = {_DHCP: "DHCP", _TFTP: "TFTP"} | ({_PROXY: "proxyDHCP"} if "proxy" in signs.modes else {})
    silent = [f"nobody listens for {name} on UDP port {port}" for port, name in wanted.items() if port not in signs.udp]
    return silent if _HTTP in signs.tcp else [*silent, f"nobody listens for HTTP on TCP port {_HTTP}"]

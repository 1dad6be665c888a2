"""Asks the site itself what it serves: names, ports, the time. What is configured is not believed to be answered."""

import asyncio
import socket
from ipaddress import IPv4Address

from dnslib import QTYPE, DNSError, DNSRecord

_SECONDS = 5.0
_DNS, _NTP = 53, 123
_SNTP_QUERY = b"\x23" + bytes(47)
"""Version 4, mode 3 (RFC 5905, 7.3)."""
_NTP_EPOCH = 2_208_988_800


class SiteAsks:
    """`server` is the site's name server."""

    def __init__(self, server: IPv4Address) -> None:
        self._server = server

    async def addresses(self, name: str) -> tuple[IPv4Address, ...]:
        """None for a name that is not known, and where nobody answers."""
        return tuple(IPv4Address(text) for text in await asyncio.to_thread(self._asked, name, "A"))

    async def name(self, address: IPv4Address) -> str:
        """ "" where it has none."""
        found = await asyncio.to_thread(self._asked, address.reverse_pointer, "PTR")
        return found[0].rstrip(".") if found else ""

    async def listens(self, address: IPv4Address, port: int) -> bool:
        try:
            async with asyncio.timeout(_SECONDS):
                _, writer = await asyncio.open_connection(str(address), port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def time_off(self, now: float) -> float | None:
        """How many seconds the time that machines are given is ahead of ours; None where nobody gives it."""
        said = await asyncio.to_thread(self._time)
        return None if said is None else said - now

    def _asked(self, name: str, kind: str) -> list[str]:
        try:
            raw = DNSRecord.question(name, kind).send(str(self._server), _DNS, timeout=_SECONDS)
            answered = DNSRecord.parse(raw).rr
        except (OSError, DNSError):
            return []
        return [str(one.rdata) for one in answered if one.rtype == QTYPE.reverse[kind]]

    def _time(self) -> float | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_SECONDS)
            try:
                asking.sendto(_SNTP_QUERY, (str(self._server), _NTP))
                said = asking.recv(512)
            except OSError:
                return None
        if len(said) < len(_SNTP_QUERY) or said[1] == 0:
            return None
        return float(int.from_bytes(said[40:44]) - _NTP_EPOCH)

"""python -m appliance.doctor.apart.clocks PORT SERVER...: what time servers say by NTP (RFC 5905), and our clock."""

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Required, TypedDict

from scapy.layers.ntp import NTPHeader

from appliance.doctor.apart.process import begin, say

_SECONDS = 2.0
_TRIES = 2
_SINCE_1900 = 2_208_988_800
_CLIENT, _SERVER = 3, 4
_SENT, _ORIGIN = slice(40, 48), slice(24, 32)


class _Told(TypedDict, total=False):
    kind: Required[str]
    name: str
    stratum: int
    leap: int
    offset: float
    delay: float
    problem: str


def main(port: int, names: list[str]) -> None:
    begin()
    with ThreadPoolExecutor(max_workers=max(len(names), 1)) as pool:
        for told in as_completed(pool.submit(_asked, name, port) for name in names):
            say(**told.result())


def _asked(name: str, port: int) -> _Told:
    """The try with the shortest way counts: half of it is the most that the offset can be wrong by."""
    try:
        found = [one for _ in range(_TRIES) if (one := _once(name, port)) is not None]
    except (OSError, ValueError) as error:
        return {"kind": "mute", "name": name, "problem": f"{type(error).__name__}: {error}"[:255]}
    if not found:
        return {"kind": "mute", "name": name, "problem": "its answer was not to our question"}
    delay, offset, stratum, leap = min(found)
    return {"kind": "clock", "name": name, "stratum": stratum, "leap": leap, "offset": offset, "delay": delay}


def _once(name: str, port: int) -> tuple[float, float, int, int] | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(_SECONDS)
        link.connect((name, port))
        began, start = time.time(), time.monotonic()
        request = bytes(NTPHeader(version=4, mode=_CLIENT, ref=0, orig=0, recv=0, sent=began + _SINCE_1900))
        link.send(request)
        answer = link.recv(1024)
        way = time.monotonic() - start
    if len(answer) < len(request) or answer[_ORIGIN] != request[_SENT]:
        return None
    said = NTPHeader(answer)
    if said.mode != _SERVER:
        return None
    came, left = float(said.recv) - _SINCE_1900, float(said.sent) - _SINCE_1900
    delay = max(way - (left - came), 0.0)
    return delay, ((came - began) + (left - (began + way))) / 2, int(said.stratum), int(said.leap)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

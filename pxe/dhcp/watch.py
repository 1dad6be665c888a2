"""Recognises firmware that ignores proxy offers, which much UEFI firmware does, and says what to do instead.

Seen from a proxy, such a machine does one of two things after our offer:

    it repeats its DISCOVER at 0, 4, 12 and 28 s, and takes nobody's offer
    it takes the other server's address (a REQUEST, which is broadcast), and then asks us for nothing

One that follows asks on port 4011, fetches a file, or comes back as iPXE.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from pxe.client import Arch, Mac

_REPEATS = 3
_REPEAT_SECONDS = 28.0
_FOLLOW_SECONDS = 30.0
_NEW_BOOT_SECONDS = 90.0
_MOST = 4096


class Why(Enum):
    NO_REQUEST = "takes no offer"
    NOT_FOLLOWED = "takes an address and asks for no boot file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyIgnored:
    """Told once for each machine. `advice` is for the operator."""

    mac: Mac
    arch: Arch | None
    why: Why
    advice: str

    @property
    def sentence(self) -> str:
        return f"{self.mac} {self.why.value}: {self.advice}"


@dataclass(slots=True)
class _Machine:
    arch: Arch | None
    filename: str
    first: float
    last: float
    offers: int = 1
    address: IPv4Address | None = None
    requested: float | None = None


class ProxyWatch:
    """`now` in seconds that never jump. Call `tick` about once a second."""

    def __init__(self, server: IPv4Address) -> None:
        self._server = server
        self._waiting: OrderedDict[Mac, _Machine] = OrderedDict()
        self._told: OrderedDict[Mac, None] = OrderedDict()

    def offered(self, mac: Mac, arch: Arch | None, filename: str, now: float) -> None:
        """We answered a DISCOVER of the firmware; not of iPXE, which is `followed`."""
        if mac in self._told:
            return
        machine = self._waiting.get(mac)
        if machine is None or now >= machine.last + _NEW_BOOT_SECONDS:
            self._waiting[mac] = _Machine(arch=arch, filename=filename, first=now, last=now)
            self._waiting.move_to_end(mac)
            if len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
        else:
            machine.offers, machine.last = machine.offers + 1, now

    def requested(self, mac: Mac, address: IPv4Address, now: float) -> None:
        """Its REQUEST to the other server, for this address."""
        machine = self._waiting.get(mac)
        if machine is not None and machine.requested is None:
            machine.address, machine.requested = address, now

    def followed(self, mac: Mac) -> None:
        """It asked us on port 4011, or came back as iPXE."""
        self._waiting.pop(mac, None)
        self._told.pop(mac, None)

    def fetched(self, address: IPv4Address) -> None:
        """Somebody at this address fetched a boot file by TFTP or HTTP."""
        for mac in [mac for mac, machine in self._waiting.items() if machine.address == address]:
            self.followed(mac)

    def tick(self, now: float) -> tuple[ProxyIgnored, ...]:
        events: list[ProxyIgnored] = []
        for mac, machine in list(self._waiting.items()):
            why = _verdict(machine, now)
            if why is not None:
                events.append(self._tell(mac, machine, why))
            elif now >= machine.last + _NEW_BOOT_SECONDS:
                del self._waiting[mac]
        return tuple(events)

    def _tell(self, mac: Mac, machine: _Machine, why: Why) -> ProxyIgnored:
        del self._waiting[mac]
        self._told[mac] = None
        if len(self._told) > _MOST:
            self._told.popitem(last=False)
        return ProxyIgnored(mac=mac, arch=machine.arch, why=why, advice=advice(self._server, machine.filename))


def _verdict(machine: _Machine, now: float) -> Why | None:
    if machine.requested is not None:
        return Why.NOT_FOLLOWED if now >= machine.requested + _FOLLOW_SECONDS else None
    if machine.offers >= _REPEATS and now >= machine.first + _REPEAT_SECONDS:
        return Why.NO_REQUEST
    return None


def advice(server: IPv4Address, filename: str) -> str:
    """What to set on the other DHCP server for a machine to which we offered `filename`."""
    if filename.startswith("http"):
        options = f'option 60 "HTTPClient" and option 67 "{filename}"'
    else:
        options = f'option 66 "{server}" and option 67 "{filename}"'
    return (
        f"this firmware ignores proxyDHCP offers (or no other server gives it an address): set {options} on the DHCP "
        "server for this architecture, or stop that server here and use full DHCP mode"
    )

"""Who may ask how often: limits that keep a broken or hostile client from starving the others.

    one machine          32 packets at once, then 2 a second. Firmware asks at 0, 4, 12 and 28 s; with iPXE, the agent
                         and the system after it, a boot is about a dozen packets in a minute.
    one known machine    128 at once, then 8 a second, and it draws on no port: strangers cannot starve it.
    the strangers of     8192 at once, then 500 a second. A port is the relay's circuit id (option 82), else the
    one port             relay, else the whole segment: a relay may give a thousand machines the same circuit id,
                         and all of them start at once after a power cut.
    DECLINE              each one takes an address out of the pool for an hour: 4 from a machine, then one a minute;
                         16 from the strangers of a port, then one in five minutes.

Each limit is a generic cell rate algorithm: one number for a sender, the time at which its bucket is full again. Tables
are bounded. A machine pushed out of its table starts afresh, since its port still counts; ports beyond the bound
share one bucket, since forged circuit ids would otherwise have one each.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pxe.dhcp.address import Hardware
from pxe.dhcp.packet import DhcpPacket, MessageType, Option
from pxe.dhcp.relay import CIRCUIT_ID, suboption
from pxe.errors import ConfigError

_MACHINES = 8192
_PORTS = 4096
_TELL_EVERY = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`burst` packets at once, then `per_second`."""

    burst: int
    per_second: float

    def __post_init__(self) -> None:
        if self.burst < 1 or self.per_second <= 0:
            raise ConfigError(
                "such a rate lets nothing through", evidence=repr(self), next_action="raise it above zero"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    machine: Rate = Rate(burst=32, per_second=2)
    known_machine: Rate = Rate(burst=128, per_second=8)
    port: Rate = Rate(burst=8192, per_second=500)
    machine_declines: Rate = Rate(burst=4, per_second=1 / 60)
    port_declines: Rate = Rate(burst=16, per_second=1 / 300)


def port_of(packet: DhcpPacket) -> bytes:
    """The key of the port: the relay and the circuit id of its option 82."""
    return packet.giaddr + suboption(packet.options.get(Option.RELAY_INFORMATION, b""), CIRCUIT_ID)


class _Meter:
    """`what` names the senders in a refusal."""

    def __init__(self, rate: Rate, what: str, *, capacity: int, evict: bool) -> None:
        self._cost = 1 / rate.per_second
        self._slack = (rate.burst - 1) * self._cost
        self._capacity = capacity
        self._evict = evict
        self._full_at: OrderedDict[bytes, float] = OrderedDict()
        self._overflow = 0.0
        self.refusal = f"{what}: more than {rate.burst} at once and {rate.per_second:.3g} a second"

    def __len__(self) -> int:
        return len(self._full_at)

    def allows(self, key: bytes, now: float) -> bool:
        return self._time_of(key) - now <= self._slack

    def charge(self, key: bytes, now: float) -> None:
        time = max(self._time_of(key), now) + self._cost
        if key not in self._full_at and not self._has_room(now):
            self._overflow = time
            return
        self._full_at[key] = time
        self._full_at.move_to_end(key)

    def _time_of(self, key: bytes) -> float:
        full_at = self._full_at.get(key)
        if full_at is not None:
            return full_at
        return 0.0 if self._evict or len(self._full_at) < self._capacity else self._overflow

    def _has_room(self, now: float) -> bool:
        """Whoever has not been heard for longest goes first; a full bucket says nothing and is no loss."""
        while len(self._full_at) >= self._capacity:
            oldest = next(iter(self._full_at))
            if not self._evict and self._full_at[oldest] > now:
                return False
            del self._full_at[oldest]
        return True


class FloodGate:
    """`now` in seconds that never jump. The same packets at the same times are always judged the same."""

    def __init__(self, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._machines = _Meter(limits.machine, "packets of one machine", capacity=_MACHINES, evict=True)
        self._known = _Meter(limits.known_machine, "packets of one known machine", capacity=_MACHINES, evict=True)
        self._ports = _Meter(limits.port, "packets of strangers at one port", capacity=_PORTS, evict=False)
        self._machine_declines = _Meter(
            limits.machine_declines, "DECLINEs of one machine", capacity=_MACHINES, evict=True
        )
        self._port_declines = _Meter(
            limits.port_declines, "DECLINEs of strangers at one port", capacity=_PORTS, evict=False
        )

    def __len__(self) -> int:
        """Senders remembered."""
        meters = (self._machines, self._known, self._ports, self._machine_declines, self._port_declines)
        return sum(map(len, meters))

    def refusal(self, mac: Hardware, port: bytes, now: float, *, known: bool) -> str | None:
        """Why this packet is to be dropped; None when it may pass, and then it counts. Any packet but a DECLINE."""
        if known:
            return _pass(((self._known, mac),), now)
        return _pass(((self._machines, mac), (self._ports, port)), now)

    def decline_refusal(self, mac: Hardware, port: bytes, now: float, *, known: bool) -> str | None:
        """The same for a DECLINE."""
        if known:
            return _pass(((self._machine_declines, mac),), now)
        return _pass(((self._machine_declines, mac), (self._port_declines, port)), now)


def _pass(meters: tuple[tuple[_Meter, bytes], ...], now: float) -> str | None:
    """What is refused costs nothing: a machine that never stops still gets its rate."""
    for meter, key in meters:
        if not meter.allows(key, now):
            return meter.refusal
    for meter, key in meters:
        meter.charge(key, now)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodAlarm:
    """Told when a limit is hit, then once a minute while it is. `refused` packets since it was last told, the last of
    them of `sender`, which is a hardware address as it came."""

    reason: str
    sender: str
    refused: int

    @property
    def sentence(self) -> str:
        return f"{self.reason}: {self.refused} dropped, the last of {self.sender}"


@dataclass(slots=True)
class _Tally:
    told: float
    untold: int = 0


class FloodGuard:
    """A gate that counts what it refuses. Without `limits` all packets pass."""

    def __init__(self, limits: Limits | None) -> None:
        self._gate = None if limits is None else FloodGate(limits)
        self._tallies: dict[str, _Tally] = {}
        self._alarms: list[FloodAlarm] = []

    def refuses(self, packet: DhcpPacket, now: float, *, known: Callable[[Hardware], bool]) -> bool:
        if self._gate is None:
            return False
        mac = Hardware(packet.chaddr)
        is_known = known(mac)
        judge = self._gate.decline_refusal if packet.message_type is MessageType.DECLINE else self._gate.refusal
        reason = judge(mac, b"" if is_known else port_of(packet), now, known=is_known)
        if reason is not None:
            self._count(reason, mac, now)
        return reason is not None

    def alarms(self) -> list[FloodAlarm]:
        """Since it was last asked."""
        alarms, self._alarms = self._alarms, []
        return alarms

    def _count(self, reason: str, mac: Hardware, now: float) -> None:
        tally = self._tallies.setdefault(reason, _Tally(now - _TELL_EVERY))
        tally.untold += 1
        if now >= tally.told + _TELL_EVERY:
            self._alarms.append(FloodAlarm(reason=reason, sender=mac.hex(":"), refused=tally.untold))
            self._tallies[reason] = _Tally(now)

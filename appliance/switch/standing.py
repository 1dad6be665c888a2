"""What both sides of a change are, as values, and what that comes to. Pure.

The switch's confirmation is the one point at which the change is made: before it, the switch goes back by itself; and
the machine, which waits longer than the switch does, keeps what it hears LACP of from the switch and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.model.switch import BondPorts
from appliance.switch.dialect import Dialect

_NOBODY = "00:00:00:00:00:00"


class HostSide(Enum):
    """`UNDECIDED`: it has the new network for now; `BACK`: it had it, and gave it up."""

    OLD = "old"
    UNDECIDED = "undecided"
    NEW = "new"
    BACK = "back"


class SwitchSide(Enum):
    """`OTHER`: neither what it is before nor what it is to be: somebody else's configuration."""

    ACCESS = "access"
    PENDING = "pending"
    CHANNEL = "channel"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSight:
    """`ports` are in the bond's aggregate with `partner`, "" where nobody answers by LACP. `why` it went back."""

    side: HostSide
    ports: int = 0
    partner: str = ""
    why: str = ""


class Standing(Enum):
    DONE = "done"
    NOT_BEGUN = "not begun"
    DECIDING = "deciding"
    """Each side decides by itself, in time, also where nobody asks it again."""
    TORN = "torn"
    """One side is new and the other old: the old one is gone back to."""
    FOREIGN = "foreign"


def read_host(text: str) -> HostSight:
    """From KEY=VALUE lines that the machine printed; whatever is missing is of the old network."""
    said = {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}
    partner, ports = said.get("partner", ""), said.get("ports", "")
    known = {side.value: side for side in HostSide}
    return HostSight(
        side=known.get(said.get("side", ""), HostSide.OLD),
        ports=int(ports) if ports.isdecimal() and len(ports) < 4 else 0,
        partner="" if partner == _NOBODY else partner[:17],
        why=said.get("why", "")[:200],
    )


def read_switch(dialect: Dialect, do: BondPorts, answers: Sequence[str]) -> SwitchSide:
    """`answers` to what `dialect.show` asks."""
    *ports, pending = answers
    if dialect.pending.search(pending):
        return SwitchSide.PENDING
    lines = [{line.strip() for line in port.splitlines()} for port in ports]
    member = dialect.port_is_member.format(channel=do.channel)
    if all(member in one for one in lines):
        return SwitchSide.CHANNEL
    access = dialect.port_is_access.format(vlan=do.vlan)
    group = dialect.port_is_member.partition("{")[0]
    if all(access in one and not any(line.startswith(group) for line in one) for one in lines):
        return SwitchSide.ACCESS
    return SwitchSide.OTHER


def standing(host: HostSight, switch: SwitchSide) -> Standing:
    """What is pending on either side is left alone."""
    if switch is SwitchSide.OTHER:
        return Standing.FOREIGN
    if switch is SwitchSide.PENDING or host.side is HostSide.UNDECIDED:
        return Standing.DECIDING
    if host.side is HostSide.NEW:
        return Standing.DONE if switch is SwitchSide.CHANNEL else Standing.TORN
    return Standing.NOT_BEGUN if switch is SwitchSide.ACCESS else Standing.TORN


def answers(host: HostSight, do: BondPorts) -> bool:
    """Whether all of its ports are in one channel with the switch."""
    return host.ports == len(do.ports) and bool(host.partner)

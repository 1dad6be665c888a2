"""A vendor's command line as a value: another vendor is another table. Pure.

What is asked of each: a change is prepared apart from what runs (`begin`), takes effect with a timer (`take_effect`),
and goes away by itself where nobody confirms it before the timer ends.

EOS: Arista, User Manual, "Session Management Commands" (`configure session`, `commit timer`) and "Port Channels".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from appliance.model.switch import BondPorts, SwitchDialect

SESSION = "innervate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Commands are formats with {session}, {channel}, {port}, {vlan} and {timer} (hh:mm:ss). `prompt` ends an answer,
    `refusal` begins the line in which a command was refused. `port_is_access` and `port_is_member` are lines of what
    `show_port` prints; `pending` of what `show_pending` prints while a change waits for its confirmation."""

    prompt: re.Pattern[str]
    refusal: re.Pattern[str]
    quiet: tuple[str, ...]
    show_port: str
    port_is_access: str
    port_is_member: str
    show_pending: str
    pending: re.Pattern[str]
    begin: str
    channel: tuple[str, ...]
    port: tuple[str, ...]
    port_back: tuple[str, ...]
    channel_back: tuple[str, ...]
    take_effect: str
    at_once: str
    confirm: str
    abort: str


EOS = Dialect(
    prompt=re.compile(r"[\w.-]{1,64}(?:\([\w/.-]{1,60}\))?[#>] ?\Z"),
    refusal=re.compile(r"^% .*", re.MULTILINE),
    quiet=("enable", "terminal length 0", "terminal width 500"),
    show_port="show running-config interfaces {port}",
    port_is_access="switchport access vlan {vlan}",
    port_is_member="channel-group {channel} mode active",
    show_pending="show configuration sessions",
    pending=re.compile(r"^\s*\*?\s*{session}\s+pendingCommitTimer\b".replace("{session}", SESSION), re.MULTILINE),
    begin="configure session {session}",
    channel=(
        "interface Port-Channel{channel}",
        "switchport mode access",
        "switchport access vlan {vlan}",
        # Firmware speaks no LACP: a port that hears none serves alone, so that the machine can be installed again.
        "port-channel lacp fallback individual",
        "port-channel lacp fallback timeout 5",
        "exit",
    ),
    port=("interface {port}", "channel-group {channel} mode active", "exit"),
    port_back=(
        "interface {port}",
        "no channel-group",
        "switchport mode access",
        "switchport access vlan {vlan}",
        "exit",
    ),
    channel_back=("no interface Port-Channel{channel}",),
    take_effect="commit timer {timer}",
    at_once="commit",
    confirm="configure session {session} commit",
    abort="configure session {session} abort",
)


def dialect_of(which: SwitchDialect) -> Dialect:
    match which:
        case SwitchDialect.EOS:
            return EOS
        case _:
            assert_never(which)


def join(dialect: Dialect, do: BondPorts) -> tuple[str, ...]:
    """The ports become one channel, for as long as the timer runs."""
    parts = (dialect.begin, *dialect.channel, *_each(dialect.port, do), dialect.take_effect)
    return tuple(_filled(part, do) for part in parts)


def separate(dialect: Dialect, do: BondPorts) -> tuple[str, ...]:
    """The ports are access ports again, at once."""
    parts = (dialect.begin, *_each(dialect.port_back, do), *dialect.channel_back, dialect.at_once)
    return tuple(_filled(part, do) for part in parts)


def confirm(dialect: Dialect, do: BondPorts) -> str:
    return _filled(dialect.confirm, do)


def abort(dialect: Dialect, do: BondPorts) -> str:
    return _filled(dialect.abort, do)


def show(dialect: Dialect, do: BondPorts) -> tuple[str, ...]:
    """One command for each port, and one for what is pending."""
    return (*(dialect.show_port.format(port=port) for port in do.ports), dialect.show_pending)


def _each(lines: tuple[str, ...], do: BondPorts) -> Iterator[str]:
    for port in do.ports:
        yield from (line.replace("{port}", port) for line in lines)


def _filled(line: str, do: BondPorts) -> str:
    minutes, seconds = divmod(do.seconds, 60)
    timer = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return line.format(session=SESSION, channel=do.channel, vlan=do.vlan, timer=timer)

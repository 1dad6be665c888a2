"""Which boot program runs on a machine whose Secure Boot state nobody knows? Tried, from evidence, rung by rung.

    firmware asks DHCP, fetches the program whole, and is heard of again        the program runs: stay
    ... and is not heard of until it asks as firmware again, twice              it does not: the next rung

Nothing more can be seen from outside: a firmware that refuses an unsigned program says so on its screen only, and an
iPXE that hangs in a driver says nothing at all. There is no timer, because whatever comes after a failed boot (the next
entry of the boot order, a BMC's reset) begins with the firmware asking again. Two, because one may be a person at the
power button. After the last rung comes the first: perhaps it was the cable.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from ipaddress import IPv4Address
from threading import Lock
from typing import TypeVar, assert_never

from pxe.boot import Chain, programs_for
from pxe.client import Mac, Stage
from pxe.dhcp.address import Hardware
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.http.server import HttpEvent
from pxe.routes import AUTOEXEC, GRUB_CONFIG, ScriptEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent

FAILURES = 2
_REMEMBERED = 4096
_ASKED_BY_PROGRAMS = frozenset((AUTOEXEC, GRUB_CONFIG.rpartition("/")[2]))

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a machine stands. `programs` are its rungs, in order, with the names of the programs.

    `unheard` counts the boots whose program was fetched whole and that came to nothing since.
    """

    programs: Mapping[Chain, str]
    chain: Chain
    is_booting: bool = False
    unheard: int = 0

    @property
    def program(self) -> str:
        return self.programs.get(self.chain, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainChanged:
    """A machine gets another boot program from now on; `reason` is for people."""

    mac: Mac
    chain: Chain
    filename: str
    reason: str


def due(standing: Standing) -> Chain:
    """What to hand out when the firmware asks again."""
    if standing.unheard < FAILURES:
        return standing.chain
    rungs = tuple(standing.programs)
    return rungs[(rungs.index(standing.chain) + 1) % len(rungs)]


def asked(standing: Standing) -> Standing:
    """The firmware asks what to boot."""
    if (chain := due(standing)) is standing.chain:
        return replace(standing, is_booting=True)
    return replace(standing, chain=chain, is_booting=True, unheard=0)


def fetched(standing: Standing, name: str) -> Standing:
    """A file went out to it, whole. Firmware that fetches its program twice has still booted once."""
    if not standing.is_booting or name != standing.program:
        return standing
    return replace(standing, is_booting=False, unheard=standing.unheard + 1)


def heard(standing: Standing) -> Standing:
    """Something came that only a running program asks for."""
    return replace(standing, is_booting=False, unheard=0)


class Ladder:
    """The standings of the machines that were seen last, for the threads of all servers.

    `stated` is what the site says of a machine, and wins; `default` is what it says of all others. `available` are the
    names of the programs that are served.
    """

    def __init__(
        self,
        *,
        stated: Mapping[Mac, Chain],
        available: Iterable[str],
        report: Callable[[ChainChanged], None],
        default: Chain | None = None,
    ) -> None:
        self._stated = {Hardware(bytes(mac)): chain for mac, chain in stated.items()}
        self._default = default
        self._available = frozenset(available)
        self._report = report
        self._standings: OrderedDict[Hardware, Standing] = OrderedDict()
        self._machines: OrderedDict[IPv4Address, Hardware] = OrderedDict()
        self._lock = Lock()

    def chain_of(self, machine: Hardware) -> Chain:
        """What `pxe.boot.answer` is to be given. Changes nothing."""
        if (stated := self._stated.get(machine, self._default)) is not None:
            return stated
        standing = self._standings.get(machine)
        return Chain.IPXE if standing is None else due(standing)

    def observe(self, event: DhcpEvent | TftpEvent | HttpEvent | ScriptEvent) -> None:
        """From any thread."""
        match event:
            case DhcpEvent(kind=Kind.ACK):
                self._granted(event)
            case TftpEvent(outcome=Outcome.FINISHED):
                self._sent(event.client, event.name)
            case HttpEvent(method="GET", status=HTTPStatus.OK) if event.sent == event.total:
                self._sent(event.client, event.path)
            case ScriptEvent():
                self._heard(Hardware(bytes(event.mac)))
            case _:
                return

    def _granted(self, event: DhcpEvent) -> None:
        match event.stage:
            case Stage.FIRMWARE | Stage.HTTP_BOOT:
                self._asked(event)
            case Stage.IPXE:
                self._heard(event.hardware)
            case Stage.SYSTEM:
                return
            case _:
                assert_never(event.stage)

    def _asked(self, event: DhcpEvent) -> None:
        every = programs_for(event.stage, event.arch)
        programs = {chain: name for chain, name in every.items() if name in self._available}
        is_stated = self._default is not None or event.hardware in self._stated
        if not programs or event.address is None or is_stated:
            return
        with self._lock:
            before = self._standings.get(event.hardware)
            if before is None or before.programs != programs:
                before = Standing(programs=programs, chain=next(iter(programs)))
            after = asked(before)
            _keep(self._standings, event.hardware, after)
            _keep(self._machines, event.address, event.hardware)
        if after.chain is not before.chain:
            self._report(_changed(event.mac, before, after))

    def _sent(self, address: IPv4Address, path: str) -> None:
        name = path.rpartition("/")[2]
        with self._lock:
            machine = self._machines.get(address)
            standing = None if machine is None else self._standings.get(machine)
            if machine is not None and standing is not None:
                running = name in _ASKED_BY_PROGRAMS
                self._standings[machine] = heard(standing) if running else fetched(standing, name)

    def _heard(self, machine: Hardware) -> None:
        with self._lock:
            if (standing := self._standings.get(machine)) is not None:
                self._standings[machine] = heard(standing)


def _changed(mac: Mac, before: Standing, after: Standing) -> ChainChanged:
    reason = (
        f"{mac} fetched {before.program} {before.unheard} times and was not heard of again: Secure Boot refuses the "
        f"program, or its network stack hangs; it gets {after.program} from now on"
    )
    return ChainChanged(mac=mac, chain=after.chain, filename=after.program, reason=reason)


def _keep(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > _REMEMBERED:
        table.popitem(last=False)

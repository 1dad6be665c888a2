"""What is wanted of one machine, beside what the site program wants of all. Pure; each errand ends in a plan.

A disk is named by what the facts say is on it. Where facts are older than the last write, the plan only looks: its
`deferred` says so, and the errand is planned again when it is done.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, assert_never

from appliance.capabilities import BareMachines, BootOverride, Draining, NetworkBoot, PowerControl, Shell
from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.model.views import Errand
from appliance.plan import Deferred, DiskRef, Drain, Plan, Purpose, Rescue, Retire, Wipe
from appliance.roles.disk import UNREADABLE, describe
from appliance.scores.score import BOOT_AGENT_SECONDS, Move, boot_agent, chain, inspect
from images.agent.protocol import WipeLevel

WIPE_SECONDS = 12 * 3600.0
"""20 TB at 500 MB/s take eleven hours."""
RESCUE_SECONDS = BOOT_AGENT_SECONDS + 120.0
DRAIN_SECONDS = 1200.0
RETIRE_SECONDS = 600.0


class ErrandNeeds(BareMachines, PowerControl, BootOverride, NetworkBoot, Shell, Draining, Protocol): ...


def wipe(site: ErrandNeeds, record: MachineRecord, level: WipeLevel, before: tuple[Move, ...] = ()) -> Plan:
    """`before` is its way out of whatever counts on it."""
    errand = Errand.ERASE if level is WipeLevel.ERASE else Errand.WIPE
    if not record.facts_current:
        return _look(site, record, errand, before, "they are wiped when they have been read")
    moves = (*before, boot_agent(record.name), *_wipes(record, level), inspect(record.name))
    return _plan(site, record, errand, moves)


def rescue(site: ErrandNeeds, record: MachineRecord) -> Plan:
    if not site.shell.authorized_keys:
        raise PlanError(
            "nobody could enter the rescue system: the topology has no authorized keys",
            next_action="put an OpenSSH public key line into the topology's ShellAccess",
        )
    do = Rescue(authorized_keys=site.shell.authorized_keys)
    move = Move(do=do, summary=f"open the rescue system of {record.name} to SSH", budget=RESCUE_SECONDS)
    return _plan(site, record, Errand.RESCUE, (boot_agent(record.name), move))


def decommission(site: ErrandNeeds, record: MachineRecord, before: tuple[Move, ...] = ()) -> Plan:
    """Out of whatever counts on it (`before`), drained, every byte of its disks erased, and forgotten by the services.
    A machine of which no disk was ever seen is looked at first."""
    hook = () if record.drained or record.installed is None else tuple(_drain(site, record.name))
    drains = (*before, *hook)
    if not record.facts_current:
        return _look(site, record, Errand.DECOMMISSION, drains, "they are erased when they have been read")
    retire = Move(
        do=Retire(),
        summary=f"take {record.name} out of service: off, its lease, name and BMC log-in forgotten",
        budget=RETIRE_SECONDS,
    )
    moves = (*drains, boot_agent(record.name), *_wipes(record, WipeLevel.ERASE), retire)
    return _plan(site, record, Errand.DECOMMISSION, moves)


def _look(site: ErrandNeeds, record: MachineRecord, errand: Errand, before: tuple[Move, ...], then: str) -> Plan:
    plan = _plan(site, record, errand, (*before, boot_agent(record.name), inspect(record.name)))
    reason = f"{record.name}: what is on its disks is not known; {then}"
    return replace(plan, deferred=(Deferred(score=errand.value, reason=reason),))


def reinstall_first(site: ErrandNeeds, record: MachineRecord, before: tuple[Move, ...] = ()) -> Plan | None:
    """None when what is on the disks is known; the installation itself is the site program's."""
    if record.facts_current:
        return None
    return _look(site, record, Errand.REINSTALL, before, "it is installed when they have been read")


def _plan(site: ErrandNeeds, record: MachineRecord, errand: Errand, moves: tuple[Move, ...]) -> Plan:
    _refuse_a_stranger(site, record.name)
    steps = chain(errand.value, record.name, moves)
    unread = tuple(f"{record.name}: {text}" for text in _untouched(record)) if _destroys(errand) else ()
    return Plan(site=errand.value, steps=steps, purpose=Purpose(errand=errand, machine=record.name), missing=unread)


def _destroys(errand: Errand) -> bool:
    match errand:
        case Errand.WIPE | Errand.ERASE | Errand.DECOMMISSION | Errand.REINSTALL | Errand.REPLACE:
            return True
        case Errand.RESCUE:
            return False
        case _:
            assert_never(errand)


def _refuse_a_stranger(site: ErrandNeeds, name: MachineName) -> None:
    if name not in site.machines:
        raise PlanError(f"the topology has no machine {name}", next_action="name one that it has")


def _drain(site: ErrandNeeds, name: MachineName) -> Iterator[Move]:
    if site.drain is not None:
        do = Drain(user=site.shell.user, hook=site.drain)
        yield Move(do=do, summary=f"drain {name}: {site.drain.name}", budget=DRAIN_SECONDS)


def _wipes(record: MachineRecord, level: WipeLevel) -> Iterator[Move]:
    for disk in _own_disks(record):
        if not _why_not(disk):
            ref = DiskRef.of(disk)
            verb = "erase" if level is WipeLevel.ERASE else "wipe"
            yield Move(
                do=Wipe(disk=ref, level=level),
                summary=f"{verb} disk {describe(disk)} of {record.name}, which now holds: {disk.contents}",
                budget=WIPE_SECONDS,
            )


def _own_disks(record: MachineRecord) -> tuple[Disk, ...]:
    return record.facts.fixed_disks if record.facts else ()


def _untouched(record: MachineRecord) -> Iterator[str]:
    """Disks that keep what they hold: a person has to take them out."""
    for disk in _own_disks(record):
        if why := _why_not(disk):
            yield f"disk {disk.name} ({describe(disk)}) is not touched: {why}"


def _why_not(disk: Disk) -> str:
    if disk.contents == UNREADABLE:
        return "it cannot be read"
    if not disk.serial and not disk.wwn:
        return "it has neither serial number nor WWN and could not be told from another"
    return ""

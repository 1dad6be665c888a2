"""A score of one's own: no disk of the rack holds anything, as before it is given back.

innervate check examples/blank_disks.py
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import BareMachines, BootOverride, NetworkBoot, PowerControl
from appliance.inventory.model import Inventory, MachineRecord
from appliance.lab.topology import lab_rack
from appliance.model.hardware import Disk
from appliance.plan import Deferred, DiskRef, Plan, Wipe
from appliance.roles.disk import BLANK, UNREADABLE, describe
from appliance.scores.discover import Discover
from appliance.scores.score import Move, boot_agent, chain, inspect
from appliance.site import Site
from images.agent.protocol import WipeLevel

HOURS = 3600.0


class BlankNeeds(BareMachines, PowerControl, BootOverride, NetworkBoot, Protocol): ...


@dataclass(frozen=True, slots=True)
class BlankDisks:
    name: str = field(default="blank-disks", init=False)

    def plan(self, site: BlankNeeds, inventory: Inventory) -> Plan:
        records = [inventory.record(name) for name in site.machines]
        return Plan(
            site=self.name,
            steps=tuple(step for record in records for step in chain(self.name, record.name, _way(record))),
            deferred=tuple(
                Deferred(score=self.name, reason=f"{record.name}: what is on its disks is not known yet")
                for record in records
                if not record.facts_current
            ),
        )


def _way(record: MachineRecord) -> tuple[Move, ...]:
    """Nothing where all is well, or where `Discover` comes first; one look where something was written since."""
    if record.facts is None:
        return ()
    wipes = tuple(_wipes(record)) if record.facts_current else ()
    if record.facts_current and not wipes:
        return ()
    return (boot_agent(record.name), *wipes, inspect(record.name))


def _wipes(record: MachineRecord) -> Iterator[Move]:
    for disk in record.facts.fixed_disks if record.facts else ():
        if _holds_something(disk):
            summary = f"erase {describe(disk)} of {record.name}, which now holds: {disk.contents}"
            yield Move(do=Wipe(disk=DiskRef.of(disk), level=WipeLevel.ERASE), summary=summary, budget=12 * HOURS)


def _holds_something(disk: Disk) -> bool:
    """A disk without a name of its own is left alone: it could not be told from another."""
    return disk.contents not in (BLANK, UNREADABLE) and bool(disk.serial or disk.wwn)


site = Site(name="lab", topology=lab_rack(), scores=[Discover(), BlankDisks()])

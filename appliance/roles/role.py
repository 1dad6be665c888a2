"""Roles: how many machines a site wants for what, which may do it, and on which disk."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NewType, assert_never

from appliance.errors import PlanError, SiteError
from appliance.inventory.model import MachineRecord
from appliance.model.ids import MachineName
from appliance.roles.disk import DiskPolicy, Overwrite, SmallestDisk
from appliance.roles.rule import Rule, specificity

RoleName = NewType("RoleName", str)

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UNHEARD = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadOverSwitches:
    """Machines of the role on different switches, by LLDP, as far as that goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadOver:
    """Machines of the role in different places: racks, rooms, circuits. Places are groups of machines."""

    places: tuple[tuple[MachineName, ...], ...]


Spread = SpreadOverSwitches | SpreadOver


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """`count` machines that meet `where`, and `spares` more kept ready.

    `disk` and `overwrite` say which disk it is installed on: a machine that has none such cannot have the role.
    `spread` is a preference; it never leaves the role with fewer machines.
    """

    name: RoleName
    count: int
    where: Rule
    spares: int = 0
    disk: DiskPolicy = field(default_factory=SmallestDisk)
    overwrite: Overwrite = Overwrite.BLANK_ONLY
    spread: Spread | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SiteError(
                f"{self.name[:70]!r} cannot be the name of a role",
                next_action="use lower-case letters, digits and dashes, at most 63 characters",
            )
        if self.count < 0 or self.spares < 0:
            raise SiteError(f"{self.name}: less than no machine is wanted", next_action="give counts of 0 or more")

    @property
    def specificity(self) -> int:
        return specificity(self.where)


def places_of(spread: Spread | None, record: MachineRecord) -> frozenset[str]:
    """Where the machine stands, as far as `spread` cares; all machines of which it is not known stand together."""
    match spread:
        case None:
            return frozenset()
        case SpreadOverSwitches():
            heard = record.facts.neighbours if record.facts else ()
            return frozenset(neighbour.chassis for neighbour in heard) or frozenset({_UNHEARD})
        case SpreadOver(places=places):
            found = frozenset(str(at) for at, names in enumerate(places) if record.name in names)
            return found or frozenset({_UNHEARD})
        case _:
            assert_never(spread)


def overrides_of(pairs: Iterable[tuple[str, str]]) -> Mapping[MachineName, RoleName]:
    """What an operator wrote, as (machine, role). Raises `PlanError` for two roles of one machine."""
    wanted: dict[MachineName, set[RoleName]] = {}
    for machine, role in pairs:
        wanted.setdefault(MachineName(machine), set()).add(RoleName(role))
    for machine, roles in sorted(wanted.items()):
        if len(roles) > 1:
            raise PlanError(
                f"{machine} is given {len(roles)} roles at once",
                evidence=f"{machine}: {', '.join(sorted(roles))}",
                next_action=f"give {machine} one of them",
            )
    return {machine: role for machine, roles in wanted.items() for role in roles}

"""Could this machine have that role? Its rule, the conditions of the machine, and the disk that it is to have."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from appliance.errors import PlanError
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.model.text import clean
from appliance.roles.disk import choose_disk
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import GB, GIB
from appliance.roles.verdict import UNSEEN, Answer, judge


class Rank(NamedTuple):
    """Of machines that fit, the least comes first: what is larger is left for those who need it.

    Memory in GiB and disks in GB, rounded: like machines do not differ by what their firmware happened to keep.
    """

    cores: int
    memory: int
    disks: int
    nics: int
    name: MachineName


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """`why` is a sentence about the rule; `specificity` that of the part of the rule which the machine meets."""

    role: RoleName
    machine: MachineName
    why: str
    specificity: int
    rank: Rank
    disk: Disk


class Obstacle(Enum):
    RULE = "rule"
    UNSEEN = "unseen"
    CONDITION = "condition"
    DISK = "disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """The first obstacle of those in the order of `Obstacle`; `next_action` would clear it, empty for a rule."""

    role: RoleName
    machine: MachineName
    obstacle: Obstacle
    why: str
    next_action: str = ""


def fit(role: Role, record: MachineRecord, image_bytes: int = 0) -> Fit | Unfit:
    """`image_bytes`: the size of what will be written, 0 where that is not known."""
    verdict = judge(role.where, record)
    if verdict.answer is Answer.NO:
        return Unfit(role=role.name, machine=record.name, obstacle=Obstacle.RULE, why=verdict.sentence)
    if verdict.answer is Answer.UNKNOWN or record.facts is None:
        why = verdict.sentence if record.facts else UNSEEN
        return _hindered(role, record, Obstacle.UNSEEN, why, f"discover {record.name}")
    if record.conditions:
        return _hindered(role, record, Obstacle.CONDITION, conditions(record), f"repair or release {record.name}")
    try:
        disk = choose_disk(record.facts, role.disk, image_bytes, role.overwrite)
    except PlanError as error:
        return _hindered(role, record, Obstacle.DISK, refusal(error), f"{record.name}: {error.next_action}")
    return Fit(
        role=role.name,
        machine=record.name,
        why=verdict.sentence,
        specificity=verdict.specificity,
        rank=rank(record),
        disk=disk,
    )


def rank(record: MachineRecord) -> Rank:
    facts = record.facts
    if facts is None:
        return Rank(0, 0, 0, 0, record.name)
    disks = sum(disk.size_bytes for disk in facts.fixed_disks)
    return Rank(facts.cores, round(facts.memory_bytes / GIB), round(disks / GB), len(facts.nics), record.name)


def conditions(record: MachineRecord) -> str:
    """ "failed: no disk answers"; empty for a machine without conditions."""
    return "; ".join(
        sorted(f"{condition.kind.value}: {clean(condition.reason, 120)}" for condition in record.conditions)
    )


def refusal(error: PlanError) -> str:
    """An error of `choose_disk` in one line."""
    return clean(f"{error}: {'; '.join(error.evidence.splitlines())}", 300)


def _hindered(role: Role, record: MachineRecord, obstacle: Obstacle, why: str, next_action: str) -> Unfit:
    return Unfit(role=role.name, machine=record.name, obstacle=obstacle, why=why, next_action=next_action)

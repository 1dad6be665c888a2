"""Does a machine meet a rule? Yes, no, or not known: what was not observed is no reason either way.

Not known is no yes under `Not` either, so that a machine of which nothing was read never slips through an exclusion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from appliance.inventory.bogus import real_text
from appliance.inventory.model import MachineRecord
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.text import clean
from appliance.roles.disk import DiskKind
from appliance.roles.rule import (
    EXCLUDED,
    GB,
    GIB,
    AllOf,
    AnyOf,
    AtLeastCores,
    AtLeastDisk,
    AtLeastMemory,
    AtLeastNics,
    NameIn,
    Not,
    ProductIs,
    Rule,
    SerialIn,
    SwitchIs,
    counted,
    describe,
    specificity,
)

RESERVED = 16
"""Firmware and kernel keep up to a sixteenth of the memory for themselves: 1 GiB sold is 967 MiB in a QEMU machine."""

UNSEEN = "its hardware is not known yet"
_SHOWN = 60


class Answer(Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`rule` is the part that decided, `fact` what was seen of the machine, `specificity` that of the part that it met.

    `specificity` is 0 unless the answer is yes.
    """

    answer: Answer
    rule: Rule
    fact: str
    specificity: int = 0

    @property
    def sentence(self) -> str:
        fact = f": {self.fact}" if self.fact else ""
        match self.answer:
            case Answer.YES:
                return f"meets '{describe(self.rule)}'{fact}"
            case Answer.NO:
                return f"does not meet '{describe(self.rule)}'{fact}"
            case Answer.UNKNOWN:
                return f"cannot be judged by '{describe(self.rule)}'{fact}"
            case _:
                assert_never(self.answer)


def judge(rule: Rule, record: MachineRecord) -> Verdict:
    match rule:
        case AllOf(rules):
            return _all_of(rule, [judge(part, record) for part in rules])
        case AnyOf(rules):
            return _any_of(rule, [judge(part, record) for part in rules])
        case Not(inner):
            return _not(rule, judge(inner, record))
        case NameIn(names):
            return _verdict(rule, record.name in names, f"name {record.name}")
        case SerialIn(serials):
            return _by_serial(rule, serials, record)
        case _:
            return _unknown(rule, UNSEEN) if record.facts is None else _by_facts(rule, record.facts)


def serials_of(record: MachineRecord) -> tuple[str, ...]:
    """Of the system and its board, from the facts and from the BMC; in capitals, without placeholders."""
    found = [record.facts.serial, record.facts.board_serial] if record.facts else []
    found += [record.identity.serial] if record.identity else []
    return tuple(dict.fromkeys(text.upper() for serial in found if (text := real_text(serial))))


def _all_of(rule: AllOf, parts: Sequence[Verdict]) -> Verdict:
    """The first part that fails decides, then the first that is not known."""
    for answer in (Answer.NO, Answer.UNKNOWN):
        for part in parts:
            if part.answer is answer:
                return part
    weight = sum({part.rule: part.specificity for part in parts}.values())
    return Verdict(answer=Answer.YES, rule=rule, fact=_joined(parts), specificity=weight)


def _any_of(rule: AnyOf, parts: Sequence[Verdict]) -> Verdict:
    """The closest part that is met decides."""
    if met := [part for part in parts if part.answer is Answer.YES]:
        return max(met, key=lambda part: part.specificity)
    answer = Answer.UNKNOWN if any(part.answer is Answer.UNKNOWN for part in parts) else Answer.NO
    return Verdict(answer=answer, rule=rule, fact=_joined(parts))


def _not(rule: Not, inner: Verdict) -> Verdict:
    match inner.answer:
        case Answer.YES:
            return Verdict(answer=Answer.NO, rule=rule, fact=inner.fact)
        case Answer.NO:
            return Verdict(answer=Answer.YES, rule=rule, fact=inner.fact, specificity=EXCLUDED)
        case Answer.UNKNOWN:
            return Verdict(answer=Answer.UNKNOWN, rule=rule, fact=inner.fact)
        case _:
            assert_never(inner.answer)


def _by_serial(rule: SerialIn, wanted: tuple[str, ...], record: MachineRecord) -> Verdict:
    own = serials_of(record)
    if not own:
        return _unknown(rule, "its serial number is not known")
    met = any(serial.strip().upper() in own for serial in wanted)
    return _verdict(rule, met, f"serial number {' and '.join(map(_short, own))}")


def _by_facts(
    rule: AtLeastCores | AtLeastMemory | AtLeastDisk | AtLeastNics | ProductIs | SwitchIs, facts: HardwareFacts
) -> Verdict:
    match rule:
        case AtLeastCores(cores):
            return _cores(rule, cores, facts)
        case AtLeastMemory(wanted):
            return _memory(rule, wanted, facts)
        case AtLeastDisk():
            return _disk(rule, facts)
        case AtLeastNics():
            return _nics(rule, facts)
        case ProductIs(product):
            own = real_text(facts.product)
            met = own.casefold() == product.strip().casefold()
            return _verdict(rule, met, f"product {_short(own)}") if own else _unknown(rule, "its product is not known")
        case SwitchIs(switch):
            return _switch(rule, switch, facts)
        case _:
            assert_never(rule)


def _cores(rule: AtLeastCores, wanted: int, facts: HardwareFacts) -> Verdict:
    if not facts.cores:
        return _unknown(rule, "its cores are not known")
    return _verdict(rule, facts.cores >= wanted, counted(facts.cores, "core"))


def _memory(rule: AtLeastMemory, wanted: int, facts: HardwareFacts) -> Verdict:
    if not facts.memory_bytes:
        return _unknown(rule, "its memory is not known")
    met = facts.memory_bytes * RESERVED >= wanted * (RESERVED - 1)
    return _verdict(rule, met, f"{facts.memory_bytes / GIB:.1f} GiB memory")


def _disk(rule: AtLeastDisk, facts: HardwareFacts) -> Verdict:
    """The fact is the smallest disk that meets the rule, else the largest that does not."""
    fixed = sorted(facts.fixed_disks, key=lambda disk: (disk.size_bytes, disk.rotational, disk.serial, disk.wwn))
    right = [disk for disk in fixed if rule.kind is DiskKind.ANY or not disk.rotational]
    fit = [disk for disk in right if disk.size_bytes >= rule.size_bytes]
    if fit:
        return _verdict(rule, True, _shown(fit[0]))
    if unread := [gap for gap in facts.gaps if gap.startswith("disks:")]:
        return _unknown(rule, f"its disks could not be read ({clean(unread[0], 2 * _SHOWN)})")
    largest = f"the largest is {_shown((right or fixed)[-1])}" if fixed else "no fixed disk"
    return _verdict(rule, False, largest)


def _nics(rule: AtLeastNics, facts: HardwareFacts) -> Verdict:
    fast = [nic for nic in facts.nics if not rule.mbps or (nic.speed_mbps or 0) >= rule.mbps]
    fact = counted(len(facts.nics), "NIC")
    fact += f", {len(fast)} linked at {rule.mbps} Mbit/s or above" if rule.mbps else ""
    return _verdict(rule, len(fast) >= rule.count, fact)


def _switch(rule: SwitchIs, switch: str, facts: HardwareFacts) -> Verdict:
    """Silence is no answer: a switch announces itself every 30 s, and some are told not to."""
    if not facts.neighbours:
        return _unknown(rule, "no LLDP neighbour was heard")
    wanted = switch.strip().casefold()
    heard = {(n.system or n.chassis): {n.system, n.system.split(".")[0], n.chassis} for n in facts.neighbours}
    met = any(wanted in {name.casefold() for name in names} for names in heard.values())
    return _verdict(rule, met, f"neighbour switch {' and '.join(sorted(map(_short, heard)))}")


def _verdict(rule: Rule, met: bool, fact: str) -> Verdict:
    return Verdict(
        answer=Answer.YES if met else Answer.NO, rule=rule, fact=fact, specificity=specificity(rule) if met else 0
    )


def _unknown(rule: Rule, why: str) -> Verdict:
    return Verdict(answer=Answer.UNKNOWN, rule=rule, fact=why)


def _joined(parts: Sequence[Verdict]) -> str:
    return ", ".join(dict.fromkeys(part.fact for part in parts if part.fact))


def _shown(disk: Disk) -> str:
    kind = "disk" if disk.rotational else "SSD"
    return f"{kind} {_short(disk.serial or disk.wwn or disk.name)} of {disk.size_bytes / GB:.4g} GB"


def _short(text: str) -> str:
    return clean(text, _SHOWN)

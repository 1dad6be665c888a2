"""Which disk a machine is installed on: chosen from facts by a stated policy, refused with reasons.

The name that the kernel gave (sda) and the order of the disks decide nothing: both change from boot to boot.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from appliance.errors import PlanError
from appliance.model.hardware import Disk, HardwareFacts

BLANK, UNREADABLE = "blank", "unreadable"
"""Fingerprints that `images.agent.disks` gives; the others name what is on the disk."""


class DiskKind(Enum):
    ANY = "disk"
    SSD = "SSD"


class Tie(Enum):
    """Which of several equal disks (size and kind) is meant.

    Twin blank disks are ordinary in a server, and nothing is lost on either: a serial number decides, which is the same
    at every boot. Where a twin holds something, only a person knows which may be overwritten and which left behind.
    """

    SERIAL_IF_BLANK = "serial-if-blank"
    SERIAL = "serial"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestDisk:
    """The smallest disk of at least `minimum_bytes` and of the image's size; of equals, the faster kind, then `tie`."""

    minimum_bytes: int = 0
    kind: DiskKind = DiskKind.ANY
    tie: Tie = Tie.SERIAL_IF_BLANK


@dataclass(frozen=True, slots=True)
class DiskBySerial:
    serial: str


@dataclass(frozen=True, slots=True)
class DiskByWwn:
    wwn: str


DiskPolicy = SmallestDisk | DiskBySerial | DiskByWwn


class Overwrite(Enum):
    """What may be destroyed on the chosen disk."""

    BLANK_ONLY = "blank-only"
    ANYTHING = "anything"


def choose_disk(
    facts: HardwareFacts, policy: DiskPolicy, image_bytes: int, overwrite: Overwrite = Overwrite.BLANK_ONLY
) -> Disk:
    """Raises `PlanError` where none fits or several fit equally; its evidence is one line per disk with the reason."""
    least = max(image_bytes, policy.minimum_bytes) if isinstance(policy, SmallestDisk) else image_bytes
    reasons = {
        disk.name: _not_meant(disk, policy, facts) or _unfit(disk, least, facts) or _precious(disk, overwrite)
        for disk in facts.disks
    }
    fit = sorted((disk for disk in facts.disks if not reasons[disk.name]), key=_order)
    if not fit:
        raise _refusal(facts, policy, reasons)
    twins = [disk for disk in fit if (disk.size_bytes, disk.rotational) == (fit[0].size_bytes, fit[0].rotational)]
    if len(twins) > 1 and isinstance(policy, SmallestDisk) and _must_ask(policy.tie, twins):
        raise _ambiguity(policy, twins)
    return fit[0]


def describe(disk: Disk) -> str:
    """One line for people: "SER123 (20.0 GB, QEMU HARDDISK)"."""
    model = f", {disk.model}" if disk.model else ""
    return f"{disk.serial or disk.wwn or disk.name} ({_size(disk.size_bytes)}{model})"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _order(disk: Disk) -> tuple[int, bool, str, str]:
    return disk.size_bytes, disk.rotational, disk.serial, disk.wwn


def _not_meant(disk: Disk, policy: DiskPolicy, facts: HardwareFacts) -> str:
    match policy:
        case SmallestDisk():
            return "it rotates, and an SSD is wanted" if policy.kind is DiskKind.SSD and disk.rotational else ""
        case DiskBySerial():
            return _not_named("serial number", policy.serial, disk.serial, [other.serial for other in facts.disks])
        case DiskByWwn():
            return _not_named("WWN", policy.wwn, disk.wwn, [other.wwn for other in facts.disks])
        case _:
            assert_never(policy)


def _not_named(what: str, wanted: str, own: str, all_of_them: list[str]) -> str:
    if not own or own != wanted:
        return f"another {what}"
    return f"not the only disk with this {what}" if all_of_them.count(own) > 1 else ""


def _unfit(disk: Disk, least: int, facts: HardwareFacts) -> str:
    if disk.removable:
        return "removable"
    if disk.contents == UNREADABLE:
        return "it cannot be read"
    if not disk.serial and not disk.wwn:
        return "neither serial number nor WWN: it could not be told from another"
    if any(other is not disk and _would_name(disk, other) for other in facts.disks):
        return "another disk answers to its serial number and WWN"
    if disk.size_bytes < least:
        return f"too small, {_size(least)} are needed"
    return ""


def _would_name(disk: Disk, other: Disk) -> bool:
    """As the agent reads a disk's name: what is empty in it fits any disk."""
    return disk.serial in ("", other.serial) and disk.wwn in ("", other.wwn)


def _precious(disk: Disk, overwrite: Overwrite) -> str:
    match overwrite:
        case Overwrite.BLANK_ONLY:
            return "" if disk.contents == BLANK else f"not blank, {_held(disk)}"
        case Overwrite.ANYTHING:
            return ""
        case _:
            assert_never(overwrite)


def _must_ask(tie: Tie, twins: list[Disk]) -> bool:
    match tie:
        case Tie.SERIAL:
            return False
        case Tie.SERIAL_IF_BLANK:
            return any(disk.contents != BLANK for disk in twins)
        case Tie.ASK:
            return True
        case _:
            assert_never(tie)


def _ambiguity(policy: SmallestDisk, twins: list[Disk]) -> PlanError:
    names = ", ".join(disk.serial or disk.wwn for disk in twins)
    held = (f"{disk.name}: {describe(disk)}: {_held(disk)}" for disk in twins)
    return PlanError(
        f"{len(twins)} disks fit equally under {_wanted(policy)}",
        evidence="\n".join(held),
        next_action=f"name one of them by its serial number or WWN ({names}), or let the lowest win: Tie.SERIAL",
    )


def _held(disk: Disk) -> str:
    return "blank" if disk.contents == BLANK else f"it holds {disk.contents or 'something unknown'}"


def _refusal(facts: HardwareFacts, policy: DiskPolicy, reasons: dict[str, str]) -> PlanError:
    seen = [f"{disk.name}: {describe(disk)}: {reasons[disk.name]}" for disk in facts.disks] or ["no disk was seen"]
    return PlanError(
        f"no disk fits {_wanted(policy)}",
        evidence="\n".join([*seen, *facts.gaps]),
        next_action=_remedy(facts, reasons),
    )


def _wanted(policy: DiskPolicy) -> str:
    match policy:
        case SmallestDisk():
            least = f" of at least {policy.minimum_bytes / 1e9:.1f} GB" if policy.minimum_bytes else ""
            return f"the policy: smallest {policy.kind.value}{least}"
        case DiskBySerial():
            return f"the policy: disk with serial number {policy.serial!r}"
        case DiskByWwn():
            return f"the policy: disk with WWN {policy.wwn!r}"
        case _:
            assert_never(policy)


def _remedy(facts: HardwareFacts, reasons: dict[str, str]) -> str:
    if any(reason.startswith("not blank") for reason in reasons.values()):
        return "save what the disk holds, then allow Overwrite.ANYTHING, or name another disk"
    if reasons and all(reason.startswith("too small") for reason in reasons.values()):
        return "put a larger disk in and start the machine again, so that it is looked at; or install a smaller image"
    names = ", ".join(sorted(disk.serial or disk.wwn for disk in facts.disks if disk.serial or disk.wwn))
    return (
        f"name one of the disks present by its serial number or WWN ({names})"
        if names
        else "put a disk in and start the machine again, so that it is looked at"
    )

"""Rules: which machines a role may have, as values that a site program states and combines.

`specificity` says how closely a rule names a machine: a serial number names one, a product names a row of a catalogue,
a number of cores names whatever is large enough. Where two roles want one machine, the closer rule has it.
"""

from dataclasses import dataclass
from typing import assert_never

from appliance.errors import SiteError
from appliance.inventory.bogus import real_text
from appliance.model.ids import MachineName
from appliance.roles.disk import DiskKind

NAMED, MODEL, COUNTED, EXCLUDED = 1_000_000, 10_000, 100, 1
"""So far apart that no number of the vaguer weighs as much as one of the closer, below a hundred to a rule."""

GB, GIB = 10**9, 1 << 30


def _check_text(what: str, text: str) -> None:
    if not real_text(text):
        raise SiteError(
            f"{text[:70]!r} names no machine: vendors leave it as a placeholder",
            next_action=f"give the {what} that the machine itself shows",
        )


def _check_several(kind: str, values: tuple[object, ...]) -> None:
    _check_tuple(kind, values)
    if not values:
        raise SiteError(f"{kind} of nothing fits no machine", next_action="name at least one, or leave the rule out")


def _check_tuple(kind: str, values: object) -> None:
    """A text where a tuple is meant would be taken apart into its letters."""
    if not isinstance(values, tuple):
        raise SiteError(f"{kind} takes a tuple, not {values!r:.70}", next_action=f"write {kind}((first, second))")


@dataclass(frozen=True, slots=True)
class AtLeastCores:
    cores: int


@dataclass(frozen=True, slots=True)
class AtLeastMemory:
    """As the modules are sold. The kernel reports less, see `appliance.roles.verdict`."""

    memory_bytes: int


@dataclass(frozen=True, slots=True)
class AtLeastDisk:
    """One fixed disk of that size and kind."""

    size_bytes: int
    kind: DiskKind = DiskKind.ANY


@dataclass(frozen=True, slots=True)
class AtLeastNics:
    """With `mbps`, only NICs count whose link is up at that speed or above."""

    count: int
    mbps: int = 0


@dataclass(frozen=True, slots=True)
class ProductIs:
    """The product name of the system (SMBIOS type 1), whatever its capitals."""

    product: str

    def __post_init__(self) -> None:
        _check_text("product name", self.product)


@dataclass(frozen=True, slots=True)
class SerialIn:
    """Serial numbers of systems or of their boards, whatever their capitals."""

    serials: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_several("SerialIn", self.serials)
        for serial in self.serials:
            _check_text("serial number", serial)


@dataclass(frozen=True, slots=True)
class NameIn:
    names: tuple[MachineName, ...]

    def __post_init__(self) -> None:
        _check_several("NameIn", self.names)


@dataclass(frozen=True, slots=True)
class SwitchIs:
    """A neighbour heard by LLDP: its system name, with or without the domain, or its chassis ID."""

    switch: str

    def __post_init__(self) -> None:
        _check_text("switch", self.switch)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Of no rules: any machine."""

    rules: tuple["Rule", ...]

    def __post_init__(self) -> None:
        _check_tuple("AllOf", self.rules)


@dataclass(frozen=True, slots=True)
class AnyOf:
    rules: tuple["Rule", ...]

    def __post_init__(self) -> None:
        _check_several("AnyOf", self.rules)


@dataclass(frozen=True, slots=True)
class Not:
    rule: "Rule"


Leaf = AtLeastCores | AtLeastMemory | AtLeastDisk | AtLeastNics | ProductIs | SerialIn | NameIn | SwitchIs
Rule = Leaf | AllOf | AnyOf | Not

ANY_MACHINE = AllOf(())


def specificity(rule: Rule) -> int:
    """All of several rules weigh together, each once; any of several is no closer than the vaguest of them."""
    match rule:
        case SerialIn() | NameIn():
            return NAMED
        case ProductIs() | SwitchIs():
            return MODEL
        case AtLeastCores() | AtLeastMemory() | AtLeastDisk() | AtLeastNics():
            return COUNTED
        case AllOf(rules):
            return sum(specificity(part) for part in set(rules))
        case AnyOf(rules):
            return min(specificity(part) for part in rules)
        case Not():
            return EXCLUDED
        case _:
            assert_never(rule)


def leaves(rule: Rule) -> tuple[Leaf, ...]:
    """Every single rule inside, those under `Not` too."""
    match rule:
        case AllOf(rules) | AnyOf(rules):
            return tuple(leaf for part in rules for leaf in leaves(part))
        case Not(inner):
            return leaves(inner)
        case _:
            return (rule,)


def describe(rule: Rule) -> str:
    """For people: "at least 4 cores and at least 16 GiB memory"."""
    match rule:
        case AtLeastCores(cores):
            return f"at least {counted(cores, 'core')}"
        case AtLeastMemory(memory_bytes):
            return f"at least {memory_bytes / GIB:.3g} GiB memory"
        case AtLeastDisk(size_bytes, kind):
            return f"{'an' if kind is DiskKind.SSD else 'a'} {kind.value} of at least {size_bytes / GB:.4g} GB"
        case AtLeastNics(count, mbps):
            return f"at least {counted(count, 'NIC')}{f' linked at {mbps} Mbit/s' if mbps else ''}"
        case ProductIs(product):
            return f"product {product}"
        case SerialIn(serials):
            return f"serial number {' or '.join(serials)}"
        case NameIn(names):
            return f"name {' or '.join(names)}"
        case SwitchIs(switch):
            return f"neighbour switch {switch}"
        case AllOf(rules):
            return " and ".join(map(_bracketed, rules)) or "any machine"
        case AnyOf(rules):
            return " or ".join(map(_bracketed, rules))
        case Not(inner):
            return f"not {_bracketed(inner)}"
        case _:
            assert_never(rule)


def _bracketed(rule: Rule) -> str:
    compound = isinstance(rule, AllOf | AnyOf) and len(rule.rules) > 1
    return f"({describe(rule)})" if compound else describe(rule)


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"

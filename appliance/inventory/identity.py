"""Who is this? Evidence from a machine against what the BMCs said of the machines we know.

Rules
* Each trait (UUID, serial, MAC) counts for the machine that has it; a UUID or serial that differs counts against it,
  so that a NIC moved into another chassis does not take the name along.
* A trait that two known machines claim decides nothing and is reported: both are kept out until a person has looked.
* Placeholders of firmware vendors (see `bogus`) are no traits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from typing import NamedTuple
from uuid import UUID

from appliance.inventory.bogus import is_real_mac, real_text, real_uuid
from appliance.model.bmc import SystemIdentity
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import MachineName
from pxe.client import Mac


class _Kind(Enum):
    UUID = "UUID"
    SERIAL = "serial number"
    MAC = "MAC"


_WEIGHTS = {_Kind.UUID: 50, _Kind.SERIAL: 25, _Kind.MAC: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a machine says of itself."""

    uuid: UUID | None = None
    serial: str = ""
    board_serial: str = ""
    macs: tuple[Mac, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    name: MachineName


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """None of the known machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """`names` are sorted; `why` is a sentence for people."""

    names: tuple[MachineName, ...]
    why: str


Verdict = Match | Unknown | Conflict


class _Trait(NamedTuple):
    kind: _Kind
    text: str


def evidence_of(facts: HardwareFacts) -> Evidence:
    macs = tuple(nic.mac for nic in facts.nics)
    return Evidence(uuid=facts.uuid, serial=facts.serial, board_serial=facts.board_serial, macs=macs)


@dataclass(frozen=True, slots=True)
class Identities:
    """What the BMCs said of the machines that we know, by trait. A value: `put` makes another one."""

    _claims: Mapping[_Trait, frozenset[MachineName]] = field(default_factory=dict)
    _traits: Mapping[MachineName, frozenset[_Trait]] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Mapping[MachineName, SystemIdentity]) -> "Identities":
        return reduce(lambda made, name: made.put(name, known[name]), known, cls())

    def put(self, machine: MachineName, identity: SystemIdentity) -> "Identities":
        before, now = self.traits_of(machine), frozenset(_traits_of(identity))
        claims = dict(self._claims)
        for trait in before - now:
            claims[trait] = claims[trait] - {machine}
        for trait in now - before:
            claims[trait] = claims.get(trait, frozenset()) | {machine}
        return Identities(claims, {**self._traits, machine: now})

    def __contains__(self, machine: MachineName) -> bool:
        return machine in self._traits

    def traits_of(self, machine: MachineName) -> frozenset[_Trait]:
        return self._traits.get(machine, frozenset())

    def claimants(self, trait: _Trait) -> frozenset[MachineName]:
        return self._claims.get(trait, frozenset())

    def clash(self, machine: MachineName, identity: SystemIdentity) -> Conflict | None:
        """The weightiest trait that another machine claims as well, if `machine` has that identity."""
        for trait in _sorted(_traits_of(identity)):
            if others := self.claimants(trait) - {machine}:
                return _conflict(trait, {machine, *others})
        return None


def identify(evidence: Evidence, known: Identities) -> Verdict:
    """Total, and independent of any order; never a match where two machines have an equal claim."""
    # some BMCs give the board's serial number as the system's
    seen = _traits(evidence.uuid, (evidence.serial, evidence.board_serial), evidence.macs)
    for trait in _sorted(seen):
        if len(known.claimants(trait)) > 1:
            return _conflict(trait, known.claimants(trait))
    candidates = {name for trait in seen for name in known.claimants(trait)}
    claims = sorted(name for name in candidates if _score(seen, known.traits_of(name)) > 0)
    match claims:
        case []:
            return Unknown()
        case [name]:
            return Match(name=name)
        case _:
            return Conflict(names=tuple(claims), why=f"traits of {' and '.join(claims)} in one machine")


def _sorted(traits: Iterable[_Trait]) -> list[_Trait]:
    return sorted(traits, key=lambda trait: (-_WEIGHTS[trait.kind], trait.kind.value, trait.text))


def _conflict(trait: _Trait, names: Iterable[MachineName]) -> Conflict:
    claimants = tuple(sorted(names))
    return Conflict(
        names=claimants, why=f"duplicate {trait.kind.value} {trait.text} claimed by {' and '.join(claimants)}"
    )


def _score(seen: set[_Trait], known: frozenset[_Trait]) -> int:
    score = sum(_WEIGHTS[trait.kind] for trait in seen & known)
    for kind in (_Kind.UUID, _Kind.SERIAL):
        ours, theirs = ({t for t in traits if t.kind is kind} for traits in (seen, known))
        if ours and theirs and not ours & theirs:
            score -= _WEIGHTS[kind]
    return score


def _traits_of(identity: SystemIdentity) -> set[_Trait]:
    return _traits(identity.uuid, (identity.serial,), identity.macs)


def _traits(uuid: UUID | None, serials: tuple[str, ...], macs: tuple[Mac, ...]) -> set[_Trait]:
    traits = {_Trait(_Kind.SERIAL, text.upper()) for serial in serials if (text := real_text(serial))}
    traits |= {_Trait(_Kind.MAC, mac.text) for mac in macs if is_real_mac(mac)}
    if real := real_uuid(uuid):
        traits.add(_Trait(_Kind.UUID, _either_order(real)))
    return traits


def _either_order(uuid: UUID) -> str:
    """SMBIOS 2.6 turned the first three fields little-endian (DSP0134, 7.2.1); BMC and BIOS do not always agree."""
    return str(min(uuid, UUID(bytes=uuid.bytes_le)))

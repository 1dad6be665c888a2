"""Machines as NetBox and the site know them, and what the two say otherwise of each other. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from appliance.errors import StaleError, UsageError
from appliance.model.codec import to_json
from appliance.netbox.wiring import PortChange


class Truth(Enum):
    NETBOX = "netbox"
    APPLIANCE = "appliance"


class Field(Enum):
    """What is compared."""

    RACK = "rack"
    UNIT = "unit"
    HEIGHT = "height"
    FACE = "face"
    ADDRESS = "address"
    OOB = "oob"
    MAC = "mac"
    SERIAL = "serial"


TRUTHS: Mapping[Field, Truth] = {
    **dict.fromkeys(Field, Truth.NETBOX),
    Field.SERIAL: Truth.APPLIANCE,
}
"""Unless told otherwise: people state where a machine stands and how it is reached; what it is called on its board is
read from it."""
EXPORTED = frozenset({Field.SERIAL})
"""What can be written to NetBox: the rest needs objects of their own there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """`unit` is the lowest, from 1, and 0 where it has no place; `address` and `oob` are IPv4 without a prefix length.
    `mac` is that of its only port that is not for management. What is not known is "".
    """

    name: str
    rack: str = ""
    unit: int = 0
    height: int = 1
    face: str = ""
    address: str = ""
    oob: str = ""
    mac: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`source` is where it is from, for people."""

    source: str
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Of one field of one machine, or with `field` None of a whole machine that comes or goes."""

    machine: str
    field: Field | None
    before: str
    after: str

    def __str__(self) -> str:
        if self.field is None:
            return f"{'+' if self.after else '-'} {self.machine}"
        return f"~ {self.machine} {self.field.value}: {self.before or '-'} -> {self.after or '-'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What would become of `target`. Whoever names `digest` has seen this one and no other."""

    target: str
    changes: tuple[Change, ...]
    ports: tuple[PortChange, ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(to_json(self)).hexdigest()


def to_site(theirs: Fleet, ours: Fleet, truths: Mapping[Field, Truth]) -> tuple[Diff, Fleet]:
    """What an import changes, and the fleet that it leaves. What the appliance is the truth of stays as it is."""
    taken = [field for field in Field if truths[field] is Truth.NETBOX]
    known = {device.name: device for device in ours.devices}
    after = tuple(
        _with(known.get(device.name, Device(name=device.name)), device, taken)
        for device in sorted(theirs.devices, key=lambda device: device.name)
    )
    changes = tuple(_compared(known, {device.name: device for device in after}, tuple(Field)))
    return Diff(target="site", changes=changes), Fleet(source=theirs.source, devices=after)


def to_netbox(theirs: Fleet, ours: Fleet, truths: Mapping[Field, Truth]) -> Diff:
    """What an export changes: fields of machines that both know. What is not known here never empties a field there."""
    given = [field for field in Field if truths[field] is Truth.APPLIANCE and field in EXPORTED]
    there = {device.name: device for device in theirs.devices}
    changes = [
        change
        for device in sorted(ours.devices, key=lambda device: device.name)
        if device.name in there
        for change in _fields(there[device.name], device, given)
        if change.after
    ]
    return Diff(target="netbox", changes=tuple(changes))


def approved(diff: Diff, digest: str) -> Diff:
    """Raises `StaleError` where the digest is that of another diff, `UsageError` where it is too short to name one."""
    if len(digest) < 12:
        raise UsageError("a digest is named by 12 characters or more", next_action="copy it from the diff")
    if not diff.digest.startswith(digest):
        raise StaleError(
            "this is not the diff that was looked at",
            evidence=f"now {diff.digest[:12]}, named {digest[:12]}",
            next_action="look at it again, and name the digest that it shows",
        )
    return diff


def truths_of(words: Sequence[str]) -> Mapping[Field, Truth]:
    """From `serial=netbox`. Raises `UsageError`."""
    said = dict(TRUTHS)
    for word in words:
        name, _, truth = word.partition("=")
        try:
            said[Field(name)] = Truth(truth)
        except ValueError as error:
            fields = ", ".join(field.value for field in Field)
            action = f"write FIELD=netbox or FIELD=appliance; fields: {fields}"
            raise UsageError(f"{word[:40]!r} says no truth", next_action=action) from error
    return said


def value_of(device: Device, field: Field) -> str:
    match field:
        case Field.RACK:
            return device.rack
        case Field.UNIT:
            return str(device.unit or "")
        case Field.HEIGHT:
            return str(device.height)
        case Field.FACE:
            return device.face
        case Field.ADDRESS:
            return device.address
        case Field.OOB:
            return device.oob
        case Field.MAC:
            return device.mac
        case Field.SERIAL:
            return device.serial
        case _:
            assert_never(field)


def _with(device: Device, other: Device, taken: Sequence[Field]) -> Device:
    for field in taken:
        device = _taking(device, other, field)
    return device


def _taking(device: Device, other: Device, field: Field) -> Device:
    match field:
        case Field.RACK:
            return replace(device, rack=other.rack)
        case Field.UNIT:
            return replace(device, unit=other.unit)
        case Field.HEIGHT:
            return replace(device, height=other.height)
        case Field.FACE:
            return replace(device, face=other.face)
        case Field.ADDRESS:
            return replace(device, address=other.address)
        case Field.OOB:
            return replace(device, oob=other.oob)
        case Field.MAC:
            return replace(device, mac=other.mac)
        case Field.SERIAL:
            return replace(device, serial=other.serial)
        case _:
            assert_never(field)


def _compared(before: Mapping[str, Device], after: Mapping[str, Device], fields: Sequence[Field]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Change(machine=name, field=None, before=name, after="")
            continue
        if name not in before:
            yield Change(machine=name, field=None, before="", after=name)
        yield from _fields(before.get(name, Device(name=name)), after[name], fields)


def _fields(before: Device, after: Device, fields: Sequence[Field]) -> Iterator[Change]:
    for field in fields:
        was, now = value_of(before, field), value_of(after, field)
        if was != now:
            yield Change(machine=after.name, field=field, before=was, after=now)

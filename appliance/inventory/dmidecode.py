"""The text of dmidecode(8): one paragraph per SMBIOS structure (DSP0134), tab-indented "Key: value" lines.

Handle 0x0100, DMI type 1, 27 bytes
System Information
        Manufacturer: Dell Inc.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from appliance.errors import AgentError
from appliance.inventory.bogus import real_text, real_uuid
from appliance.model.text import clean

_FIRMWARE, _SYSTEM, _BOARD, _PROCESSOR, _MEMORY = 0, 1, 2, 4, 17
_HANDLE = re.compile(r"Handle 0x[0-9A-Fa-f]{1,8}, DMI type (\d{1,3}), \d{1,6} bytes")
_FIELD = re.compile(r"\t([^\t:]{1,80}):[ \t]*(.*)")
_SIZE = re.compile(r"(\d{1,9}) (bytes|kB|MB|GB|TB)")
_UNITS = {"bytes": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_NO_UUID = frozenset({"", "not present", "not settable", "not specified"})
_MAX_STRUCTURES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Dmi:
    """What one machine's tables say; empty or 0 where they do not, and where the vendor left a placeholder."""

    uuid: UUID | None
    serial: str
    board_serial: str
    manufacturer: str
    product: str
    cpu_model: str
    cores: int
    memory_bytes: int
    sockets: int = 0
    firmware_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Structure:
    kind: int
    fields: Mapping[str, str]

    def text(self, key: str) -> str:
        return real_text(clean(self.fields.get(key, ""), 200))


def parse_dmidecode(text: str) -> Dmi:
    """Raises `AgentError` where a value cannot be what its key says."""
    structures = tuple(_structures(text))
    system = _first(structures, _SYSTEM)
    processors = [s for s in structures if s.kind == _PROCESSOR and "Populated" in s.fields.get("Status", "Populated")]
    return Dmi(
        uuid=_uuid(system.fields.get("UUID", "")),
        serial=system.text("Serial Number"),
        board_serial=_first(structures, _BOARD).text("Serial Number"),
        manufacturer=system.text("Manufacturer"),
        product=system.text("Product Name"),
        cpu_model=processors[0].text("Version") if processors else "",
        cores=sum(_count(s.fields.get("Core Count", "0")) for s in processors),
        memory_bytes=sum(_size(s.fields.get("Size", "")) for s in structures if s.kind == _MEMORY),
        sockets=len(processors),
        firmware_version=_version(_first(structures, _FIRMWARE)),
    )


def _version(firmware: _Structure) -> str:
    """ "2.19.1 (06/04/2026)" """
    version, date = firmware.text("Version"), firmware.text("Release Date")
    return f"{version} ({date})" if version and date else version


def _first(structures: tuple[_Structure, ...], kind: int) -> _Structure:
    return next((s for s in structures if s.kind == kind), _Structure(kind=kind, fields={}))


def _structures(text: str) -> Iterator[_Structure]:
    kind, fields, seen = -1, dict[str, str](), 0
    for line in text.split("\n"):
        if handle := _HANDLE.fullmatch(line.rstrip()):
            if kind >= 0:
                yield _Structure(kind=kind, fields=fields)
            kind, fields, seen = int(handle[1]), {}, seen + 1
        elif field := _FIELD.fullmatch(line):
            fields.setdefault(field[1], field[2].strip())
        if seen > _MAX_STRUCTURES:
            raise _nonsense("structures", f"more than {_MAX_STRUCTURES}")
    if kind >= 0:
        yield _Structure(kind=kind, fields=fields)


def _uuid(text: str) -> UUID | None:
    if text.lower() in _NO_UUID:
        return None
    try:
        return real_uuid(UUID(text))
    except ValueError as error:
        raise _nonsense("UUID", text) from error


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise _nonsense("Core Count", text)
    return int(text)


def _size(text: str) -> int:
    """An empty slot says "No Module Installed"."""
    size = _SIZE.fullmatch(text)
    return int(size[1]) * _UNITS[size[2]] if size else 0


def _nonsense(key: str, text: str) -> AgentError:
    return AgentError(
        f"dmidecode: the {key} cannot be right",
        evidence=clean(text, 80),
        next_action="run dmidecode on the machine; update its firmware if it shows the same",
    )

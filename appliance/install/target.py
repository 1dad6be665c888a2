"""May an installer write to the disk that it found? Pure.

It is the agent's own judgement (`images.agent.disks`), made here: installers of others have no agent inside.
"""

from dataclasses import dataclass

from appliance.plan import DiskRef
from images.agent.disks import BLANK, FINGERPRINT_BYTES, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A disk as the installer sees it; `start` are its first `FINGERPRINT_BYTES`."""

    serial: str
    wwn: str
    size_bytes: int
    start: bytes


def objection(wanted: DiskRef, found: Found, *, again: bool) -> str:
    """ "" when it may. `again`: it was let at this disk before, so that what is there now is its own."""
    named = bool(wanted.serial or wanted.wwn)
    if not (named and wanted.serial in ("", found.serial) and wanted.wwn in ("", found.wwn)):
        return (
            f"the disk has serial {found.serial or '-'} and WWN {found.wwn or '-'}, "
            f"the plan names {wanted.serial or '-'} and {wanted.wwn or '-'}"
        )
    if found.size_bytes != wanted.size_bytes:
        return f"the disk has {found.size_bytes} bytes, the plan says {wanted.size_bytes}"
    if len(found.start) != FINGERPRINT_BYTES:
        return f"{len(found.start)} bytes of the disk's start came, {FINGERPRINT_BYTES} tell what it holds"
    contents = fingerprint(found.start, {})
    if again or contents in (BLANK, wanted.contents):
        return ""
    return f"the disk holds foreign data: {contents}, the plan names {wanted.contents}"

"""The audit log as bytes: JSON lines, each with the SHA-256 of the line before it."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.errors import UsageError
from appliance.model.access_views import AuditEntryView
from appliance.model.codec import from_json, to_json

_HEAD = re.compile(rb"(\d{20}) ([0-9a-f]{64})\n")
GENESIS = "0" * 64
"""What the first line names as the one before it."""
CUT = "audit_cut"
"""The event of a line that says that lines before it are gone: a break for ever."""
DROPPED = "audit_dropped"
"""The event of a line that says which old lines were given up for new ones: no break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    entry: AuditEntryView
    prev: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The last line of a chain: its number from 1, and its SHA-256."""

    seq: int = 0
    digest: str = GENESIS


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    line: int
    reason: str


def linked(entry: AuditEntryView, before: Link) -> tuple[bytes, Link]:
    """The line, with its line feed, and the link that it makes."""
    data = to_json(Line(entry=entry, prev=before.digest)) + b"\n"
    return data, link_of(data, entry.seq)


def link_of(data: bytes, seq: int) -> Link:
    """What a line with this number is to the next one, whatever it says."""
    return Link(seq=seq, digest=hashlib.sha256(data.rstrip(b"\n")).hexdigest())


def parsed(data: bytes) -> Line:
    """Raises `UsageError`."""
    return from_json(Line, data)


def head_of(link: Link) -> bytes:
    """What is kept beside the log, of one size always: without it nobody could see that its end is gone."""
    return f"{link.seq:020d} {link.digest}\n".encode()


def parsed_head(data: bytes) -> Link | None:
    """None where nothing was ever kept. Raises `UsageError`."""
    if not data:
        return None
    match = _HEAD.fullmatch(data)
    if match is None:
        raise UsageError("this is no head of an audit log", evidence=repr(data[:100]))
    return Link(seq=int(match[1]), digest=match[2].decode())


def first_break(lines: Iterable[bytes], end: Link | None = None, base: Link = Link()) -> Break | None:
    """Where the chain breaks first. `end` is what its last line is known to be: without it nobody can see that lines
    are missing at the end. `base` is the line before the first one, where older ones were dropped."""
    link = base
    for number, data in enumerate(lines, base.seq + 1):
        try:
            line = parsed(data)
        except UsageError as error:
            return Break(line=number, reason=f"not a line of this log: {error}"[:300])
        if line.entry.seq != number:
            return Break(line=number, reason=f"line {number} calls itself {line.entry.seq}: lines are missing")
        if line.prev != link.digest:
            return Break(line=number, reason="the line before it is not the one that it was written behind")
        if line.entry.event == CUT:
            return Break(line=number, reason=line.entry.target)
        link = link_of(data, number)
    if end is not None and link.seq < end.seq:
        return Break(line=link.seq + 1, reason=f"the log ends here; {end.seq} lines were written")
    if end is not None and link != end:
        return Break(line=link.seq, reason="the last line is not the one that was written")
    return None

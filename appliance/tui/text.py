"""Lines of a terminal as values: what they say and in which tone. Pure.

Text passes `span` or `wrapped` on its way to a screen and is ASCII from then on: a serial line of 1978 and a console
with 256 glyphs show the same letters.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from appliance.model.text import clean

TEXT_LIMIT = 2000


class Tone(Enum):
    """Why a span stands out; a terminal without colours loses nothing, because its text says the same."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    WARN = "warn"
    HELD = "held"
    TITLE = "title"
    RULE = "rule"
    BAR = "bar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    text: str
    tone: Tone = Tone.PLAIN
    selected: bool = False


Line = tuple[Span, ...]
EMPTY: Line = ()


def ascii_of(text: str, limit: int = TEXT_LIMIT) -> str:
    """`clean`, without marks over letters, and `?` for what ASCII has no letter for; at most `limit` characters."""
    plain = unicodedata.normalize("NFKD", clean(text, limit))
    kept = "".join(character for character in plain if not unicodedata.combining(character))
    shown = kept.encode("ascii", "replace").decode("ascii")
    return shown if len(shown) <= limit else f"{shown[: max(0, limit - 2)]}.."


def span(text: str, tone: Tone = Tone.PLAIN, limit: int = TEXT_LIMIT) -> Span:
    return Span(text=ascii_of(text, limit), tone=tone)


def line(text: str, tone: Tone = Tone.PLAIN) -> Line:
    return (span(text, tone),)


def wrapped(text: str, width: int, tone: Tone = Tone.PLAIN, *, first: str = "", rest: str = "") -> Iterator[Line]:
    """Broken at blanks, and inside of words longer than a line; `first` and `rest` are what the lines begin with."""
    room, row = max(8, width - max(len(first), len(rest))), ""
    lead = first
    for word in (piece for whole in ascii_of(text).split(" ") for piece in _pieces(whole, room)):
        if row and len(row) + 1 + len(word) > room:
            yield (span(lead + row, tone),)
            row, lead = word, rest
        else:
            row = f"{row} {word}" if row else word
    yield (span(lead + row, tone),)


def _pieces(word: str, room: int) -> Iterator[str]:
    yield from (word[at : at + room] for at in range(0, len(word), room))


def length(row: Line) -> int:
    return sum(len(part.text) for part in row)


def plain(row: Line) -> str:
    return "".join(part.text for part in row).rstrip()


def fitted(row: Line, width: int) -> Line:
    """Exactly `width` cells: filled with blanks, or cut with `>` in the last one."""
    missing = width - length(row)
    if missing >= 0:
        return (*row, Span(text=" " * missing)) if missing else row
    return (*_head(row, width - 1), Span(text=">", tone=Tone.DIM))


def _head(row: Line, width: int) -> Iterator[Span]:
    for part in row:
        if width > 0:
            yield replace(part, text=part.text[:width])
        width -= len(part.text)


def joined(parts: Iterable[Line], gap: str = "  ") -> Line:
    filled = [part for part in parts if part]
    between = (Span(text=gap),)
    return tuple(one for at, part in enumerate(filled) for one in ((*between, *part) if at else part))


def selected(row: Line) -> Line:
    return tuple(replace(part, selected=True) for part in row)


def marked(on: bool) -> Span:
    """Where the cursor stands, in a letter too."""
    return Span(text="> " if on else "  ", tone=Tone.STRONG)

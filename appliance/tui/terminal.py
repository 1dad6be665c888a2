"""What kind of terminal this is: which glyphs it has, how fast it is, and what must not be sent to it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.tui.text import Tone

ASCII = frozenset(chr(code) for code in range(0x20, 0x7F))
# Of CP437, and therefore in every font of a Linux console: what rules and bars are drawn of.
CP437 = frozenset("─█░")
ALLOWED = ASCII | CP437

_DRAWN: dict[Tone, dict[int, str]] = {
    Tone.RULE: str.maketrans({"-": "─"}),
    Tone.BAR: str.maketrans({"#": "█", "-": "░"}),
}
_OLD = ("vt", "ansi", "dumb", "unknown", "")
# textual asks these of every terminal, or turns them on. A Linux console before 5.12, and a VT100, print the end of
# those with an intermediate or a private prefix as text; the rest means nothing to them.
_UNKNOWN = frozenset(
    {
        "\x1b[?2026$p",  # is output synchronised
        "\x1b[?2048$p",  # is a resize told in band
        "\x1b[?2004h",  # bracketed paste
        "\x1b[?2004l",
        "\x1b[?1004h",  # focus
        "\x1b[?1004l",
        "\x1b[?2048l",
        "\x1b[<u",  # keyboard protocol of kitty
        "\x1b[>25u",
    }
)
# Blanks without attributes from here to the right edge: erase in line (ECMA-48 section 8.3.41) says the same in three.
_TAIL = re.compile(r" {4,}\n(?=\x1b\[\d+;1H)")
# Operating system commands, such as the shape of the pointer: a console may print them to their end.
_OSC = "\x1b]"
_FALLBACK = {"\x1b[?1049h": "\x1b[2J\x1b[H", "\x1b[?1049l": "\x1b[2J\x1b[H"}
"""These have no second screen: the one there is is cleared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """`tick` in seconds: how often what only the clock changes is drawn anew."""

    glyphs: bool
    plain: bool
    tick: float


def terminal_of(environment: Mapping[str, str], encoding: str) -> Terminal:
    """By TERM, whose names are those of terminfo, and by what standard output can encode."""
    name = environment.get("TERM", "")
    old = name.startswith(_OLD[:-1]) or name == ""
    glyphs = not old and encoding.lower().replace("-", "") == "utf8"
    return Terminal(glyphs=glyphs, plain=old or name.startswith("linux"), tick=5.0 if old else 1.0)


def drawn(text: str, tone: Tone, *, glyphs: bool) -> str:
    """With the glyphs of the terminal; whatever else it may hold is ASCII or `?`."""
    shown = text.translate(_DRAWN[tone]) if glyphs and tone in _DRAWN else text
    return shown if ALLOWED.issuperset(shown) else "".join(c if c in ALLOWED else "?" for c in shown)


def sent(data: str, *, plain: bool) -> str:
    """What of `data`, rows or one control sequence, is sent to a terminal that may be `plain`; those are slow too."""
    if not plain:
        return data
    if "\n" in data:
        return _TAIL.sub("\x1b[K\n", data)
    return "" if data in _UNKNOWN or data.startswith(_OSC) else _FALLBACK.get(data, data)

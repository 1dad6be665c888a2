"""Text from hardware and from the network is hostile: a serial number may carry terminal escapes or a fake line."""

import re

# ECMA-48: CSI sequences (5.4), control strings (OSC, DCS, SOS, PM, APC) up to their terminator, other escapes.
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)


def clean(text: str, limit: int) -> str:
    """One printable line of at most `limit` (>= 1) characters: escapes, C0, C1 and invisible characters are gone.

    White space of any kind becomes one blank each; a text that was cut ends in an ellipsis.
    """
    window = _ESCAPE.sub("", text[: 16 * limit + 4096])
    shown = "".join(_printable(character) for character in window)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    return character if character.isprintable() else ""

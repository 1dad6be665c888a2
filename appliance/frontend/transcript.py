"""What a serial console said, as lines to read: without what moves a cursor, colours or commands a terminal. Pure."""

import re

from appliance.model.text import clean

_WIDTH = 1000
_RUBBED_OUT = re.compile(r"[^\x08]\x08")


def transcript(said: bytes, lines: int) -> tuple[str, ...]:
    """The last `lines` lines that are not empty. A line that was written over is what was written last."""
    read = map(_line, said.decode(errors="replace").replace("\r\n", "\n").split("\n"))
    return tuple(line for line in read if line)[-lines:]


def _line(text: str) -> str:
    last = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    while (shorter := _RUBBED_OUT.sub("", last)) != last:
        last = shorter
    return clean(last, _WIDTH).rstrip()

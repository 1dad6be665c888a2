"""What every page is made of: a head that stays, a body that scrolls, and a foot. Pure."""

from dataclasses import dataclass

from appliance.frontend import units
from appliance.tui.text import EMPTY, Line, Span, Tone, fitted, plain, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`at` is the line of the body under the cursor, None where lines are only read; `top` is then the first one that
    is shown. `keys` are the keys that mean something here."""

    title: str
    body: tuple[Line, ...]
    head: tuple[Line, ...] = ()
    foot: tuple[Line, ...] = ()
    keys: str = ""
    at: int | None = None
    top: int = 0


def window(page: Page, room: int) -> tuple[int, int]:
    """The first line of the body that is shown, and the one after the last; the cursor is kept in the middle."""
    wanted = page.top if page.at is None else page.at - room // 2
    first = max(0, min(wanted, len(page.body) - room))
    return first, min(len(page.body), first + max(0, room))


def more(page: Page, first: int, after: int) -> str:
    """What of the body is not on the screen."""
    above, below = first, len(page.body) - after
    parts = [f"{above} more above" if above else "", f"{below} more below" if below else ""]
    return ", ".join(part for part in parts if part)


def rule(width: int, text: str = "") -> Line:
    """A line across, with what it has to say at its end."""
    said = f" {text} " if text else ""
    return (
        Span(text="-" * max(0, width - len(said) - (2 if said else 0)), tone=Tone.RULE),
        span(said, Tone.DIM),
        Span(text="--" if said else "", tone=Tone.RULE),
    )


def heading(text: str) -> Line:
    return (span(text, Tone.STRONG),)


def section(text: str) -> tuple[Line, ...]:
    return (EMPTY, heading(text))


def since(then: float, now: float) -> str:
    return f"since {units.duration(now - then)}"


def text_of(rows: tuple[Line, ...], width: int) -> str:
    """As plain lines, for golden files and for terminals that only print."""
    return "".join(f"{plain(fitted(row, width))}\n" for row in rows)

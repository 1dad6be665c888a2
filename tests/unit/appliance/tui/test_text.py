"""Lines, sizes, moves: what pages are made of."""

import pytest

from appliance.model.views import SegmentView
from appliance.tui.keys import KEYMAP, Action, keys_of
from appliance.tui.messages import Pressed, Resized
from appliance.tui.page import Page, more, window
from appliance.tui.scene import frame
from appliance.tui.state import Data, Machine, Overview, State
from appliance.tui.terminal import sent, terminal_of
from appliance.tui.text import ascii_of, fitted, line, plain, wrapped
from appliance.tui.update import updated
from tests.unit.appliance.tui.rack import NOW, rack, racked

MACHINES = tuple(rack().inventory.values())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich", "Zurich"),
        ("a\x1b[31mb", "ab"),
        ("ﬁ…", "fi..."),
        ("日本", "??"),
        ("a\nb", "a b"),
        ("x" * 20, "xxxxxxxx.."),
    ],
)
def test_ascii(text: str, shown: str) -> None:
    assert ascii_of(text, 10) == shown


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", ["-"]),
        ("one two three four", ["- one two", "  three", "  four"]),
        ("abcdefghijklmnop", ["- abcdefgh", "  ijklmnop"]),
    ],
)
def test_wrapped(text: str, rows: list[str]) -> None:
    assert [plain(row) for row in wrapped(text, 10, first="- ", rest="  ")] == rows


@pytest.mark.parametrize(("text", "shown"), [("abc", "abc  "), ("abcde", "abcde"), ("abcdef", "abcd>")])
def test_fitted(text: str, shown: str) -> None:
    assert "".join(part.text for part in fitted(line(text), 5)) == shown


@pytest.mark.parametrize(
    ("at", "top", "shown", "says"),
    [
        (None, 0, (0, 4), "6 more below"),
        (None, 99, (6, 10), "6 more above"),
        (5, 0, (3, 7), "3 more above, 3 more below"),
        (0, 0, (0, 4), "6 more below"),
        (9, 0, (6, 10), "6 more above"),
    ],
)
def test_window(at: int | None, top: int, shown: tuple[int, int], says: str) -> None:
    page = Page(title="", body=tuple(line(str(number)) for number in range(10)), at=at, top=top)
    assert window(page, 4) == shown
    assert more(page, *shown) == says


def state(**more: object) -> State:
    return State(now=NOW, data=Data(heard=NOW, machines=MACHINES), **more)  # type: ignore[arg-type]


def test_the_cursor_goes_over_the_grid_and_stays_on_it() -> None:
    here = state()
    seen = []
    for key in ("l", "l", "l", "h", "j", "j", "k", "G", "g"):
        here, _ = updated(here, Pressed(key=key, character=key))
        place = here.place
        assert isinstance(place, Overview)
        seen.append(place.at[-1])
    assert seen == ["1", "2", "3", "2", "4", "4", "1", "4", "0"]


def test_the_cursor_goes_over_racks_from_the_top_unit_down() -> None:
    here = State(now=NOW, data=Data(heard=NOW, machines=tuple(racked().values())))
    seen = []
    for key in ("l", "l", "j", "l", "j", "k", "h", "k", "k", "G", "g"):
        here = typed(here, key)
        place = here.place
        assert isinstance(place, Overview)
        seen.append(place.at[-1])
    assert seen == ["3", "1", "0", "4", "4", "0", "1", "3", "2", "4", "2"]


def test_the_cursor_stays_on_its_machine_when_others_come() -> None:
    here, _ = updated(state(), Pressed(key="G", character="G"))
    fewer = State(now=NOW, data=Data(machines=MACHINES[2:]), places=here.places)
    opened, asks = updated(fewer, Pressed(key="enter"))
    assert opened.place == Machine(name="node-4")
    assert len(asks) == 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (20, 6), (80, 24), (200, 60)])
def test_a_screen_of_any_size(width: int, height: int) -> None:
    here, _ = updated(state(), Resized(width=width, height=height))
    rows = frame(here)
    assert (len(rows), {len(plain(row)) <= here.width for row in rows}) == (here.height, {True})


def test_troubles_beyond_six_lines_are_not_silent() -> None:
    trouble = SegmentView(kind="rival-server", subject="", text="a server answers here too", since=NOW)
    rows = [plain(row) for row in frame(State(now=NOW, data=Data(heard=NOW, segment=(trouble,) * 9)))]
    assert sum("a server answers" in row for row in rows) == 5
    assert "  and more: the log has all of it (F5)" in rows


def typed(here: State, *keys: str) -> State:
    for key in keys:
        here, _ = updated(here, Pressed(key=key, character=key if len(key) == 1 else ""))
    return here


def test_filter() -> None:
    here = typed(state(), "slash", *"state:held,active", "enter")
    assert [machine.name for machine in here.chosen] == ["node-2", "node-3"]
    assert typed(here, "escape").chosen == MACHINES


def test_what_is_no_filter_is_asked_for_again_with_what_was_meant() -> None:
    here = typed(state(), "slash", *"state:fialed", "enter")
    assert here.prompt is not None
    assert here.prompt.typed == "state:fialed"
    assert "did you mean failed?" in here.prompt.says[0]
    assert here.chosen == MACHINES
    fixed = typed(here, *("backspace",) * 5, *"ailed", "enter")
    assert (fixed.prompt, [machine.name for machine in fixed.chosen]) == (None, ["node-1"])


def test_every_action_has_a_key_and_f_keys_are_six() -> None:
    assert all(keys_of(action) for action in Action)
    assert {f"f{number}" for number in range(1, 7)} <= set(KEYMAP)


@pytest.mark.parametrize(
    ("term", "encoding", "glyphs", "is_plain"),
    [
        ("linux", "utf-8", True, True),
        ("linux", "ANSI_X3.4-1968", False, True),
        ("vt100", "UTF-8", False, True),
        ("vt220", "UTF-8", False, True),
        ("", "utf-8", False, True),
        ("dumb", "utf-8", False, True),
        ("xterm-256color", "utf-8", True, False),
    ],
)
def test_terminals(term: str, encoding: str, glyphs: bool, is_plain: bool) -> None:
    found = terminal_of({"TERM": term}, encoding)
    assert (found.glyphs, found.plain) == (glyphs, is_plain)


def test_what_is_sent_to_a_plain_terminal() -> None:
    assert sent("\x1b[?2026$p", plain=True) == ""
    assert sent("\x1b[?1049h", plain=True) == "\x1b[2J\x1b[H"
    assert sent("\x1b]22;default\x07", plain=True) == ""
    assert sent("ab      \n\x1b[2;1Hcd      ", plain=True) == "ab\x1b[K\n\x1b[2;1Hcd      "
    assert sent("\x1b[7m    \x1b[0m\n\x1b[2;1H", plain=True) == "\x1b[7m    \x1b[0m\n\x1b[2;1H"
    assert sent("\x1b[31mred", plain=True) == "\x1b[31mred"
    assert sent("\x1b[?2026$p", plain=False) == "\x1b[?2026$p"

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.text import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SN0001", "SN0001"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("a\x1b(0b\x1bcc", "abc"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("a\u202egnp.exe\u2066", "agnp.exe"),
        ("nul\0bel\x07del\x7f", "nulbeldel"),
        ("\u2028line", " line"),
        ("Grüße 机", "Grüße 机"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("\ud800", ""),
        ("x" * 20, "xxxxxxxxx…"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text, 10 if len(text) == 20 and text[0] == "x" else 100) == shown


@given(st.text() | st.text("\x1b\x9b[]()0;m\x07\\ab\n\x90"), st.integers(1, 50))
def test_clean_is_printable_bounded_and_stable(text: str, limit: int) -> None:
    once = clean(text, limit)
    assert once.isprintable()
    assert len(once) <= limit
    assert clean(once, limit) == once


def test_a_flood_is_cut_before_it_is_searched() -> None:
    assert clean("\x1b]" * 5_000_000 + "tail", 10) == ""

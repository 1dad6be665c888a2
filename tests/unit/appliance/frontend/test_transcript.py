"""Bytes of a serial console as lines."""

import pytest

from appliance.frontend.transcript import transcript


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (b"", ()),
        (b"one\r\ntwo", ("one", "two")),
        (b"\x1b[1;31mred\x1b[0m\r\n\r\n\x1b[2J\x1b[Hclear", ("red", "clear")),
        (b" 10%\r 50%\r100%\r\n", ("100%",)),
        (b"roto\x08\x08ot", ("root",)),
        (b"\x1b]52;c;eA==\x07shown\x1b]0;title", ("shown",)),
        (b"\xff\xfe caf\xc3\xa9 \xe2\x80\xaegnp", ("\ufffd\ufffd café gnp",)),
        (b"a" * 2000, ("a" * 999 + "…",)),
    ],
)
def test_lines(said: bytes, lines: tuple[str, ...]) -> None:
    assert transcript(said, 10) == lines


def test_only_the_last_lines() -> None:
    said = b"".join(b"%d\n" % number for number in range(100))
    assert transcript(said, 3) == ("97", "98", "99")

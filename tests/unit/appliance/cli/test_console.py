import pytest

from appliance.cli.console import Escape


@pytest.mark.parametrize(
    ("typed", "sent", "leaves"),
    [
        ([b"ls\r"], b"ls\r", False),
        ([b"~."], b"", True),
        ([b"ls\r~.x"], b"ls\r", True),
        ([b"ls\r", b"~", b"."], b"ls\r", True),
        ([b"~~."], b"~.", False),
        ([b"a~."], b"a~.", False),
        ([b"~x~."], b"~x~.", False),
        ([b"~\r~."], b"~\r", True),
        ([b"\n~"], b"\n", False),
        ([b"\x03\x1b[A"], b"\x03\x1b[A", False),
    ],
)
def test_escape(typed: list[bytes], sent: bytes, leaves: bool) -> None:
    escape, out, left = Escape(), b"", False
    for data in typed:
        part, left = escape.feed(data)
        out += part
    assert (out, left) == (sent, leaves)

"""Whatever a message says, it is one message of RFC 5424 with exactly the values that were given."""

import re

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.syslog import Facility, Message, Origin, Severity, encoded, framed
from appliance.model.text import clean

# RFC 5424 section 6.
_NAME = rb"[!#-<>-\\^-~]{1,32}"
_PARAM = rb" (" + _NAME + rb')="((?:[^"\\\]]|\\["\\\]])*)"'
_MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb"((?:\[(?:[^\]\\\"]|\"(?:[^\"\\\]]|\\.)*\")*\])+)(?: \xef\xbb\xbf(.+))?",
    re.DOTALL,
)
_PIECE = re.compile(rb"\[(" + _NAME + rb")((?: " + _NAME + rb'="(?:[^"\\\]]|\\["\\\]])*")*)\]')
_VALUE = re.compile(_PARAM)

TEXT = st.text(max_size=40) | st.text(alphabet='"\\]= [\n\x1b\u202e\ud800é', max_size=40)
MESSAGES = st.builds(
    Message,
    facility=st.sampled_from(Facility),
    severity=st.sampled_from(Severity),
    time=st.floats(0, 4e9),
    kind=TEXT,
    element=st.sampled_from(["event", "audit"]),
    data=st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), TEXT), max_size=12).map(tuple),
    text=st.text(max_size=200) | TEXT,
)
ORIGINS = st.builds(Origin, host=TEXT, process=st.integers(1, 2**22), version=TEXT)


def taken_apart(message: bytes) -> tuple[dict[str, list[tuple[str, str]]], str]:
    """The elements with their values, and the text; asserts the form."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None, message
    data, elements, position = match[7], {}, 0
    while position < len(data):
        piece = _PIECE.match(data, position)
        assert piece is not None, data
        values = [(name.decode(), unescaped(value)) for name, value in _VALUE.findall(piece[2])]
        elements[piece[1].decode()] = values
        position = piece.end()
    return elements, (match[8] or b"").decode()


def unescaped(value: bytes) -> str:
    return re.sub(rb'\\(["\\\]])', rb"\1", value).decode()


def as_sent(text: str) -> str:
    """Half of a surrogate pair has no place in UTF-8."""
    return text.encode(errors="replace").decode()


@given(MESSAGES, ORIGINS, st.integers(1, 2**40), st.sampled_from([1024, 2048, 8192]))
def test_every_message_is_one(message: Message, origin: Origin, number: int, limit: int) -> None:
    data = encoded(message, origin, number, limit)
    assert len(data) <= limit
    assert not set(data) & set(range(32))
    elements, text = taken_apart(data)
    assert [name for name, _ in elements["meta"]] == ["sequenceId"]
    assert 1 <= int(elements["meta"][0][1]) < 2**31
    wanted = [(name, as_sent(clean(value, 300))) for name, value in message.data if value]
    got = elements[f"{message.element}@32473"]
    assert got == wanted[: len(got)]
    whole = as_sent(clean(message.text, limit))
    assert whole.startswith(text)
    if limit == 8192:
        assert (got, text) == (wanted, whole)


@given(st.lists(MESSAGES, max_size=5), ORIGINS)
def test_a_stream_is_taken_apart_by_its_lengths(messages: list[Message], origin: Origin) -> None:
    sent = [encoded(message, origin, number, 2048) for number, message in enumerate(messages, 1)]
    stream, got = b"".join(map(framed, sent)), []
    while stream:
        length, _, rest = stream.partition(b" ")
        got.append(rest[: int(length)])
        stream = rest[int(length) :]
    assert got == sent

"""YAML of packages that anybody has made: read or refused, and written so that everybody reads the same."""

import contextlib

import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from images.application.documents import Value, read, write
from images.errors import PackageError

PIECES = (
    "a",
    "b: ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    "!!",
    "!t ",
    "|",
    ">",
    "'",
    '"',
    "\\u00",
    "#",
)
MORE = (
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "?",
    "<<: ",
    "0x1",
    "1e",
    ".",
    "-",
    "+",
    "~",
    "yes",
    "2024-01-01",
    "\t",
    "\0",
    "ä",
    "\ud800",
)
TEXTS = st.lists(st.sampled_from((*PIECES, *MORE)), max_size=40).map("".join)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | PLAIN
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3), max_leaves=8
)


@given(TEXTS | TEXTS.map("a: {}".format) | st.text(max_size=40))
def test_whatever_is_read_is_refused_or_written_again(text: str) -> None:
    with contextlib.suppress(PackageError):
        found = [document.value for document in read(text, "x.yaml")]
        event("read")
        assert [document.value for document in read(write(found).decode(), "x.yaml")] == found


@settings(max_examples=40)
@given(st.dictionaries(PLAIN, VALUES, max_size=4))
def test_what_is_written_is_the_same_to_all_readers(value: dict[str, Value]) -> None:
    written = write([value]).decode()
    assert yaml.safe_load(written) == value
    assert [document.value for document in read(written, "x.yaml")] == [value]

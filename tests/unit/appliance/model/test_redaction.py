"""A secret is in nothing that was redacted, in whichever form it stood there; what is none stays as it is."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from appliance.model.redaction import MASK, without

SECRET = "hunter2!\"<&'\\x"
FORMS = {
    "clear": SECRET.encode(),
    "json": json.dumps({"a": SECRET}).encode(),
    "html": str(escape(SECRET)).encode(),
    "hex": SECRET.encode().hex().encode(),
    "HEX": SECRET.encode().hex().upper().encode(),
    "basic": base64.b64encode(f"root:{SECRET}".encode()),
    "url": base64.urlsafe_b64encode(f"x{SECRET}yy".encode()),
    "longer": base64.b64encode(b"ab" + SECRET.encode() * 2),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_taken_out(name: str) -> None:
    said = b"before " + FORMS[name] + b" after"
    shown = without(said, {SECRET, "another one"})
    assert MASK in shown
    assert shown.startswith(b"before ")
    assert shown.endswith(b" after")
    assert SECRET.encode() not in shown
    assert "hunter2" not in shown.decode()
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + b"hunter2!")
        assert whole[4:8] not in shown


@pytest.mark.parametrize("short", ["", "a", "abc"])
def test_what_is_too_short_to_be_one_stays(short: str) -> None:
    assert without(b"an abc of abcs", {short}) == b"an abc of abcs"


def test_the_longer_of_two_is_taken_whole() -> None:
    assert without(b"it is secret-and-more", {"secret", "secret-and-more"}) == b"it is " + MASK


@given(data=st.binary(max_size=200), secret=st.text(min_size=4, max_size=30))
def test_any_bytes(data: bytes, secret: str) -> None:
    plain = secret.encode("utf-8", "surrogatepass")
    around = data + plain + data
    shown = without(around, {secret})
    assert shown != around or plain in MASK
    if plain not in data and MASK not in plain and plain not in MASK:
        assert MASK in shown

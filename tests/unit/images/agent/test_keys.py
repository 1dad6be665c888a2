"""Public keys of operators: text that ends in a file that opens a machine."""

import base64
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.agent.errors import ProtocolError
from images.agent.keys import MAX_LINE, check_key


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(field)) + field for field in fields)).decode()


def rsa(bits: int) -> str:
    return blob(b"ssh-rsa", b"\1\0\1", b"\0" + (1 << (bits - 1)).to_bytes(bits // 8, "big"))


ED25519 = blob(b"ssh-ed25519", bytes(range(32)))
NISTP256 = blob(b"ecdsa-sha2-nistp256", b"nistp256", b"\4" + bytes(64))
SK = blob(b"sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")

GOOD = [
    f"ssh-ed25519 {ED25519}",
    f"ssh-ed25519 {ED25519} root@site (2nd floor)",
    f"ecdsa-sha2-nistp256 {NISTP256}",
    f"sk-ssh-ed25519@openssh.com {SK} token",
    f"ssh-rsa {rsa(2048)} old laptop",
    f"ssh-rsa {rsa(4096)}",
]


@pytest.mark.parametrize("line", GOOD)
def test_key_is_kept_without_its_comment(line):
    assert check_key(line) == " ".join(line.split(" ")[:2])


BAD = [
    ("", "without options"),
    ("ssh-ed25519", "without options"),
    (f'command="sh" ssh-ed25519 {ED25519}', "without options"),
    (f"restrict,pty ssh-ed25519 {ED25519}", "without options"),
    (f" ssh-ed25519 {ED25519}", "without options"),
    (f"ssh-ed25519  {ED25519}", "without options"),
    (f"ssh-ed25519 {ED25519}\n", "without options"),
    (f"ssh-ed25519 {ED25519} x\nssh-ed25519 {ED25519}", "without options"),
    (f"ssh-ed25519 {ED25519} \x1b[2J", "without options"),
    (f"ssh-ed25519 {ED25519} caf\u00e9", "without options"),
    (f"ssh-ed25519 {ED25519}\0", "without options"),
    (f"ssh-ed25519 {ED25519} {'x' * MAX_LINE}", "without options"),
    (f"ssh-ed25519\t{ED25519}", "without options"),
    (f"ssh-dss {blob(b'ssh-dss', b'p', b'q', b'g', b'y')}", "without options"),
    (f"ssh-rsa {ED25519}", "another type"),
    (f"ecdsa-sha2-nistp384 {NISTP256}", "another type"),
    (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(32), b'more')}", "another type"),
    (f"ssh-rsa {rsa(1024)}", "less than 2048 bits"),
    (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(32))[:-8]}", "cut off"),
    (f"ssh-ed25519 {ED25519[:-1]}", "not base64"),
    ("ssh-ed25519 " + base64.b64encode(b"\xff" * 30).decode(), "cut off"),
    ("ssh-ed25519 " + base64.b64encode(bytes(16)).decode(), "another type"),
]


@pytest.mark.parametrize(("line", "why"), BAD)
def test_anything_else_is_refused(line, why):
    with pytest.raises(ProtocolError, match=why) as refused:
        check_key(line)
    assert refused.value.evidence.isascii()
    assert "\n" not in refused.value.evidence


@given(
    st.text(max_size=200)
    | st.binary(min_size=12, max_size=90).map(lambda raw: f"ssh-rsa {base64.b64encode(raw).decode()}")
)
def test_check_is_total(line):
    with suppress(ProtocolError):
        assert check_key(line) == " ".join(line.split(" ")[:2])

"""Signatures against Debian's `minisign`, which wrote the key and the signature below and reads what we write."""

import random
import subprocess
from io import BytesIO
from pathlib import Path

import pytest

from images.errors import SignatureError
from images.keys import ensure_key
from images.signature import make_key, read_public, read_secret, verify

KEY = make_key(bytes(range(40)))
CONTENT = b"what is signed" * 1000
SIGNED = KEY.sign(BytesIO(CONTENT), "innervate 0.1.0")

# minisign 0.11: minisign -G -W; printf 'hi\n' >f; minisign -S -m f
THEIR_PUBLIC = """untrusted comment: minisign public key EA2DB5460180792D
RWQteYABRrUt6uqE52bQRf3+X1/e20NZBQbr4eH86Ep/EuJwkYoe+m/+
"""
THEIR_SECRET = """untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAALXmAAUa1LeoutMiDlbu/aOHngLJ5B9k0xKPikextgvh\
0cpwgc0wHr+qE52bQRf3+X1/e20NZBQbr4eH86Ep/EuJwkYoe+m/+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
"""
THEIR_SIGNATURE = """untrusted comment: signature from minisign secret key
RUQteYABRrUt6uI+bbPSX3RIp6iNYAsF7HH0HzT27nonaRmHs33qHHxSDX1zkl6BAvcfHt95/mxkCWywlpW52gAybIrKiMJFmA8=
trusted comment: timestamp:1795993340\tfile:f\thashed
cWVJl7jctqnMjzwpirTbWA1e9V0peu2H9d0l7VCV2Hfi2edEUv+jEI45elL747VOfRW9GSK9tQ3ocDQ52kv/Dw==
"""


def minisign(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["minisign", *arguments], cwd=cwd, capture_output=True, text=True)


def test_what_minisign_wrote_is_read() -> None:
    public = read_public(THEIR_PUBLIC)
    assert read_secret(THEIR_SECRET).public == public
    assert public.text == THEIR_PUBLIC
    assert verify(public, BytesIO(b"hi\n"), THEIR_SIGNATURE) == "timestamp:1795993340\tfile:f\thashed"


def test_minisign_verifies_what_was_signed_here(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    (tmp_path / "f.minisig").write_text(SIGNED)
    (tmp_path / "k.pub").write_text(KEY.public.text)
    seen = minisign("-V", "-p", "k.pub", "-m", "f", cwd=tmp_path)
    assert seen.returncode == 0, seen.stderr
    assert "Trusted comment: innervate 0.1.0" in seen.stdout
    (tmp_path / "f").write_bytes(CONTENT[:-1])
    assert minisign("-V", "-p", "k.pub", "-m", "f", cwd=tmp_path).returncode != 0


def test_minisign_signs_with_our_key(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    (tmp_path / "k").write_text(KEY.reveal())
    assert minisign("-S", "-s", "k", "-m", "f", "-t", "theirs", cwd=tmp_path).returncode == 0
    with (tmp_path / "f").open("rb") as content:
        assert verify(KEY.public, content, (tmp_path / "f.minisig").read_text()) == "theirs"


def test_the_same_is_signed_the_same_way() -> None:
    assert KEY.sign(BytesIO(CONTENT), "innervate 0.1.0") == SIGNED
    assert read_secret(KEY.reveal()) == KEY
    assert read_public(KEY.public.text) == KEY.public


def test_what_is_flipped_does_not_hold() -> None:
    """All but the first line, which nothing signs, and the content."""
    rng, start = random.Random(1), SIGNED.index("\n")
    for _ in range(300):
        text, at = bytearray(SIGNED.encode()), rng.randrange(start, len(SIGNED))
        text[at] ^= 1 << rng.randrange(7)
        with pytest.raises(SignatureError):
            verify(KEY.public, BytesIO(CONTENT), text.decode())
    flipped = bytearray(CONTENT)
    flipped[77] ^= 1
    with pytest.raises(SignatureError, match="does not hold"):
        verify(KEY.public, BytesIO(flipped), SIGNED)


@pytest.mark.parametrize("text", ["", "\n", "a\nb", "a\nb\nc\nd", SIGNED * 2, "x" * 100_000, SIGNED + "\n", "\x00"])
def test_malformed_texts_are_refused(text: str) -> None:
    for read in (read_public, read_secret, lambda text: verify(KEY.public, BytesIO(b""), text)):
        with pytest.raises(SignatureError):
            read(text)


def test_another_key_and_a_comment_of_two_lines_are_refused() -> None:
    with pytest.raises(SignatureError, match="does not hold"):
        verify(make_key(bytes(40)).public, BytesIO(CONTENT), SIGNED)
    with pytest.raises(SignatureError):
        KEY.sign(BytesIO(b""), "one\ntwo")
    with pytest.raises(SignatureError):
        make_key(b"short")


def test_the_key_is_secret_in_print() -> None:
    assert repr(KEY.seed) not in repr(KEY)


def test_a_kept_key_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "k.key"
    made = ensure_key(path)
    assert ensure_key(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_public(path.with_suffix(".pub").read_text()) == made.public
    assert sorted(file.name for file in path.parent.iterdir()) == ["k.key", "k.pub"]
    path.write_text("no key")
    with pytest.raises(SignatureError):
        ensure_key(path)

import random
import struct
import subprocess
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from images import grubenv
from images.bundle import MENU, PARTS, ROOT, Manifest, StateForm, describe, examine, open_bundle, pack, read_manifest
from images.errors import BundleError, SignatureError
from images.grubenv import Environment, Slot
from images.signature import make_key

KEY = make_key(bytes(range(40)))
STATE = StateForm(form=1, schema="0002", kinds=("boot-seen", "noted"))


def files(folder: Path) -> Mapping[str, Path]:
    for name in PARTS:
        (folder / name).write_bytes(random.Random(name).randbytes(3000 if name == ROOT else 700))
    return {name: folder / name for name in PARTS}


@pytest.fixture
def bundle(tmp_path: Path) -> bytes:
    parts = files(tmp_path)
    out = BytesIO()
    described = tuple(describe(path, name) for name, path in parts.items())
    pack(Manifest(version="0.2.0", build="0" * 12, state=STATE, parts=described), KEY, parts, out)
    return out.getvalue()


def test_a_bundle_is_what_was_packed(bundle: bytes, tmp_path: Path) -> None:
    manifest = examine(BytesIO(bundle), KEY.public)
    assert manifest.name == "0.2.0 (000000000000)"
    assert manifest.size == 5100
    assert manifest.part(MENU) == describe(tmp_path / MENU, MENU)
    again = BytesIO()
    pack(manifest, KEY, files(tmp_path), again)
    assert again.getvalue() == bundle


def test_a_thousand_flips_are_refused(bundle: bytes) -> None:
    """Each in another byte: head, manifest, signature and parts."""
    for at in random.Random(7).sample(range(len(bundle)), 1000):
        flipped = bytearray(bundle)
        flipped[at] ^= 1 << (at % 8)
        with pytest.raises((BundleError, SignatureError)):
            examine(BytesIO(flipped), KEY.public)


def test_every_byte_of_the_head_counts(bundle: bytes) -> None:
    for at in range(len(bundle) - 5100):
        flipped = bytearray(bundle)
        flipped[at] ^= 0x20
        with pytest.raises((BundleError, SignatureError)):
            open_bundle(BytesIO(flipped), KEY.public)


@pytest.mark.parametrize("size", [0, 5, 20, 26, 27, 200, 900, -1])
def test_a_bundle_that_is_cut_short_is_refused(bundle: bytes, size: int) -> None:
    with pytest.raises(BundleError, match="cut short"):
        examine(BytesIO(bundle[:size]), KEY.public)


def test_something_behind_a_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(BundleError):
        examine(BytesIO(bundle + b"\0"), KEY.public)


def test_a_bundle_of_somebody_else_is_refused(bundle: bytes) -> None:
    with pytest.raises(SignatureError, match="does not hold"):
        examine(BytesIO(bundle), make_key(bytes(40)).public)


def test_minisign_says_the_same_of_the_manifest(bundle: bytes, tmp_path: Path) -> None:
    size, signed = struct.unpack(">II", bundle[19:27])
    (tmp_path / "m").write_bytes(bundle[27 : 27 + size])
    (tmp_path / "m.minisig").write_bytes(bundle[27 + size : 27 + size + signed])
    (tmp_path / "k.pub").write_text(KEY.public.text)
    subprocess.run(["minisign", "-V", "-q", "-p", "k.pub", "-m", "m"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[" * 20000,
        b"\xff",
        b'{"build":"000000000000","parts":[],"state":{"form":1,"kinds":[],"schema":"1"},"version":"1"}',
        b'{"build":"000000000000","parts":[{}],"state":{"form":1,"kinds":[],"schema":"1"},"version":"1"}',
        b'{"build":"000000000000","parts":[],"state":{"form":1,"kinds":["b","a"],"schema":"1"},"version":"1"}',
        b'{"build":"x","parts":[],"state":{"form":1,"kinds":[],"schema":"1"},"version":"1"}',
    ],
    ids=range(8),
)
def test_malformed_manifests_are_refused(text: bytes) -> None:
    with pytest.raises(BundleError):
        read_manifest(text)


ENVIRONMENTS = [
    Environment(good=good, trial=trial, left=left) for good in Slot for trial in (None, *Slot) for left in (False, True)
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=map(str, range(len(ENVIRONMENTS))))
def test_grub_reads_the_environment(environment: Environment, tmp_path: Path) -> None:
    raw = grubenv.block(environment)
    assert grubenv.read(raw) == environment
    (tmp_path / "grubenv").write_bytes(raw)
    listed = subprocess.run(["grub-editenv", "grubenv", "list"], cwd=tmp_path, capture_output=True, check=True)
    trial = environment.trial.value if environment.trial else ""
    assert listed.stdout.decode() == f"good={environment.good.value}\ntrial={trial}\nleft={int(environment.left)}\n"
    subprocess.run(["grub-editenv", "grubenv", "set", "left=0"], cwd=tmp_path, check=True)
    read = grubenv.read((tmp_path / "grubenv").read_bytes())
    assert read == Environment(good=environment.good, trial=environment.trial)


def test_what_is_no_environment_is_none() -> None:
    for raw in (b"", bytes(1024), grubenv.block(Environment())[:-1]):
        assert grubenv.read(raw) is None
    assert grubenv.read(b"# GRUB Environment Block\nnonsense".ljust(1024, b"#")) == Environment()

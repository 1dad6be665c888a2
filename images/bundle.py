"""The upgrade bundle: a version of the appliance in one file. Its manifest says what it is made of, and is signed.

    "INNERVATE-BUNDLE-1\n", size of the manifest, size of the signature (each 4 bytes, big-endian),
    manifest (JSON, in its only form), signature (`images.signature`), the parts in the manifest's order; nothing behind

Of a bundle nothing is believed before its signature holds, and of a part nothing before it was read to its end.
"""

import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from images.errors import BundleError, SignatureError
from images.signature import PublicKey, SecretKey, verify

KERNEL, RAMDISK, MENU, ROOT = "vmlinuz", "initrd.img", "grub.cfg", "root.squashfs"
PARTS = (KERNEL, RAMDISK, MENU, ROOT)
"""Of every bundle, in this order; all but the last are files of the slot's folder on the ESP."""
_MAGIC = b"INNERVATE-BUNDLE-1\n"
_SIZES = struct.Struct(">II")
_HEAD_LIMIT = 64 << 10
_CHUNK = 1 << 20
_FILE_LIMIT, _ROOT_LIMIT = 128 << 20, 16 << 30
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
_BUILD = re.compile(r"[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9-]{1,40}")
_UNSIGNED = "untrusted comment: signature of Innervate"


class Reading(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StateForm:
    """What a version writes into the state folder and can read there: the number of its files' form, the revision of
    the record log's tables, the kinds of records."""

    form: int
    schema: str
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if not all(map(_WORD.fullmatch, (self.schema, *self.kinds))) or list(self.kinds) != sorted(set(self.kinds)):
            raise _malformed("the form of the state", repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        limit = _ROOT_LIMIT if self.name == ROOT else _FILE_LIMIT
        if not 0 < self.size <= limit or not _SHA256.fullmatch(self.sha256):
            raise _malformed("a part", repr(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`build` tells builds of one version apart."""

    version: str
    build: str
    state: StateForm
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version) or not _BUILD.fullmatch(self.build):
            raise _malformed("a version", repr((self.version, self.build)))
        if tuple(part.name for part in self.parts) != PARTS:
            raise _malformed("the list of parts", repr([part.name for part in self.parts]))

    @property
    def name(self) -> str:
        return f"{self.version} ({self.build})"

    @property
    def size(self) -> int:
        """Of all parts, in bytes."""
        return sum(part.size for part in self.parts)

    def part(self, name: str) -> Part:
        return self.parts[PARTS.index(name)]

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def read_manifest(raw: bytes) -> Manifest:
    """Raises `BundleError`."""
    try:
        value: object = json.loads(raw)
        match value:
            case {
                "version": str(version),
                "build": str(build),
                "state": {"form": int(form), "schema": str(schema), "kinds": list(kinds)},
                "parts": list(parts),
            }:
                state = StateForm(form=form, schema=schema, kinds=tuple(map(str, kinds)))
                found = Manifest(version=version, build=build, state=state, parts=tuple(map(_part, parts)))
            case _:
                raise _malformed("a manifest", raw[:100].decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise _malformed("a manifest", str(error)) from error
    if found.to_json() != raw:
        raise _malformed("a manifest", "it is not in its only form")
    return found


def _part(value: object) -> Part:
    match value:
        case {"name": str(name), "size": int(size), "sha256": str(sha256)}:
            return Part(name=name, size=size, sha256=sha256)
        case _:
            raise _malformed("a part", repr(value))


def describe(path: Path, name: str) -> Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(name=name, size=path.stat().st_size, sha256=digest)


def pack(manifest: Manifest, key: SecretKey, parts: Mapping[str, Path], out: BinaryIO) -> None:
    """The same bytes for the same parts and key."""
    text = manifest.to_json()
    signature = key.sign(BytesIO(text), f"innervate {manifest.version} {manifest.build}").encode()
    out.write(_MAGIC + _SIZES.pack(len(text), len(signature)) + text + signature)
    for part in manifest.parts:
        with parts[part.name].open("rb") as file:
            while chunk := file.read(_CHUNK):
                out.write(chunk)


def open_bundle(file: Reading, public: PublicKey) -> Manifest:
    """Reads up to the first part. Raises `BundleError`, `SignatureError`."""
    if _exactly(file, len(_MAGIC)) != _MAGIC:
        raise _malformed("a bundle", "it begins otherwise")
    size, signed = _SIZES.unpack(_exactly(file, _SIZES.size))
    if max(size, signed) > _HEAD_LIMIT:
        raise _malformed("a bundle", f"a head of {size} and {signed} bytes")
    text, signature = _exactly(file, size), _exactly(file, signed)
    try:
        said = signature.decode("ascii")
    except UnicodeDecodeError as error:
        raise SignatureError("this is not a signature of minisign", evidence=str(error)) from error
    if said.partition("\n")[0] != _UNSIGNED:  # the one line that minisign does not sign
        raise _malformed("a bundle", "its signature begins otherwise")
    verify(public, BytesIO(text), said)
    return read_manifest(text)


def chunks(file: Reading, part: Part) -> Iterator[bytes]:
    """The part's content. Its last piece has been given when `BundleError` is raised for a hash that is another one."""
    digest, left = hashlib.sha256(), part.size
    while left:
        piece = _exactly(file, min(left, _CHUNK))
        digest.update(piece)
        left -= len(piece)
        yield piece
    if digest.hexdigest() != part.sha256:
        raise BundleError(
            f"{part.name} is not what the bundle's manifest says",
            evidence=f"SHA-256 {digest.hexdigest()}",
            next_action="get the bundle anew",
        )


def examine(file: Reading, public: PublicKey) -> Manifest:
    """All of it, to its end. Raises `BundleError`, `SignatureError`."""
    manifest = open_bundle(file, public)
    for part in manifest.parts:
        for _piece in chunks(file, part):
            pass
    if file.read(1):
        raise _malformed("a bundle", "something stands behind its last part")
    return manifest


def _exactly(file: Reading, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = file.read(size - len(found))
        if not piece:
            raise BundleError(
                "the bundle is cut short",
                evidence=f"{len(found)} of {size} bytes",
                next_action="get it anew; look at its size",
            )
        found += piece
    return bytes(found)


def _malformed(what: str, evidence: str) -> BundleError:
    return BundleError(
        f"this is not {what} of Innervate", evidence=evidence[:300], next_action="name an upgrade bundle"
    )

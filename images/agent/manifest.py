"""The description of an image on its way to a disk.

A raw disk image is cut into blocks of `block_size` bytes, the last one shorter if need be. A block of zeros only is a
hole: it is in no list, and the writer discards or zeroes that range. Every other block is one independent zstd frame
with a content checksum; the frames stand back to back, in ascending block order, in one *blob*. JSON on the wire:

    {"version": 1, "name": "debian-13", "raw_size": 471859200, "block_size": 4194304,
     "blob": {"sha256": HEX, "size": 91000000},
     "blocks": [[index, offset, length, sha256, raw_length], ...]}

`index` counts blocks from 0, `offset` and `length` place the frame in the blob, `sha256` is of the *compressed* frame
(hashing 90 MB instead of 450), `raw_length` is what the frame expands to, so that decompression can be bounded before
it starts. A writer hashes the frame, expands it, writes it at `index * block_size`, and writes block 0 last: it holds
the partition table, and a disk without one is not mistaken for an installed disk.

This module is copied into the discovery ramdisk: standard library only, no imports of this package.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

VERSION = 1
BLOCK_SIZE = 4 << 20
MAX_RAW_SIZE = 1 << 40
MAX_TEXT = 32 << 20
_BLOCK_SIZES = range(4 << 10, (16 << 20) + 1)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestError(ValueError):
    """The text or the values are no manifest that a writer may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One non-zero block: where its frame stands in the blob, and what it must be."""

    index: int
    offset: int
    length: int
    sha256: str
    raw_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Sizes and offsets in bytes. Valid by construction: see `__post_init__` for the rules.

    Raises ManifestError.
    """

    name: str
    raw_size: int
    block_size: int
    blob_sha256: str
    blob_size: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        _require(_NAME.fullmatch(self.name) is not None, "name")
        _require(0 < self.raw_size <= MAX_RAW_SIZE, "raw_size")
        _require(self.block_size in _BLOCK_SIZES and self.block_size.bit_count() == 1, "block_size")
        _require(_SHA256.fullmatch(self.blob_sha256) is not None, "blob sha256")
        next_index = next_offset = 0
        for block in self.blocks:
            _require(next_index <= block.index < self.block_count, "blocks: index out of order or of range")
            _require(block.offset == next_offset, "blocks: frames overlap or leave a gap")
            _require(0 < block.length <= frame_bound(self.block_size), "blocks: frame length")
            _require(block.raw_length == self.raw_length_of(block.index), "blocks: raw length")
            _require(_SHA256.fullmatch(block.sha256) is not None, "blocks: sha256")
            next_index, next_offset = block.index + 1, next_offset + block.length
        _require(next_offset == self.blob_size, "blob size is not the sum of the frames")

    @property
    def block_count(self) -> int:
        """Blocks of the raw image, holes included."""
        return -(-self.raw_size // self.block_size)

    def raw_length_of(self, index: int) -> int:
        return min(self.block_size, self.raw_size - index * self.block_size)

    def holes(self) -> Iterator[tuple[int, int]]:
        """(offset, length) in the raw image of every run of zeros that has no frame, ascending."""
        start = 0
        for block in self.blocks:
            here = block.index * self.block_size
            if here > start:
                yield start, here - start
            start = here + block.raw_length
        if start < self.raw_size:
            yield start, self.raw_size - start

    def to_json(self) -> str:
        """Canonical: equal manifests give equal text."""
        rows = [[b.index, b.offset, b.length, b.sha256, b.raw_length] for b in self.blocks]
        value = {
            "version": VERSION,
            "name": self.name,
            "raw_size": self.raw_size,
            "block_size": self.block_size,
            "blob": {"sha256": self.blob_sha256, "size": self.blob_size},
            "blocks": rows,
        }
        return json.dumps(value, separators=(",", ":"))

    @staticmethod
    def parse(text: str | bytes) -> "Manifest":
        """Strict and total: unknown or missing keys, wrong types, disorder and excess raise ManifestError."""
        top = _table(_load(text), {"version", "name", "raw_size", "block_size", "blob", "blocks"})
        _require(_integer(top["version"]) == VERSION, "version")
        blob = _table(top["blob"], {"sha256", "size"})
        return Manifest(
            name=_text(top["name"]),
            raw_size=_integer(top["raw_size"]),
            block_size=_integer(top["block_size"]),
            blob_sha256=_text(blob["sha256"]),
            blob_size=_integer(blob["size"]),
            blocks=tuple(_block(row) for row in _list(top["blocks"])),
        )


def frame_bound(block_size: int) -> int:
    """The most that zstd may need for one block (ZSTD_compressBound, rounded up)."""
    return block_size + (block_size >> 8) + 1024


def _load(text: str | bytes) -> object:
    _require(len(text) <= MAX_TEXT, "text too long")
    try:
        value: object = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as cause:
        raise ManifestError("not a manifest: no JSON") from cause
    return value


def _unique(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    table = dict(pairs)
    _require(len(table) == len(pairs), "a key twice")
    return table


def _block(row: object) -> Block:
    values = _list(row)
    _require(len(values) == 5, "blocks: five values each")
    index, offset, length, sha256, raw_length = values
    return Block(
        index=_integer(index),
        offset=_integer(offset),
        length=_integer(length),
        sha256=_text(sha256),
        raw_length=_integer(raw_length),
    )


def _table(value: object, keys: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict) or set(value) != keys:
        raise ManifestError(f"not a manifest: expected the keys {', '.join(sorted(keys))}")
    return value


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise ManifestError("not a manifest: expected a list")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ManifestError("not a manifest: expected an integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ManifestError("not a manifest: expected text")
    return value


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ManifestError(f"not a manifest: {what}")

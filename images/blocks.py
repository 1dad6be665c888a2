"""Raw disk images as blobs of independent frames, and back. The format is described in `images.manifest`."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import zstandard

from images.errors import ImageFormatError
from images.manifest import BLOCK_SIZE, Block, Manifest

_LEVEL = 9
_PROBE = 4096


def pack(raw: Path, blob: Path, name: str, block_size: int = BLOCK_SIZE) -> Manifest:
    """Write `blob` from `raw`. Frames carry size and content checksum, and are made on all cores. Raises OSError."""
    digest, blocks, offset = hashlib.sha256(), list[Block](), 0
    with blob.open("wb") as sink:
        for index, raw_length, frame in _frames(raw, block_size):
            digest.update(frame)
            sink.write(frame)
            checksum = hashlib.sha256(frame).hexdigest()
            block = Block(index=index, offset=offset, length=len(frame), sha256=checksum, raw_length=raw_length)
            blocks.append(block)
            offset += len(frame)
    return Manifest(
        name=name,
        raw_size=raw.stat().st_size,
        block_size=block_size,
        blob_sha256=digest.hexdigest(),
        blob_size=offset,
        blocks=tuple(blocks),
    )


def unpack(manifest: Manifest, blob: BinaryIO, raw: Path) -> None:
    """Write `raw`, sparse, from its blob; the reference for any other writer. Raises ImageFormatError, OSError."""
    with raw.open("wb") as sink:
        sink.truncate(manifest.raw_size)
        for block in sorted(manifest.blocks, key=lambda block: block.index == 0):
            blob.seek(block.offset)
            sink.seek(block.index * manifest.block_size)
            sink.write(expand(block, blob.read(block.length)))


def expand(block: Block, frame: bytes) -> bytes:
    """The raw bytes of one block. Raises ImageFormatError unless the frame is the one that the manifest names."""
    if hashlib.sha256(frame).hexdigest() != block.sha256:
        raise ImageFormatError("a frame is not what its manifest says", evidence=f"block {block.index}")
    try:
        if zstandard.frame_content_size(frame) != block.raw_length:
            raise ImageFormatError("a frame expands to another size", evidence=f"block {block.index}")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=block.raw_length)
    except zstandard.ZstdError as cause:
        raise ImageFormatError("a frame is no zstd frame", evidence=f"block {block.index}") from cause


def _frames(raw: Path, block_size: int) -> Iterator[tuple[int, int, bytes]]:
    workers = os.cpu_count() or 1
    with raw.open("rb") as source, ThreadPoolExecutor(workers) as pool:
        blocks = _blocks(source, block_size)
        while batch := tuple(islice(blocks, workers)):
            frames = pool.map(_compressor(), (data for _, data in batch))
            for (index, data), frame in zip(batch, frames, strict=True):
                yield index, len(data), frame


def _blocks(source: BinaryIO, block_size: int) -> Iterator[tuple[int, bytes]]:
    zeros, index = bytes(block_size), 0
    while data := source.read(block_size):
        # Most blocks differ from zero early; comparing bytes objects is memcmp.
        if data[:_PROBE] != zeros[: len(data[:_PROBE])] or data != zeros[: len(data)]:
            yield index, data
        index += 1


def _compressor() -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)

    return compress

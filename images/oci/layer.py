"""A layer's bytes: a tar of its content in one order, compressed without a time stamp.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
"""

import hashlib
import os
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, assert_never

import zstandard

from images.epoch import EPOCH
from images.errors import LayoutError
from images.oci.content import Content, File, Folder, Link, Node, whole
from images.oci.document import Blob, Compression, Layer

_GZIP_LEVEL, _ZSTD_LEVEL = 6, 3
_GZIP_FORM = 31
"""zlib's word for a gzip header, which then holds neither a name nor a time."""
_PART = 1 << 20


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def pack(content: Content, target: Path, compression: Compression) -> Layer:
    """Written to `target`, which must not exist. Raises LayoutError, also for a file that cannot be read."""
    nodes = whole(content)
    try:
        with target.open("xb") as file:
            stored = _Hashed(file)
            compressing = _Compressing(_compressor(compression), stored)
            plain = _Hashed(compressing)
            _write(nodes, plain)
            compressing.close()
    except OSError as cause:
        raise LayoutError("a layer could not be written", evidence=str(cause)) from cause
    blob = Blob(media=compression.media, digest=stored.digest, size=stored.size)
    return Layer(blob=blob, diff_id=plain.digest)


class _Hashed:
    """Passes on what is written, and knows its size and digest."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._sha256.update(data)
        self.size += len(data)
        return self._sink.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


class _Compressing:
    def __init__(self, compressor: _Compressor, sink: _Sink) -> None:
        self._compressor = compressor
        self._sink = sink

    def write(self, data: bytes, /) -> int:
        self._sink.write(self._compressor.compress(data))
        return len(data)

    def close(self) -> None:
        self._sink.write(self._compressor.flush())


def _compressor(compression: Compression) -> _Compressor:
    match compression:
        case Compression.GZIP:
            return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORM)
        case Compression.ZSTD:
            stream: _Compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
            return stream
        case _:
            assert_never(compression)


def _write(nodes: Mapping[str, Node], sink: _Sink) -> None:
    for path, node in nodes.items():
        size = 0
        match node:
            case Folder():
                sink.write(_header(path, tarfile.DIRTYPE, node, 0))
            case Link(target=target):
                sink.write(_header(path, tarfile.SYMTYPE, File(source=b"", mode=0o777), 0, target))
            case File(source=bytes(content)):
                size = len(content)
                sink.write(_header(path, tarfile.REGTYPE, node, size))
                sink.write(content)
            case File(source=Path() as source):
                size = _write_file(path, node, source, sink)
            case _:
                raise AssertionError(node)
        sink.write(bytes(-size % tarfile.BLOCKSIZE))
    sink.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_file(path: str, node: File, source: Path, sink: _Sink) -> int:
    """Its size, which must not change meanwhile."""
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        sink.write(_header(path, tarfile.REGTYPE, node, size))
        left = size
        while part := file.read(min(left, _PART)):
            sink.write(part)
            left -= len(part)
    if left:
        raise LayoutError("a file became shorter while it was packed", evidence=str(source))
    return size


def _header(path: str, kind: bytes, owner: Folder | File, size: int, target: str = "") -> bytes:
    entry = tarfile.TarInfo(path)
    entry.type, entry.size, entry.linkname, entry.mtime = kind, size, target, EPOCH
    entry.mode, entry.uid, entry.gid = owner.mode, owner.uid, owner.gid
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

"""Content as DATA packets, ready to leave.

A network boot program is small and a whole rack reads it at the same time, so it is laid out once for each block size
and shared by all transfers. What is large, or asked for in tiny blocks, is read by the window. Both ways read files
with pread: a file that is cut short under a mapping kills the whole process (SIGBUS), a short read ends one
transfer.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pxe.batch import Peer
from pxe.content import BytesContent, Content, FileContent, opened
from pxe.tftp.packet import pack_blocks
from pxe.tftp.sender import Memory, Run

HELD_BYTES = 64 << 20

_HEADER = 4
_SHARE = 16  # one body takes at most this part of what may be held: it is laid out within a few milliseconds
_ENTRY_BYTES = 512  # what a body costs beside its packets, generously
_SMALLEST_BLOCK = 512

Hold = Callable[[bytes], Memory]
Key = tuple[object, ...]


class Body(Protocol):
    def run(self, first: int, last: int, peer: Peer) -> Run:
        """Blocks `first` to `last`; OSError when a file is not what its entry says."""
        ...

    def close(self) -> None: ...


class _Source(Protocol):
    @property
    def key(self) -> Key:
        """Equal keys are equal bytes: a file that was replaced is another one."""
        ...

    def read(self, offset: int, count: int) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _BytesSource:
    data: bytes

    @property
    def key(self) -> Key:
        return (self.data,)

    def read(self, offset: int, count: int) -> bytes:
        return self.data[offset : offset + count]

    def close(self) -> None:
        pass


class _FileSource:
    def __init__(self, content: FileContent) -> None:
        self._fd = opened(content)
        seen = os.fstat(self._fd)
        self._key: Key = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)

    @property
    def key(self) -> Key:
        return self._key

    def read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._fd, count, offset)
        if len(data) != count:
            raise OSError(f"the file ended early, at byte {offset + len(data)}")
        return data

    def close(self) -> None:
        os.close(self._fd)


class _HeldBody:
    def __init__(self, memory: Memory, block_size: int) -> None:
        self._memory = memory
        self._whole = len(memory.packets)
        self._stride = block_size + _HEADER

    @property
    def cost(self) -> int:
        return self._whole + _ENTRY_BYTES

    def run(self, first: int, last: int, peer: Peer) -> Run:
        stride = self._stride
        start, end = (first - 1) * stride, last * stride
        return self._memory, start, (end if end < self._whole else self._whole) - start, stride, peer

    def close(self) -> None:
        """The memory is everybody's."""


class _ReadBody:
    def __init__(self, source: _Source, size: int, block_size: int, hold: Hold) -> None:
        self._source = source
        self._size = size
        self._block_size = block_size
        self._hold = hold

    def run(self, first: int, last: int, peer: Peer) -> Run:
        size, offset = self._block_size, (first - 1) * self._block_size
        content = self._source.read(offset, min((last - first + 1) * size, self._size - offset))
        packets = pack_blocks(first, content, size, last - first + 1)
        return self._hold(packets), 0, len(packets), size + _HEADER, peer

    def close(self) -> None:
        self._source.close()


class Bodies:
    """Opens content. What was laid out last is kept, up to `held_bytes` in all."""

    def __init__(self, hold: Hold, *, held_bytes: int = HELD_BYTES) -> None:
        self._hold = hold
        self._limit = held_bytes
        self._held: OrderedDict[Key, _HeldBody] = OrderedDict()
        self._cost = 0

    @property
    def held_bytes(self) -> int:
        return self._cost

    def open(self, content: Content, block_size: int) -> Body:
        """OSError when the content cannot be read or has another size than its entry says."""
        if isinstance(content, BytesContent):
            source: _Source = _BytesSource(content.data)
        else:
            source = _FileSource(content)
        if content.size > self._limit // _SHARE or block_size < _SMALLEST_BLOCK:
            return _ReadBody(source, content.size, block_size, self._hold)
        try:
            return self._laid_out(source, content.size, block_size)
        finally:
            source.close()

    def _laid_out(self, source: _Source, size: int, block_size: int) -> _HeldBody:
        key = (*source.key, block_size)
        body = self._held.get(key)
        if body is not None:
            self._held.move_to_end(key)
            return body
        packets = pack_blocks(1, source.read(0, size), block_size, size // block_size + 1)
        body = self._held[key] = _HeldBody(self._hold(packets), block_size)
        self._cost += body.cost
        while self._cost > self._limit:
            self._cost -= self._held.popitem(last=False)[1].cost
        return body

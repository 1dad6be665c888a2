"""Frames to raw blocks, several at a time and a few ahead of the disk: while one is written, the next are expanded."""

import mmap
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import zstandard

from .ahead import ahead
from .errors import TaskError
from .manifest import Block

_WORKERS = 6  # expanding is most of the work; large machines have as many cores to spare
_WAITING = range(2, 9)
_WAITING_BYTES = 32 << 20
_MEMORY = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """`fetched` is the length of the frame. `raw`, page-aligned, holds another block when the next is asked for."""

    block: Block
    fetched: int
    raw: memoryview


def expanded(frames: Iterable[tuple[Block, bytes]], block_size: int) -> Generator[Expanded]:
    """In the order of the frames. A damaged one raises TaskError in its place, as does whatever `frames` raises."""
    depth = min(max(_WAITING_BYTES // block_size, _WAITING.start), _WAITING.stop - 1)
    # Also one that is about to wait, and one that the user has.
    buffers = deque(memoryview(mmap.mmap(-1, block_size, flags=_MEMORY)) for _ in range(depth + 2))
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="expand")
    try:
        with closing(ahead(_begun(frames, buffers, pool), depth=depth)) as waiting:
            for future in waiting:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(
    frames: Iterable[tuple[Block, bytes]], buffers: deque[memoryview], pool: ThreadPoolExecutor
) -> Iterator[Future[Expanded]]:
    """The buffers go round: the one that was given out longest ago is free again."""
    for block, frame in frames:
        buffers.rotate(-1)
        yield pool.submit(_expand, block, frame, buffers[0][: block.raw_length])


def _expand(block: Block, frame: bytes, raw: memoryview) -> Expanded:
    """The checksum of the frame is compared when all of it was read, hence the read past its end."""
    try:
        stated = zstandard.frame_content_size(frame)
        if stated not in (-1, block.raw_length):
            raise zstandard.ZstdError(f"the frame states {stated} bytes")
        with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
            came = _filled(reader, raw)
            more = len(reader.read(1))
    except zstandard.ZstdError as error:
        raise _damaged(block, str(error)) from error
    if came + more != block.raw_length:
        raise _damaged(block, f"{'more than ' * more}{came} raw bytes")
    return Expanded(block=block, fetched=len(frame), raw=raw)


def _filled(reader: zstandard.ZstdDecompressionReader, raw: memoryview) -> int:
    done = 0
    while done < len(raw) and (came := reader.readinto(raw[done:])):
        done += came
    return done


def _damaged(block: Block, evidence: str) -> TaskError:
    return TaskError(
        f"block {block.index} does not expand to what the manifest says",
        evidence=f"block {block.index} of {block.raw_length} bytes: {evidence}",
        next_action="Build or import the image again.",
    )

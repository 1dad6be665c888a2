"""Files from the server, verified, over a network that breaks off: what has arrived is never fetched twice."""

import hashlib
from collections.abc import Iterator

from .errors import LinkError, TaskError
from .manifest import Block, Manifest
from .ports import Clock, Http, Ports, Rng, Stream
from .retry import next_delay

PATIENCE = 600.0  # seconds without a single frame
WRONG_HASHES = 3  # fetched again so often


class Patience:
    """Waits between tries, each time about longer, until the budget since the last success is used up."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._clock, self._rng = clock, rng
        self._until = clock.monotonic() + PATIENCE
        self._delay = 0.0

    def wait(self, error: LinkError) -> None:
        if self._clock.monotonic() >= self._until:
            raise TaskError(
                f"nothing came from the server for {PATIENCE:.0f} s: {error}",
                evidence=error.evidence,
                next_action="Check the network and the server; then run the task again.",
            ) from error
        self._delay = next_delay(self._delay, self._rng.fraction())
        self._clock.sleep(self._delay)


def fetch_file(ports: Ports, path: str, *, sha256: str, limit: int) -> bytes:
    """A whole small file; raises TaskError."""
    patience = Patience(ports.clock, ports.rng)
    while True:
        try:
            data = _fetch(ports.http, path, limit)
            break
        except LinkError as error:
            patience.wait(error)
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise TaskError(
            f"{path} is not the file that was planned",
            evidence=f"sha256 expected {sha256}, got {found}",
            next_action="Check the file in the image library and make a new plan.",
        )
    return data


def _fetch(http: Http, path: str, limit: int) -> bytes:
    stream = http.open(path, start=0)
    try:
        if stream.total > limit:
            raise TaskError(f"{path} is too large", evidence=f"{stream.total} bytes, at most {limit}")
        return stream.read(stream.total)
    finally:
        stream.close()


class Frames:
    """The compressed frames of a blob in order, each with its hash verified. `resumes` counts the reconnections."""

    def __init__(self, ports: Ports, path: str, manifest: Manifest) -> None:
        self._ports, self._path, self._manifest = ports, path, manifest
        self._stream: Stream | None = None
        self.resumes = 0

    def __iter__(self) -> Iterator[tuple[Block, bytes]]:
        try:
            for block in self._manifest.blocks:
                yield block, self._frame(block)
        finally:
            self._close()

    def _frame(self, block: Block) -> bytes:
        patience = Patience(self._ports.clock, self._ports.rng)
        wrong = 0
        while True:
            try:
                frame = self._read(block)
            except LinkError as error:
                self._break_off()
                patience.wait(error)
                continue
            if (found := hashlib.sha256(frame).hexdigest()) == block.sha256:
                return frame
            self._break_off()
            wrong += 1
            if wrong > WRONG_HASHES:
                raise TaskError(
                    f"block {block.index} of the image is damaged",
                    evidence=f"block {block.index}: sha256 expected {block.sha256}, got {found}, {wrong} times",
                    next_action="Build or import the image again.",
                )

    def _read(self, block: Block) -> bytes:
        if self._stream is None:
            self._stream = self._open(block.offset)
        return self._stream.read(block.length)

    def _open(self, start: int) -> Stream:
        stream = self._ports.http.open(self._path, start=start)
        if stream.total != (size := self._manifest.blob_size):
            stream.close()
            raise TaskError(
                "the blob of the image is truncated" if stream.total < size else "the blob of the image is too long",
                evidence=f"{stream.total} bytes, the manifest says {size}",
                next_action="Build or import the image again.",
            )
        return stream

    def _break_off(self) -> None:
        self._close()
        self.resumes += 1

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

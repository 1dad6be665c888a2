"""The image that is written: one raw disk, compressed as each contender wants it, made once and kept.

3 GiB, of which a good third is data, in runs of 32 MiB with gaps of 32 MiB between them, and nothing at the end. The
data are this machine's own programs and libraries: they compress as those of an image do.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from images import blocks
from tests.bench import peers
from tests.bench.errors import BenchError
from tests.bench.image_files import BLOB, DATA, FOLDER, MANIFEST, MAP, MIB, PACKED, QCOW2, RAW, RUN, SIZE

_LEVEL = "-9"
_FILES = (RAW, PACKED, MAP, QCOW2, MANIFEST, BLOB)
_SECONDS = 900
_ROOTS = ("/usr/lib", "/usr/bin", "/usr/share", "/var/lib")


def ensure() -> None:
    """All forms of it. BenchError when one cannot be made."""
    if not all(path.is_file() for path in _FILES):
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        _write_raw(RAW.with_suffix(".new"))
        RAW.with_suffix(".new").rename(RAW)
        _compress()


def warm(paths: Sequence[Path]) -> None:
    """Into the page cache, so that no run waits for the disk."""
    for path in paths:
        with path.open("rb", buffering=0) as source:
            while source.read(16 * MIB):
                pass


def _write_raw(path: Path) -> None:
    with path.open("wb") as sink:
        sink.truncate(SIZE)
        written = 0
        for piece in _pieces():
            sink.seek(written // RUN * 2 * RUN + written % RUN)
            sink.write(piece)
            written += len(piece)
    if written < DATA:
        raise BenchError(f"this machine has too few files below {', '.join(_ROOTS)}: {written >> 20} MiB")


def _pieces() -> Iterator[bytes]:
    """DATA bytes in pieces of 1 MiB."""
    left, waiting = DATA, bytearray()
    for path in _programs():
        waiting += path.read_bytes()
        while len(waiting) >= MIB and left:
            yield bytes(waiting[:MIB])
            del waiting[:MIB]
            left -= MIB
        if not left:
            return


def _programs() -> Iterator[Path]:
    for root in _ROOTS:
        for folder, folders, names in os.walk(root):
            folders.sort()
            found = (Path(folder, name) for name in sorted(names))
            yield from (path for path in found if path.is_file() and not path.is_symlink())


def _compress() -> None:
    _run(("zstd", "-q", "-T0", _LEVEL, str(RAW), "-o", str(PACKED)))
    _run(peers.bmaptool("create", "--output", str(MAP), str(RAW)))
    _run(peers.qemu_img("convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", str(RAW), str(QCOW2)))
    manifest = blocks.pack(RAW, BLOB, "bench")
    MANIFEST.write_text(manifest.to_json())


def _run(argv: Sequence[str]) -> None:
    environment = {**os.environ, **peers.image_tools()}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    if done.returncode:
        raise BenchError(f"{' '.join(argv)[:120]}: {done.stderr.strip()[-400:]}")

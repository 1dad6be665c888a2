"""Where the image of the bench stands, and its sizes in bytes; apart, so that who is timed imports little."""

from tests.bench.lab import CACHE

MIB = 1 << 20
SIZE = 3072 * MIB
DATA = 1056 * MIB
RUN = 32 * MIB

FOLDER = CACHE / "data/image"
RAW, PACKED, MAP, QCOW2 = (FOLDER / name for name in ("disk.raw", "disk.raw.zst", "disk.bmap", "disk.qcow2"))
MANIFEST, BLOB = FOLDER / "manifest.json", FOLDER / "blob.zst"

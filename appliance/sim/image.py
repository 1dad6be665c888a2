"""A small OS image, built with the real format code: a boot partition, a root file system, and a hole between."""

import hashlib
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import zstandard

from appliance.plan import ImageRef
from appliance.sim.disk import PAGE, Pages, paged, read
from appliance.sim.partitioning import ESP, LINUX, SECTOR, Part, parse_table, table_head
from appliance.sim.topology import IMAGE
from images.agent.manifest import Block, Manifest

_MIB = 1 << 20
_BLOCK = _MIB
"""Not less than `images.agent.disks.FINGERPRINT_BYTES`: a disk whose first block is not written yet looks blank."""

_RAW = 4 * _MIB + _MIB // 2
_TABLE_PAGES = 5
_PARTS = (
    Part(number=1, start=_MIB // SECTOR, size=_MIB // SECTOR, type=ESP, name="esp"),
    Part(number=2, start=2 * _MIB // SECTOR, size=5 * _MIB // SECTOR // 2, type=LINUX, name="root"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    ref: ImageRef
    manifest: bytes
    blob: bytes
    pages: Pages

    @property
    def damaged(self) -> bytes:
        """The blob with one bit of its last frame turned."""
        return self.blob[:-1] + bytes((self.blob[-1] ^ 1,))

    def is_on(self, content: Pages) -> bool:
        """Whether a disk starts as this image does, whatever follows."""
        return read(content, SECTOR, 72) == read(self.pages, SECTOR, 72)

    def is_whole(self, content: Pages) -> bool:
        """Whether a disk holds all of it; partitions may have been added to the table since."""
        if not has_table(content):
            return False
        last = _RAW // PAGE
        here = {number: page for number, page in content.items() if _TABLE_PAGES <= number < last}
        return here == {number: page for number, page in self.pages.items() if number >= _TABLE_PAGES}


def has_table(content: Pages) -> bool:
    """Whether firmware would find something to start."""
    return parse_table(read(content, 0, 34 * SECTOR)) is not None


@cache
def small_image() -> Image:
    raw = _raw()
    frames = [(i, raw[i * _BLOCK : (i + 1) * _BLOCK]) for i in range(-(-_RAW // _BLOCK))]
    blocks, blob = list[Block](), b""
    for index, data in frames:
        if any(data):
            frame = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(data)
            digest = hashlib.sha256(frame).hexdigest()
            block = Block(index=index, offset=len(blob), length=len(frame), sha256=digest, raw_length=len(data))
            blocks.append(block)
            blob += frame
    manifest = Manifest(
        name=IMAGE,
        raw_size=_RAW,
        block_size=_BLOCK,
        blob_sha256=hashlib.sha256(blob).hexdigest(),
        blob_size=len(blob),
        blocks=tuple(blocks),
    )
    text = manifest.to_json().encode()
    ref = ImageRef(
        name=IMAGE,
        manifest_sha256=hashlib.sha256(text).hexdigest(),
        blob_sha256=manifest.blob_sha256,
        raw_bytes=_RAW,
    )
    return Image(ref=ref, manifest=text, blob=blob, pages=dict(paged(0, raw, {}).data))


def _raw() -> bytes:
    """Mostly zeros, as a fresh file system is; the third block is a hole."""
    head = table_head(UUID(int=0xC0FFEE), _PARTS)
    raw = bytearray(_RAW)
    raw[: len(head)] = head
    for number in (0, 1, 3, 4):
        for page in range(8, 24):
            at = number * _BLOCK + page * PAGE
            raw[at : at + PAGE] = hashlib.sha256(f"{number}.{page}".encode()).digest() * (PAGE // 32)
    return bytes(raw)

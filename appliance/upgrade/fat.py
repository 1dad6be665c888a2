"""Where on a FAT volume a file stands. Pure.

Format: Microsoft, "FAT: General Overview of On-Disk Format" 1.03, boot sector and BPB; `mshowfat` of mtools says which
clusters a file has.
"""

import re
import struct

from appliance.errors import MachineryError

_CLUSTERS = re.compile(rb"<(\d+)(?:-(\d+))?>")
_GEOMETRY = struct.Struct("<HBHB")
_GEOMETRY_AT, _FAT_SIZE_AT = 11, 36
_FIRST_CLUSTER = 2


def offset_of(boot_sector: bytes, said: bytes) -> int:
    """In bytes from the volume's start, of a file's first cluster on FAT32; `said` is what `mshowfat` prints of it.
    Raises `MachineryError`."""
    found = _CLUSTERS.search(said)
    if found is None or len(boot_sector) < 512 or boot_sector[510:512] != b"\x55\xaa":
        raise _unknown(said.decode("utf-8", "replace"))
    sector, per_cluster, reserved, fats = _GEOMETRY.unpack_from(boot_sector, _GEOMETRY_AT)
    (fat_size,) = struct.unpack_from("<I", boot_sector, _FAT_SIZE_AT)
    cluster = int(found[1])
    if not sector or not per_cluster or not fats or cluster < _FIRST_CLUSTER:
        raise _unknown(f"cluster {cluster}, sectors of {sector} bytes")
    first: int = reserved + fats * fat_size + (cluster - _FIRST_CLUSTER) * per_cluster
    return first * int(sector)


def _unknown(evidence: str) -> MachineryError:
    action = "write the appliance's disk image anew; /data is lost with it: back up first"
    return MachineryError("GRUB's environment is not where it should be", evidence=evidence[:300], next_action=action)

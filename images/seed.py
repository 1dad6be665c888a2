"""The NoCloud seed: a small FAT volume labelled CIDATA, from which an installed system takes its identity.

Format: cloud-init documentation, "NoCloud" data source. Long names are stored as VFAT long names.
"""

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from images.errors import BuildError
from images.ports import Processes
from images.processes import check

LABEL = "CIDATA"
_MIB = 1 << 20
_SECTOR = 512
_MAX_CONTENT = 16 * _MIB
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def build(files: Mapping[str, bytes], processes: Processes) -> bytes:
    """The volume, a whole number of MiB, to be written to a partition as it is. Raises BuildError, ToolError."""
    size = _size(files)
    with tempfile.TemporaryDirectory() as folder:
        volume, content = Path(folder) / "volume", Path(folder) / "files"
        content.mkdir()
        with volume.open("wb") as file:
            file.truncate(size)
        for name, data in files.items():
            (content / name).write_bytes(data)
        sectors = str(size // _SECTOR)
        check(processes, ["mformat", "-i", str(volume), "-T", sectors, "-h", "16", "-s", "63", "-v", LABEL, "::"])
        if files:
            paths = [str(content / name) for name in sorted(files)]
            check(processes, ["mcopy", "-i", str(volume), *paths, "::"])
        return volume.read_bytes()


def _size(files: Mapping[str, bytes]) -> int:
    content = sum(map(len, files.values()))
    if wrong := [name for name in files if not _NAME.fullmatch(name)]:
        raise BuildError("a seed file needs a plain name", evidence=repr(wrong)[:300])
    if content > _MAX_CONTENT:
        raise BuildError("the seed is too large", evidence=f"{content} bytes, at most {_MAX_CONTENT}")
    return _MIB * max(1, math.ceil(content * 1.25 / _MIB) + (content > 0))

"""An OS image onto a disk: the agent's writer beside bmaptool, qemu-img, zstd, and O_DIRECT as the ceiling.

One image, compressed with zstd for all, in the page cache; the target is empty, and an fsync ends each run. What each
proves on the way differs. Ours: SHA-256 of all that arrives, the checksum of each frame, the partition table last with
two flushes of the disk before it. bmaptool: SHA-256 of all that it writes. zstd: the checksum of its one frame.
qemu-img: nothing. After each run the target is compared with the image, by the byte.

"every byte" writes the zeros, too; "mapped" leaves them out, on a file and on a loop device.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench import image_source, peers
from tests.bench.case import Batch, Bench, Contender, Goal, Size
from tests.bench.errors import BenchError
from tests.bench.image_files import BLOB, DATA, MANIFEST, MAP, MIB, PACKED, QCOW2, RAW, SIZE
from tests.bench.image_way import CPU, RATE
from tests.bench.process import Launch

_OURS, _CEILING = "innervate", "O_DIRECT"
_TARGET = "target.raw"
_SECONDS = 120.0
_WHOLE, _FILE, _LOOP = "every byte, file", "mapped, file", "mapped, loop device"


def image(size: Size) -> Bench:
    cases = (
        _batch(_WHOLE, "file", "write", SIZE, _whole()),
        _batch(_FILE, "file", "mapped", DATA, _mapped()),
        _batch(_LOOP, "loop", "write", DATA, _mapped()),
    )
    return Bench(
        name="image",
        size=size,
        packages=("bmap-tools", "qemu-utils"),
        prepare=image_source.ensure,
        cases=cases[-1:] if size is Size.QUICK else cases,
        goals=() if size is Size.QUICK else (_goal(_WHOLE, _CEILING, 0.85), *_goals(_FILE), *_goals(_LOOP)),
    )


Peers = Mapping[str, tuple[Path, Sequence[str]]]
"""By name: the file that it reads, and its command line; `@` is the target."""


def _whole() -> Peers:
    return {
        "bmaptool": (PACKED, peers.bmaptool("copy", "--nobmap", str(PACKED), "@")),
        "qemu-img": (QCOW2, peers.qemu_img("convert", "-S", "0", "-O", "raw", "-n", str(QCOW2), "@")),
        "zstd": (PACKED, ("zstd", "-q", "-d", "-f", "--no-sparse", str(PACKED), "-o", "@")),
    }


def _mapped() -> Peers:
    convert = ("convert", "-O", "raw", "-n", "--target-is-zero")
    return {
        "bmaptool": (PACKED, peers.bmaptool("copy", "--bmap", str(MAP), str(PACKED), "@")),
        "qemu-img": (QCOW2, peers.qemu_img(*convert, str(QCOW2), "@")),
        "qemu-img -t none -W": (QCOW2, peers.qemu_img(*convert, "-t", "none", "-W", "-m", "8", str(QCOW2), "@")),
        "zstd": (PACKED, ("zstd", "-q", "-d", "-f", "--sparse", str(PACKED), "-o", "@")),
    }


def _batch(name: str, kind: str, way: str, ceiling: int, others: Peers) -> Batch:
    program = (sys.executable, "-m", "tests.bench.image_ours")
    contenders = (
        _contender(_OURS, kind, (MANIFEST, BLOB), (*program, way, "@"), ours=True),
        _contender(_CEILING, kind, (), (*program, "direct", "@", str(ceiling))),
        *(_contender(peer, kind, (source,), argv) for peer, (source, argv) in others.items()),
    )
    return Batch(name=name, contenders=contenders, seconds=_SECONDS, check=_check)


def _contender(name: str, kind: str, sources: Sequence[Path], argv: Sequence[str], *, ours: bool = False) -> Contender:
    return Contender(name=name, ours=ours, launch=partial(_launch, kind, sources, argv))


def _launch(kind: str, sources: Sequence[Path], argv: Sequence[str], folder: Path) -> Launch:
    image_source.warm(sources)
    timed = (sys.executable, "-m", "tests.bench.image_way", kind, str(folder / _TARGET), *argv)
    return Launch(argv=timed, environment=peers.image_tools())


def _check(contender: Contender, folder: Path, _: Mapping[str, float]) -> None:
    target = folder / _TARGET
    if contender.name != _CEILING and not _same(target, RAW):
        raise BenchError(f"{contender.name} wrote something else than the image")
    target.unlink()


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(4 * MIB):
            if piece != right.read(4 * MIB):
                return False
    return True


def _goals(case: str) -> tuple[Goal, ...]:
    """`O_DIRECT` writes as many bytes as the image has data. CPU time tells more than the clock on a busy machine."""
    bounds = {"bmaptool": 1.3, "qemu-img": 1.3, "qemu-img -t none -W": 1.3, "zstd": 1.1}
    return (
        _goal(case, _CEILING, 0.95),
        *(_goal(case, peer, bound) for peer, bound in bounds.items()),
        *(_cpu_goal(case, peer) for peer in bounds),
    )


def _goal(case: str, peer: str, bound: float) -> Goal:
    return Goal(id=_id(case, peer), case=case, metric=RATE, ours=_OURS, peer=peer, comparison=">=", bound=bound)


def _cpu_goal(case: str, peer: str) -> Goal:
    name = f"{_id(case, peer)}.cpu"
    return Goal(id=name, case=case, metric=CPU, ours=_OURS, peer=peer, comparison="<=", bound=1.0)


def _id(case: str, peer: str) -> str:
    return f"image.{case.replace(', ', '.').replace(' ', '-')}.{peer.replace(' ', '')}"

"""TFTP: one, 50 and 200 clients, in lockstep and with windows (RFC 7440), blocks of 1428 bytes.

All are asked for the window; atftpd and ours grant it, the others stay in lockstep. Every byte is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import ours, peers, traffic
from tests.bench.case import Bench, Case, Contender, Goal, Load, Size
from tests.bench.errors import BenchError
from tests.bench.lab import FIRST_CLIENT, SERVER, Lab
from tests.bench.tools import GENERATOR, generate

RATE = "mb_per_s"
CPU = "cpu_ms_per_mb"

_BLOCK = 1428
_MEGABYTE = 1e6

_OURS = Contender(name="innervate", ours=True, launch=ours.tftp)
_PORTABLE = Contender(name="innervate portable", ours=True, launch=ours.tftp_portable)
_HPA = Contender(name="tftpd-hpa", ours=False, launch=peers.tftpd_hpa, cpu_counted=False)
_ATFTPD = Contender(name="atftpd", ours=False, launch=peers.atftpd)
_DNSMASQ = Contender(name="dnsmasq", ours=False, launch=peers.dnsmasq_tftp)
_TFTPY = Contender(name="tftpy", ours=False, launch=peers.tftpy)

_LOCKSTEP = (_OURS, _PORTABLE, _HPA, _ATFTPD, _DNSMASQ, _TFTPY)
_WINDOWED = (_OURS, _PORTABLE, _ATFTPD)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    clients: int
    file: Path
    window: int
    contenders: tuple[Contender, ...]
    seconds: float = 8.0

    @property
    def name(self) -> str:
        return f"{self.clients} x {traffic.SIZES[self.file] // traffic.MIB} MiB, windowsize {self.window}"


def tftp(size: Size) -> Bench:
    one, many, all_ = (1, 50, 200) if size is Size.FULL else (1, 5, 10)
    lockstep_many = _Shape(clients=many, file=traffic.SMALL, window=1, contenders=_LOCKSTEP)
    lockstep_all = _Shape(clients=all_, file=traffic.SMALL, window=1, contenders=_LOCKSTEP)
    windowed_many = _Shape(clients=many, file=traffic.SMALL, window=16, contenders=(*_WINDOWED, _TFTPY))
    windowed_all = _Shape(clients=all_, file=traffic.SMALL, window=16, contenders=_WINDOWED, seconds=15.0)
    large = (
        _Shape(clients=one, file=traffic.LARGE, window=1, contenders=_LOCKSTEP, seconds=4.0),
        _Shape(clients=one, file=traffic.LARGE, window=16, contenders=_WINDOWED),
        _Shape(clients=one, file=traffic.LARGE, window=64, contenders=_WINDOWED),
    )
    single = _Shape(clients=one, file=traffic.SMALL, window=1, contenders=_LOCKSTEP)
    single_windowed = _Shape(clients=one, file=traffic.SMALL, window=16, contenders=_WINDOWED)
    shapes = (single, single_windowed, *large, lockstep_many, windowed_many, lockstep_all, windowed_all)
    return Bench(
        name="tftp",
        size=size,
        packages=("tftpd-hpa", "atftpd", "dnsmasq-base"),
        files=(traffic.SMALL, traffic.LARGE),
        cases=tuple(map(_case, shapes)),
        goals=(
            _ratio("tftp.atftpd", windowed_all, _ATFTPD, 3.0),
            Goal(
                id="tftp.retransmits",
                case=windowed_all.name,
                metric="retransmits",
                ours=_OURS.name,
                comparison="<=",
                bound=0,
            ),
            _ratio("tftp.dnsmasq.50", lockstep_many, _DNSMASQ, 0.9),
            _ratio("tftp.dnsmasq.200", lockstep_all, _DNSMASQ, 0.9),
            _ratio("tftp.tftpy", windowed_many, _TFTPY, 10.0),
        ),
    )


def _ratio(goal: str, shape: _Shape, peer: Contender, bound: float) -> Goal:
    return Goal(id=goal, case=shape.name, metric=RATE, ours=_OURS.name, peer=peer.name, comparison=">=", bound=bound)


def _case(shape: _Shape) -> Case:
    return Case(name=shape.name, contenders=shape.contenders, drive=_drive(shape), cpu=CPU, cpu_scale=1e3)


def _drive(shape: _Shape) -> Callable[[Lab, Contender], Load]:
    def drive(lab: Lab, _: Contender) -> Load:
        file = (shape.file.name, str(shape.file))
        rest = (shape.clients, str(FIRST_CLIENT), _BLOCK, shape.window, shape.seconds)
        seen = generate(lab, "tftp", (str(SERVER), *file, *rest), seconds=shape.seconds)
        if seen["mismatches"] or seen["errors"] or seen["whole"] != seen["ended"]:
            raise BenchError(f"transfers with wrong bytes, refused or cut short: {seen}")
        megabytes = seen["bytes"] / _MEGABYTE
        metrics = {
            RATE: megabytes / seen["seconds"],
            "p50_s": seen["p50"],
            "p99_s": seen["p99"],
            "retransmits": seen["retransmits"],
            "windowsize": seen["windowsize"],
            "ended": seen["ended"],
            GENERATOR: seen[GENERATOR],
        }
        return Load(metrics=metrics, work=megabytes)

    return drive

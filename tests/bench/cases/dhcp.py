"""DHCP: exchanges per second of a steady stream, and a rack that is powered on at once.

Ours has every lease on disk (fdatasync) before the ACK leaves; compiled, it is machine code (mypyc). Kea
writes its journal without flushing, dnsmasq rewrites its lease file for each lease.
"""

from collections.abc import Callable
from functools import partial

from tests.bench import ours, peers
from tests.bench.case import Bench, Case, Contender, Goal, Load, Size
from tests.bench.errors import BenchError
from tests.bench.lab import RELAY, SERVER, Lab
from tests.bench.tools import GENERATOR, generate

RATE = "dora_per_s"
CPU = "cpu_us_per_dora"

_WINDOW, _STORM_WINDOW = 64, 1000
_STEADY, _STORM = "64 outstanding", "1000 at once"
_SECONDS = 40.0

_OURS = Contender(name="innervate", ours=True, launch=ours.dhcp)
_COMPILED = Contender(name="innervate compiled", ours=True, launch=ours.dhcp_compiled)
_KEA = Contender(name="kea persist", ours=False, launch=partial(peers.kea, persist=True))
_KEA_MEMORY = Contender(name="kea no persist", ours=False, launch=partial(peers.kea, persist=False))
_KEA_BUFFERS = Contender(
    name="kea persist, 8 MiB rmem", ours=False, launch=partial(peers.kea, persist=True, buffers=True)
)
_DNSMASQ = Contender(name="dnsmasq", ours=False, launch=peers.dnsmasq_dhcp, share=0.1)


def dhcp(size: Size) -> Bench:
    count = 10_000 if size is Size.FULL else 300
    return Bench(
        name="dhcp",
        size=size,
        packages=("kea-dhcp4-server", "dnsmasq-base"),
        cases=(_case(_STEADY, (_OURS, _COMPILED, _KEA, _KEA_MEMORY, _DNSMASQ), _WINDOW, count),),
        goals=(
            _ratio("dhcp.kea", _OURS, _KEA, 3.0),
            _ratio("dhcp.dnsmasq", _OURS, _DNSMASQ, 40.0),
            _ratio("dhcp.compiled.kea", _COMPILED, _KEA, 3.0),
            _ratio("dhcp.compiled.dnsmasq", _COMPILED, _DNSMASQ, 40.0),
        ),
    )


def storm(size: Size) -> Bench:
    count = 10_000 if size is Size.FULL else 1000
    return Bench(
        name="storm",
        size=size,
        packages=("kea-dhcp4-server",),
        cases=(_case(_STORM, (_OURS, _KEA, _KEA_BUFFERS), _STORM_WINDOW, count),),
        goals=(
            Goal(id="storm.drops", case=_STORM, metric="drops", ours=_OURS.name, comparison="<=", bound=0),
            Goal(id="storm.p99", case=_STORM, metric="p99_s", ours=_OURS.name, comparison="<", bound=0.3),
        ),
    )


def _ratio(goal: str, own: Contender, peer: Contender, bound: float) -> Goal:
    return Goal(id=goal, case=_STEADY, metric=RATE, ours=own.name, peer=peer.name, comparison=">=", bound=bound)


def _case(name: str, contenders: tuple[Contender, ...], window: int, count: int) -> Case:
    return Case(name=name, contenders=contenders, drive=_drive(window, count), cpu=CPU, cpu_scale=1e6)


def _drive(window: int, count: int) -> Callable[[Lab, Contender], Load]:
    def drive(lab: Lab, contender: Contender) -> Load:
        wanted = max(window, round(count * contender.share))
        seen = generate(lab, "dora", (str(SERVER), str(RELAY), window, wanted, _SECONDS), seconds=_SECONDS)
        if seen["duplicates"] or seen["foreign"] or not seen["done"]:
            raise BenchError(f"addresses that are given twice, lie elsewhere or none at all: {seen}")
        metrics = {
            RATE: seen["done"] / seen["seconds"],
            "p50_s": seen["p50"],
            "p99_s": seen["p99"],
            "drops": seen["drops"],
            "naks": seen["naks"],
            "done": seen["done"],
            GENERATOR: seen[GENERATOR],
        }
        return Load(metrics=metrics, work=seen["done"])

    return drive

"""DNS: dnsperf against authoritative answers, hot names and names that do not exist."""

import re
from collections.abc import Callable
from pathlib import Path

import dnslib

from tests.bench import ours, peers, traffic
from tests.bench.case import Bench, Case, Contender, Goal, Load, Size
from tests.bench.errors import BenchError
from tests.bench.lab import SERVER, Lab
from tests.bench.tools import GENERATOR, run_client

RATE = "queries_per_s"
CPU = "cpu_us_per_query"

_PACKAGE = "dnsperf"
_HOT, _UNIQUE = "hot names, 9 % NXDOMAIN", "unique NXDOMAIN"
_FIGURES = {
    "completed": re.compile(r"Queries completed:\s+(\d+)"),
    "lost": re.compile(r"Queries lost:\s+(\d+)"),
    "rate": re.compile(r"Queries per second:\s+([\d.]+)"),
    "latency": re.compile(r"Average Latency \(s\):\s+([\d.]+)"),
}
_CODES = re.compile(r"(NOERROR|NXDOMAIN|[A-Z]+) (\d+) \(")
_SHARE_SLACK = 0.01
_TIMEOUT = 1

_OURS = Contender(name="innervate", ours=True, launch=ours.dns)
_KNOT = Contender(name="knot", ours=False, launch=peers.knot)
_UNBOUND = Contender(name="unbound", ours=False, launch=peers.unbound)
_DNSMASQ = Contender(name="dnsmasq", ours=False, launch=peers.dnsmasq_dns)
_DNSLIB = Contender(name="dnslib.server", ours=False, launch=peers.dnslib)
_ALL = (_OURS, _KNOT, _UNBOUND, _DNSMASQ, _DNSLIB)


def dns(size: Size) -> Bench:
    seconds = 2.0 if size is Size.FULL else 0.5
    return Bench(
        name="dns",
        size=size,
        packages=("knot", "unbound", "dnsmasq-base", _PACKAGE),
        cases=(
            _case(_HOT, traffic.questions(), traffic.NXDOMAIN_SHARE, seconds),
            _case(_UNIQUE, traffic.unique_questions(), 1.0, seconds),
        ),
        goals=(_ratio("dns.knot", _KNOT, 1.0), _ratio("dns.dnsmasq", _DNSMASQ, 1.2)),
    )


def _ratio(goal: str, peer: Contender, bound: float) -> Goal:
    return Goal(id=goal, case=_HOT, metric=RATE, ours=_OURS.name, peer=peer.name, comparison=">=", bound=bound)


def _case(name: str, questions: str, absent: float, seconds: float) -> Case:
    return Case(
        name=name,
        contenders=_ALL,
        drive=_drive(questions, absent, seconds),
        cpu=CPU,
        cpu_scale=1e6,
        check=_check,
    )


def _drive(questions: str, absent: float, seconds: float) -> Callable[[Lab, Contender], Load]:
    def drive(lab: Lab, _: Contender) -> Load:
        source = lab.folder / "questions"
        source.write_text(questions)
        text, share = _dnsperf(lab, source, seconds)
        seen = parse_dnsperf(text)
        if abs(seen["nxdomain"] / seen["completed"] - absent) > _SHARE_SLACK:
            raise BenchError(f"NXDOMAIN in another share than {absent}: {seen}")
        metrics = {RATE: seen["rate"], "mean_s": seen["latency"], "lost": seen["lost"], GENERATOR: share}
        return Load(metrics=metrics, work=seen["completed"])

    return drive


def _dnsperf(lab: Lab, source: Path, seconds: float) -> tuple[str, float]:
    argv = (peers.program(_PACKAGE, "usr/bin/dnsperf"), "-s", str(SERVER), "-d", str(source))
    load = ("-c", "8", "-T", "1", "-q", "200", "-t", str(_TIMEOUT), "-l", str(seconds))
    return run_client(lab, (*argv, *load), seconds=seconds + _TIMEOUT, environment=peers.libraries(_PACKAGE))


def parse_dnsperf(text: str) -> dict[str, float]:
    """completed, lost, rate (per second), latency (mean, s), noerror, nxdomain. BenchError for another answer code."""
    found = {name: pattern.search(text) for name, pattern in _FIGURES.items()}
    figures = {name: float(match[1]) for name, match in found.items() if match}
    if len(figures) != len(_FIGURES) or not figures["completed"]:
        raise BenchError(f"dnsperf said nothing usable: {text[-300:]}")
    line = next((line for line in text.splitlines() if "Response codes:" in line), "")
    codes = {name: float(count) for name, count in _CODES.findall(line.partition(":")[2])}
    if not codes.keys() <= {"NOERROR", "NXDOMAIN"}:
        raise BenchError(f"dnsperf saw failures: {line.strip()}")
    return {**figures, "noerror": codes.get("NOERROR", 0.0), "nxdomain": codes.get("NXDOMAIN", 0.0)}


def _check(_: Lab, __: Path) -> None:
    """The right address for a host, NXDOMAIN for none; dnslib's codec is the judge."""
    name, address = next(iter(traffic.HOSTS.items()))
    present = _ask(f"{name}.{traffic.DOMAIN}")
    if [str(record.rdata) for record in present.rr] != [str(address)]:
        raise BenchError(f"wrong answer for {name}: {present.toZone()[:200]}")
    absent = _ask(f"nobody.{traffic.DOMAIN}")
    if absent.header.rcode != dnslib.RCODE.NXDOMAIN or absent.rr:
        raise BenchError(f"no NXDOMAIN for nobody: {absent.toZone()[:200]}")


def _ask(name: str) -> dnslib.DNSRecord:
    try:
        return dnslib.DNSRecord.parse(dnslib.DNSRecord.question(name).send(str(SERVER), 53, timeout=5))
    except (OSError, dnslib.DNSError) as cause:
        raise BenchError(f"no DNS answer for {name}: {cause}") from cause

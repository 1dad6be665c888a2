"""./run bench NAME [--json [FILE]] [--rounds N] [--quick]: ours beside its peers, on this machine.

NAME is one of dhcp, storm, tftp, http, dns, bmc, journal, image. Ours and the peers take turns: all of them once, then
all again. Servers run on CPU 0, load generators and BMC clients on CPU 1, in two network namespaces joined by a veth
pair; journals and images, which need no network, run on both. Exit status 0 when every run gave a figure, whether or
not the goals were reached.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.bench import lab, peers, report, traffic
from tests.bench.case import Bench, Outcome, Size
from tests.bench.cases import CASES
from tests.bench.errors import BenchError
from tests.bench.tools import build_tools

ROUNDS = 3
_MOST_ROUNDS = 50


def main() -> int:
    arguments = _arguments()
    size = Size.QUICK if arguments.quick else Size.FULL
    bench = CASES[arguments.name](size)
    if not arguments.inside:
        lock = lab.claim()
        _prepare(bench)
        return lab.enter(sys.argv[1:], lock)
    rounds = arguments.rounds or (1 if arguments.quick else ROUNDS)
    outcome = _measure(bench, rounds)
    _publish(outcome, arguments.json)
    return 0 if all(not run.error for run in outcome.runs) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("name", choices=sorted(CASES))
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="one JSON object: to FILE, or to stdout")
    parser.add_argument("--rounds", type=_count, metavar="N", help=f"default {ROUNDS}, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="small counts: shows that it works, measures nothing")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"1 to {_MOST_ROUNDS}")
    return int(text)


def _prepare(bench: Bench) -> None:
    peers.fetch(bench.packages, progress=_say)
    peers.fetch_environments(bench.environments, progress=_say)
    build_tools()
    for file in bench.files:
        traffic.ensure_file(file)
    bench.prepare()


def _measure(bench: Bench, rounds: int) -> Outcome:
    with lab.make() as made:
        return bench.run(made, rounds, progress=_say)


def _publish(outcome: Outcome, target: str | None) -> None:
    document = json.dumps(report.as_json(outcome), indent=1)
    if target == "-":
        sys.stdout.write(document + "\n")
        return
    if target:
        Path(target).write_text(document + "\n")
    sys.stdout.write(report.as_text(outcome) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as trouble:
        _say(f"innervate: {trouble}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

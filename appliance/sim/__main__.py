"""python -m appliance.sim --machines N --seed S --faults all|none [--json [FILE]]"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from appliance.sim.faults import Faults
from appliance.sim.run import Report, Wanted, simulate


def main(arguments: list[str]) -> int:
    """1 where an invariant does not hold."""
    asked = _parser().parse_args(arguments)
    report = simulate(Wanted(machines=asked.machines, seed=asked.seed, faults=Faults(asked.faults)))
    if asked.json is None:
        sys.stdout.write(text_of(report, asked.faults))
    elif asked.json == "-":
        sys.stdout.write(json_of(report))
    else:
        Path(asked.json).write_text(json_of(report))
    return 1 if report.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sim", description="A simulated site, from nothing to active machines.")
    parser.add_argument("--machines", type=int, default=20, metavar="N", help="how many servers the rack has")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed is the same run")
    parser.add_argument("--faults", choices=[faults.value for faults in Faults], default=Faults.ALL.value)
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="one object, on standard output or to FILE"
    )
    return parser


def json_of(report: Report) -> str:
    shown = {**asdict(report), "violations": len(report.violations)}
    shown["faults"] = list(report.faults)
    return json.dumps(shown) + "\n"


def text_of(report: Report, faults: str) -> str:
    lines = [
        f"{report.active} of {report.machines} machines active after {report.virtual_minutes} minutes"
        + (f", {report.quarantined} kept out" if report.quarantined else ""),
        f"seed {report.seed}, {report.events} events, hash {report.event_hash[:16]}",
        f"{report.cpu_seconds_per_machine} CPU seconds a machine, {report.max_rss_mb} MB at most",
    ]
    if report.faults:
        lines.append("faults: " + ", ".join(name.lower().replace("_", " ") for name in report.faults))
    for violation in report.violations:
        lines += [
            "",
            str(violation),
            f"again: ./run sim --machines {report.machines} --seed {report.seed} --faults {faults}",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

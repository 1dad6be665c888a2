"""BMCs, asked all at once: here the client is what is measured, and the server is the same for all.

Redfish: identify, power state, one-time boot override with its read-back, power on, power state, and the end of the
session, of every BMC, over TLS and at 50 ms for each answer. Ours is the dialler on one event loop; the peer is DMTF's
synchronous library in 200 threads, asked for the same with as few requests as it takes. IPMI: log-in, power state,
log-out; the peer is ipmitool, 64 processes at a time.

`cpu_ms_per_bmc` is the client's, user and system; `farm_cpu_ms_per_bmc` is what the BMCs cost on the other CPU.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping

from tests.bench import bmc_farm, peers
from tests.bench.case import Bench, Case, Contender, Goal, Load, Size
from tests.bench.lab import SERVER, Lab
from tests.bench.tools import GENERATOR, run_client

WALL, CPU = "seconds", "cpu_ms_per_bmc"

_REDFISH, _IPMI = "Redfish, 5 calls over TLS", "IPMI, power state"
_SECONDS = 300.0
_IPMITOOL = "ipmitool"

_OURS = Contender(name="innervate", ours=True, launch=bmc_farm.redfish)
_LIBRARY = Contender(name="redfish", ours=False, launch=bmc_farm.redfish)
_OURS_IPMI = Contender(name="innervate-ipmi", ours=True, launch=bmc_farm.ipmi)
_TOOL = Contender(name="ipmitool", ours=False, launch=bmc_farm.ipmi)


def bmc(size: Size) -> Bench:
    count = 500 if size is Size.FULL else 20
    return Bench(
        name="bmc",
        size=size,
        packages=(_IPMITOOL,),
        cases=(_case(_REDFISH, (_OURS, _LIBRARY), count), _case(_IPMI, (_OURS_IPMI, _TOOL), count)),
        goals=(
            _ratio("bmc.redfish.wall", _REDFISH, WALL, (_OURS, _LIBRARY), 1 / 10),
            _ratio("bmc.redfish.cpu", _REDFISH, CPU, (_OURS, _LIBRARY), 1 / 12),
            _ratio("bmc.ipmi.wall", _IPMI, WALL, (_OURS_IPMI, _TOOL), 1),
            _ratio("bmc.ipmi.cpu", _IPMI, CPU, (_OURS_IPMI, _TOOL), 1 / 10),
        ),
    )


def _ratio(goal: str, case: str, metric: str, pair: tuple[Contender, Contender], bound: float) -> Goal:
    own, peer = pair
    return Goal(id=goal, case=case, metric=metric, ours=own.name, peer=peer.name, comparison="<=", bound=bound)


def _case(name: str, contenders: tuple[Contender, ...], count: int) -> Case:
    return Case(name=name, contenders=contenders, drive=_drive(count), cpu="farm_cpu_ms_per_bmc", cpu_scale=1e3)


def _drive(count: int) -> Callable[[Lab, Contender], Load]:
    def drive(lab: Lab, contender: Contender) -> Load:
        run_client(lab, ("ip", "route", "replace", str(bmc_farm.FARM), "via", str(SERVER)), seconds=_SECONDS)
        client = (sys.executable, "-m", "tests.bench.bmc_clients", contender.name, str(count), *_extra(lab, contender))
        text, share = run_client(lab, client, seconds=_SECONDS, environment=_environment(contender))
        seen = json.loads(text)
        metrics = {WALL: seen["seconds"], CPU: seen["cpu"] * 1e3 / count, "client_rss_mib": seen["rss_mib"]}
        return Load(metrics={**metrics, GENERATOR: share}, work=count)

    return drive


def _extra(lab: Lab, contender: Contender) -> tuple[str, ...]:
    """What the client is given besides the number of BMCs."""
    if contender is _OURS:
        return (bmc_farm.fingerprint(lab.folder / "run"),)
    return (peers.program(_IPMITOOL, "usr/bin/ipmitool"),) if contender is _TOOL else ()


def _environment(contender: Contender) -> Mapping[str, str]:
    return {**os.environ, **(peers.libraries(_IPMITOOL) if contender is _TOOL else {})}

"""Many runs at once, on all cores."""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from appliance.sim.run import Report, Wanted, simulate


def size_of(seed: int) -> int:
    return 3 + seed % 6


def play(seeds: Iterable[int]) -> list[Report]:
    wanted = [Wanted(machines=size_of(seed), seed=seed) for seed in seeds]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(simulate, wanted, chunksize=8))


def said(reports: Iterable[Report]) -> str:
    """Empty when all went well, else each violation with how to see it again."""
    return "\n\n".join(
        f"{violation}\nagain: python -m appliance.sim --machines {report.machines} --seed {report.seed}"
        for report in reports
        for violation in report.violations
    )

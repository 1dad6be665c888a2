"""One run in a process of its own, so that its memory is its own."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from appliance.sim.faults import Faults
from appliance.sim.run import Report, Wanted, simulate


def alone(machines: int, *, seed: int, faults: Faults) -> Report:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(simulate, Wanted(machines=machines, seed=seed, faults=faults)).result()

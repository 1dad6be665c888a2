"""One handler per action: a pure function that looks, names what is to be done next, and knows when it is proven."""

from typing import assert_never

from appliance.conductor.decision import Decision, View
from appliance.conductor.handlers.agent import boot_agent, read_facts, work
from appliance.conductor.handlers.cluster import cluster_step
from appliance.conductor.handlers.enrol import enrol
from appliance.conductor.handlers.install import boot_disk
from appliance.conductor.handlers.installer import run_installer
from appliance.conductor.handlers.power import set_power
from appliance.conductor.handlers.release import drain, retire
from appliance.conductor.handlers.shell import confirm
from appliance.model.on_clusters import OnClusters
from appliance.plan import (
    BootAgent,
    BootDisk,
    ConfirmShell,
    Drain,
    Enrol,
    Inspect,
    Rescue,
    Retire,
    RunInstaller,
    SetPower,
    Wipe,
    WriteImage,
    WriteSeed,
)


def decide(view: View, now: float) -> Decision:
    if isinstance(view.step.do, OnClusters):
        return cluster_step(view, now)
    match view.step.do:
        case Enrol():
            return enrol(view)
        case BootAgent():
            return boot_agent(view, now)
        case Inspect():
            return read_facts(view, now)
        case WriteImage() | WriteSeed() | Wipe() | Rescue():
            return work(view, now)
        case RunInstaller():
            return run_installer(view, now)
        case BootDisk() as do:
            return boot_disk(view, do, now)
        case ConfirmShell() as do:
            return confirm(view, do, now)
        case SetPower() as do:
            return set_power(view, do, now)
        case Drain() as do:
            return drain(view, do, now)
        case Retire():
            return retire(view, now)
        case _:
            assert_never(view.step.do)

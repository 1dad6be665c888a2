"""Who goes first, how many at once, and when a run pauses by itself: tables."""

import pytest

from appliance.conductor.rollout import rollout_of, worse_than_canary
from appliance.conductor.runs import RunStatus, Settled
from appliance.errors import SiteError
from appliance.model.ids import MachineName, RunId, StepId
from appliance.model.rollout import Rollout
from appliance.model.site import RackLimits
from appliance.plan import DiskRef, Inspect, Plan, PlanIndex, Step, WriteImage
from appliance.store.records import RunStarted
from tests.unit.appliance.conductor.rack import IMAGE

DISK = DiskRef(serial="D", wwn="", size_bytes=1, contents="blank")
WRITE = WriteImage(image=IMAGE, disk=DISK)


def names(count: int) -> list[MachineName]:
    return [MachineName(f"node-{number}") for number in range(count)]


def plan(count: int, do: WriteImage | Inspect = WRITE) -> Plan:
    return Plan(
        site="lab",
        steps=tuple(
            Step(id=StepId(name), machine=name, score="s", summary=name, do=do, budget=1.0) for name in names(count)
        ),
    )


@pytest.mark.parametrize(
    ("count", "do", "limits", "models", "canary", "at_once", "why"),
    [
        (4, WRITE, RackLimits(), {}, 0, 0, ""),
        (5, WRITE, RackLimits(), {}, 1, 0, ""),
        (5, Inspect(), RackLimits(), {}, 0, 0, ""),
        (8, WRITE, RackLimits(), {"node-3": "R640", "node-4": "R650"}, 3, 0, ""),
        (8, WRITE, RackLimits(), {f"node-{i}": f"M{i}" for i in range(8)}, 3, 0, ""),
        (8, WRITE, RackLimits(uplink_mbps=10_000, machine_mbps=2_500), {}, 1, 4, "the uplink carries 10000 Mb/s"),
        (8, Inspect(), RackLimits(uplink_mbps=1_000), {}, 0, 0, ""),
        (8, WRITE, RackLimits(uplink_mbps=100), {}, 1, 1, "the uplink carries 100 Mb/s"),
        (8, WRITE, RackLimits(uplink_mbps=10_000, power_ons=3, bmcs=5), {}, 1, 3, "inrush current"),
        (8, Inspect(), RackLimits(power_ons=6, bmcs=5), {}, 0, 5, "BMC sessions"),
        (8, WRITE, RackLimits(power_ons=8), {}, 1, 0, ""),
    ],
)
def test_how_a_plan_is_rolled_out(
    count: int,
    do: WriteImage | Inspect,
    limits: RackLimits,
    models: dict[MachineName, str],
    canary: int,
    at_once: int,
    why: str,
) -> None:
    rollout = rollout_of(plan(count, do), limits, models)
    assert (len(rollout.canary), rollout.at_once) == (canary, at_once)
    assert why in rollout.why
    assert len({models.get(name, "") for name in rollout.canary}) == len(rollout.canary)


def test_a_limit_of_nothing_is_a_mistake() -> None:
    with pytest.raises(SiteError, match="at least 1"):
        RackLimits(power_ons=0)


def status(ends: dict[int, tuple[float, bool, float]], resumed: float = 0.0, canary: int = 1) -> RunStatus:
    """`ends`: by number of the machine, when it settled, whether well, and after how long."""
    whole = plan(20)
    rollout = Rollout(canary=tuple(names(canary)))
    run = RunStatus.begun(RunStarted(run=RunId("r"), plan=whole.digest, rollout=rollout), whole, PlanIndex.of(whole), 0)
    run.resumed = resumed
    for number, (at, well, seconds) in ends.items():
        run.enter(names(20)[number], 0.0)
        run.settled[names(20)[number]] = Settled(at=at, well=well, seconds=seconds)
    return run


WELL = (10.0, True, 100.0)
ILL = (20.0, False, 100.0)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (status({}), ""),
        (status({0: WELL}), ""),
        (status({0: ILL}), "1 of 1 canary machines failed"),
        (status({0: ILL}, canary=2), ""),
        (status({0: ILL, 1: WELL}, canary=2), "1 of 2 canary machines failed"),
        (status({0: ILL}, resumed=30), ""),
        (status({0: WELL, 1: ILL}), ""),
        (status({0: WELL, 1: ILL, 2: ILL}), "2 of the last 2 machines failed; of the canary it was 0%"),
        (status({0: WELL, 1: ILL, 2: ILL, **dict.fromkeys(range(3, 11), WELL)}), ""),
        (status({0: WELL, 1: ILL, 2: ILL}, resumed=30), ""),
        (
            status({0: WELL, **dict.fromkeys(range(1, 6), (50.0, True, 301.0))}),
            "machines take 301 s; the canary took 100 s",
        ),
        (status({0: WELL, **dict.fromkeys(range(1, 5), (50.0, True, 999.0))}), ""),
        (status({0: WELL, **dict.fromkeys(range(1, 20), ILL)}), ""),
    ],
)
def test_when_a_run_pauses_by_itself(run: RunStatus, reason: str) -> None:
    assert worse_than_canary(run) == reason

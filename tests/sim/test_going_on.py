"""One press of the button, and the appliance dies between discovery and the next plan: nobody presses again."""

from dataclasses import dataclass, replace

import pytest

from appliance.sim.appliance import Parts
from appliance.sim.faults import Character, Death, Scenario
from appliance.sim.ground import Ground
from appliance.sim.journal import Boundary, Loss, RecordDisk, SimLog
from appliance.sim.run import Wanted, simulate
from appliance.store.records import Entry, GoalEnded, Record, RunEnded, RunStarted

MACHINES = 3
CALM = Scenario(characters=dict.fromkeys(range(1, MACHINES + 1), Character()))


@dataclass
class Commits:
    """Each life's commits, in order, with what they held."""

    lives: list[list[tuple[Record, ...]]]

    def log(self, disk: RecordDisk, ground: Ground) -> SimLog:
        told: list[tuple[Record, ...]] = []
        self.lives.append(told)

        class Telling(SimLog):
            def store(self, group: "list[Entry] | tuple[Entry, ...]") -> None:  # type: ignore[override]
                told.append(tuple(entry.record for entry in group))
                super().store(group)

        return Telling(disk, ground.loop, ground.clock, ground.watch)

    def records(self, kind: type[Record]) -> int:
        return sum(isinstance(record, kind) for life in self.lives for commit in life for record in commit)


def played(scenario: Scenario) -> Commits:
    commits = Commits([])
    report = simulate(Wanted(machines=MACHINES, seed=1, scenario=scenario, parts=Parts(log=commits.log)))
    assert not report.violations
    assert report.active == MACHINES
    return commits


def first_end() -> int:
    """The commit that holds the end of the discovery, counted from 1."""
    (life,) = played(CALM).lives
    return next(at for at, commit in enumerate(life, 1) if any(isinstance(record, RunEnded) for record in commit))


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("later", range(3))
def test_killed_between_discovery_and_the_next_plan(later: int, boundary: Boundary) -> None:
    death = Death(commit=first_end() + later, boundary=boundary, away=20.0, loss=Loss.NOT_WRITTEN)
    commits = played(replace(CALM, deaths=(death,)))
    assert len(commits.lives) == 2
    assert commits.records(RunStarted) == 2, "the second one by the appliance itself"
    assert commits.records(GoalEnded) == 1

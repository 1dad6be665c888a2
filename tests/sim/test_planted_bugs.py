"""Bugs of the kind that matters most, put in on purpose: each is caught, by the invariant that names it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from appliance.conductor.decision import AgentView
from appliance.model.ids import MachineName
from appliance.services.agents import AgentDesk
from appliance.sim.appliance import Parts
from appliance.sim.dhcp import LeaseDisk, SimLeases
from appliance.sim.faults import Character, Death, Scenario
from appliance.sim.ground import AgentParts, Ground
from appliance.sim.journal import Boundary, Loss, RecordDisk, SimLog
from appliance.sim.run import Wanted, simulate
from appliance.sim.violations import Invariant, Violation
from appliance.store.records import Entry
from images.agent.ports import BlockDevice, Disks, Http, Reply, Stream
from images.agent.protocol import DiskFacts, Task, TaskReport
from pxe.dhcp.leases import Lease

MACHINES = 3


def calm(seed: int) -> Scenario:
    return Scenario(characters=dict.fromkeys(range(1, MACHINES + 1), Character()))


def killed_in_a_commit(seed: int) -> Scenario:
    death = Death(commit=10 + seed, boundary=Boundary.BEFORE, away=20.0, loss=Loss.NOT_WRITTEN)
    return replace(calm(seed), deaths=(death,))


def killed_in_a_write(seed: int) -> Scenario:
    """The image is written from about the 70th second on, for 20; the appliance comes back when that is done."""
    return replace(calm(seed), deaths=(Death(at=66.0 + 2.0 * seed, away=29.0, loss=Loss.NOT_WRITTEN),))


class HastyLog(SimLog):
    """Tells everybody before the disk has it."""

    def _end(self) -> None:
        if not self.dead:
            self._hand_over(self._under_way)
        super()._end()

    def _hand_over(self, groups: "tuple[tuple[Entry, ...], ...] | list[tuple[Entry, ...]]") -> None:
        entries = tuple(entry for group in groups for entry in group)
        if entries and entries[-1].seq > self.told:
            self.told = entries[-1].seq
            super()._hand_over(groups)

    told = 0


def hasty_log(disk: RecordDisk, ground: Ground) -> SimLog:
    return HastyLog(disk, ground.loop, ground.clock, ground.watch)


class Forgetful(SimLeases):
    """Says that leases are on disk, and writes none."""

    def store(self, leases: tuple[Lease, ...], *, torn: bool = False) -> None:
        return


def forgetful_leases(disk: LeaseDisk, ground: Ground) -> SimLeases:
    return Forgetful(disk, ground.loop, ground.watch)


@dataclass(frozen=True)
class Unfenced:
    """An agent that takes each fence for another task: implements the agent's `Http`."""

    inner: Http

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        reply = self.inner.post(path, _renamed(body, lambda task: task["id"].partition("#")[0]), headers)
        return replace(reply, body=_renamed(reply.body, lambda task: f"{task['id']}#{task['fence']}"))

    def open(self, path: str, *, start: int) -> Stream:
        return self.inner.open(path, start=start)


def _renamed(body: bytes, name: Callable[[dict[str, str]], str]) -> bytes:
    if b'"task":{' not in body:
        return body
    message = json.loads(body)
    message["task"]["id"] = name(message["task"])
    return json.dumps(message).encode()


@dataclass(frozen=True)
class Repeating:
    """The conductor's side of the agents: a step that is resumed is given out as a new task."""

    desk: AgentDesk

    def heard(self, machine: MachineName) -> AgentView:
        view = self.desk.heard(machine)
        return view if view.report is None else replace(view, report=_plain(view.report))

    def assign(self, machine: MachineName, task: Task | None) -> None:
        resumed = task is not None and task.fence > 1
        self.desk.assign(machine, replace(task, id=f"{task.id}#{task.fence}") if task and resumed else task)


def _plain(report: TaskReport) -> TaskReport:
    return replace(report, id=report.id.partition("#")[0])


@dataclass(frozen=True)
class FirstDisk:
    """An agent that opens the first disk, whatever the task names: implements the agent's `Disks`."""

    inner: Disks

    def read(self) -> tuple[DiskFacts, ...]:
        return self.inner.read()

    def contents(self, path: str) -> str:
        return "blank"

    def open(self, path: str) -> BlockDevice:
        device = self.inner.open(self.inner.read()[0].path)
        vars(device)["size"] = self.inner.open(path).size  # or its size would tell
        return device


@pytest.mark.parametrize(
    ("parts", "scenario", "caught"),
    [
        (Parts(log=hasty_log), killed_in_a_commit, Invariant.I4),
        (Parts(agent=AgentParts(http=Unfenced)), killed_in_a_write, Invariant.I4),
        (Parts(agents=Repeating), killed_in_a_write, Invariant.I4),
        (Parts(agent=AgentParts(disks=FirstDisk)), calm, Invariant.I3),
        (Parts(leases=forgetful_leases), calm, Invariant.I2),
    ],
    ids=["lost fsync", "missing fence", "repeated write", "wrong disk", "unlogged ACK"],
)
def test_a_planted_bug_is_caught(parts: Parts, scenario: Callable[[int], Scenario], caught: Invariant) -> None:
    found = first_violation(parts, scenario)
    assert found is not None
    assert found.invariant is caught, str(found)


def first_violation(parts: Parts, scenario: Callable[[int], Scenario]) -> Violation | None:
    for seed in range(12):
        report = simulate(Wanted(machines=MACHINES, seed=seed, scenario=scenario(seed), parts=parts))
        if report.violations:
            return report.violations[0]
    return None


@pytest.mark.parametrize("scenario", [calm, killed_in_a_commit, killed_in_a_write])
def test_without_the_bug_nothing_is_found(scenario: Callable[[int], Scenario]) -> None:
    assert first_violation(Parts(), scenario) is None

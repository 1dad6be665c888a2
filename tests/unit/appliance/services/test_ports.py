"""A change of ports on two sides: what is told in which order, and what is left where one side does not come along."""

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import PlanError, ShellError, UnreachableError
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.switch import Switch
from appliance.nodes import bonding
from appliance.nodes.job import Job
from appliance.services.cluster_hold import at_work
from appliance.services.ports import PortDesk
from appliance.switch.standing import HostSide
from tests.unit.appliance.switch.test_switch import ACCESS, DO, IDLE, MEMBER, WAITS

NODE = MachineName("node-0")
LEAF = Switch(name="leaf-1", address=IPv4Address("10.0.0.1"), user="a", host_key=f"ssh-ed25519 {'A' * 68}")


@dataclass
class Clock:
    """Passes as it is slept."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


@dataclass
class Fabric:
    """`answers`: LACP comes up. `told` is in order, of both sides."""

    answers: bool = True
    slow: float = 0.0
    side: HostSide = HostSide.OLD
    ports: str = "access"
    clock: Clock = field(default_factory=Clock)
    told: list[str] = field(default_factory=list)
    silent: int = 0

    def ask(self, switch: Switch, commands: tuple[str, ...]) -> tuple[str, ...]:
        assert switch is LEAF
        match commands[-1].split():
            case ["show", *_]:
                port = {"access": ACCESS, "foreign": ""}.get(self.ports, MEMBER)
                return (port, port, WAITS if self.ports == "pending" else IDLE)
            case ["commit", "timer", _]:
                self._switch("pending")
            case ["configure", "session", _, "commit"]:
                self._switch("channel")
            case ["configure", "session", _, "abort"] | ["commit"]:
                self._switch("access")
        return ("",) * len(commands)

    async def start(self, machine: MachineName, job: Job) -> str:
        self.clock.at += self.slow
        self._host(HostSide.UNDECIDED)
        return "begun"

    async def job(self, machine: MachineName, job: Job) -> ClusterSight:
        return at_work("it is at it")

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        if self.silent:
            self.silent -= 1
            raise UnreachableError("it does not answer")
        hears = self.answers and self.ports in {"pending", "channel"} and self.side is not HostSide.OLD
        if argv in (bonding.keep(DO), bonding.go_back(DO)):
            self._host(HostSide.NEW if hears else HostSide.BACK)
            return ""
        return f"side={self.side.value}\nports={2 if hears else 1}\npartner={'00:1c:73:00:00:01' if hears else ''}\n"

    def address(self, machine: MachineName) -> IPv4Address:
        return IPv4Address("10.77.0.11")

    def _switch(self, state: str) -> None:
        self.ports = state
        self.told.append(f"switch {state}")

    def _host(self, side: HostSide) -> None:
        self.side = side
        self.told.append(f"host {side.value}")


def change(fabric: Fabric) -> tuple[ClusterSight, PortDesk]:
    async def through() -> tuple[ClusterSight, PortDesk]:
        desk = PortDesk({LEAF.name: LEAF}, fabric, fabric, fabric.clock)
        assert await desk.begin(NODE, DO) == "begun"
        assert (await desk.look(NODE, DO)).progress is Progress.AT_WORK
        await asyncio.wait(desk._works.values())
        if fabric.side is HostSide.UNDECIDED:
            fabric.side = HostSide.BACK  # at its deadline, by itself
        return await desk.look(NODE, DO), desk

    return asyncio.run(through())


def look(fabric: Fabric) -> ClusterSight:
    return asyncio.run(PortDesk({LEAF.name: LEAF}, fabric, fabric, fabric.clock).look(NODE, DO))


def test_the_machine_first_then_the_switch_and_the_switch_is_the_first_that_is_sure() -> None:
    fabric = Fabric(silent=0)
    sight, _ = change(fabric)
    assert fabric.told == ["host undecided", "switch pending", "switch channel", "host new"]
    assert sight.progress is Progress.DONE
    assert sight.evidence["channel"] == "101 of Ethernet1, Ethernet2"
    assert look(fabric).progress is Progress.DONE, "the second time there is nothing to do"


def test_a_machine_that_does_not_answer_over_the_bond_takes_both_back() -> None:
    fabric = Fabric(answers=False)
    sight, _ = change(fabric)
    assert fabric.told == ["host undecided", "switch pending", "switch access", "host back"]
    assert sight.progress is Progress.FAILED
    assert sight.words == "node-0 does not answer over bond0: both sides are as they were"
    assert look(fabric).progress is Progress.NOT_BEGUN


def test_a_switch_is_told_nothing_when_the_machine_would_decide_before_it() -> None:
    fabric = Fabric(slow=80.0)
    sight, _ = change(fabric)
    assert fabric.told == ["host undecided"]
    assert "took too long to make bond0: leaf-1 was told nothing" in sight.words


def test_a_machine_that_is_silent_for_a_while_is_asked_again() -> None:
    fabric = Fabric(silent=5)
    sight, _ = change(fabric)
    assert sight.progress is Progress.DONE


def test_a_channel_without_a_bond_is_taken_back_before_anything_else() -> None:
    fabric = Fabric(ports="channel", side=HostSide.BACK)
    assert look(fabric).progress is Progress.NOT_BEGUN
    change(fabric)
    assert fabric.told[:3] == ["switch access", "host undecided", "switch pending"]


@pytest.mark.parametrize(
    ("ports", "side"),
    [("pending", HostSide.UNDECIDED), ("access", HostSide.UNDECIDED), ("channel", HostSide.UNDECIDED)],
    ids=["timer", "deadline alone", "confirmed"],
)
def test_while_a_side_decides_nothing_is_told(ports: str, side: HostSide) -> None:
    fabric = Fabric(ports=ports, side=side)
    assert look(fabric).progress is Progress.AT_WORK
    assert fabric.told == []


def test_ports_that_are_somebody_elses_are_left_alone() -> None:
    fabric = Fabric(ports="foreign")
    sight, _ = change(fabric)
    assert sight.progress is Progress.FAILED
    assert "another configuration" in sight.words
    assert fabric.told == []


def test_a_switch_that_nobody_states_is_no_switch() -> None:
    fabric = Fabric()
    desk = PortDesk({}, fabric, fabric, fabric.clock)
    with pytest.raises(PlanError, match="states no switch leaf-1"):
        asyncio.run(desk.look(NODE, DO))


def test_what_the_switch_refuses_is_why(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = Fabric()
    asked = fabric.ask

    def refuse(switch: Switch, commands: tuple[str, ...]) -> tuple[str, ...]:
        if commands[-1].startswith("commit timer"):
            raise ShellError("the switch leaf-1 refuses: commit", evidence="% Invalid input")
        return asked(switch, commands)

    monkeypatch.setattr(fabric, "ask", refuse)
    fabric.answers = False

    sight, _ = change(fabric)
    assert sight.problem is not None
    assert (sight.problem.message, sight.problem.evidence) == (
        "the switch leaf-1 refuses: commit: both sides are as they were",
        "% Invalid input",
    )

"""A step towards a cluster looks first, orders once, and knows what to think of silence. In seconds since it began."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.conductor.decision import (
    Ask,
    AskCluster,
    ClusterSight,
    Decision,
    Done,
    Failed,
    Heard,
    Progress,
    Tell,
    View,
    Wait,
)
from appliance.conductor.explain import explain
from appliance.conductor.handlers import decide
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import SentOrder
from appliance.inventory.model import Installed
from appliance.model.cluster import ClusterName, ClusterSpec, FoundCluster, Member, NodeRole, SetRef
from appliance.model.orders import ClusterOrder
from appliance.store.records import Problem
from images.artifact_set import Engine
from tests.unit.appliance.conductor.rack import IMAGE
from tests.unit.appliance.conductor.test_handlers import BEGAN, NODE, view
from tests.unit.appliance.store.samples import ADDRESS

SPEC = ClusterSpec(
    name=ClusterName("prod"),
    set=SetRef(name="kubeadm-v1.20.2-amd64", engine=Engine.KUBEADM, version="v1.20.2", sha256="a" * 64),
    endpoint=IPv4Address("10.77.0.2"),
    registry="10.77.0.1:5000",
    pods=IPv4Network("10.244.0.0/16"),
    services=IPv4Network("10.96.0.0/16"),
)
DO = FoundCluster(cluster=SPEC)
RUNS = MachineState(
    name=NODE, installed=Installed(image=IMAGE, hostname=NODE, address=ADDRESS, host_keys=(), confirmed=True)
)
BROKEN = Problem(code="cluster", message="kubeadm ended with status 1", evidence="port 6443 is in use")
UNREACHED = Problem(code="unreachable", message="10.77.0.9 does not answer yet")


def saw(at: float, progress: Progress, problem: Problem | None = None) -> Heard:
    sight = ClusterSight(progress=progress, words="words", evidence={"node": "v1"}, problem=problem)
    return Heard(question=AskCluster(), at=BEGAN + at, answer=sight)


def silent(at: float, *, unreachable: bool) -> Heard:
    return Heard(question=AskCluster(), at=BEGAN + at, problem=UNREACHED, unreachable=unreachable)


def ordered(at: float, *, answered: bool = True, problem: Problem | None = None, number: int = 1) -> SentOrder:
    return SentOrder(number=number, order=ClusterOrder(), at=BEGAN + at, answered=answered, problem=problem)


def at(now: float, heard: Heard | None = None, *orders: SentOrder) -> Decision:
    seen: View = view(DO, state=RUNS, orders=orders, heard=() if heard is None else (heard,))
    return decide(seen, BEGAN + now)


LOOK = Ask(question=AskCluster(), why="words")
TELL = Tell(order=ClusterOrder(), why="words")
DONE = Done(evidence={"node": "v1"})


@pytest.mark.parametrize(
    ("now", "heard", "orders", "expected"),
    [
        (0, None, (), Ask(question=AskCluster(), why="looking how far it is")),
        (1, saw(1, Progress.DONE), (), DONE),
        (1, saw(1, Progress.NOT_BEGUN), (), TELL),
        (1, saw(1, Progress.AT_WORK), (), Wait(why="words", until=BEGAN + 3)),
        (3, saw(1, Progress.AT_WORK), (), LOOK),
        (9, saw(8, Progress.DONE), (ordered(1),), DONE),
        (2, saw(1, Progress.NOT_BEGUN), (ordered(1),), Wait(why="words", until=BEGAN + 3)),
        (9, saw(7, Progress.NOT_BEGUN), (ordered(1),), LOOK),
        (40, saw(0, Progress.NOT_BEGUN), (ordered(1),), LOOK),
        (2, saw(1, Progress.NOT_BEGUN), (ordered(-90, answered=False),), TELL),
        (2, saw(1, Progress.FAILED, BROKEN), (), TELL),
        (2, saw(1, Progress.FAILED, BROKEN), (ordered(1),), Wait(why="words", until=BEGAN + 3)),
        (5, saw(4, Progress.FAILED, BROKEN), (ordered(1),), Failed(problem=BROKEN)),
        (2, saw(1, Progress.NOT_BEGUN), (ordered(1, problem=UNREACHED),), Wait(why=UNREACHED.message, until=BEGAN + 3)),
        (40, saw(39, Progress.NOT_BEGUN), (ordered(1),), TELL),
        (40, saw(39, Progress.NOT_BEGUN), (ordered(20),), Wait(why="words", until=BEGAN + 41)),
        (4, silent(3, unreachable=True), (), Wait(why=UNREACHED.message, until=BEGAN + 5)),
        (5, silent(3, unreachable=True), (), Ask(question=AskCluster(), why=UNREACHED.message)),
        (1700, silent(1699, unreachable=True), (), Failed(problem=UNREACHED)),
        (4, silent(3, unreachable=False), (), Failed(problem=UNREACHED)),
    ],
    ids=lambda value: "" if isinstance(value, Heard | tuple) else None,
)
def test_what_comes_next(now: float, heard: Heard | None, orders: tuple[SentOrder, ...], expected: Decision) -> None:
    assert at(now, heard, *orders) == expected


def test_an_order_that_is_refused_again_and_again_fails_for_its_reason() -> None:
    refused = [ordered(number, problem=UNREACHED, number=number) for number in (1, 2, 3)]
    assert isinstance(at(9, saw(8, Progress.NOT_BEGUN), *refused[:2]), Tell)
    assert at(9, saw(8, Progress.NOT_BEGUN), *refused) == Failed(problem=UNREACHED)


def test_an_order_that_was_taken_thrice_and_shows_nothing_fails_with_what_was_seen() -> None:
    decision = at(99, saw(98, Progress.NOT_BEGUN), *(ordered(20 * number, number=number) for number in (1, 2, 3)))
    assert isinstance(decision, Failed)
    assert "shows nothing" in decision.problem.message
    assert decision.problem.next_action


def test_a_failure_without_a_reason_still_says_what_to_do() -> None:
    decision = at(5, saw(4, Progress.FAILED), ordered(1))
    assert isinstance(decision, Failed)
    assert decision.problem.next_action


def test_nothing_is_done_on_a_machine_without_a_system() -> None:
    decision = decide(view(DO, state=replace(RUNS, installed=None)), BEGAN)
    assert isinstance(decision, Failed)
    assert decision.problem.code == "not-installed"


def test_a_machine_says_to_which_cluster_it_belongs() -> None:
    member = Member(cluster=SPEC, role=NodeRole.CONTROL_PLANE, since=5.0)
    (line,) = (one for one in explain(replace(RUNS, member=member), (), None, None, 9.0).lines if one.kind == "member")
    assert (line.text, line.since, line.evidence) == ("control plane of the cluster prod", 5.0, "kubeadm v1.20.2")
    assert line.next_action.endswith("innervate cluster show prod")
    assert not [one for one in explain(RUNS, (), None, None, 9.0).lines if one.kind == "member"]

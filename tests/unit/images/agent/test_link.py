"""The conversation with a server on loopback: one round at a time, work run by hand."""

import json
from collections import deque
from dataclasses import replace

import pytest

from images.agent.connection import HttpConnection
from images.agent.link import Link
from images.agent.log import CAPACITY, Log
from images.agent.protocol import (
    Cpu,
    Facts,
    Failure,
    Firmware,
    Hello,
    Identity,
    Inspect,
    Poll,
    PollReply,
    PowerOff,
    Reboot,
    TaskState,
    Welcome,
    encode,
    parse_facts,
    parse_hello,
    parse_poll,
)

IDENTITY = Identity(uuid="u", serial="s", board_serial="", macs=("52:54:00:00:00:01",), firmware=Firmware.UEFI)
HELLO = Hello(boot_id="boot", agent_version="1", evidence=IDENTITY)
FACTS = Facts(
    boot_id="boot",
    lshw=None,
    lsblk={"blockdevices": []},
    ip=[],
    routes=[],
    dmidecode="",
    lldp=("00ff",),
    disks=(),
    nics=(),
    memory_bytes=1,
    cpu=Cpu(model="m", cores=1, threads=2),
    errors={"lshw": "gone"},
)
TASK = Inspect(id="t", fence=1)


class World:
    """Power, worker and threads that do nothing by themselves."""

    def __init__(self, server, clock, rng) -> None:
        self.server, self.clock = server, clock
        self.console, self.acts, self.works = [], [], []
        self.result = ({"disks": 2}, None)
        self.log = Log(clock, self.console.append)
        self.http = HttpConnection("127.0.0.1", server.port, "n0nce")
        self.link = Link(
            hello=HELLO,
            http=self.http,
            clock=clock,
            rng=rng,
            log=self.log,
            power=self,
            worker=self,
            spawn=self.works.append,
        )
        server.replies["/agent/hello"] = deque([(200, encode(Welcome(machine="node-0", poll_after=1.0)))])
        server.replies["/agent/poll"] = deque()

    def do(self, task, tally):
        return self.result

    def reboot(self) -> None:
        self.acts.append("reboot")

    def power_off(self) -> None:
        self.acts.append("power off")

    def offers(self, *tasks) -> None:
        replies = (encode(PollReply(task=task, poll_after=5.0)) for task in tasks)
        self.server.replies["/agent/poll"].extend((200, reply) for reply in replies)

    def posts(self, what: str) -> list[bytes]:
        return [body for path, body, _ in self.server.posts if path == f"/agent/{what}"]

    def said(self) -> list[object]:
        return [parse_poll(body).task for body in self.posts("poll")]


@pytest.fixture
def world(bench):
    world = World(bench.server, bench.clock, bench.ports.rng)
    yield world
    world.http.close()


def test_first_round_says_hello_facts_log_and_polls_on_one_connection(world):
    world.offers(None)
    world.log.say("first \x1b[2J line")
    world.link.tell(FACTS)
    assert world.link.round() == 5.0
    paths = [path for path, _, _ in world.server.posts]
    assert paths == ["/agent/hello", "/agent/facts", "/agent/log", "/agent/poll"]
    assert parse_hello(world.posts("hello")[0]) == HELLO
    assert parse_facts(world.posts("facts")[0]) == FACTS
    assert b"first ?[2J line" in world.posts("log")[0]
    assert all(headers["Innervate-Nonce"] == "n0nce" for _, _, headers in world.server.posts)
    assert world.server.connections == 1
    assert world.console[0].startswith("innervate-agent: first")


def test_log_goes_on_where_it_stopped(world):
    world.offers(None, None)
    world.link.round()
    world.log.say("more")
    world.link.round()
    first, second = (post for post in world.server.posts if post[0] == "/agent/log")
    assert first[2]["Innervate-Log-Offset"] == "0"
    assert int(second[2]["Innervate-Log-Offset"]) == len(first[1])


def test_log_is_bounded_and_shows_what_was_lost(world):
    for _ in range(2000):
        world.log.say("x" * 1000)
    start, chunk = world.log.pending()
    assert start == 2000 * len("1000.000 " + "x" * 1000 + "\n") - CAPACITY
    assert len(chunk) == 64 << 10


def test_refused_nonce_is_said_and_asked_again_with_back_off(world):
    world.server.replies["/agent/hello"].extendleft([(403, b"old")] * 8)
    waits = [world.link.round() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] >= 1.0
    assert waits[-1] == 30.0
    assert "refuses this boot's nonce" in world.console[0]
    world.offers(None)
    assert world.link.round() == 5.0


def test_task_runs_beside_the_polls_and_is_reported_until_acknowledged(world):
    world.offers(TASK, TASK, replace(TASK, fence=2), TASK, replace(TASK, fence=2), None, None)
    assert world.link.round() == 0.0
    world.link.round()
    world.link.round()
    assert len(world.works) == 1
    world.link.wake.clear()
    world.works[0]()
    assert world.link.wake.is_set()
    for _ in range(4):
        world.link.round()
    states = [None if task is None else (task.state, task.fence) for task in world.said()]
    running, done = TaskState.RUNNING, TaskState.DONE
    assert states == [None, (running, 1), (running, 1), (done, 2), (done, 2), (done, 2), None]
    assert world.said()[3].evidence == {"disks": 2}
    assert len(world.works) == 1


def test_task_goes_on_while_the_server_is_down(world):
    world.offers(TASK)
    world.link.round()
    world.server.replies["/agent/poll"].extend([(503, b"")] * 3)
    assert all(1 <= world.link.round() <= 30 for _ in range(3))
    world.works[0]()
    world.offers(None)
    world.link.round()
    assert world.said()[-1].state is TaskState.DONE


def test_failure_is_reported(world):
    world.result = ({}, Failure(message="no disk", evidence="S0", next_action="look"))
    world.offers(TASK, None)
    world.link.round()
    world.works[0]()
    world.link.round()
    assert world.said()[-1].error == world.result[1]


@pytest.mark.parametrize(
    ("task", "act"), [(Reboot(id="r", fence=1), "reboot"), (PowerOff(id="r", fence=1), "power off")]
)
@pytest.mark.parametrize("acknowledgement", [None, TASK])
def test_machine_leaves_once_the_server_has_heard(world, task, act, acknowledgement):
    world.offers(task, task, acknowledgement)
    world.link.round()
    world.works[0]()
    assert world.link.round() == 5.0
    assert world.acts == []
    world.link.round()
    assert world.acts == [act]
    assert len(world.works) == 1


def test_machine_leaves_after_ten_seconds_without_a_server(world):
    world.offers(Reboot(id="r", fence=1))
    world.link.round()
    world.works[0]()
    world.server.replies["/agent/poll"].extend([(503, b"")] * 20)
    began = world.clock.now
    while not world.acts:
        world.clock.now += world.link.round()
    assert world.acts == ["reboot"]
    assert world.clock.now - began <= 12 + 30


def test_failed_reboot_does_not_leave(world):
    world.result = ({}, Failure(message="m", evidence="", next_action=""))
    world.offers(Reboot(id="r", fence=1), None)
    world.link.round()
    world.works[0]()
    world.link.round()
    assert world.acts == []


def test_server_that_forgot_us_is_greeted_again(world):
    world.offers(None)
    world.link.round()
    world.server.replies["/agent/poll"].append((409, b""))
    world.link.round()
    world.server.replies["/agent/hello"].append((200, encode(Welcome(machine="node-0", poll_after=1.0))))
    world.offers(None)
    world.link.round()
    assert len(world.posts("hello")) == 2


def test_unknown_task_is_reported_as_failed(world):
    task = {"id": "x", "fence": 4, "do": "dance"}
    world.server.replies["/agent/poll"].append((200, json.dumps({"task": task, "poll_after": 0}).encode()))
    world.offers(None)
    world.link.round()
    world.link.round()
    said = world.said()[-1]
    assert (said.id, said.fence, said.state, said.error.evidence) == ("x", 4, TaskState.FAILED, "dance")


def test_nonsense_from_the_server_is_survived(world):
    world.server.replies["/agent/poll"].extend([(200, b"{"), (200, b"[" * 100000), (200, b'{"task":1}')])
    assert [world.link.round() >= 1 for _ in range(3)] == [True] * 3
    world.offers(None)
    assert world.link.round() == 5.0
    assert parse_poll(world.posts("poll")[-1]) == Poll(boot_id="boot", task=None)

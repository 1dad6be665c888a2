"""The desk that agents and first boots talk to: who may speak, and what comes of it."""

import json
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.boot import Snapshot
from appliance.conductor.decision import AgentView
from appliance.identity.bonds import Bonds
from appliance.identity.key import ApplianceKey
from appliance.identity.tpms import Tpms
from appliance.inventory.identity import Identities
from appliance.model.identity import Bound, Rung, Standing
from appliance.model.ids import MachineName, Nonce
from appliance.services.agents import AgentDesk
from appliance.services.reports import FirstBoot
from appliance.store.identity_records import TpmRecord
from appliance.system import SystemRng
from images.agent import protocol
from images.agent.bond import HELLO
from images.agent.channel import Channel
from images.agent.protocol import Hello, Progress, TaskReport, TaskState
from pxe.client import Mac
from pxe.http.responder import HttpReply, HttpRequest
from tests.unit.appliance.services.bound import Wire, channel
from tests.unit.appliance.store.samples import IDENTITY, NODE

CLIENT = IPv4Address("10.77.0.51")
OTHER = MachineName("node-1")
GOOD, OLD, SEED = Nonce("good-nonce"), Nonce("old-nonce"), Nonce("seed-nonce")
THEIRS = replace(IDENTITY, uuid=None, serial="SN0002", macs=(Mac("52:54:00:77:00:02"),))
KNOWN = {NODE: IDENTITY, OTHER: THEIRS}
NOW = Snapshot(
    agents={GOOD: NODE}, seeds={SEED: NODE}, identities=KNOWN, known=Identities.of(KNOWN), greeted={NODE: GOOD}
)
TASK = protocol.Inspect(id="r.inspect", fence=1)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX"


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.why: list[str] = []
        self.bounds: list[tuple[MachineName, Rung]] = []
        self.disputes: list[str] = []
        self.attestations: list[TpmRecord] = []
        self.report: FirstBoot | None = None

    def hello(self, machine: MachineName, nonce: Nonce, hello: Hello, client: IPv4Address) -> None:
        self.heard.append(f"hello {machine} {hello.boot_id}")

    def facts(self, machine: MachineName, nonce: Nonce, body: bytes) -> None:
        self.heard.append(f"facts {machine} {len(body)}")

    def polled(self, machine: MachineName) -> None:
        self.heard.append(f"polled {machine}")

    def log(self, machine: MachineName, offset: int, text: bytes) -> None:
        self.heard.append(f"log {machine} {offset} {text.decode()}")

    def first_boot(self, machine: MachineName, report: FirstBoot, client: IPv4Address) -> None:
        self.heard.append(f"first boot {machine}")
        self.report = report

    def refused(self, client: IPv4Address, why: str) -> None:
        self.heard.append("refused")
        self.why.append(why)

    def bound(self, machine: MachineName, bound: Bound, client: IPv4Address, why: str) -> None:
        self.bounds.append((machine, bound.rung))

    def disputed(self, machine: MachineName, nonce: Nonce, client: IPv4Address, why: str) -> None:
        self.disputes.append(why)

    def attested(self, record: TpmRecord) -> None:
        self.attestations.append(record)


class Desk:
    def __init__(self) -> None:
        self.snapshot, self.clock, self.listener = NOW, Clock(), Listener()
        bonds = Bonds(ApplianceKey(bytes(range(32))), self.clock, SystemRng())
        tpms = Tpms(bonds, SystemRng(), {})
        self.desk = AgentDesk(lambda: self.snapshot, self.listener, self.clock, bonds, tpms)
        self.channels: dict[str, Channel] = {}

    def post(
        self, path: str, body: bytes = b"", nonce: str | None = GOOD, method: str = "POST", **more: str
    ) -> HttpReply:
        """As the agent with this nonce, where there is to be one: what it has to say before stays unheard."""
        if nonce not in (GOOD, "next") or method != "POST" or not path.startswith("/agent/"):
            return self.raw(path, body, nonce, method)
        if nonce not in self.channels:
            self.channels[nonce] = channel(Wire(self.desk.handle, nonce), nonce)
            if path != HELLO:
                self.channels[nonce].post(HELLO, hello(), {})
                self.listener.heard.clear()
        headers = {protocol.LOG_OFFSET_HEADER: more["innervate-log-offset"]} if more else {}
        reply = self.channels[nonce].post(path, body, headers)
        return HttpReply(status=reply.status, body=reply.body)

    def raw(self, path: str, body: bytes = b"", nonce: str | None = GOOD, method: str = "POST") -> HttpReply:
        headers = {} if nonce is None else {"innervate-nonce": nonce}
        return self.desk.handle(
            HttpRequest(client=CLIENT, method=method, path=path, query={}, headers=headers, body=body)
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def hello(boot_id: str = "boot", serial: str = "SN0001", uuid: str = str(IDENTITY.uuid), mac: str = "") -> bytes:
    macs = (mac or "52:54:00:77:00:01",)
    evidence = protocol.Identity(uuid=uuid, serial=serial, board_serial="", macs=macs, firmware=protocol.Firmware.UEFI)
    return protocol.encode(Hello(boot_id=boot_id, agent_version="1", evidence=evidence))


def working(done: int = 0, id: str = "r.inspect", fence: int = 1) -> TaskReport:  # noqa: A002
    return TaskReport(
        id=id,
        fence=fence,
        state=TaskState.RUNNING,
        progress=Progress(done=done, total=100),
        evidence={},
        error=None,
    )


def poll(boot_id: str = "boot", task: TaskReport | None = None) -> bytes:
    return protocol.encode(protocol.Poll(boot_id=boot_id, task=task))


def report(nonce: str = SEED, keys: object = (KEY,), **more: object) -> bytes:
    known = {"nonce": nonce, "boot_id": "c", "hostname": "node-0", "serial": "SN0001", "ssh_host_keys": keys}
    return json.dumps({**known, **more}).encode()


HUGE = b'"' + b"x" * protocol.MAX_MESSAGE + b'"'
DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("path", "body", "nonce", "status", "heard"),
    [
        ("/agent/hello", hello(), GOOD, 200, ["hello node-0 boot"]),
        ("/agent/hello", hello(), None, 403, ["refused"]),
        ("/agent/hello", hello(), "", 403, ["refused"]),
        ("/agent/hello", hello(), OLD, 403, ["refused"]),
        ("/agent/hello", hello(), SEED, 403, ["refused"]),
        ("/agent/hello", hello(serial="SN0002", uuid="", mac="52:54:00:77:00:02"), GOOD, 403, ["refused"]),
        ("/agent/hello", hello(serial="SN0002"), GOOD, 403, ["refused"]),
        ("/agent/hello", hello(serial="else", uuid="", mac="52:54:00:00:00:09"), GOOD, 403, ["refused"]),
        ("/agent/hello", hello(uuid="no uuid"), GOOD, 200, ["hello node-0 boot"]),
        ("/agent/hello", hello(mac="80:00:00:48:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:29:26:52"), GOOD, 200, None),
        ("/agent/hello", hello(mac="garbage"), GOOD, 400, ["refused"]),
        ("/agent/hello", b"", GOOD, 400, ["refused"]),
        ("/agent/hello", b"\xff\xfe", GOOD, 400, ["refused"]),
        ("/agent/hello", b"null", GOOD, 400, ["refused"]),
        ("/agent/hello", HUGE, GOOD, 400, ["refused"]),
        ("/agent/hello", DEEP, GOOD, 400, ["refused"]),
        ("/agent/poll", poll(), GOOD, 200, ["polled node-0"]),
        ("/agent/poll", poll(), OLD, 403, ["refused"]),
        ("/agent/poll", HUGE, GOOD, 400, ["refused"]),
        ("/agent/poll", b'{"boot_id":"b","task":[]}', GOOD, 400, ["refused"]),
        ("/agent/facts", b"anything", GOOD, 204, ["facts node-0 8"]),
        ("/agent/facts", b"anything", OLD, 403, ["refused"]),
        ("/agent/log", b"line", OLD, 403, ["refused"]),
        ("/agent/nonsense", b"", GOOD, 404, []),
        ("/agent/nonsense", b"", None, 404, []),
        ("/report", report(), None, 204, ["first boot node-0"]),
        ("/report", report(serial="sn0001"), None, 204, ["first boot node-0"]),
        ("/report", report(serial="Default string"), None, 204, ["first boot node-0"]),
        ("/report", report(serial="SN0002"), None, 403, ["refused"]),
        ("/report", report(GOOD), None, 403, ["refused"]),
        ("/report", report("guess"), None, 403, ["refused"]),
        ("/report", report(nonce="n" * 129), None, 400, ["refused"]),
        ("/report", report(keys="no list"), None, 400, ["refused"]),
        ("/report", report(keys=["k"] * 17), None, 400, ["refused"]),
        ("/report", b"{}", None, 400, ["refused"]),
        ("/report", HUGE, None, 400, ["refused"]),
    ],
)
def test_requests(path: str, body: bytes, nonce: str | None, status: int, heard: list[str] | None, desk: Desk) -> None:
    reply = desk.post(path, body, nonce)
    assert reply.status == status
    assert desk.listener.heard == (["hello node-0 boot"] if heard is None else heard)
    if status >= 400:
        assert json.loads(reply.body)["error"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods(method: str, desk: Desk) -> None:
    assert desk.post("/agent/hello", hello(), method=method).status == 405
    assert desk.listener.heard == []


def test_another_machine_s_evidence_is_named(desk: Desk) -> None:
    desk.post("/agent/hello", hello(serial="SN0002", uuid="", mac="52:54:00:77:00:02"))
    assert desk.listener.why == ["the nonce is node-0's but the evidence is node-1's"]


def test_a_machine_whose_bmc_told_nothing_is_known_by_its_nonce(desk: Desk) -> None:
    desk.snapshot = replace(NOW, identities={OTHER: THEIRS}, known=Identities.of({OTHER: THEIRS}))
    assert desk.post("/agent/hello", hello(serial="whatever")).status == 200


@pytest.mark.parametrize(
    ("offset", "status", "heard"),
    [
        (None, 204, ["log node-0 0 line"]),
        ("17", 204, ["log node-0 17 line"]),
        ("-1", 400, ["refused"]),
        ("1e3", 400, ["refused"]),
        ("\u0663", 400, ["refused"]),
        ("9" * 16, 400, ["refused"]),
        ("", 400, ["refused"]),
    ],
)
def test_log_offsets(offset: str | None, status: int, heard: list[str], desk: Desk) -> None:
    headers = {} if offset is None else {"innervate-log-offset": offset}
    assert desk.post("/agent/log", b"line", **headers).status == status
    assert desk.listener.heard == heard


def test_alive_until_it_was_silent(desk: Desk) -> None:
    assert not desk.desk.heard(NODE).alive
    desk.post("/agent/hello", hello())
    assert desk.desk.heard(NODE) == AgentView(alive=True, silent=0.0, life="boot.1")
    desk.clock.time += 29.9
    assert desk.desk.heard(NODE).alive
    desk.clock.time += 0.2
    assert not desk.desk.heard(NODE).alive
    desk.post("/agent/poll", poll())
    assert desk.desk.heard(NODE).alive
    assert not desk.desk.heard(OTHER).alive


def test_a_poll_before_any_hello_is_of_an_agent_that_outlived_us_and_has_to_say_it_again(desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    reborn = Desk()
    reborn.channels = desk.channels
    desk.channels[GOOD]._http.handle = reborn.desk.handle  # type: ignore[attr-defined]
    assert reborn.post("/agent/poll", poll(task=working(5))).status == 401
    assert reborn.post("/agent/hello", hello()).status == 200
    assert reborn.post("/agent/poll", poll(task=working(5))).status == 200
    assert (reborn.desk.heard(NODE).alive, reborn.desk.heard(NODE).report) == (True, working(5))


@pytest.mark.parametrize("path", ["/agent/hello", "/agent/poll", "/agent/facts", "/agent/log", "/agent/code"])
def test_whoever_shows_no_key_is_not_heard(path: str, desk: Desk) -> None:
    assert desk.raw(path, hello()).status == 400
    assert desk.listener.heard == ["refused"]


def test_a_superseded_nonce_counts_no_more(desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    started_anew = {NODE: Standing(powered=desk.clock.time + 1)}
    desk.snapshot = replace(NOW, agents={Nonce("next"): NODE}, standings=started_anew)
    assert (desk.desk.heard(NODE).alive, desk.desk.heard(NODE).life, desk.desk.session(NODE)) == (False, "", None)
    assert desk.post("/agent/poll", poll()).status == 403
    desk.post("/agent/hello", hello("boot-2"), "next")
    assert desk.desk.heard(NODE).life == "boot-2.1"


def test_a_nonce_that_became_another_machine_s_counts_no_more(desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    desk.snapshot = replace(NOW, agents={GOOD: OTHER})
    assert desk.desk.session(NODE) is None


def task_in(reply: HttpReply) -> str | None:
    task = protocol.parse_poll_reply(reply.body).task
    assert not isinstance(task, protocol.BadTask)
    return task.id if task else None


def test_an_agent_that_says_hello_again_is_another_one(desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    desk.desk.assign(NODE, TASK)
    desk.post("/agent/hello", hello())
    assert desk.desk.heard(NODE).life == "boot.2"
    assert task_in(desk.post("/agent/poll", poll())) is None


def test_tasks_are_offered_until_withdrawn(desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    assert task_in(desk.post("/agent/poll", poll())) is None
    desk.desk.assign(NODE, TASK)
    assert [task_in(desk.post("/agent/poll", poll())) for _ in range(2)] == ["r.inspect", "r.inspect"]
    desk.desk.assign(NODE, None)
    desk.desk.assign(NODE, None)
    assert task_in(desk.post("/agent/poll", poll())) is None


@pytest.mark.parametrize("greets", [True, False])
def test_a_task_is_not_offered_to_the_next_boot(greets: bool, desk: Desk) -> None:
    desk.post("/agent/hello", hello())
    desk.desk.assign(NODE, TASK)
    if greets:
        desk.post("/agent/hello", hello("boot-2"))
    assert task_in(desk.post("/agent/poll", poll("boot-2"))) is None


def test_samples_are_of_one_task_and_few(desk: Desk) -> None:
    for done in range(20):
        desk.clock.time += 1
        desk.post("/agent/poll", poll(task=working(done)))
    session = desk.desk.session(NODE)
    assert session is not None
    assert session.samples == tuple((101.0 + i, i) for i in range(10, 20))
    for later in (working(5), working(7, "r.other"), None):
        desk.post("/agent/poll", poll(task=later))
        session = desk.desk.session(NODE)
        assert session is not None
        assert [done for _, done in session.samples] == ([later.progress.done] if later else [])


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (KEY, KEY),
        (f"{KEY} root@node", KEY),
        (f"{KEY}\nssh-rsa AAAA", None),
        (f"{KEY} \x1b[2J", KEY),
        ("ssh-ed25519 short", None),
        ("@cert-authority * " + KEY, None),
        ("ssh-ed25519 " + "A" * 2001, None),
        ("* " + KEY, None),
        ("", None),
    ],
)
def test_hostile_host_keys(line: str, kept: str | None, desk: Desk) -> None:
    assert desk.post("/report", report(keys=[line]), None).status == 204
    assert desk.listener.report is not None
    assert desk.listener.report.host_keys == ((kept,) if kept else ())


def test_hostile_names_are_cleaned(desk: Desk) -> None:
    desk.post("/report", report(hostname="a\x1b[2Jb\nc", serial="\x00SN0001", boot_id="\tb"), None)
    said = desk.listener.report
    assert said is not None
    assert (said.hostname, said.serial, said.boot_id) == ("ab c", "SN0001", " b")
